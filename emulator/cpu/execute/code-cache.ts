/**
 * Translated code by physical page: blocks as IR, and where their compiled regions are.
 *
 * Keyed by physical address and mode, so that address-space switches and TLB flushes retranslate nothing. A page that
 * holds translated code traps writes; a write into a piece of 128 bytes that holds code drops the page's translations.
 */
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { Block, Value } from '../ir/block.ts';
import type { Guest } from './guest.ts';

const PAGE = 4096;
/** Pieces of a page that are watched for writes one by one, as bits of a 32-bit word. */
const PIECE_SHIFT = 7;
/** A block key is its offset in the page and the mode above it. */
const MODE_SHIFT = 12;

/** A block of guest code and what became of it. */
export interface TranslatedBlock {
  readonly block: Block;
  readonly modeKey: number;
  /** The block's live values, from its second evaluation on. */
  live: readonly Value[] | undefined;
  /** Times evaluated; the compiler looks at blocks that reach its threshold. */
  executions: number;
  /** Index of the compiled region in the function table, or 0 while there is none. */
  functionIndex: number;
  /** Entry number of the block in its region. */
  entry: number;
  /** Control has come here other than by a direct jump within the page: a region must offer it as an entry. */
  isEntry: boolean;
}

/** A physical page with translated code. */
export interface CodePage {
  /** Linear-memory address of the page. */
  readonly address: number;
  readonly code: DataView;
  readonly blocks: Map<number, TranslatedBlock>;
  /** Bit n: bytes n × 128 … of the page were translated. */
  pieces: number;
  /** False once written to: whoever holds the page looks it up anew. */
  valid: boolean;
}

/** Who drops what belongs to a page besides its blocks: compiled regions. */
export type PageDropped = (page: CodePage) => void;

/** All translated code of a machine. */
export class CodeCache {
  readonly #memory: GuestMemory;
  readonly #guest: Guest;
  readonly #pages = new Map<number, CodePage>();
  /** One byte a RAM page: 1 when the page has translated code. Checked on every trapped store. */
  readonly #hasCode: Uint8Array;
  /** Called when a page gets its first translated code: its writes must trap from now on. */
  readonly #trapWrites: (address: number) => void;
  readonly #pageDropped: PageDropped;

  constructor(memory: GuestMemory, guest: Guest, trapWrites: (address: number) => void, pageDropped: PageDropped) {
    this.#memory = memory;
    this.#guest = guest;
    this.#hasCode = new Uint8Array(memory.ramSize / PAGE);
    this.#trapWrites = trapWrites;
    this.#pageDropped = pageDropped;
  }

  /** The page at a linear-memory address in RAM (any byte of it). */
  page(address: number): CodePage {
    const start = address - (address % PAGE);
    let page = this.#pages.get(start);
    if (page === undefined) {
      page = {
        address: start,
        code: new DataView(this.#memory.memory.buffer, start, PAGE),
        blocks: new Map(),
        pieces: 0,
        valid: true,
      };
      this.#pages.set(start, page);
      this.#hasCode[(start - this.#memory.ramBase) / PAGE] = 1;
      this.#trapWrites(start);
    }
    return page;
  }

  /** The block at an offset of a page, translated when it was not. */
  block(page: CodePage, offset: number, modeKey: number): TranslatedBlock {
    const key = offset | (modeKey << MODE_SHIFT);
    let translated = page.blocks.get(key);
    if (translated === undefined) {
      const block = this.#guest.translateBlock(page.code, offset, modeKey);
      translated = { block, modeKey, live: undefined, executions: 0, functionIndex: 0, entry: 0, isEntry: false };
      page.blocks.set(key, translated);
      page.pieces |= pieceMask(offset, block.end);
    }
    return translated;
  }

  /** The block at an offset if it is translated already. */
  findBlock(page: CodePage, offset: number, modeKey: number): TranslatedBlock | undefined {
    return page.blocks.get(offset | (modeKey << MODE_SHIFT));
  }

  /** Whether the page at a linear-memory address in RAM has translated code. */
  hasCode(address: number): boolean {
    return this.#hasCode[(address - this.#memory.ramBase) >>> 12] === 1;
  }

  /** Tells the cache that `size` bytes were or are about to be written at a linear-memory address in RAM. */
  written(address: number, size: number): void {
    const last = address + size - 1;
    for (let start = address - (address % PAGE); start <= last; start += PAGE) {
      if (!this.hasCode(start)) continue;
      const from = Math.max(address, start) - start;
      const to = Math.min(last, start + PAGE - 1) - start + 1;
      const page = this.#pages.get(start)!;
      if ((page.pieces & pieceMask(from, to)) !== 0) this.#drop(page);
    }
  }

  /** Drops everything, as a snapshot restore and tests need. */
  clear(): void {
    for (const page of this.#pages.values()) this.#drop(page);
  }

  #drop(page: CodePage): void {
    page.valid = false;
    this.#pages.delete(page.address);
    this.#hasCode[(page.address - this.#memory.ramBase) / PAGE] = 0;
    this.#pageDropped(page);
  }
}

function pieceMask(from: number, to: number): number {
  const first = from >> PIECE_SHIFT;
  const last = (to - 1) >> PIECE_SHIFT;
  return (-1 << first) & (-1 >>> (31 - last));
}
