/** Vector instructions that are a helper as a whole. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { InstructionSemantics, Semantics } from '../instruction.ts';
import type { VECTOR_SPECIAL } from '../opcode-map/vector-special.ts';
import type { Operand } from '../operands.ts';
import { GPR, X64_STATE } from '../state.ts';
import { vectorOperation } from '../system/vector-helpers.ts';
import { LONG_LENGTHS, VECTOR_OPERATIONS } from '../system/vector-operations.ts';
import type { Translation } from '../translation.ts';
import { sha } from './sha.ts';
import {
  halvesOf,
  immediateByte,
  readVector,
  sourcesOf,
  type Vector,
  writeVector,
  writeVectors,
} from './vector-operands.ts';

function call(t: Translation, name: string, left: Vector, right: Vector, immediate: number): Value<'i32'> {
  const { ir } = t;
  ir.set(X64_STATE.vectorA, left);
  ir.set(X64_STATE.vectorB, right);
  return ir.call(vectorOperation, ir.i32(VECTOR_OPERATIONS.indexOf(name)), ir.i32(immediate));
}

/** Writes the destination. */
function computing(name: string): InstructionSemantics {
  return (t, a, b, c, d) => {
    const [left, right, operand] = sourcesOf(a, b, c, d);
    const sources = halvesOf(a).map(half => [readVector(t, left, half), readVector(t, right, half)] as const);
    const immediate = operand === undefined ? 0 : immediateByte(operand);
    const results = sources.map(([first, second], half) => {
      // the high half has immediate bits of its own in MPSADBW only
      call(t, name, first, second, name === 'MPSADBW' && half === 1 ? immediate >> 3 : immediate);
      return t.ir.get(X64_STATE.vectorResult);
    });
    writeVectors(t, a, results);
  };
}

/** String comparisons: an index in ECX, or a mask in XMM0, and flags. Their memory operands need no alignment. */
function comparing(name: string, toMask: boolean): InstructionSemantics {
  return (t, a, b, c) => {
    const { ir } = t;
    const lengths = t.insn.operandSize === 8 ? LONG_LENGTHS : 0;
    const status = call(t, name, readVector(t, a), readVector(t, b, 0, false), immediateByte(c) | lengths);
    if (toMask) writeVector(t, XMM0, ir.get(X64_STATE.vectorResult));
    else t.setGpr(GPR.CX, 4, ir.and(status, ir.i32(0xff)));
    t.flags.unpack(ir.shrU(status, 8));
  };
}

const XMM0: Operand = { kind: 'vector', size: 16, number: 0 };

export const vectorSpecial: Semantics<typeof VECTOR_SPECIAL> = {
  MPSADBW: computing('MPSADBW'),
  PCLMULQDQ: computing('PCLMULQDQ'),
  PCMPESTRM: comparing('PCMPESTRM', true),
  PCMPESTRI: comparing('PCMPESTRI', false),
  PCMPISTRM: comparing('PCMPISTRM', true),
  PCMPISTRI: comparing('PCMPISTRI', false),
  AESIMC: computing('AESIMC'),
  AESENC: computing('AESENC'),
  AESENCLAST: computing('AESENCLAST'),
  AESDEC: computing('AESDEC'),
  AESDECLAST: computing('AESDECLAST'),
  AESKEYGENASSIST: computing('AESKEYGENASSIST'),
  ...sha,
};
