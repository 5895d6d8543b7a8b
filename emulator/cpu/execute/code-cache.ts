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
import { decodeKnownCode, encodeKnownCode } from './known-code-file.ts';
import { type KnownBlock, KnownCode, type KnownRegion } from './known-code.ts';

const PAGE = 4096;
/** Pieces of a page that are watched for writes one by one, as bits of a 32-bit word. */
const PIECE_SHIFT = 7;
/** A block key is its offset in the page and the mode above it. */
const MODE_SHIFT = 12;

/** What translation found out about a block. */
export interface BlockDescription {
  /** Byte offsets in the page: first byte, and first one behind the last instruction. */
  readonly start: number;
  readonly end: number;
  readonly instructionCount: number;
  /** Offsets in the page to which it goes on directly. */
  readonly targets: readonly number[];
  readonly modeKey: number;
  /** Address of its bytecode. */
  readonly bytecode: number;
}

/** A block of guest code and what became of it. Its IR is not kept: it is large, and quickly made again. */
export interface TranslatedBlock extends Omit<BlockDescription, 'bytecode'> {
  /** The blocks at `targets`, as far as control has gone there. */
  readonly links: (TranslatedBlock | undefined)[];
  /** The page into which its one instruction crosses. */
  readonly next: CodePage | undefined;
  /** What its bytes are known as; undefined where they alone do not tell. */
  known: KnownBlock | undefined;
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

/** Who has to hear of what happens here. */
export interface CodeCacheOwner {
  /** A page (linear-memory address) gets its first translated code: its writes must trap from now on. */
  trapWrites(address: number): void;
  /** Drops what belongs to a page besides its blocks: compiled regions. */
  pageDropped(page: CodePage): void;
  /** A block was found whose bytes are those of an entry of this region. */
  recognised(page: CodePage, region: KnownRegion): void;
}

/** What a machine has translated, as far as it can be kept for a later one. */
export interface TranslatedCode {
  /** Machines with the same identity can exchange translations; undefined where they are not to be exchanged. */
  readonly identity: string | undefined;
  /** Number of blocks and regions. */
  readonly size: number;
  /** Everything as bytes. They are good for the same version of the engine only. */
  export(): Uint8Array;
  /** Takes over what another machine exported, before this one runs. @returns false when its identity is another one */
  import(exported: Uint8Array): boolean;
}

/** All translated code of a machine. */
export class CodeCache implements TranslatedCode {
  readonly #memory: GuestMemory;
  readonly #guest: Guest;
  readonly #pages = new Map<number, CodePage>();
  /** One byte a RAM page: 1 when the page has translated code. Checked on every trapped store. */
  readonly #hasCode: Uint8Array;
  readonly #owner: CodeCacheOwner;
  readonly #arena: BytecodeArena;
  readonly breakpoints: Breakpoints;
  readonly known: KnownCode;

  constructor(memory: GuestMemory, guest: Guest, arena: BytecodeArena, owner: CodeCacheOwner) {
    this.#memory = memory;
    this.#guest = guest;
    this.#arena = arena;
    this.#hasCode = new Uint8Array(memory.ramSize / PAGE);
    this.#owner = owner;
    this.breakpoints = new Breakpoints(() => this.clear(), guest.instructionAlignment ?? 1);
    this.known = new KnownCode(memory, guest.instructionAlignment ?? 1, guest.lookahead);
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
      this.#owner.trapWrites(start);
    }
    return page;
  }

  /**
   * The block at an offset of a page, translated when it was not.
   * @returns undefined when an instruction crosses into a page that cannot be fetched
   */
  block(page: CodePage, offset: number, modeKey: number, nextPage: NextCodePage): TranslatedBlock | undefined {
    const cached = page.blocks.get(offset | (modeKey << MODE_SHIFT));
    // another page may follow in this address space than did when the block was translated
    const present = cached?.next === undefined || cached.next === nextPage() ? cached : undefined;
    if (present !== undefined && isTranslated(present)) return present;
    return this.#recognise(page, offset, modeKey) ?? this.#translate(page, offset, modeKey, nextPage);
  }

  #recognise(page: CodePage, offset: number, modeKey: number): TranslatedBlock | undefined {
    const known = this.known.find(page, offset, modeKey);
    if (known === undefined || this.breakpoints.cut(known)) return undefined;
    const block = this.place(page, known);
    const region = this.knownRegion(page, known);
    if (region !== undefined) this.#owner.recognised(page, region);
    return block;
  }

  /** A region that was compiled for other pages, and is good for this one. */
  knownRegion(page: CodePage, known: KnownBlock): KnownRegion | undefined {
    const region = this.known.region(page, known);
    return region?.blocks.some(block => this.breakpoints.cut(block)) === true ? undefined : region;
  }

  #translate(page: CodePage, offset: number, modeKey: number, nextPage: NextCodePage): TranslatedBlock | undefined {
    let next: CodePage | undefined;
    const limit = this.breakpoints.limit(offset);
    const block = this.#guest.translateBlock(page.code, offset, modeKey, () => (next = nextPage())?.code, limit);
    if (block === undefined) return undefined;
    if (this.#arena.isFull) this.#forgetBytecode();
    const description = { ...describe(block), modeKey, bytecode: this.#arena.add(block) };
    const known = this.#isKnowable(block, next) ? this.known.add(page, block, description) : undefined;
    return this.#place(page, description, known, next);
  }

  /** Whether the bytes of a block alone make it what it is. */
  #isKnowable(block: Block, next: CodePage | undefined): boolean {
    const isCut =
      this.breakpoints.cut(block) || (block.end < PAGE && this.breakpoints.limit(block.start) === block.end);
    return this.#guest.variant !== undefined && next === undefined && !isCut;
  }

  /** Makes a known block one of a page that has its bytes. */
  place(page: CodePage, known: KnownBlock): TranslatedBlock {
    return this.#place(page, known, known, undefined);
  }

  #place(
    page: CodePage,
    description: BlockDescription,
    known: KnownBlock | undefined,
    next: CodePage | undefined,
  ): TranslatedBlock {
    const { start, end, modeKey, instructionCount, targets, bytecode } = description;
    const key = start | (modeKey << MODE_SHIFT);
    const present = page.blocks.get(key);
    if (present !== undefined && present.next === next) return Object.assign(present, { bytecode, known });
    const translated: TranslatedBlock = {
      start,
      end,
      instructionCount,
      targets,
      links: [],
      modeKey,
      next,
      known,
      bytecode,
      executions: 0,
      functionIndex: 0,
      entry: 0,
      mayStop: this.breakpoints.concerns(start),
      isEntry: false,
    };
    page.blocks.set(key, translated);
    page.pieces |= pieceMask(start, Math.min(end, PAGE));
    if (next !== undefined) {
      next.pieces |= pieceMask(0, Math.max(end - PAGE, 1));
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

  get identity(): string | undefined {
    const { name, variant } = this.#guest;
    // modules import the whole linear memory
    return variant === undefined ? undefined : `${name} ${variant} ${this.#memory.wasmPages}`;
  }

  get size(): number {
    return this.known.blocks.length + this.known.regions.length;
  }

  export(): Uint8Array {
    assert(this.identity !== undefined, 'only code that has an identity is kept');
    return encodeKnownCode(this.known, this.#arena, this.identity);
  }

  import(exported: Uint8Array): boolean {
    return this.identity !== undefined && decodeKnownCode(exported, this.known, this.#arena, this.identity);
  }

  #forgetBytecode(): void {
    for (const page of this.#pages.values()) {
      for (const block of page.blocks.values()) Object.assign(block, { bytecode: 0, known: undefined });
    }
    this.#arena.clear();
    this.known.clear();
  }

  #drop(page: CodePage): void {
    page.valid = false;
    this.#pages.delete(page.address);
    this.#hasCode[(page.address - this.#memory.ramBase) / PAGE] = 0;
    this.#owner.pageDropped(page);
    for (const dependent of page.dependents) if (dependent.valid) this.#drop(dependent);
  }
}

function describe(block: Block): Omit<BlockDescription, 'modeKey' | 'bytecode'> {
  const { start, end, instructions } = block;
  return { start, end, instructionCount: instructions.length, targets: directTargets(block) };
}

function pieceMask(from: number, to: number): number {
  const first = from >> PIECE_SHIFT;
  const last = (to - 1) >> PIECE_SHIFT;
  return (-1 << first) & (-1 >>> (31 - last));
}
