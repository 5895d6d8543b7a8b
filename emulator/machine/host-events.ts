/** What the host does at its own time, brought to the machine between two turns of its CPUs. */
import type { HostEvents } from '../memory/device.ts';

/** Events that wait for the machine, and the way to wait for them. */
export class HostEventQueue implements HostEvents {
  readonly #sources: (() => boolean)[] = [];
  #events: (() => void)[] = [];
  #wake: () => void = () => undefined;

  post(event: () => void): void {
    this.#events.push(event);
    this.#wake();
  }

  expect(source: () => boolean): void {
    this.#sources.push(source);
  }

  /** Whether something is on its way from the host. */
  get isExpecting(): boolean {
    return this.#sources.some(source => source());
  }

  /** Lets happen what has come. */
  deliver(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    for (const event of events) event();
  }

  /** Ends a wait. */
  wake(): void {
    this.#wake();
  }

  /** Waits until something has come, at most so long. @returns host milliseconds that have passed */
  async wait(ms: number): Promise<number> {
    const start = performance.now();
    if (this.#events.length === 0) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, Math.min(ms, 2 ** 30));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = () => undefined;
    }
    return performance.now() - start;
  }
}
