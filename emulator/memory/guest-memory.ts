/**
 * The machine's one linear memory: CPU state blocks, translation banks and guest RAM, in this order.
 *
 *     0x0000_0000  unused (a null address of ours never hits state)
 *     0x0000_1000  CPU state blocks, one page each
 *     banks        soft TLBs and jump caches, per CPU
 *     ram          guest RAM, range after range
 *
 * Compiled code, evaluator, helpers and devices all work on this memory. It never grows, so views stay valid.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import { PageHistory } from './page-history.ts';

/** A range of guest-physical RAM. */
export interface RamRange {
  /** First physical address; a multiple of 64 KiB. */
  readonly start: number;
  /** Bytes; a multiple of 64 KiB. */
  readonly size: number;
}

const WASM_PAGE = 65_536;
/** WebAssembly memories have 32-bit addresses here. */
const MAXIMUM_PAGES = 65_536;

/** Linear memory and the mapping of guest-physical RAM into it. */
export class GuestMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly int32: Int32Array;
  readonly ranges: readonly RamRange[];
  /** Linear-memory address of the first byte of RAM. */
  readonly ramBase: number;
  /** Bytes of RAM in all ranges. */
  readonly ramSize: number;
  /** Pages of 64 KiB of the linear memory: what modules that import it must declare. */
  readonly wasmPages: number;
  /** What RAM held at the last snapshot. Whoever writes to RAM tells it before. */
  readonly history: PageHistory;
  readonly #first: RamRange;

  /**
   * @param reserved bytes before RAM, for CPU state and translation banks
   * @throws UsageError when RAM and bookkeeping exceed 4 GiB
   */
  constructor(reserved: number, ranges: readonly RamRange[]) {
    this.ranges = ranges;
    this.#first = ranges[0]!;
    this.ramSize = ranges.reduce((sum, range) => sum + range.size, 0);
    this.ramBase = Math.ceil(reserved / WASM_PAGE) * WASM_PAGE;
    this.wasmPages = Math.ceil((this.ramBase + this.ramSize) / WASM_PAGE);
    if (this.wasmPages > MAXIMUM_PAGES) {
      throw new UsageError(
        `memory of ${this.ramSize / 2 ** 20} MiB is too large: at most 3072 MiB fit beside the emulator's tables`,
      );
    }
    this.memory = new WebAssembly.Memory({ initial: this.wasmPages, maximum: this.wasmPages });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.int32 = new Int32Array(this.memory.buffer);
    this.history = new PageHistory(this.bytes, this.ramBase, this.ramSize);
  }

  /** Linear-memory address of the RAM byte at `paddr`, or -1 when it is not RAM. */
  ramAddress(paddr: number): number {
    const first = this.#first;
    if (paddr >= first.start && paddr < first.start + first.size) return this.ramBase + (paddr - first.start);
    return this.ranges.length > 1 ? this.#searchRanges(paddr) : -1;
  }

  /** Physical address of the RAM byte at a linear-memory address in RAM. */
  physicalAddress(address: number): number {
    let offset = address - this.ramBase;
    for (const range of this.ranges) {
      if (offset < range.size) return range.start + offset;
      offset -= range.size;
    }
    return -1;
  }

  /** The part of RAM at `paddr`, at most `length` bytes, as a view; empty when it is not RAM. */
  ramSlice(paddr: number, length: number): Uint8Array {
    const address = this.ramAddress(paddr);
    if (address < 0) return new Uint8Array(0);
    const range = this.ranges.find(({ start, size }) => paddr >= start && paddr < start + size)!;
    return this.bytes.subarray(address, address + Math.min(length, range.start + range.size - paddr));
  }

  #searchRanges(paddr: number): number {
    let base = this.ramBase;
    for (const range of this.ranges) {
      if (paddr >= range.start && paddr < range.start + range.size) return base + (paddr - range.start);
      base += range.size;
    }
    return -1;
  }
}
