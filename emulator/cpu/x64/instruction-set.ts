/**
 * All x86_64 instructions.
 *
 * To add a table: rows in `opcode-map/NAME.ts`, semantics in `semantics/NAME.ts`, and one `group(...)` line here.
 */
import { Decoder } from './decode.ts';
import type { X64Features } from './features.ts';
import { group, type Instruction } from './instruction.ts';
import { ARITHMETIC, CARRY_CHAINS, DECIMAL, MULTIPLY_DIVIDE } from './opcode-map/arithmetic.ts';
import { AVX_FLOAT, AVX_MOVES, AVX_NEW, AVX_SPECIAL, AVX_SSE4, F16C, FMA } from './opcode-map/avx.ts';
import { BITS, BMI, SHIFTS } from './opcode-map/bits.ts';
import { CONTROL_FLOW } from './opcode-map/control-flow.ts';
import { FLAG_ROWS, HINTS, MOVES, STRINGS } from './opcode-map/data-transfer.ts';
import { SYSTEM } from './opcode-map/system.ts';
import {
  FP_STATE,
  MXCSR_ROWS,
  PACKED,
  PACKED_SHIFTS,
  PACKED_UNARY,
  VECTOR_MOVES,
  VECTOR_SSE4,
} from './opcode-map/vector.ts';
import { SSE_FLOAT } from './opcode-map/sse-float.ts';
import { VECTOR_SPECIAL } from './opcode-map/vector-special.ts';
import { X87 } from './opcode-map/x87.ts';
import { arithmetic, carryChains } from './semantics/arithmetic.ts';
import { avxMoves, avxNew, avxSpecial, avxSse4 } from './semantics/avx.ts';
import { bits, bmi, shifts } from './semantics/bits.ts';
import { controlFlow } from './semantics/control-flow.ts';
import { flagInstructions, hints, moves, strings } from './semantics/data-transfer.ts';
import { decimal, multiplyDivide } from './semantics/multiply-divide.ts';
import { avxFloat, f16c, fma, sseFloatInstructions } from './semantics/sse-float.ts';
import { system } from './semantics/system.ts';
import { packed, packedShifts, packedUnary } from './semantics/vector-integer.ts';
import { fpState, mxcsr, vectorMoves, vectorSse4 } from './semantics/vector-moves.ts';
import { vectorSpecial } from './semantics/vector-special.ts';
import { x87Instructions } from './semantics/x87.ts';

/** Every row. */
export const X64_INSTRUCTIONS: readonly Instruction[] = [
  ...group(ARITHMETIC, arithmetic),
  ...group(CARRY_CHAINS, carryChains),
  ...group(MULTIPLY_DIVIDE, multiplyDivide),
  ...group(DECIMAL, decimal),
  ...group(SHIFTS, shifts),
  ...group(BITS, bits),
  ...group(BMI, bmi),
  ...group(MOVES, moves),
  ...group(HINTS, hints),
  ...group(FLAG_ROWS, flagInstructions),
  ...group(STRINGS, strings),
  ...group(CONTROL_FLOW, controlFlow),
  ...group(SYSTEM, system),
  ...group(PACKED, packed),
  ...group(PACKED_UNARY, packedUnary),
  ...group(PACKED_SHIFTS, packedShifts),
  ...group(VECTOR_MOVES, vectorMoves),
  ...group(VECTOR_SSE4, vectorSse4),
  ...group(SSE_FLOAT, sseFloatInstructions, { unit: 'sse' }),
  ...group(VECTOR_SPECIAL, vectorSpecial),
  ...group(AVX_MOVES, avxMoves),
  ...group(AVX_SSE4, avxSse4),
  ...group(AVX_NEW, avxNew, { feature: 'avx', unit: 'avx' }),
  ...group(AVX_SPECIAL, avxSpecial),
  ...group(AVX_FLOAT, avxFloat, { unit: 'avx' }),
  ...group(F16C, f16c),
  ...group(FMA, fma),
  ...group(X87, x87Instructions, { unit: 'x87' }),
  ...group(FP_STATE, fpState, { unit: 'x87' }),
  ...group(MXCSR_ROWS, mxcsr, { unit: 'sse' }),
];

const decoders = new WeakMap<X64Features, Decoder>();

/** The decoder for a set of features. */
export function decoderFor(features: X64Features): Decoder {
  const known = decoders.get(features);
  if (known) return known;
  const decoder = new Decoder(X64_INSTRUCTIONS, features);
  decoders.set(features, decoder);
  return decoder;
}
