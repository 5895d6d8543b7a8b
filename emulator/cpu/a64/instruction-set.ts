/**
 * All A64 instructions.
 *
 * To add a table: write `encodings/NAME.ts` with one or more records `{ 'manual name': 'diagram' }` (`as const satisfies Encodings`),
 * `semantics/NAME.ts` with a record `satisfies Semantics<typeof THOSE>` per record, and one `group(...)` line here. Rows that need a
 * feature get `{ feature: 'FEAT_X' }`; vector and floating-point rows get `{ simd: true }`, which does the CPACR_EL1.FPEN trap. The
 * table test checks each row: 32 bits, decodes to itself, no overlap that `over` does not declare.
 */
import { Decoder } from './decode.ts';
import * as atomicEncodings from './encodings/atomics.ts';
import * as branchEncodings from './encodings/branches.ts';
import * as immediateEncodings from './encodings/data-processing-immediate.ts';
import * as registerEncodings from './encodings/data-processing-register.ts';
import * as loadStoreEncodings from './encodings/loads-stores.ts';
import * as pauthEncodings from './encodings/pauth.ts';
import * as systemEncodings from './encodings/system.ts';
import type { A64Features } from './features.ts';
import { group, type Instruction } from './instruction.ts';
import * as atomics from './semantics/atomics.ts';
import * as branches from './semantics/branches.ts';
import * as immediate from './semantics/data-processing-immediate.ts';
import * as register from './semantics/data-processing-register.ts';
import * as loadsStores from './semantics/loads-stores.ts';
import * as multiplyDivide from './semantics/multiply-divide.ts';
import * as pauth from './semantics/pauth.ts';
import { SIMD_INSTRUCTIONS } from './simd-instructions.ts';
import * as system from './semantics/system.ts';

/** Every row. */
export const A64_INSTRUCTIONS: readonly Instruction[] = [
  ...group(immediateEncodings.PC_RELATIVE, immediate.pcRelative),
  ...group(immediateEncodings.ADD_SUB_IMMEDIATE, immediate.addSubImmediate),
  ...group(immediateEncodings.LOGICAL_IMMEDIATE, immediate.logicalImmediate),
  ...group(immediateEncodings.MOVE_WIDE, immediate.moveWideImmediate),
  ...group(immediateEncodings.BITFIELD, immediate.bitfield),

  ...group(registerEncodings.LOGICAL_SHIFTED, register.logicalShifted),
  ...group(registerEncodings.ADD_SUB_SHIFTED, register.addSubShifted),
  ...group(registerEncodings.ADD_SUB_EXTENDED, register.addSubExtended),
  ...group(registerEncodings.ADD_SUB_CARRY, register.addSubCarry),
  ...group(registerEncodings.FLAG_MANIPULATION, register.flagManipulation, { feature: 'FEAT_FlagM' }),
  ...group(registerEncodings.CONDITIONAL_COMPARE, register.conditionalCompare),
  ...group(registerEncodings.CONDITIONAL_SELECT, register.conditionalSelect),
  ...group(registerEncodings.THREE_SOURCES, multiplyDivide.threeSources),
  ...group(registerEncodings.TWO_SOURCES, multiplyDivide.twoSources),
  ...group(registerEncodings.CRC32, multiplyDivide.crc, { feature: 'FEAT_CRC32' }),
  ...group(registerEncodings.ONE_SOURCE, multiplyDivide.oneSource),

  ...group(branchEncodings.BRANCHES, branches.branches),
  ...group(branchEncodings.EXCEPTION_GENERATION, branches.exceptionGeneration),

  ...group(systemEncodings.HINT, system.hint),
  ...group(systemEncodings.HINTS, system.hints, { over: ['HINT'] }),
  ...group(systemEncodings.BARRIERS, system.barriers, { features: { SB: 'FEAT_SB' } }),
  ...group(systemEncodings.PSTATE_FIELDS, system.pstateFields, {
    features: {
      'MSR UAO, #imm': 'FEAT_UAO',
      'MSR PAN, #imm': 'FEAT_PAN',
      'MSR SSBS, #imm': 'FEAT_SSBS',
      'MSR DIT, #imm': 'FEAT_DIT',
    },
  }),
  ...group(systemEncodings.PSTATE_FLAGS, system.pstateFlags, {
    features: { CFINV: 'FEAT_FlagM', XAFLAG: 'FEAT_FlagM2', AXFLAG: 'FEAT_FlagM2' },
  }),
  ...group(systemEncodings.SYSTEM_REGISTERS, system.systemRegisters),
  ...group(systemEncodings.PSTATE_REGISTERS, system.pstateRegisters, { over: ['MRS', 'MSR (register)'] }),
  ...group(systemEncodings.FP_CONTROL_REGISTERS, system.fpControlRegisters, {
    simd: true,
    over: ['MRS', 'MSR (register)'],
  }),
  ...group(systemEncodings.SYSTEM_INSTRUCTIONS, system.systemInstructions),
  ...group(systemEncodings.DC_ZVA, system.dcZva, { over: ['SYS'] }),

  ...group(loadStoreEncodings.UNSIGNED_OFFSET, loadsStores.unsignedOffsets),
  ...group(loadStoreEncodings.UNSCALED_OFFSET, loadsStores.unscaledOffsets),
  ...group(loadStoreEncodings.POST_INDEX, loadsStores.postIndexed),
  ...group(loadStoreEncodings.PRE_INDEX, loadsStores.preIndexed),
  ...group(loadStoreEncodings.UNPRIVILEGED, loadsStores.unprivileged),
  ...group(loadStoreEncodings.REGISTER_OFFSET, loadsStores.registerOffsets),
  ...group(loadStoreEncodings.LITERAL, loadsStores.literal),
  ...group(loadStoreEncodings.PAIRS, loadsStores.pairs),

  ...group(atomicEncodings.EXCLUSIVES, atomics.exclusives),
  ...group(atomicEncodings.ACQUIRE_RELEASE, atomics.acquireRelease),
  ...group(atomicEncodings.LIMITED_ORDERING, atomics.limitedOrdering, { feature: 'FEAT_LOR' }),
  ...group(atomicEncodings.LSE, atomics.lse, { feature: 'FEAT_LSE' }),
  ...group(atomicEncodings.LRCPC, atomics.lrcpc, { feature: 'FEAT_LRCPC' }),
  ...group(atomicEncodings.LRCPC2, atomics.lrcpc2, { feature: 'FEAT_LRCPC2' }),

  ...group(pauthEncodings.PAUTH_HINTS, pauth.pauthHints, { over: ['HINT'] }),
  ...group(pauthEncodings.PAUTH, pauth.pauth, { feature: 'FEAT_PAuth' }),
  ...group(pauthEncodings.PAUTH_BRANCHES, pauth.pauthBranches, { feature: 'FEAT_PAuth' }),
  ...group(pauthEncodings.PAUTH_LOADS, pauth.pauthLoads, { feature: 'FEAT_PAuth' }),

  ...SIMD_INSTRUCTIONS,
];

const decoders = new WeakMap<A64Features, Decoder>();

/** The decoder for a set of features. */
export function decoderFor(features: A64Features): Decoder {
  const known = decoders.get(features);
  if (known) return known;
  const decoder = new Decoder(A64_INSTRUCTIONS, features);
  decoders.set(features, decoder);
  return decoder;
}
