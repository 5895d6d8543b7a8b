/**
 * Split virtqueues, from the device's side.
 *
 * Source: virtio 1.2 §2.7 "Split Virtqueues". Modelled: indirect descriptors, both notification suppressions.
 * Not modelled: packed virtqueues (§2.8; no driver insists on them).
 *
 * The rings are written by the guest and may be anything: what does not follow the format makes the queue `broken`, which the
 * transport reports as DEVICE_NEEDS_RESET.
 */
import type { DmaMemory } from '../../memory/device.ts';

/** A descriptor's buffer in guest memory. */
export interface Segment {
  readonly paddr: number;
  readonly length: number;
}

/** A chain of buffers: first those that the device reads, then those that it writes. */
export interface Chain {
  /** Index of the first descriptor, which goes back through the used ring. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** What a snapshot holds of a queue. */
export interface SplitQueueState {
  size: number;
  ready: boolean;
  /** Physical addresses of the descriptor table, the available ring and the used ring. */
  desc: number;
  avail: number;
  used: number;
  /** Free-running 16-bit counters. */
  lastAvail: number;
  usedIndex: number;
  /** `usedIndex` at the last interrupt. */
  signalled: number;
  msixVector: number;
}

/** Descriptor: paddr u64, length u32, flags u16, next u16. */
const DESCRIPTOR_BYTES = 16;
const VIRTQ_DESC_F_NEXT = 1;
const VIRTQ_DESC_F_WRITE = 2;
const VIRTQ_DESC_F_INDIRECT = 4;
/** Available ring: flags u16, idx u16, ring[size] u16, used_event u16. */
const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;
/** Used ring: flags u16, idx u16, ring[size] of { id u32, len u32 }, avail_event u16. */
const RING_HEADER_BYTES = 4;
const USED_ELEMENT_BYTES = 8;

/** No MSI-X vector is assigned: virtio 1.2 §4.1.5.1.2 "MSI-X Vector Configuration". */
export const NO_VECTOR = 0xffff;

/** One queue. */
export class SplitQueue {
  state: SplitQueueState;
  /** Features that the driver accepted. */
  eventIdx = false;
  indirect = false;
  notifyOnEmpty = false;
  /** Why the rings cannot be used any more; a reset clears it. */
  fault: string | undefined;
  private readonly memory: DmaMemory;
  private readonly maxSize: number;

  constructor(memory: DmaMemory, maxSize: number) {
    this.memory = memory;
    this.maxSize = maxSize;
    this.state = initialState(maxSize);
  }

  get max(): number {
    return this.maxSize;
  }

  reset(): void {
    this.state = initialState(this.maxSize);
    this.fault = undefined;
  }

  /** Takes a size from the driver: a power of two up to the maximum; others are ignored. */
  setSize(size: number): void {
    if (size > 0 && size <= this.maxSize && (size & (size - 1)) === 0) this.state.size = size;
  }

  /** Legacy layout: all three parts one behind the other. virtio 1.2 §2.7.2 "Legacy Interfaces: A Note on Virtqueue Layout". */
  setLegacyAddress(base: number, alignment: number): void {
    const { state } = this;
    state.desc = base;
    state.avail = base + state.size * DESCRIPTOR_BYTES;
    const availEnd = state.avail + RING_HEADER_BYTES + 2 * state.size + 2;
    state.used = Math.ceil(availEnd / alignment) * alignment;
    state.ready = base !== 0;
  }

  /** Takes the next chain; `undefined` when the driver has made none available or the queue is broken. */
  pop(): Chain | undefined {
    const { state } = this;
    if (!state.ready || this.fault !== undefined) return undefined;
    const available = (this.memory.readU16(state.avail + 2) - state.lastAvail) & 0xffff;
    if (available === 0) return undefined;
    if (available > state.size) return this.fail(`${available} buffers available in a queue of ${state.size}`);
    const slot = state.lastAvail % state.size;
    const head = this.memory.readU16(state.avail + RING_HEADER_BYTES + 2 * slot);
    const chain = this.readChain(head);
    if (chain === undefined) return undefined;
    state.lastAvail = (state.lastAvail + 1) & 0xffff;
    // Ask for a notification of the very next buffer.
    if (this.eventIdx) this.memory.writeU16(this.availEventAddress(), state.lastAvail);
    return chain;
  }

  /** Gives a chain back, with the number of bytes written into it. */
  push(chain: Chain, written: number): void {
    const { state } = this;
    const element = state.used + RING_HEADER_BYTES + USED_ELEMENT_BYTES * (state.usedIndex % state.size);
    this.memory.writeU32(element, chain.head);
    this.memory.writeU32(element + 4, written);
    state.usedIndex = (state.usedIndex + 1) & 0xffff;
    this.memory.writeU16(state.used + 2, state.usedIndex);
  }

  /** Whether the driver wants an interrupt for what was pushed since the last call. virtio 1.2 §2.7.7 "Used Buffer Notification Suppression". */
  takeInterrupt(): boolean {
    const { state } = this;
    const from = state.signalled;
    const to = state.usedIndex;
    if (from === to) return false;
    state.signalled = to;
    if (this.notifyOnEmpty && this.memory.readU16(state.avail + 2) === state.lastAvail) return true;
    if (!this.eventIdx) return (this.memory.readU16(state.avail) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
    const usedEvent = this.memory.readU16(state.avail + RING_HEADER_BYTES + 2 * state.size);
    return ((to - usedEvent - 1) & 0xffff) < ((to - from) & 0xffff);
  }

  private availEventAddress(): number {
    return this.state.used + RING_HEADER_BYTES + USED_ELEMENT_BYTES * this.state.size;
  }

  private readChain(head: number): Chain | undefined {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.state.desc;
    let limit = this.state.size;
    let index = head;
    for (let steps = 0; ; steps++) {
      if (index >= limit) return this.fail(`descriptor ${index} in a table of ${limit}`);
      if (steps >= limit) return this.fail('a chain of descriptors that goes in a circle');
      const { segment, flags, next } = this.readDescriptor(table + index * DESCRIPTOR_BYTES);
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (!this.indirect || table !== this.state.desc || (flags & VIRTQ_DESC_F_NEXT) !== 0)
          return this.fail('an indirect descriptor where none may be');
        table = segment.paddr;
        limit = Math.floor(segment.length / DESCRIPTOR_BYTES);
        index = 0;
        steps = -1;
        continue;
      }
      if ((flags & VIRTQ_DESC_F_WRITE) !== 0) writable.push(segment);
      else if (writable.length > 0) return this.fail('a readable buffer behind a writable one');
      else readable.push(segment);
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return { head, readable, writable };
      index = next;
    }
  }

  private readDescriptor(at: number): { segment: Segment; flags: number; next: number } {
    const { memory } = this;
    const paddr = memory.readU32(at) + memory.readU32(at + 4) * 2 ** 32;
    const segment = { paddr, length: memory.readU32(at + 8) };
    return { segment, flags: memory.readU16(at + 12), next: memory.readU16(at + 14) };
  }

  private fail(fault: string): undefined {
    this.fault = fault;
    return undefined;
  }
}

/** Bytes of all segments together. */
export function totalLength(segments: readonly Segment[]): number {
  let total = 0;
  for (const { length } of segments) total += length;
  return total;
}

/** Copies what the segments hold into one array, up to `limit` bytes. */
export function gather(memory: DmaMemory, segments: readonly Segment[], limit = Infinity): Uint8Array {
  const bytes = new Uint8Array(Math.min(totalLength(segments), limit));
  let at = 0;
  for (const { paddr, length } of segments) {
    const count = Math.min(length, bytes.length - at);
    if (count > 0) memory.readInto(paddr, bytes.subarray(at, at + count));
    at += count;
  }
  return bytes;
}

/** Copies bytes into the segments in order. @returns bytes written: fewer when the segments are smaller */
export function scatter(memory: DmaMemory, segments: readonly Segment[], bytes: Uint8Array): number {
  let at = 0;
  for (const { paddr, length } of segments) {
    if (at >= bytes.length) break;
    const count = Math.min(length, bytes.length - at);
    memory.write(paddr, bytes.subarray(at, at + count));
    at += count;
  }
  return at;
}

function initialState(size: number): SplitQueueState {
  return {
    size,
    ready: false,
    desc: 0,
    avail: 0,
    used: 0,
    lastAvail: 0,
    usedIndex: 0,
    signalled: 0,
    msixVector: NO_VECTOR,
  };
}
