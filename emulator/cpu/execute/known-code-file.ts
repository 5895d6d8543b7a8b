/**
 * Known code as bytes, which a later process takes over instead of translating and compiling the same again.
 *
 *     length of the head, head (JSON, filled up to a multiple of 4)
 *     numbers: helper calls, blocks, regions (see the functions that read them)
 *     bytecode, bytes of the blocks, WebAssembly modules
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { ArenaContents, BytecodeArena } from './interpret/bytecode-arena.ts';
import type { CalledHelper, HelperCall } from './interpret/encode.ts';
import type { KnownBlock, KnownCode, KnownContent, KnownRegion } from './known-code.ts';

interface Head {
  /** Whose code it is. */
  readonly identity: string;
  readonly helpers: readonly CalledHelper[];
  readonly calls: number;
  readonly blocks: number;
  readonly regions: number;
  /** Sizes of what follows: 32-bit numbers, and bytes. */
  readonly numbers: number;
  readonly words: number;
  readonly bytes: number;
}

/** @param identity says whose code it is: only who has the same one can take it over */
export function encodeKnownCode(known: KnownCode, arena: BytecodeArena, identity: string): Uint8Array {
  const { words, calls } = arena.contents;
  const helpers = new HelperTable();
  const numbers: number[] = [];
  for (const call of calls) writeCall(numbers, call, helpers);
  for (const block of known.blocks) writeBlock(numbers, block, arena.base);
  const blockNumbers = new Map(known.blocks.map((block, number) => [block, number]));
  for (const region of known.regions) writeRegion(numbers, region, blockNumbers, helpers);
  const head: Head = {
    identity,
    helpers: helpers.list,
    calls: calls.length,
    blocks: known.blocks.length,
    regions: known.regions.length,
    numbers: numbers.length,
    words: words.length,
    bytes: known.bytes.length,
  };
  const text = Buffer.from(JSON.stringify(head));
  const padded = Buffer.alloc(Math.ceil(text.length / 4) * 4, ' ');
  text.copy(padded);
  return Buffer.concat([
    bytesOf(Int32Array.of(padded.length)),
    padded,
    bytesOf(Int32Array.from(numbers)),
    bytesOf(words),
    known.bytes,
    ...known.regions.map(({ module }) => module.bytes),
  ]);
}

/**
 * Takes over what `encodeKnownCode` wrote; nothing was translated before.
 * @param file whole, as it was written
 * @returns false when it is somebody else's
 */
export function decodeKnownCode(file: Uint8Array, known: KnownCode, arena: BytecodeArena, identity: string): boolean {
  const aligned = file.byteOffset % 4 === 0 ? file : Uint8Array.from(file);
  const wordsAt = (offset: number, length: number): Int32Array =>
    new Int32Array(aligned.buffer, aligned.byteOffset + offset, length);
  const headLength = wordsAt(0, 1)[0]!;
  const head = JSON.parse(Buffer.from(aligned.subarray(4, 4 + headLength)).toString()) as Head;
  if (head.identity !== identity) return false;
  const numbersAt = 4 + headLength;
  const arenaAt = numbersAt + 4 * head.numbers;
  const bytesAt = arenaAt + 4 * head.words;
  const numbers = new Numbers(wordsAt(numbersAt, head.numbers));
  const calls = times(head.calls, () => readCall(numbers, head.helpers));
  const contents: ArenaContents = { words: wordsAt(arenaAt, head.words), calls };
  const blocks = times(head.blocks, () => readBlock(numbers, arena.base));
  arena.restore(contents);
  const restored = known.restore(blocks, aligned.subarray(bytesAt, bytesAt + head.bytes));
  const modules = new Blobs(aligned, bytesAt + head.bytes);
  for (let i = 0; i < head.regions; i++) known.addRegion(readRegion(numbers, restored, head.helpers, modules));
  return true;
}

// Helper call: helper, slot of the result, instruction, rest, slots of the arguments

function writeCall(
  numbers: number[],
  { helper, result, instruction, rest, args }: HelperCall,
  helpers: HelperTable,
): void {
  numbers.push(helpers.number(helper), result, instruction, rest);
  writeList(numbers, args);
}

function readCall(numbers: Numbers, helpers: readonly CalledHelper[]): HelperCall {
  const helper = helpers[numbers.next()]!;
  const [result, instruction, rest] = [numbers.next(), numbers.next(), numbers.next()];
  return { helper, result, instruction, rest, args: numbers.list() };
}

// Block: start, end, mode, instructions, place of the bytecode in the arena, from, size, place of the bytes, hash, targets

function writeBlock(numbers: number[], block: KnownBlock, arenaBase: number): void {
  const { start, end, modeKey, instructionCount, bytecode, from, size, kept, hash, targets } = block;
  numbers.push(start, end, modeKey, instructionCount, bytecode - arenaBase, from, size, kept, hash);
  writeList(numbers, targets);
}

function readBlock(numbers: Numbers, arenaBase: number): KnownContent {
  return {
    start: numbers.next(),
    end: numbers.next(),
    modeKey: numbers.next(),
    instructionCount: numbers.next(),
    bytecode: arenaBase + numbers.next(),
    from: numbers.next(),
    size: numbers.next(),
    kept: numbers.next(),
    hash: numbers.next(),
    targets: numbers.list(),
  };
}

// Region: numbers of its blocks, entries, numbers of its helpers, size of its module

function writeRegion(
  numbers: number[],
  { blocks, entries, module }: KnownRegion,
  blockNumbers: ReadonlyMap<KnownBlock, number>,
  helpers: HelperTable,
): void {
  const places = blocks.map(block => blockNumbers.get(block));
  assert(
    places.every(place => place !== undefined),
    'regions are of blocks that are known',
  );
  writeList(numbers, places);
  writeList(numbers, entries);
  writeList(
    numbers,
    module.helpers.map(helper => helpers.number(helper)),
  );
  numbers.push(module.bytes.length);
}

function readRegion(
  numbers: Numbers,
  blocks: readonly KnownBlock[],
  helpers: readonly CalledHelper[],
  modules: Blobs,
): KnownRegion {
  const places = numbers.list();
  const entries = numbers.list();
  const imported = numbers.list().map(number => helpers[number]!);
  return {
    blocks: places.map(place => blocks[place]!),
    entries,
    module: { helpers: imported, bytes: modules.next(numbers.next()) },
  };
}

/** Helpers by number. */
class HelperTable {
  readonly list: CalledHelper[] = [];
  readonly #numbers = new Map<string, number>();

  number({ name, params, effects: { mayFault } }: CalledHelper): number {
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.list.push({ name, params, effects: { mayFault } }) - 1;
      this.#numbers.set(name, number);
    }
    return number;
  }
}

/** Reads numbers one after the other. */
class Numbers {
  readonly #numbers: Int32Array;
  #at = 0;

  constructor(numbers: Int32Array) {
    this.#numbers = numbers;
  }

  next(): number {
    return this.#numbers[this.#at++]!;
  }

  /** Numbers behind how many they are. */
  list(): number[] {
    return times(this.next(), () => this.next());
  }
}

/** Takes pieces one after the other. */
class Blobs {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, first: number) {
    this.#bytes = bytes;
    this.#at = first;
  }

  next(size: number): Uint8Array<ArrayBuffer> {
    const start = this.#at;
    this.#at += size;
    return this.#bytes.subarray(start, this.#at) as Uint8Array<ArrayBuffer>;
  }
}

function writeList(numbers: number[], list: readonly number[]): void {
  numbers.push(list.length);
  for (const number of list) numbers.push(number);
}

function times<T>(count: number, make: () => T): T[] {
  const made: T[] = [];
  for (let i = 0; i < count; i++) made.push(make());
  return made;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
