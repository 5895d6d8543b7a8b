/** SSE floating point: operands go to the helper through state fields. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import {
  type AVX_FLOAT,
  type F16C,
  type FMA,
  FMA_OPERATIONS,
  FMA_ORDERS,
  type FmaMnemonic,
  type FmaOperation,
  type FmaOrder,
} from '../opcode-map/avx.ts';
import type { SSE_FLOAT } from '../opcode-map/sse-float.ts';
import type { Operand } from '../operands.ts';
import { X64_STATE } from '../state.ts';
import { packSse, type SseForm, type SseOperation } from '../system/sse-form.ts';
import { sseFloat } from '../system/vector-helpers.ts';
import type { Translation } from '../translation.ts';
import {
  halvesOf,
  immediateByte,
  isMmx,
  lowHalf,
  readVector,
  sourcesOf,
  touchMmx,
  type Vector,
  writeVector,
  writeVectors,
} from './vector-operands.ts';

type Shape = Omit<SseForm, 'immediate' | 'operation'>;

const PS: Shape = { from: 32, to: 32, lanes: 4, clearsRest: false };
const PD: Shape = { from: 64, to: 64, lanes: 2, clearsRest: false };
const SS: Shape = { ...PS, lanes: 1 };
const SD: Shape = { ...PD, lanes: 1 };

function call(t: Translation, form: SseForm, a: Vector, b: Vector): Value<'i32'> {
  t.ir.set(X64_STATE.vectorA, a);
  t.ir.set(X64_STATE.vectorB, b);
  return t.ir.call(sseFloat, t.ir.i32(packSse(form)));
}

/** a = a op b, or a = b op c; packed memory operands of SSE must be aligned. */
function operation(name: SseOperation, shape: Shape): InstructionSemantics {
  return (t, a, b, c, d) => {
    const [left, right, operand] = sourcesOf(a, b, c, d);
    const form = { ...shape, operation: name, immediate: immediateOf(t, name, operand) };
    const sources = halvesOf(a).map(half => {
      const source = readVector(t, right, half);
      return [isMmx(a) ? source : readVector(t, left, half), source] as const;
    });
    writeVectors(
      t,
      a,
      sources.map(([first, second]) => compute(t, form, first, second)),
    );
    touchMmx(t, a, b);
  };
}

/** Without VEX, a comparison has eight predicates. */
function immediateOf(t: Translation, name: SseOperation, operand: Operand | undefined): number {
  if (operand === undefined) return 0;
  const mask = name !== 'CMP' ? 0xff : t.insn.prefixes.vex ? 31 : 7;
  return immediateByte(operand) & mask;
}

function compute(t: Translation, form: SseForm, a: Vector, b: Vector): Vector {
  call(t, form, a, b);
  return t.ir.get(X64_STATE.vectorResult);
}

/** Two results from the low half of a source: the high half of a YMM register comes from the high half of an XMM register. */
function widening(name: SseOperation, lanes: 2 | 4): InstructionSemantics {
  const form: SseForm = {
    operation: name,
    from: 32,
    to: lanes === 2 ? 64 : 32,
    lanes,
    clearsRest: false,
    immediate: 0,
  };
  return (t, a, b) => {
    const source = readVector(t, b, 0, false);
    const results = halvesOf(a).map(half => {
      return compute(t, form, source, half === 0 ? source : t.ir.shuffle(source, source, HIGH_HALF));
    });
    writeVectors(t, a, results);
  };
}

const HIGH_HALF = Uint8Array.from({ length: 16 }, (_, i) => 8 + (i & 7));
const LOW_HALVES = Uint8Array.from({ length: 16 }, (_, i) => (i < 8 ? i : i + 8));

/** Results of half the size; those of a YMM register fill an XMM register. */
function narrowing(name: SseOperation, shape: Shape): InstructionSemantics {
  return (t, a, b, c) => {
    const form = { ...shape, operation: name, immediate: c === undefined ? 0 : immediateByte(c) };
    const sources = halvesOf(b).map(half => readVector(t, b, half));
    const [low, high] = sources.map(source => compute(t, form, source, source));
    writeVector(t, a, high === undefined ? low! : t.ir.shuffle(low!, high, LOW_HALVES));
  };
}

type FusedName = 'FMADD' | 'FMSUB' | 'FNMADD' | 'FNMSUB' | 'FMADDSUB' | 'FMSUBADD';

/** Which of the three operands are factors, and which is the addend. */
const FMA_PLACES: Readonly<Record<FmaOrder, { readonly factors: readonly [number, number]; readonly addend: number }>> =
  {
    132: { factors: [0, 2], addend: 1 },
    213: { factors: [1, 0], addend: 2 },
    231: { factors: [1, 2], addend: 0 },
  };

function fused(name: FusedName, order: FmaOrder, shape: Shape): InstructionSemantics {
  const {
    factors: [x, y],
    addend,
  } = FMA_PLACES[order];
  const form: SseForm = { ...shape, operation: name, immediate: 0 };
  return (t, a, b, c) => {
    const sources = halvesOf(a).map(half => [a, b, c].map(operand => readVector(t, operand, half)));
    const results = sources.map(operands => {
      t.ir.set(X64_STATE.vectorC, operands[addend]!);
      return compute(t, form, operands[x]!, operands[y]!);
    });
    // what a scalar leaves is the destination's, whichever operand that is
    const merged = shape.lanes > 1 ? results : results.map((result, i) => keepRest(t, shape, result, sources[i]![0]!));
    writeVectors(t, a, merged);
  };
}

function keepRest(t: Translation, { to }: Shape, result: Vector, rest: Vector): Vector {
  const lanes = Uint8Array.from({ length: 16 }, (_, i) => (i < to / 8 ? i : 16 + i));
  return t.ir.shuffle(result, rest, lanes);
}

function fmaSemantics(): Semantics<typeof FMA> {
  const shapes = { PS, PD, SS, SD };
  const rows: Partial<Record<FmaMnemonic, InstructionSemantics>> = {};
  for (const name of Object.keys(FMA_OPERATIONS) as FmaOperation[]) {
    for (const order of Object.keys(FMA_ORDERS)) {
      for (const [suffix, shape] of Object.entries(shapes)) {
        const mnemonic = `${name}${order}${suffix}` as FmaMnemonic;
        rows[mnemonic] = fused(name, Number(order) as FmaOrder, shape);
      }
    }
  }
  return rows as Semantics<typeof FMA>;
}

export const fma = fmaSemantics();

export const f16c: Semantics<typeof F16C> = {
  CVTPH2PS: widening('HALF_TO_SINGLE', 4),
  CVTPS2PH: narrowing('SINGLE_TO_HALF', { from: 32, to: 32, lanes: 4, clearsRest: true }),
};

/** UCOMISx, COMISx: ZF, PF and CF; the others become 0. */
function compare(name: 'UCOMI' | 'COMI', shape: Shape): InstructionSemantics {
  return (t, a, b) => {
    const flags = call(t, { ...shape, operation: name, immediate: 0 }, readVector(t, a), readVector(t, b));
    t.flags.unpack(flags);
  };
}

/** From a general register or memory of its size. */
function fromInteger(to: 32 | 64): InstructionSemantics {
  return (t, a, b, c) => {
    const [rest, source] = sourcesOf(a, b, c, undefined);
    const value = t.ir.toI64(t.read(source));
    const from = t.size(source) === 8 ? 64 : 32;
    const form: SseForm = { operation: 'INT_TO_FLOAT', from, to, lanes: 1, clearsRest: false, immediate: 0 };
    writeVector(t, a, compute(t, form, readVector(t, rest), lowHalf(t, value)));
  };
}

/** To a general register. */
function toInteger(from: 32 | 64, truncates: boolean): InstructionSemantics {
  return (t, a: Operand, b: Operand) => {
    const size = t.size(a);
    const name = truncates ? 'FLOAT_TO_INT_TRUNCATED' : 'FLOAT_TO_INT';
    const source = readVector(t, b);
    const form: SseForm = { operation: name, from, to: size === 8 ? 64 : 32, lanes: 1, clearsRest: true, immediate: 0 };
    call(t, form, source, source);
    const result = t.ir.lane('i64x2.extract_lane', 0, t.ir.get(X64_STATE.vectorResult));
    t.write(a, t.resize(result, 8, size));
  };
}

const narrow = (lanes: number): Shape => ({ from: 64, to: 32, lanes, clearsRest: true });

export const sseFloatInstructions: Semantics<typeof SSE_FLOAT> = {
  SQRTPS: operation('SQRT', PS),
  SQRTPD: operation('SQRT', PD),
  SQRTSS: operation('SQRT', SS),
  SQRTSD: operation('SQRT', SD),
  RSQRTPS: operation('RSQRT', PS),
  RSQRTSS: operation('RSQRT', SS),
  RCPPS: operation('RCP', PS),
  RCPSS: operation('RCP', SS),
  ADDPS: operation('ADD', PS),
  ADDPD: operation('ADD', PD),
  ADDSS: operation('ADD', SS),
  ADDSD: operation('ADD', SD),
  MULPS: operation('MUL', PS),
  MULPD: operation('MUL', PD),
  MULSS: operation('MUL', SS),
  MULSD: operation('MUL', SD),
  SUBPS: operation('SUB', PS),
  SUBPD: operation('SUB', PD),
  SUBSS: operation('SUB', SS),
  SUBSD: operation('SUB', SD),
  MINPS: operation('MIN', PS),
  MINPD: operation('MIN', PD),
  MINSS: operation('MIN', SS),
  MINSD: operation('MIN', SD),
  DIVPS: operation('DIV', PS),
  DIVPD: operation('DIV', PD),
  DIVSS: operation('DIV', SS),
  DIVSD: operation('DIV', SD),
  MAXPS: operation('MAX', PS),
  MAXPD: operation('MAX', PD),
  MAXSS: operation('MAX', SS),
  MAXSD: operation('MAX', SD),
  CMPPS: operation('CMP', PS),
  CMPPD: operation('CMP', PD),
  CMPSS: operation('CMP', SS),
  CMPSD: operation('CMP', SD),
  UCOMISS: compare('UCOMI', SS),
  UCOMISD: compare('UCOMI', SD),
  COMISS: compare('COMI', SS),
  COMISD: compare('COMI', SD),
  CVTPS2PD: widening('FLOAT_TO_FLOAT', 2),
  CVTPD2PS: narrowing('FLOAT_TO_FLOAT', narrow(2)),
  CVTSS2SD: operation('FLOAT_TO_FLOAT', { from: 32, to: 64, lanes: 1, clearsRest: false }),
  CVTSD2SS: operation('FLOAT_TO_FLOAT', { from: 64, to: 32, lanes: 1, clearsRest: false }),
  CVTDQ2PS: operation('INT_TO_FLOAT', PS),
  CVTPS2DQ: operation('FLOAT_TO_INT', PS),
  CVTTPS2DQ: operation('FLOAT_TO_INT_TRUNCATED', PS),
  CVTPD2DQ: narrowing('FLOAT_TO_INT', narrow(2)),
  CVTTPD2DQ: narrowing('FLOAT_TO_INT_TRUNCATED', narrow(2)),
  CVTDQ2PD: widening('INT_TO_FLOAT', 2),
  CVTPI2PS: operation('INT_TO_FLOAT', { from: 32, to: 32, lanes: 2, clearsRest: false }),
  CVTPI2PD: operation('INT_TO_FLOAT', { from: 32, to: 64, lanes: 2, clearsRest: false }),
  CVTSI2SS: fromInteger(32),
  CVTSI2SD: fromInteger(64),
  CVTTPS2PI: operation('FLOAT_TO_INT_TRUNCATED', { from: 32, to: 32, lanes: 2, clearsRest: true }),
  CVTTPD2PI: operation('FLOAT_TO_INT_TRUNCATED', narrow(2)),
  CVTTSS2SI: toInteger(32, true),
  CVTTSD2SI: toInteger(64, true),
  CVTPS2PI: operation('FLOAT_TO_INT', { from: 32, to: 32, lanes: 2, clearsRest: true }),
  CVTPD2PI: operation('FLOAT_TO_INT', narrow(2)),
  CVTSS2SI: toInteger(32, false),
  CVTSD2SI: toInteger(64, false),
  HADDPD: operation('HADD', PD),
  HADDPS: operation('HADD', PS),
  HSUBPD: operation('HSUB', PD),
  HSUBPS: operation('HSUB', PS),
  ADDSUBPD: operation('ADDSUB', PD),
  ADDSUBPS: operation('ADDSUB', PS),
  ROUNDPS: operation('ROUND', PS),
  ROUNDPD: operation('ROUND', PD),
  ROUNDSS: operation('ROUND', SS),
  ROUNDSD: operation('ROUND', SD),
  DPPS: operation('DP', PS),
  DPPD: operation('DP', PD),
};

export const avxFloat: Semantics<typeof AVX_FLOAT> = sseFloatInstructions;
