/**
 * Bytecode of cold blocks: a block's live values, a few words each, in linear memory.
 *
 *     word 0   opcode | destination << 16
 *     word 1   first argument | second argument << 16, for ops with arguments
 *     …        what else the op has, see `FORMATS`
 *
 * Arguments and destinations are slots: offsets of 16 bytes into the slot area. A block in this form takes a tenth of the
 * memory of its IR, and the interpreter, generated from the same op table as compiled code, runs it about ten times as
 * fast as the evaluator.
 */
import { OPS, type PureOpName, PURE_OPS } from '../../ir/ops.ts';

/** Bytes of a slot: the widest value. */
export const SLOT_SIZE = 16;
/** Bytes of the slot area; slots have 16-bit offsets. */
export const SLOT_AREA = 65_536;

/** Opcodes that are not pure ops: state by type, memory (those with a size look into the TLB first), helpers, terminals. */
const EXTRA = [
  'begin',
  'pc',
  'get.i32',
  'get.i64',
  'get.v128',
  'set.i32',
  'set.i64',
  'set.v128',
  'load',
  'load.v128',
  'load.1',
  'load.2',
  'load.4',
  'load.8',
  'load.16',
  'store',
  'store.v128',
  'store.1',
  'store.2',
  'store.4',
  'store.8',
  'store.16',
  'call',
  'jump',
  'branch',
  'indirect',
  'resume',
] as const;

export type ExtraOpcode = (typeof EXTRA)[number];

/** Lanes of the ops that have a lane number: each lane is an opcode of its own. */
const LANES: Readonly<Record<string, number>> = { i8x16: 16, i16x8: 8, i32x4: 4, i64x2: 2 };

/** One opcode of a pure op. */
export interface PureOpcode {
  readonly name: PureOpName;
  readonly lane: number | undefined;
}

/** What each opcode number stands for. */
export const OPCODES: readonly (ExtraOpcode | PureOpcode)[] = [
  ...EXTRA,
  ...(Object.keys(PURE_OPS) as PureOpName[]).flatMap((name): PureOpcode[] => {
    if (OPS[name].immediate !== 'lane') return [{ name, lane: undefined }];
    return Array.from({ length: LANES[name.slice(0, 5)]! }, (_, lane) => ({ name, lane }));
  }),
];

/** Numbers of the opcodes that are not pure ops. */
export const EXTRA_OPCODES = Object.fromEntries(EXTRA.map((name, number) => [name, number])) as Readonly<
  Record<ExtraOpcode, number>
>;
const PURE_NUMBERS = pureNumbers();

/** @param opIndex `Op.index` @param lane 0 for ops without one */
export function pureOpcode(opIndex: number, lane: number): number {
  return PURE_NUMBERS[opIndex]! + lane;
}

function pureNumbers(): number[] {
  const numbers: number[] = [];
  for (const [number, opcode] of OPCODES.entries()) {
    if (typeof opcode !== 'string') numbers[OPS[opcode.name].index] ??= number;
  }
  return numbers;
}

/** Bits in the flags of a terminal: going there is a checkpoint. */
export const CHECKPOINT = { taken: 1, notTaken: 2 } as const;
