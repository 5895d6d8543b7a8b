/**
 * Code by content: the same bytes at the same place of a page mean the same in the same mode, wherever the page is.
 *
 * Translations name places relative to their page. So what the first kernel had translated serves the capture kernel,
 * and a program's page that was dropped and read once more is not translated once more.
 */
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { type Block, CODE_PAGE } from '../ir/block.ts';
import type { BlockDescription, CodePage } from './code-cache.ts';
import type { RegionModule } from './wasm/region-compiler.ts';

const FIRST_CAPACITY = 2 ** 20;
/** Blocks of one hash, and regions of one block, at which a search looks: code that is written anew all the time has many. */
const LONGEST_SEARCH = 32;

/** What a block is by its bytes. */
export interface KnownContent extends BlockDescription {
  /** The bytes that decide what it is: offset in the page, number, and where they are kept. */
  readonly from: number;
  readonly size: number;
  readonly kept: number;
  readonly hash: number;
}

/** A known block among the others. */
export interface KnownBlock extends KnownContent {
  /** Regions that are entered here, the newest one last. */
  readonly regions: KnownRegion[];
  /** Another block with the same hash. */
  readonly other: KnownBlock | undefined;
}

/** A compiled region by what it was compiled from. */
export interface KnownRegion {
  readonly blocks: readonly KnownBlock[];
  /** Numbers of the blocks at which it is entered. */
  readonly entries: readonly number[];
  readonly module: RegionModule;
}

/** What is known of code of an instruction set. */
export class KnownCode {
  readonly #memory: GuestMemory;
  readonly #alignment: number;
  readonly #lookahead: number;
  readonly #byHash = new Map<number, KnownBlock>();
  #blocks: KnownBlock[] = [];
  #regions: KnownRegion[] = [];
  #bytes = new Uint8Array(FIRST_CAPACITY);
  #used = 0;

  /**
   * @param alignment of instructions, in bytes
   * @param lookahead bytes behind the end of a block that may decide where it ends
   */
  constructor(memory: GuestMemory, alignment: number, lookahead: number) {
    this.#memory = memory;
    this.#alignment = alignment;
    this.#lookahead = lookahead;
  }

  /** All blocks, the oldest one first. */
  get blocks(): readonly KnownBlock[] {
    return this.#blocks;
  }

  /** All regions, the oldest one first. */
  get regions(): readonly KnownRegion[] {
    return this.#regions;
  }

  /** The bytes to which `kept` points. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#used);
  }

  /** The block that the bytes at an offset of a page make. */
  find(page: CodePage, start: number, modeKey: number): KnownBlock | undefined {
    let known = this.#byHash.get(hashOf(page, start, modeKey));
    for (let looks = 0; known !== undefined && looks < LONGEST_SEARCH; looks++) {
      if (known.start === start && known.modeKey === modeKey && this.#isAt(page, known)) return known;
      known = known.other;
    }
    return undefined;
  }

  /** Keeps a block that lies within its page. */
  add(page: CodePage, block: Block, description: BlockDescription): KnownBlock {
    const { start, end, modeKey } = description;
    const from = start & -this.#alignment;
    const size = Math.min(endIsDecided(block) ? end : end + this.#lookahead, CODE_PAGE) - from;
    const kept = this.#keep(page.address + from, size);
    return this.#enter({ ...description, from, size, kept, hash: hashOf(page, start, modeKey) });
  }

  /** Takes over what another process knew; here nothing is known yet. @returns the blocks, to which regions can be added */
  restore(blocks: readonly KnownContent[], bytes: Uint8Array): readonly KnownBlock[] {
    this.#bytes = Uint8Array.from(bytes);
    this.#used = bytes.length;
    for (const block of blocks) this.#enter(block);
    return this.#blocks;
  }

  addRegion(region: KnownRegion): void {
    this.#regions.push(region);
    for (const number of region.entries) region.blocks[number]!.regions.push(region);
  }

  /** The newest region that is entered at a block of a page, and whose other blocks are there, too. */
  region(page: CodePage, { regions }: KnownBlock): KnownRegion | undefined {
    return regions.slice(-LONGEST_SEARCH).findLast(({ blocks }) => blocks.every(block => this.#isAt(page, block)));
  }

  clear(): void {
    this.#byHash.clear();
    this.#blocks = [];
    this.#regions = [];
    this.#bytes = new Uint8Array(FIRST_CAPACITY);
    this.#used = 0;
  }

  #enter(content: KnownContent): KnownBlock {
    const known: KnownBlock = { ...content, regions: [], other: this.#byHash.get(content.hash) };
    this.#byHash.set(content.hash, known);
    this.#blocks.push(known);
    return known;
  }

  #isAt({ address }: CodePage, { from, size, kept }: KnownBlock): boolean {
    const { bytes } = this.#memory;
    const first = address + from;
    for (let i = 0; i < size; i++) if (bytes[first + i] !== this.#bytes[kept + i]) return false;
    return true;
  }

  #keep(address: number, size: number): number {
    const kept = this.#used;
    this.#used += size;
    if (this.#used > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#used);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(this.#memory.bytes.subarray(address, address + size), kept);
    return kept;
  }
}

/** Whether the last instruction ends the block, so that what follows is of no account. */
function endIsDecided({ terminal, end }: Block): boolean {
  return (
    terminal.kind === 'branch' || terminal.kind === 'indirect' || (terminal.kind === 'jump' && terminal.target !== end)
  );
}

/** A hash below 2^30 of where a block is, and of the bytes there. */
function hashOf({ code }: CodePage, start: number, modeKey: number): number {
  const word = code.getInt32(Math.min(start, CODE_PAGE - 4), true);
  const place = Math.imul(start | (modeKey << 12), 0x9e3779b1);
  return (Math.imul(word ^ place, 0x85ebca6b) ^ (place >>> 15)) >>> 2;
}
