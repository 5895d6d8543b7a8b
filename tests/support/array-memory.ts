/** Guest memory in one array, little endian, for tests of DMA masters. */
import type { DmaMemory } from '../../emulator/memory/device.ts';

export class ArrayMemory implements DmaMemory {
  readonly base: number;
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(size: number, base = 0) {
    this.base = base;
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  read(paddr: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.readInto(paddr, out);
    return out;
  }

  readInto(paddr: number, target: Uint8Array): void {
    target.fill(0);
    const from = paddr - this.base;
    if (from < 0 || from >= this.bytes.length) return;
    target.set(this.bytes.subarray(from, from + target.length));
  }

  write(paddr: number, bytes: Uint8Array): void {
    const from = paddr - this.base;
    if (from < 0 || from >= this.bytes.length) return;
    this.bytes.set(bytes.subarray(0, this.bytes.length - from), from);
  }

  readU16(paddr: number): number {
    return this.holds(paddr, 2) ? this.view.getUint16(paddr - this.base, true) : 0;
  }

  readU32(paddr: number): number {
    return this.holds(paddr, 4) ? this.view.getUint32(paddr - this.base, true) : 0;
  }

  readU64(paddr: number): bigint {
    return this.holds(paddr, 8) ? this.view.getBigUint64(paddr - this.base, true) : 0n;
  }

  writeU16(paddr: number, value: number): void {
    if (this.holds(paddr, 2)) this.view.setUint16(paddr - this.base, value, true);
  }

  writeU32(paddr: number, value: number): void {
    if (this.holds(paddr, 4)) this.view.setUint32(paddr - this.base, value, true);
  }

  writeU64(paddr: number, value: bigint): void {
    if (this.holds(paddr, 8)) this.view.setBigUint64(paddr - this.base, value, true);
  }

  private holds(paddr: number, length: number): boolean {
    return paddr >= this.base && paddr - this.base + length <= this.bytes.length;
  }
}
