/** The rows of Advanced SIMD, floating point and cryptography. */
import * as integer from './encodings/simd-integer.ts';
import * as loadStore from './encodings/simd-load-store.ts';
import * as move from './encodings/simd-move.ts';
import { group, type Instruction } from './instruction.ts';
import { loadStoreSemantics } from './semantics/simd-load-store.ts';
import {
  multipleStructuresSemantics,
  replicateSemantics,
  singleStructureSemantics,
} from './semantics/simd-load-store-structures.ts';
import {
  copySemantics,
  modifiedImmediateHalfSemantics,
  modifiedImmediateSemantics,
  permuteSemantics,
} from './semantics/simd-move.ts';
import {
  byElementSemantics,
  dotProductSemantics,
  roundingMultiplySemantics,
  threeDifferentSemantics,
} from './semantics/simd-multiply.ts';
import { scalarShiftImmediateSemantics, shiftImmediateSemantics } from './semantics/simd-shift-immediate.ts';
import { logicalSemantics, scalarThreeSameSemantics, threeSameSemantics } from './semantics/simd-three-same.ts';
import {
  acrossLanesSemantics,
  scalarTwoRegisterSemantics,
  twoRegisterSemantics,
} from './semantics/simd-two-register.ts';

/** immh = 0 in a shift by immediate is a modified immediate. */
const SHIFTS_BY_IMMEDIATE = Object.keys(integer.SIMD_SHIFT_IMMEDIATE);

const SIMD = { simd: true } as const;

/** Every row that uses the vector registers. */
export const SIMD_INSTRUCTIONS: readonly Instruction[] = [
  ...group(integer.SIMD_THREE_SAME, threeSameSemantics, SIMD),
  ...group(integer.SIMD_SCALAR_THREE_SAME, scalarThreeSameSemantics, SIMD),
  ...group(integer.SIMD_LOGICAL, logicalSemantics, SIMD),
  ...group(integer.SIMD_TWO_REGISTER, twoRegisterSemantics, SIMD),
  ...group(integer.SIMD_SCALAR_TWO_REGISTER, scalarTwoRegisterSemantics, SIMD),
  ...group(integer.SIMD_ACROSS_LANES, acrossLanesSemantics, SIMD),
  ...group(integer.SIMD_THREE_DIFFERENT, threeDifferentSemantics, SIMD),
  ...group(integer.SIMD_BY_ELEMENT, byElementSemantics, SIMD),
  ...group(integer.SIMD_ROUNDING_MULTIPLY, roundingMultiplySemantics, { simd: true, feature: 'FEAT_RDM' }),
  ...group(integer.SIMD_DOT_PRODUCT, dotProductSemantics, { simd: true, feature: 'FEAT_DotProd' }),
  ...group(integer.SIMD_SHIFT_IMMEDIATE, shiftImmediateSemantics, SIMD),
  ...group(integer.SIMD_SCALAR_SHIFT_IMMEDIATE, scalarShiftImmediateSemantics, SIMD),
  ...group(move.SIMD_COPY, copySemantics, SIMD),
  ...group(move.SIMD_PERMUTE, permuteSemantics, SIMD),
  ...group(move.SIMD_MODIFIED_IMMEDIATE, modifiedImmediateSemantics, {
    simd: true,
    over: SHIFTS_BY_IMMEDIATE,
  }),
  ...group(move.SIMD_MODIFIED_IMMEDIATE_HALF, modifiedImmediateHalfSemantics, {
    simd: true,
    feature: 'FEAT_FP16',
    over: SHIFTS_BY_IMMEDIATE,
  }),
  ...group(loadStore.SIMD_LOAD_STORE, loadStoreSemantics, SIMD),
  ...group(loadStore.SIMD_MULTIPLE_STRUCTURES, multipleStructuresSemantics, SIMD),
  ...group(loadStore.SIMD_SINGLE_STRUCTURE, singleStructureSemantics, SIMD),
  ...group(loadStore.SIMD_REPLICATE, replicateSemantics, SIMD),
];
