/** The driver's side of virtio, as Linux has it, over any transport's registers. */
import { FEATURE, STATUS } from '../../emulator/devices/virtio/spec.ts';
import type { ArrayMemory } from './array-memory.ts';

/** What a transport's registers come down to. */
export interface DriverTransport {
  readonly isLegacy: boolean;
  offeredFeatures(): bigint;
  acceptFeatures(features: bigint): void;
  setStatus(status: number): void;
  status(): number;
  setUpQueue(index: number, queue: GuestQueue): void;
  notify(index: number): void;
  /** Reads and clears the interrupt cause. */
  takeInterrupt(): number;
  readConfig(offset: number, width: 1 | 2 | 4): number;
}

const [NEXT, WRITE, INDIRECT] = [1, 2, 4];

/** A buffer given to the device: bytes to read, or a number of bytes to be written. */
export type Buffers = readonly (Uint8Array | number)[];

/** A split virtqueue in guest memory. */
export class GuestQueue {
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  usedSeen = 0;
  private readonly memory: ArrayMemory;
  private nextDescriptor = 0;
  private heap: number;
  private availIndex = 0;
  private readonly placed = new Map<number, { paddr: number; length: number }[]>();

  /** Takes 64 KiB from `base` (a multiple of 4096) on, in the legacy layout. */
  constructor(memory: ArrayMemory, base: number, size: number) {
    this.memory = memory;
    this.size = size;
    this.desc = base;
    this.avail = base + 16 * size;
    this.used = Math.ceil((this.avail + 6 + 2 * size) / 4096) * 4096;
    this.heap = this.used + 4096;
  }

  /** Makes a chain available. @returns its head */
  add(buffers: Buffers, { indirect = false } = {}): number {
    const places = buffers.map(buffer => this.place(buffer));
    const head = this.nextDescriptor;
    const table = indirect ? this.allocate(16 * buffers.length) : this.desc;
    if (indirect) this.writeDescriptor(this.desc, head, table, 16 * buffers.length, INDIRECT, 0);
    for (const [i, buffer] of buffers.entries()) {
      const index = indirect ? i : (head + i) % this.size;
      const next = indirect ? i + 1 : (index + 1) % this.size;
      const flags = (i < buffers.length - 1 ? NEXT : 0) | (typeof buffer === 'number' ? WRITE : 0);
      this.writeDescriptor(table, index, places[i]!.paddr, places[i]!.length, flags, next);
    }
    this.nextDescriptor = (head + (indirect ? 1 : buffers.length)) % this.size;
    this.placed.set(head, places);
    this.publish(head);
    return head;
  }

  /** Puts any head into the available ring, sound or not. */
  publish(head: number): void {
    this.memory.writeU16(this.avail + 4 + 2 * (this.availIndex % this.size), head);
    this.availIndex = (this.availIndex + 1) & 0xffff;
    this.memory.writeU16(this.avail + 2, this.availIndex);
  }

  writeDescriptor(table: number, index: number, paddr: number, length: number, flags: number, next: number): void {
    const at = table + 16 * index;
    this.memory.writeU64(at, BigInt(paddr));
    this.memory.writeU32(at + 8, length);
    this.memory.writeU16(at + 12, flags);
    this.memory.writeU16(at + 14, next);
  }

  /** Asks for an interrupt at the next used buffer (`true`), or for none. */
  wantInterrupt(wanted: boolean): void {
    this.memory.writeU16(this.avail, wanted ? 0 : 1);
    const event = this.memory.readU16(this.used + 2) + (wanted ? 0 : 0x8000);
    this.memory.writeU16(this.avail + 4 + 2 * this.size, event & 0xffff);
  }

  /** Takes the next used chain, with the bytes of its buffers. */
  take(): { head: number; written: number; buffers: Uint8Array[] } | undefined {
    if (this.memory.readU16(this.used + 2) === this.usedSeen) return undefined;
    const element = this.used + 4 + 8 * (this.usedSeen % this.size);
    this.usedSeen = (this.usedSeen + 1) & 0xffff;
    const head = this.memory.readU32(element);
    const buffers = this.placed.get(head)!.map(({ paddr, length }) => this.memory.read(paddr, length));
    return { head, written: this.memory.readU32(element + 4), buffers };
  }

  private place(buffer: Uint8Array | number): { paddr: number; length: number } {
    const length = typeof buffer === 'number' ? buffer : buffer.length;
    const paddr = this.allocate(length);
    if (typeof buffer !== 'number') this.memory.write(paddr, buffer);
    return { paddr, length };
  }

  private allocate(length: number): number {
    const at = this.heap;
    this.heap += Math.ceil(length / 16) * 16;
    return at;
  }
}

/** virtio 1.2 §3.1.1 "Driver Requirements: Device Initialization", with all features that the device offers. */
export function initialise(transport: DriverTransport, queues: readonly GuestQueue[], without = 0n): void {
  transport.setStatus(0);
  transport.setStatus(STATUS.ACKNOWLEDGE);
  transport.setStatus(STATUS.ACKNOWLEDGE | STATUS.DRIVER);
  const known = ~(FEATURE.NOTIFY_ON_EMPTY | without);
  transport.acceptFeatures(transport.offeredFeatures() & known);
  const agreed = STATUS.ACKNOWLEDGE | STATUS.DRIVER | (transport.isLegacy ? 0 : STATUS.FEATURES_OK);
  transport.setStatus(agreed);
  if (transport.status() !== agreed) throw new Error('the device refuses the features');
  for (const [index, queue] of queues.entries()) transport.setUpQueue(index, queue);
  transport.setStatus(agreed | STATUS.DRIVER_OK);
}
