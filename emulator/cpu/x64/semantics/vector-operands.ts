/**
 * Vector operands: XMM, YMM and MMX registers, and memory. An operation is written once for 16 bytes; YMM registers are two of them,
 * an MMX register is the low half of one.
 *
 * Source: Intel SDM vol. 1 "Programming with Intel AVX": VEX-encoded instructions clear what is above their result; others leave it.
 */
import type { Value } from '../../ir/block.ts';
import type { Operand, VectorOperand } from '../operands.ts';
import { X64_STATE } from '../state.ts';
import type { Translation } from '../translation.ts';

export type Vector = Value<'v128'>;

export const ZERO = new Uint8Array(16);

export function zero(t: Translation): Vector {
  return t.ir.v128(ZERO);
}

/** A vector with an i64 in its low half. */
export function lowHalf(t: Translation, value: Value<'i64'>): Vector {
  return t.ir.lane('i64x2.replace_lane', 0, zero(t), value);
}

/** Whether an operand is of MMX. The first one decides for an instruction. */
export function isMmx(operand: Operand): boolean {
  return operand.kind === 'mmx';
}

/** The halves of an operand that there are to compute: both of YMM registers and 32-byte memory. */
export function halvesOf(operand: Operand): readonly (0 | 1)[] {
  return operand.size === 32 ? BOTH_HALVES : LOW_HALF;
}

const BOTH_HALVES = [0, 1] as const;
const LOW_HALF = [0] as const;

/** The sources of an instruction, and what follows them: `OP a,b` works on a and b, `OP a,b,c` of VEX on b and c. */
export function sourcesOf(
  a: Operand,
  b: Operand,
  c: Operand | undefined,
  d: Operand | undefined,
): readonly [left: Operand, right: Operand, rest: Operand | undefined] {
  return c === undefined || c.kind === 'immediate' ? [a, b, c] : [b, c, d];
}

/** Legacy SSE instructions demand that 16-byte memory operands be aligned, except the unaligned moves. */
export function readVector(t: Translation, operand: Operand, half = 0, aligned = !t.insn.prefixes.vex): Vector {
  const { ir } = t;
  switch (operand.kind) {
    case 'vector':
      return ir.get((half === 0 ? X64_STATE.xmm : X64_STATE.ymmHigh)[operand.number]!);
    case 'mmx':
      return lowHalf(t, ir.get(X64_STATE.significand[operand.number]!));
    case 'memory': {
      const address = t.addressAt(operand, 16 * half);
      t.check(address, Math.min(operand.size, 16), false);
      if (operand.size >= 16) return ir.loadV128(address, { alignment: alignmentOf(operand, half, aligned) });
      return lowHalf(t, ir.load(address, operand.size as 1 | 2 | 4 | 8));
    }
    default:
      throw new Error(`operand ${operand.kind} is no vector`);
  }
}

/** Writes a register or memory operand of its size, one half. */
export function writeVector(t: Translation, operand: Operand, value: Vector, half = 0, aligned = false): void {
  const { ir } = t;
  switch (operand.kind) {
    case 'vector':
      return writeRegister(t, operand, value, half);
    case 'mmx':
      return ir.set(X64_STATE.significand[operand.number]!, ir.lane('i64x2.extract_lane', 0, value));
    case 'memory': {
      const address = t.addressAt(operand, 16 * half);
      t.check(address, Math.min(operand.size, 16), true);
      if (operand.size >= 16) {
        return ir.storeV128(address, value, { alignment: alignmentOf(operand, half, aligned) });
      }
      return ir.store(address, ir.lane('i64x2.extract_lane', 0, value), operand.size as 1 | 2 | 4 | 8);
    }
    default:
      throw new Error(`operand ${operand.kind} is no vector`);
  }
}

/** The first half answers for both. */
function alignmentOf({ size }: Operand, half: number, aligned: boolean): 1 | 16 | 32 {
  return !aligned || half !== 0 ? 1 : size === 32 ? 32 : 16;
}

/** Writes all halves of an operand, so that a fault leaves it as it was. */
export function writeVectors(t: Translation, operand: Operand, values: readonly Vector[], aligned = false): void {
  if (operand.kind === 'memory' && values.length > 1 && !aligned) {
    // the second half must be writable before the first one is written
    t.load(t.addressAt(operand, operand.size - 1), 1, true);
  }
  values.forEach((value, half) => writeVector(t, operand, value, half, aligned));
}

function writeRegister(t: Translation, { number, size }: VectorOperand, value: Vector, half: number): void {
  const { ir } = t;
  ir.set((half === 0 ? X64_STATE.xmm : X64_STATE.ymmHigh)[number]!, value);
  if (half === 0 && t.insn.prefixes.vex && size < 32) ir.set(X64_STATE.ymmHigh[number]!, zero(t));
}

/** MMX instructions other than EMMS make the whole register file valid, with TOP 0. */
export function touchMmx(t: Translation, ...operands: readonly Operand[]): void {
  const { ir } = t;
  if (!operands.some(operand => operand !== undefined && isMmx(operand))) return;
  ir.set(X64_STATE.TOP, ir.i32(0));
  ir.set(X64_STATE.emptyTags, ir.i32(0));
  for (const operand of operands.slice(0, 1)) {
    if (operand.kind === 'mmx') ir.set(X64_STATE.exponent[operand.number]!, ir.i32(0xffff));
  }
}

type Compute = (t: Translation, a: Vector, b: Vector, mmx: boolean) => Vector;

/** `OP a,b` (a = a op b) or `OP a,b,c` (a = b op c), half by half. */
export function binaryVector(compute: Compute) {
  return (t: Translation, a: Operand, b: Operand, c?: Operand): void => {
    const [left, right] = c === undefined ? [a, b] : [b, c];
    const mmx = isMmx(a);
    const results = halvesOf(a).map(half => compute(t, readVector(t, left, half), readVector(t, right, half), mmx));
    writeVectors(t, a, results);
    touchMmx(t, a, b);
  };
}

/** `OP a,b` (a = op b), half by half. */
export function unaryVector(compute: (t: Translation, value: Vector, mmx: boolean) => Vector) {
  return (t: Translation, a: Operand, b: Operand): void => {
    const results = halvesOf(a).map(half => compute(t, readVector(t, b, half), isMmx(a)));
    writeVectors(t, a, results);
    touchMmx(t, a, b);
  };
}

/** An immediate byte of an operand. */
export function immediateByte(operand: Operand): number {
  return operand.kind === 'immediate' ? Number(BigInt.asUintN(8, operand.value)) : 0;
}
