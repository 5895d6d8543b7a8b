/** The rows of Advanced SIMD, floating point and cryptography. */
import * as crypto from './encodings/crypto.ts';
import * as fpScalar from './encodings/fp-scalar.ts';
import * as fpVector from './encodings/fp-vector.ts';
import * as integer from './encodings/simd-integer.ts';
import * as loadStore from './encodings/simd-load-store.ts';
import * as move from './encodings/simd-move.ts';
import { group, type Instruction } from './instruction.ts';
import { aesSemantics, pmullSemantics } from './semantics/crypto-aes.ts';
import { sha1Semantics, sha256Semantics, sha3Semantics, sha512Semantics } from './semantics/crypto-sha.ts';
import * as scalar from './semantics/fp-scalar.ts';
import * as other from './semantics/fp-vector-other.ts';
import * as vector from './semantics/fp-vector.ts';
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
  modifiedImmediateUnsharedSemantics,
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
const SHIFTS_BY_IMMEDIATE = Object.keys({ ...integer.SIMD_SHIFT_IMMEDIATE, ...fpVector.FP_VECTOR_FIXED });

const SIMD = { simd: true } as const;
const FP16 = { simd: true, feature: 'FEAT_FP16' } as const;

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
  ...group(move.SIMD_MODIFIED_IMMEDIATE_UNSHARED, modifiedImmediateUnsharedSemantics, SIMD),
  ...group(move.SIMD_MODIFIED_IMMEDIATE_HALF, modifiedImmediateHalfSemantics, {
    ...FP16,
    over: SHIFTS_BY_IMMEDIATE,
  }),
  ...group(loadStore.SIMD_LOAD_STORE, loadStoreSemantics, SIMD),
  ...group(loadStore.SIMD_MULTIPLE_STRUCTURES, multipleStructuresSemantics, SIMD),
  ...group(loadStore.SIMD_SINGLE_STRUCTURE, singleStructureSemantics, SIMD),
  ...group(loadStore.SIMD_REPLICATE, replicateSemantics, SIMD),

  ...group(fpScalar.FP_ONE_SOURCE, scalar.oneSourceSemantics, SIMD),
  ...group(fpScalar.FP_ROUND_WITHIN, scalar.roundWithinSemantics, { simd: true, feature: 'FEAT_FRINTTS' }),
  ...group(fpScalar.FP_TWO_SOURCES, scalar.twoSourcesSemantics, SIMD),
  ...group(fpScalar.FP_THREE_SOURCES, scalar.threeSourcesSemantics, SIMD),
  ...group(fpScalar.FP_COMPARE_SELECT, scalar.compareSelectSemantics, SIMD),
  ...group(fpScalar.FP_INTEGER, scalar.integerSemantics, SIMD),
  ...group(fpScalar.FP_JAVASCRIPT, scalar.javaScriptSemantics, { simd: true, feature: 'FEAT_JSCVT' }),
  ...group(fpScalar.FP_FIXED, scalar.fixedSemantics, SIMD),

  ...group(fpVector.FP_VECTOR_THREE_SAME, vector.vectorThreeSameSemantics, SIMD),
  ...group(fpVector.FP_VECTOR_THREE_SAME_HALF, vector.vectorThreeSameHalfSemantics, FP16),
  ...group(fpVector.FP_LANE_THREE_SAME, vector.laneThreeSameSemantics, SIMD),
  ...group(fpVector.FP_LANE_THREE_SAME_HALF, vector.laneThreeSameHalfSemantics, FP16),
  ...group(fpVector.FP_VECTOR_TWO_REGISTER, vector.vectorTwoRegisterSemantics, SIMD),
  ...group(fpVector.FP_VECTOR_TWO_REGISTER_HALF, vector.vectorTwoRegisterHalfSemantics, FP16),
  ...group(fpVector.FP_LANE_TWO_REGISTER, vector.laneTwoRegisterSemantics, SIMD),
  ...group(fpVector.FP_LANE_TWO_REGISTER_HALF, vector.laneTwoRegisterHalfSemantics, FP16),
  ...group(fpVector.FP_VECTOR_ROUND_WITHIN, vector.vectorRoundWithinSemantics, {
    simd: true,
    feature: 'FEAT_FRINTTS',
  }),
  ...group(fpVector.FP_BY_ELEMENT, other.fpByElementSemantics, SIMD),
  ...group(fpVector.FP_BY_ELEMENT_HALF, other.fpByElementHalfSemantics, FP16),
  ...group(fpVector.FP_ACROSS_LANES, other.fpAcrossLanesSemantics, SIMD),
  ...group(fpVector.FP_ACROSS_LANES_HALF, other.fpAcrossLanesHalfSemantics, FP16),
  ...group(fpVector.FP_VECTOR_CONVERT, other.fpVectorConvertSemantics, SIMD),
  ...group(fpVector.FP_VECTOR_HALF_MULTIPLY, other.fpHalfMultiplySemantics, { simd: true, feature: 'FEAT_FHM' }),
  ...group(fpVector.FP_VECTOR_COMPLEX, other.fpComplexSemantics, { simd: true, feature: 'FEAT_FCMA' }),
  ...group(fpVector.FP_VECTOR_FIXED, other.fpVectorFixedSemantics, SIMD),
  ...group(fpVector.FP_LANE_FIXED, other.fpLaneFixedSemantics, SIMD),

  ...group(crypto.CRYPTO_AES, aesSemantics, { simd: true, feature: 'FEAT_AES' }),
  ...group(crypto.CRYPTO_PMULL, pmullSemantics, { simd: true, feature: 'FEAT_PMULL' }),
  ...group(crypto.CRYPTO_SHA1, sha1Semantics, { simd: true, feature: 'FEAT_SHA1' }),
  ...group(crypto.CRYPTO_SHA256, sha256Semantics, { simd: true, feature: 'FEAT_SHA256' }),
  ...group(crypto.CRYPTO_SHA512, sha512Semantics, { simd: true, feature: 'FEAT_SHA512' }),
  ...group(crypto.CRYPTO_SHA3, sha3Semantics, { simd: true, feature: 'FEAT_SHA3' }),
];
