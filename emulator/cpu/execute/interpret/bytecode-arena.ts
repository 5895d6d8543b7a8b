/** The linear memory in which the bytecode of blocks lies, one behind the other, until it is full and everything is dropped. */
import type { GuestMemory } from '../../../memory/guest-memory.ts';
import type { Block } from '../../ir/block.ts';
import { encodeBlock, type HelperCall } from './encode.ts';

/** Bytes of the arena: the bytecode of about 100,000 blocks, more than a boot keeps cold at a time. */
export const ARENA_SIZE = 32 * 2 ** 20;
/** Room that must be left before a block is added: the longest block's bytecode. */
const RESERVE = 256 * 1024;

/** What an arena holds. */
export interface ArenaContents {
  readonly words: Int32Array;
  readonly calls: readonly HelperCall[];
}

/** Bytecode by address. */
export class BytecodeArena {
  readonly #memory: GuestMemory;
  /** Linear-memory address of its first byte. */
  readonly base: number;
  #end: number;
  /** Helper calls by the number that bytecode has for them. */
  #calls: HelperCall[] = [];

  /** @param base linear-memory address of `ARENA_SIZE` bytes */
  constructor(memory: GuestMemory, base: number) {
    this.#memory = memory;
    this.base = base;
    this.#end = base;
  }

  /** True when `clear` has to come before the next `add`. */
  get isFull(): boolean {
    return this.#end + RESERVE > this.base + ARENA_SIZE;
  }

  /** @returns the address of the block's bytecode */
  add(block: Block): number {
    const { words, calls } = encodeBlock(block, this.#calls.length);
    const address = this.#end;
    this.#memory.int32.set(words, address >> 2);
    this.#end += 4 * words.length;
    this.#calls.push(...calls);
    return address;
  }

  /** The helper call at an address where the interpreter stopped. */
  callAt(address: number): HelperCall {
    return this.#calls[this.#memory.int32[(address >> 2) + 1]!]!;
  }

  /** All bytecode, with the helper calls that it numbers. */
  get contents(): ArenaContents {
    return { words: this.#memory.int32.subarray(this.base >> 2, this.#end >> 2), calls: this.#calls };
  }

  /** Takes over the contents of another arena, instead of its own. */
  restore({ words, calls }: ArenaContents): void {
    this.#memory.int32.set(words, this.base >> 2);
    this.#end = this.base + 4 * words.length;
    this.#calls = [...calls];
  }

  clear(): void {
    this.#end = this.base;
    this.#calls = [];
  }
}
