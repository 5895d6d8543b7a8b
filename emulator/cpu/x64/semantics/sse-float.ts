/** SSE floating point: operands go to the helper through state fields. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { SSE_FLOAT } from '../opcode-map/sse-float.ts';
import type { Operand } from '../operands.ts';
import { X64_STATE } from '../state.ts';
import { packSse, type SseForm, type SseOperation } from '../system/sse-form.ts';
import { sseFloat } from '../system/vector-helpers.ts';
import type { Translation } from '../translation.ts';
import { immediateByte, isMmx, lowHalf, readVector, touchMmx, type Vector, writeVector } from './vector-operands.ts';

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

/** a = a op b; packed memory operands must be aligned. */
function operation(name: SseOperation, shape: Shape): InstructionSemantics {
  return (t, a, b, c) => {
    const source = readVector(t, b);
    // without VEX, a comparison has eight predicates
    const mask = name === 'CMP' ? 7 : 0xff;
    const immediate = c === undefined ? 0 : immediateByte(c) & mask;
    call(t, { ...shape, operation: name, immediate }, isMmx(a) ? source : readVector(t, a), source);
    writeVector(t, a, t.ir.get(X64_STATE.vectorResult));
    touchMmx(t, a, b);
  };
}

/** UCOMISx, COMISx: ZF, PF and CF; the others become 0. */
function compare(name: 'UCOMI' | 'COMI', shape: Shape): InstructionSemantics {
  return (t, a, b) => {
    const flags = call(t, { ...shape, operation: name, immediate: 0 }, readVector(t, a), readVector(t, b));
    t.flags.unpack(flags);
  };
}

/** From a general register or memory of its size. */
function fromInteger(to: 32 | 64): InstructionSemantics {
  return (t, a, b) => {
    const value = t.ir.toI64(t.read(b));
    const from = t.size(b) === 8 ? 64 : 32;
    const form: SseForm = { operation: 'INT_TO_FLOAT', from, to, lanes: 1, clearsRest: false, immediate: 0 };
    call(t, form, readVector(t, a), lowHalf(t, value));
    writeVector(t, a, t.ir.get(X64_STATE.vectorResult));
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
  CVTPS2PD: operation('FLOAT_TO_FLOAT', { from: 32, to: 64, lanes: 2, clearsRest: false }),
  CVTPD2PS: operation('FLOAT_TO_FLOAT', narrow(2)),
  CVTSS2SD: operation('FLOAT_TO_FLOAT', { from: 32, to: 64, lanes: 1, clearsRest: false }),
  CVTSD2SS: operation('FLOAT_TO_FLOAT', { from: 64, to: 32, lanes: 1, clearsRest: false }),
  CVTDQ2PS: operation('INT_TO_FLOAT', PS),
  CVTPS2DQ: operation('FLOAT_TO_INT', PS),
  CVTTPS2DQ: operation('FLOAT_TO_INT_TRUNCATED', PS),
  CVTPD2DQ: operation('FLOAT_TO_INT', narrow(2)),
  CVTTPD2DQ: operation('FLOAT_TO_INT_TRUNCATED', narrow(2)),
  CVTDQ2PD: operation('INT_TO_FLOAT', { from: 32, to: 64, lanes: 2, clearsRest: false }),
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
