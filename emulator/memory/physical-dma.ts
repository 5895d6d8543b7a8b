/** Guest RAM as devices see it: physical addresses, and translated code dropped where they write. */
import type { DmaMemory } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';

/** Told before a device writes to RAM: linear-memory address and size. */
export type BeforeWrite = (address: number, size: number) => void;

/** DMA into guest RAM. An access that runs out of a RAM range reads zeros and drops writes from there on. */
export class PhysicalDma implements DmaMemory {
  readonly #memory: GuestMemory;
  readonly #beforeWrite: BeforeWrite;

  constructor(memory: GuestMemory, beforeWrite: BeforeWrite) {
    this.#memory = memory;
    this.#beforeWrite = beforeWrite;
  }

  read(paddr: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.readInto(paddr, bytes);
    return bytes;
  }

  readInto(paddr: number, target: Uint8Array): void {
    const source = this.#memory.ramSlice(paddr, target.length);
    target.set(source);
    target.fill(0, source.length);
  }

  write(paddr: number, bytes: Uint8Array): void {
    const target = this.#memory.ramSlice(paddr, bytes.length);
    if (target.length === 0) return;
    this.#writing(target.byteOffset, target.length);
    target.set(bytes.subarray(0, target.length));
  }

  readU16(paddr: number): number {
    const address = this.#address(paddr, 2);
    return address < 0 ? 0 : this.#memory.view.getUint16(address, true);
  }
  readU32(paddr: number): number {
    const address = this.#address(paddr, 4);
    return address < 0 ? 0 : this.#memory.view.getUint32(address, true);
  }
  readU64(paddr: number): bigint {
    const address = this.#address(paddr, 8);
    return address < 0 ? 0n : this.#memory.view.getBigUint64(address, true);
  }
  writeU16(paddr: number, value: number): void {
    const address = this.#writable(paddr, 2);
    if (address >= 0) this.#memory.view.setUint16(address, value, true);
  }
  writeU32(paddr: number, value: number): void {
    const address = this.#writable(paddr, 4);
    if (address >= 0) this.#memory.view.setUint32(address, value, true);
  }
  writeU64(paddr: number, value: bigint): void {
    const address = this.#writable(paddr, 8);
    if (address >= 0) this.#memory.view.setBigUint64(address, value, true);
  }

  /** Linear-memory address when all of the access is RAM, else -1. */
  #address(paddr: number, size: number): number {
    return this.#memory.ramAddress(paddr + size - 1) < 0 ? -1 : this.#memory.ramAddress(paddr);
  }

  #writable(paddr: number, size: number): number {
    const address = this.#address(paddr, size);
    if (address >= 0) this.#writing(address, size);
    return address;
  }

  #writing(address: number, size: number): void {
    this.#memory.history.keep(address, size);
    this.#beforeWrite(address, size);
  }
}
