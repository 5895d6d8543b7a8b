/**
 * virtio-console with one port: bytes in, bytes out.
 *
 * Source: virtio 1.2 §5.3 "Console Device". Not modelled: several ports, the size of the window, emergency write.
 */
import type { VirtioDevice, VirtioHost } from './device-core.ts';
import { DEVICE_ID } from './spec.ts';
import { gather, scatter, type SplitQueue, totalLength } from './split-queue.ts';

const RECEIVE = 0;
const QUEUE_SIZE = 128;
/** Simple communication controller, other: the class that QEMU's virtio-serial-pci shows. */
const PCI_CLASS = 0x07_8000;

/** What a snapshot holds: input that waits for a buffer. */
export interface VirtioConsoleState {
  readonly waiting: readonly number[];
}

/** The console; Linux calls it hvc0. */
export class VirtioConsole implements VirtioDevice<VirtioConsoleState> {
  readonly name = 'virtio-console';
  readonly deviceId = DEVICE_ID.CONSOLE;
  readonly pciClass = PCI_CLASS;
  readonly features = 0n;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly configSize = 12;
  private readonly output: (bytes: Uint8Array) => void;
  private host: VirtioHost | undefined;
  private waiting: number[] = [];

  /** @param output takes what the guest writes */
  constructor(output: (bytes: Uint8Array) => void) {
    this.output = output;
  }

  attach(host: VirtioHost): void {
    this.host = host;
  }

  /** Characters arrive from outside; they wait until the guest has given buffers. */
  receive(bytes: Iterable<number>): void {
    this.waiting.push(...bytes);
    this.host?.run(RECEIVE);
  }

  /** cols, rows, max_nr_ports, emerg_wr: none of their features is offered. */
  readConfig(): number {
    return 0;
  }

  writeConfig(): void {
    // Emergency write is not offered.
  }

  process(index: number, queue: SplitQueue): void {
    if (index === RECEIVE) this.deliver(queue);
    else this.transmit(queue);
  }

  reset(): void {
    // Input that waits is not the driver's: the next driver gets it.
  }

  save(): VirtioConsoleState {
    return { waiting: [...this.waiting] };
  }

  restore(state: VirtioConsoleState): void {
    this.waiting = [...state.waiting];
  }

  private deliver(queue: SplitQueue): void {
    while (this.waiting.length > 0) {
      const chain = queue.pop();
      if (chain === undefined) return;
      const part = this.waiting.splice(0, totalLength(chain.writable));
      queue.push(chain, scatter(this.host!.memory, chain.writable, Uint8Array.from(part)));
    }
  }

  private transmit(queue: SplitQueue): void {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      this.output(gather(this.host!.memory, chain.readable));
      queue.push(chain, 0);
    }
  }
}
