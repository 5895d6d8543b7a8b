/** A translated basic block: values in the order of their effects, and how it ends. */
import type { HelperDeclaration } from './helper-declaration.ts';
import type { Op } from './ops.ts';
import type { StateField } from './state-field.ts';
import type { AccessSize, ValueType } from './types.ts';

/** How a load or store reaches memory. */
export interface MemoryAccess {
  readonly size: AccessSize;
  /** Translation regime: `current`, or `unprivileged` for LDTR/STTR and their like. */
  readonly regime: 'current' | 'unprivileged';
  /** Faults when the address is not a multiple of this number of bytes; 1 for none. */
  readonly alignment: AccessSize | 32;
  /** A load that needs write permission too, because a store to the same place follows in the same instruction (atomics). */
  readonly forWrite: boolean;
}

export type Immediate = number | bigint | Uint8Array | StateField | MemoryAccess | HelperDeclaration | undefined;

/**
 * The result of one op: an opaque handle for whoever writes semantics.
 *
 * A value is known only when the translated code runs. What is known while translating (a field of the instruction)
 * is a plain `number`.
 */
export class Value<T extends ValueType | 'none' = ValueType | 'none'> {
  readonly op: Op;
  readonly type: T;
  readonly args: readonly Value<ValueType>[];
  readonly immediate: Immediate;
  /** Index of the guest instruction in its block. */
  readonly instruction: number;
  /** Position in `Block.values`; -1 for constants, which stand in no list. */
  position = -1;

  constructor(op: Op, type: T, args: readonly Value<ValueType>[], immediate: Immediate, instruction: number) {
    this.op = op;
    this.type = type;
    this.args = args;
    this.immediate = immediate;
    this.instruction = instruction;
  }
}

/** How a block ends. Targets are byte offsets from the start of the block's page; they may lie outside of it. */
export type Terminal =
  /** Goes on at `target`. */
  | { readonly kind: 'jump'; readonly target: number }
  /** Goes to `taken` when the condition is not 0, else to `notTaken`. */
  | { readonly kind: 'branch'; readonly condition: Value<'i32'>; readonly taken: number; readonly notTaken: number }
  /** Goes to a guest-virtual address. */
  | { readonly kind: 'indirect'; readonly target: Value<'i64'> }
  /** A helper has stored the next PC, and may have changed mode, mappings or pending interrupts: everything is looked up anew. */
  | { readonly kind: 'resume' };

/** Straight-line guest code within one page. */
export interface Block {
  /** Byte offset of the first instruction in its page. */
  readonly start: number;
  /** Byte offsets in the page of each instruction; the block's instruction count is its length. */
  readonly instructions: readonly number[];
  /** Byte offset behind the last instruction. */
  readonly end: number;
  /** Every op but constants, in the order of their effects. */
  readonly values: readonly Value[];
  readonly terminal: Terminal;
}

/** Bytes of the pages that blocks do not cross. */
export const CODE_PAGE = 4096;

/**
 * Whether going from a block to `target` is a checkpoint: a place where the run loop may take interrupts. Backward jumps
 * and jumps out of the page are, and so is every indirect jump and `resume`; this holds for whatever executes the block,
 * so that interrupts arrive at the same instruction however code is compiled.
 */
export function isCheckpoint(block: Block, target: number): boolean {
  return target < block.end || target >= CODE_PAGE;
}

/** Offsets in the page to which a block goes on directly; those outside of the page are left out. */
export function directTargets({ terminal }: Block): readonly number[] {
  const targets =
    terminal.kind === 'jump'
      ? [terminal.target]
      : terminal.kind === 'branch'
        ? [terminal.taken, terminal.notTaken]
        : [];
  return targets.filter(target => target >= 0 && target < CODE_PAGE);
}
