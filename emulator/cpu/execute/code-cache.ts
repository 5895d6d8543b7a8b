/**
 * Translated code by physical page: blocks as bytecode, and where their compiled regions are.
 *
 * Keyed by physical address and mode, so that address-space switches and TLB flushes retranslate nothing. A page that
 * holds translated code traps writes; a write into a piece of 128 bytes that holds code drops the page's translations.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { type Block, directTargets } from '../ir/block.ts';
import { Breakpoints } from './breakpoints.ts';
import type { Guest } from './guest.ts';
import type { BytecodeArena } from './interpret/bytecode-arena.ts';

const PAGE = 4096;
/** Pieces of a page that are watched for writes one by one, as bits of a 32-bit word. */
const PIECE_SHIFT = 7;
/** A block key is its offset in the page and the mode above it. */
const MODE_SHIFT = 12;

/** A block of guest code and what became of it. Its IR is not kept: it is large, and quickly made again. */
export interface TranslatedBlock {
  /** Byte offsets in the page: first byte, and first one behind the last instruction. */
  readonly start: number;
  readonly end: number;
  readonly instructionCount: number;
  /** Offsets in the page to which it goes on directly. */
  readonly targets: readonly number[];
  /** The blocks at `targets`, as far as control has gone there. */
  readonly links: (TranslatedBlock | undefined)[];
  readonly modeKey: number;
  /** The page into which its one instruction crosses. */
  readonly next: CodePage | undefined;
  /** Address of its bytecode, or 0 while there is none. */
  bytecode: number;
  /** Times interpreted; the compiler looks at blocks that reach its threshold. */
  executions: number;
  /** Index of the compiled region in the function table, or 0 while there is none. */
  functionIndex: number;
  /** Entry number of the block in its region. */
  entry: number;
  /** There may be a breakpoint at its beginning: it is never compiled. */
  readonly mayStop: boolean;
  /** Control has come here other than by a direct jump within the page: a region must offer it as an entry. */
  isEntry: boolean;
}

/** Whether a block can be run as it is: its bytecode may have been dropped. */
export function isTranslated({ bytecode, functionIndex }: TranslatedBlock): boolean {
  return bytecode !== 0 || functionIndex !== 0;
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
  /** Pages before this one whose last instruction crosses into it. */
  readonly dependents: Set<CodePage>;
}

/** Gives the page behind the one whose code is looked for, or undefined when fetching from it faults. */
export type NextCodePage = () => CodePage | undefined;

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
  readonly #arena: BytecodeArena;
  readonly breakpoints: Breakpoints;

  constructor(
    memory: GuestMemory,
    guest: Guest,
    arena: BytecodeArena,
    trapWrites: (address: number) => void,
    pageDropped: PageDropped,
  ) {
    this.#memory = memory;
    this.#guest = guest;
    this.#arena = arena;
    this.#hasCode = new Uint8Array(memory.ramSize / PAGE);
    this.#trapWrites = trapWrites;
    this.#pageDropped = pageDropped;
    this.breakpoints = new Breakpoints(() => this.clear(), guest.instructionAlignment ?? 1);
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
        dependents: new Set(),
      };
      this.#pages.set(start, page);
      this.#hasCode[(start - this.#memory.ramBase) / PAGE] = 1;
      this.#trapWrites(start);
    }
    return page;
  }

  /**
   * The block at an offset of a page, translated when it was not.
   * @returns undefined when an instruction crosses into a page that cannot be fetched
   */
  block(page: CodePage, offset: number, modeKey: number, nextPage: NextCodePage): TranslatedBlock | undefined {
    const key = offset | (modeKey << MODE_SHIFT);
    const cached = page.blocks.get(key);
    // another page may follow in this address space than did when the block was translated
    const known = cached?.next === undefined || cached.next === nextPage() ? cached : undefined;
    if (known !== undefined && isTranslated(known)) return known;
    let next: CodePage | undefined;
    const block = this.#guest.translateBlock(
      page.code,
      offset,
      modeKey,
      () => (next = nextPage())?.code,
      this.breakpoints.limit(offset),
    );
    if (block === undefined) return undefined;
    if (this.#arena.isFull) this.#forgetBytecode();
    const bytecode = this.#arena.add(block);
    if (known !== undefined) {
      known.bytecode = bytecode;
      return known;
    }
    const translated = describe(block, modeKey, bytecode, next, this.breakpoints.concerns(offset));
    page.blocks.set(key, translated);
    page.pieces |= pieceMask(offset, Math.min(block.end, PAGE));
    if (next !== undefined) {
      next.pieces |= pieceMask(0, Math.max(block.end - PAGE, 1));
      next.dependents.add(page);
    }
    return translated;
  }

  /** Translates a block once more, for the compiler. */
  translate(page: CodePage, { start, modeKey, next }: TranslatedBlock): Block {
    const block = this.#guest.translateBlock(
      page.code,
      start,
      modeKey,
      () => next?.code,
      this.breakpoints.limit(start),
    );
    assert(block !== undefined, 'a block that was translated translates again');
    return block;
  }

  /** Whether the page at a linear-memory address in RAM has translated code. */
  hasCode(address: number): boolean {
    return this.#hasCode[(address - this.#memory.ramBase) >>> 12] === 1;
  }

  /** Whether writing `size` bytes at a linear-memory address in RAM would drop translated code. */
  isWatched(address: number, size: number): boolean {
    const last = address + size - 1;
    for (let start = address - (address % PAGE); start <= last; start += PAGE) {
      if (!this.hasCode(start)) continue;
      const from = Math.max(address, start) - start;
      const to = Math.min(last, start + PAGE - 1) - start + 1;
      if ((this.#pages.get(start)!.pieces & pieceMask(from, to)) !== 0) return true;
    }
    return false;
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

  #forgetBytecode(): void {
    for (const page of this.#pages.values()) for (const block of page.blocks.values()) block.bytecode = 0;
    this.#arena.clear();
  }

  #drop(page: CodePage): void {
    page.valid = false;
    this.#pages.delete(page.address);
    this.#hasCode[(page.address - this.#memory.ramBase) / PAGE] = 0;
    this.#pageDropped(page);
    for (const dependent of page.dependents) if (dependent.valid) this.#drop(dependent);
  }
}

function describe(
  block: Block,
  modeKey: number,
  bytecode: number,
  next: CodePage | undefined,
  mayStop: boolean,
): TranslatedBlock {
  return {
    start: block.start,
    end: block.end,
    instructionCount: block.instructions.length,
    targets: directTargets(block),
    links: [],
    modeKey,
    next,
    bytecode,
    executions: 0,
    functionIndex: 0,
    entry: 0,
    mayStop,
    isEntry: false,
  };
}

function pieceMask(from: number, to: number): number {
  const first = from >> PIECE_SHIFT;
  const last = (to - 1) >> PIECE_SHIFT;
  return (-1 << first) & (-1 >>> (31 - last));
}
