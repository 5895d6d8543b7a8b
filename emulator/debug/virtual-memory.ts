/** Guest memory by virtual address, for debuggers. */
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { PhysicalDma } from '../memory/physical-dma.ts';

const PAGE = 4096n;

/** Physical address behind a virtual one, for a CPU. */
export type Translate = (cpu: number, vaddr: bigint) => number | undefined;

/** Reads and writes RAM as CPUs map it. */
export class VirtualMemory {
  readonly #dma: PhysicalDma;
  readonly #memory: GuestMemory;
  readonly #translate: Translate;

  constructor(dma: PhysicalDma, memory: GuestMemory, translate: Translate) {
    this.#dma = dma;
    this.#memory = memory;
    this.#translate = translate;
  }

  /** Up to the first byte that is no mapped RAM. */
  read(cpu: number, address: bigint, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const { vaddr, size } of pieces(address, length)) {
      const paddr = this.#translate(cpu, vaddr);
      const part = paddr === undefined ? new Uint8Array(0) : this.#memory.ramSlice(paddr, size);
      parts.push(part);
      if (part.length < size) break;
    }
    return Buffer.concat(parts);
  }

  /** @returns false, with nothing written, when not all of it is mapped RAM */
  write(cpu: number, address: bigint, bytes: Uint8Array): boolean {
    if (this.read(cpu, address, bytes.length).length < bytes.length) return false;
    for (const { vaddr, offset, size } of pieces(address, bytes.length)) {
      this.#dma.write(this.#translate(cpu, vaddr)!, bytes.subarray(offset, offset + size));
    }
    return true;
  }
}

/** Cuts a range at page boundaries. */
function* pieces(
  address: bigint,
  length: number,
): Generator<{ readonly vaddr: bigint; readonly offset: number; readonly size: number }> {
  for (let offset = 0; offset < length;) {
    const vaddr = BigInt.asUintN(64, address + BigInt(offset));
    const size = Math.min(length - offset, Number(PAGE - (vaddr % PAGE)));
    yield { vaddr, offset, size };
    offset += size;
  }
}
