/** A piece of guest memory that an instruction reads or writes as a whole: FXSAVE, XSAVE and the like. */
import type { EngineCpu } from '../../execute/guest.ts';

const PAGE = 4096;
const FAULTED = -1;

interface Piece {
  /** Linear-memory address, negative where there is no RAM. */
  readonly at: number;
  /** Offset in the area. */
  readonly offset: number;
  readonly size: number;
}

/** Memory that has been translated: reads and writes cannot fault any more. */
export class MemoryArea {
  readonly #cpu: EngineCpu;
  readonly #pieces: readonly Piece[];

  private constructor(cpu: EngineCpu, pieces: readonly Piece[]) {
    this.#cpu = cpu;
    this.#pieces = pieces;
  }

  /** Translates `size` bytes. @returns undefined when an access faulted: the exception is kept */
  static open(cpu: EngineCpu, address: bigint, size: number, kind: 'read' | 'write'): MemoryArea | undefined {
    const pieces: Piece[] = [];
    for (let offset = 0; offset < size;) {
      const linear = address + BigInt(offset);
      const room = Math.min(size - offset, PAGE - Number(linear & 0xfffn));
      const at = cpu.resolve(half(linear), half(linear >> 32n), kind, 'current');
      if (at === FAULTED) return undefined;
      if (kind === 'write' && at >= 0 && !cpu.mayWrite(at, room)) return undefined;
      pieces.push({ at, offset, size: room });
      offset += room;
    }
    return new MemoryArea(cpu, pieces);
  }

  /** The bytes; those that are no RAM read as zeros. */
  read(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const memory = new Uint8Array(this.#cpu.view.buffer);
    for (const piece of this.#pieces) {
      if (piece.at >= 0) bytes.set(memory.subarray(piece.at, piece.at + piece.size), piece.offset);
    }
    return bytes;
  }

  /** Writes bytes `from` to `to` of the area. */
  write(bytes: Uint8Array, from: number, to: number): void {
    const memory = new Uint8Array(this.#cpu.view.buffer);
    for (const { at, offset, size } of this.#pieces) {
      const first = Math.max(from, offset);
      const last = Math.min(to, offset + size);
      if (at < 0 || first >= last) continue;
      memory.set(bytes.subarray(first, last), at + first - offset);
      this.#cpu.written(at + first - offset, last - first);
    }
  }
}

function half(bits: bigint): number {
  return Number(BigInt.asIntN(32, bits));
}
