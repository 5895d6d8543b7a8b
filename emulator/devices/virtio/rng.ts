/**
 * virtio-rng: a source of entropy that gives the same bytes in every run.
 *
 * Source: virtio 1.2 §5.4 "Entropy Device".
 */
import type { VirtioDevice, VirtioHost } from './device-core.ts';
import { DEVICE_ID } from './spec.ts';
import { scatter, type SplitQueue, totalLength } from './split-queue.ts';

const QUEUE_SIZE = 8;
/** Others: the class that QEMU's virtio-rng-pci shows. */
const PCI_CLASS = 0x00_ff00;
const MAX_REQUEST_BYTES = 65536;

/** What a snapshot holds: the generator's four words. */
export type VirtioRngState = readonly number[];

/** Fills buffers from a seeded generator (sfc32). */
export class VirtioRng implements VirtioDevice<VirtioRngState> {
  readonly name = 'virtio-rng';
  readonly deviceId = DEVICE_ID.ENTROPY;
  readonly pciClass = PCI_CLASS;
  readonly features = 0n;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configSize = 0;
  private words: Uint32Array;
  private host: VirtioHost | undefined;

  constructor(seed: number) {
    this.words = Uint32Array.of(seed >>> 0, Math.floor(seed / 2 ** 32), 0x6b64_756d, 1);
    for (let i = 0; i < 15; i++) this.next();
  }

  attach(host: VirtioHost): void {
    this.host = host;
  }

  readConfig(): number {
    return 0;
  }

  writeConfig(): void {
    // There is no configuration.
  }

  process(_index: number, queue: SplitQueue): void {
    const { memory } = this.host!;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const length = Math.min(totalLength(chain.writable), MAX_REQUEST_BYTES);
      const bytes = Uint8Array.from({ length }, () => this.next() & 0xff);
      queue.push(chain, scatter(memory, chain.writable, bytes));
    }
  }

  reset(): void {
    // The generator goes on: a driver that resets the device does not get the same bytes again.
  }

  save(): VirtioRngState {
    return [...this.words];
  }

  restore(state: VirtioRngState): void {
    this.words = Uint32Array.from(state);
  }

  private next(): number {
    const [a = 0, b = 0, c = 0, counter = 0] = this.words;
    const result = (a + b + counter) >>> 0;
    this.words[0] = b ^ (b >>> 9);
    this.words[1] = c + (c << 3);
    this.words[2] = ((c << 21) | (c >>> 11)) + result;
    this.words[3] = counter + 1;
    return result;
  }
}
