/**
 * Notices a guest that spins: it retires instructions without end, and writes and sends nothing.
 *
 * A guest that sleeps retires nothing, so sleeping is no hanging; the limit in guest time catches guests that sleep for ever.
 * The longest silence of a sound flow is the purgatory's SHA256 and a slow collector, a few billion instructions.
 */
import type { LabMachine } from './lab-machine.ts';

const SILENT_INSTRUCTIONS = 30e9;
const INTERVAL_MS = 500;

/** Watches until it is disposed. Machines that do not count instructions are not watched. */
export class HangWatch implements Disposable {
  readonly #machine: LabMachine;
  readonly #timer: NodeJS.Timeout;
  #lastOutputAt = 0;
  #frames: number | undefined;

  /** @param onHang is called, perhaps more than once, with one line that says so */
  constructor(machine: LabMachine, onHang: (text: string) => void, intervalMs = INTERVAL_MS) {
    this.#machine = machine;
    this.#timer = setInterval(() => {
      this.#noteFrames();
      if (this.#now() - this.#lastOutputAt < SILENT_INSTRUCTIONS) return;
      onHang(
        `the guest hangs: it has executed ${SILENT_INSTRUCTIONS / 1e9} billion instructions without a word on its console`,
      );
    }, intervalMs);
  }

  /** The guest has written something. */
  noteOutput(): void {
    this.#lastOutputAt = this.#now();
  }

  /** A dump that goes over the network is no silence. */
  #noteFrames(): void {
    const { frames } = this.#machine.progress();
    if (frames !== this.#frames) this.noteOutput();
    this.#frames = frames;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #now(): number {
    return this.#machine.progress().instructions ?? 0;
  }
}
