/**
 * Identification registers: what the CPU is and which features it announces.
 *
 * Source: Arm ARM DDI 0487 "AArch64 System register descriptions"; field positions also in Linux'
 * arch/arm64/tools/sysreg. AArch32 ID registers read as zero, because AArch32 is not modelled.
 */
import type { A64FeatureName } from '../../features.ts';
import type { A64Configuration, IdentificationBase } from '../../models.ts';
import { constant, EL0_RO, EL1_RO, EL1_RW, registers, type RegisterSpec, storage, computed } from './row.ts';
import type { GenericRegisterName } from '../register-key.ts';

/** A field of an ID register: its lowest bit, and the value that each feature raises it to; the highest counts. */
type FieldRow = readonly [bit: number, values: Readonly<Partial<Record<A64FeatureName, number>>>];

const ID_AA64ISAR0_EL1: readonly FieldRow[] = [
  [4, { FEAT_AES: 1, FEAT_PMULL: 2 }],
  [8, { FEAT_SHA1: 1 }],
  [12, { FEAT_SHA256: 1, FEAT_SHA512: 2 }],
  [16, { FEAT_CRC32: 1 }],
  [20, { FEAT_LSE: 2 }],
  [28, { FEAT_RDM: 1 }],
  [32, { FEAT_SHA3: 1 }],
  [44, { FEAT_DotProd: 1 }],
  [48, { FEAT_FHM: 1 }],
  [52, { FEAT_FlagM: 1, FEAT_FlagM2: 2 }],
  [56, { FEAT_TLBIOS: 1, FEAT_TLBIRANGE: 2 }],
  [60, { FEAT_RNG: 1 }],
];

/** APA and GPA: PAuth by QARMA5. API and GPI: by an algorithm of ours. */
const ID_AA64ISAR1_EL1: readonly FieldRow[] = [
  [0, { FEAT_DPB: 1, FEAT_DPB2: 2 }],
  [4, { FEAT_PACQARMA5: 1 }],
  [8, { FEAT_PACIMP: 1 }],
  [12, { FEAT_JSCVT: 1 }],
  [16, { FEAT_FCMA: 1 }],
  [20, { FEAT_LRCPC: 1, FEAT_LRCPC2: 2 }],
  [24, { FEAT_PACQARMA5: 1 }],
  [28, { FEAT_PACIMP: 1 }],
  [32, { FEAT_FRINTTS: 1 }],
  [36, { FEAT_SB: 1 }],
  [40, { FEAT_SPECRES: 1 }],
];

const ID_AA64ISAR2_EL1: readonly FieldRow[] = [[16, { FEAT_MOPS: 1 }]];

/**
 * TGran16 and TGran4 say 52-bit support with FEAT_LPA2; so do TGran16_2 and TGran4_2 for stage 2, as in QEMU's `max`:
 * Linux 7.2 at EL2 takes different halves of its page tables' format from one and the other.
 */
const ID_AA64MMFR0_EL1: readonly FieldRow[] = [
  [20, { FEAT_TGran16K: 1, FEAT_LPA2: 2 }],
  [28, { FEAT_LPA2: 1 }],
  [32, { FEAT_LPA2: 3 }],
  [40, { FEAT_LPA2: 3 }],
  [60, { FEAT_ECV: 1 }],
];

const ID_AA64MMFR1_EL1: readonly FieldRow[] = [
  [0, { FEAT_HAFDBS: 2 }],
  [12, { FEAT_HPDS: 2 }],
  [16, { FEAT_LOR: 1 }],
  [20, { FEAT_PAN: 1, FEAT_PAN2: 2 }],
];

const ID_AA64MMFR2_EL1: readonly FieldRow[] = [
  [4, { FEAT_UAO: 1 }],
  [16, { FEAT_LVA: 1 }],
  [28, { FEAT_TTST: 1 }],
  [36, { FEAT_IDST: 1 }],
  [60, { FEAT_E0PD: 1 }],
];

const ID_AA64PFR0_EL1: readonly FieldRow[] = [
  [16, { FEAT_FP16: 1 }],
  [20, { FEAT_FP16: 1 }],
  [28, { FEAT_RAS: 1 }],
  [48, { FEAT_DIT: 1 }],
];

const ID_AA64PFR1_EL1: readonly FieldRow[] = [
  [0, { FEAT_BTI: 1 }],
  [4, { FEAT_SSBS: 1, FEAT_SSBS2: 2 }],
];

function announced({ model }: A64Configuration, rows: readonly FieldRow[], base?: keyof IdentificationBase): bigint {
  let value = base === undefined ? 0n : model.identification[base];
  for (const [bit, values] of rows) {
    const levels = Object.entries(values).filter(([name]) => model.features.has(name as A64FeatureName));
    const level = Math.max(0, ...levels.map(([, number]) => number));
    value |= BigInt(level) << BigInt(bit);
  }
  return value;
}

/** EL1 and EL0 are AArch64 only; EL2 and the GIC's system registers are the board's choice. */
function processorFeatures(configuration: A64Configuration): bigint {
  const el2 = configuration.hasEl2 ? 0x100n : 0n;
  const gic = configuration.hasGicv3 ? 0x100_0000n : 0n;
  return announced(configuration, ID_AA64PFR0_EL1, 'ID_AA64PFR0_EL1') | 0x11n | el2 | gic;
}

/** With EL2, EL1 reads MIDR_EL1 and MPIDR_EL1 as VPIDR_EL2 and VMPIDR_EL2 say. */
const MACHINE_IDENTIFICATION = {
  MIDR_EL1: computed('S3_0_C0_C0_0', EL1_RO, { read: cpu => cpu.visibleMidr() }),
  MPIDR_EL1: computed('S3_0_C0_C0_5', EL1_RO, { read: cpu => cpu.visibleMpidr() }),
  REVIDR_EL1: constant('S3_0_C0_C0_6', EL1_RO, () => 0n),
  AIDR_EL1: constant('S3_1_C0_C0_7', EL1_RO, () => 0n),
} as const;

const FEATURE_REGISTERS = {
  ID_AA64PFR0_EL1: constant('S3_0_C0_C4_0', EL1_RO, processorFeatures),
  ID_AA64PFR1_EL1: constant('S3_0_C0_C4_1', EL1_RO, c => announced(c, ID_AA64PFR1_EL1)),
  ID_AA64ZFR0_EL1: constant('S3_0_C0_C4_4', EL1_RO, () => 0n),
  ID_AA64SMFR0_EL1: constant('S3_0_C0_C4_5', EL1_RO, () => 0n),
  ID_AA64DFR0_EL1: constant('S3_0_C0_C5_0', EL1_RO, c => c.model.identification.ID_AA64DFR0_EL1),
  ID_AA64DFR1_EL1: constant('S3_0_C0_C5_1', EL1_RO, () => 0n),
  ID_AA64AFR0_EL1: constant('S3_0_C0_C5_4', EL1_RO, () => 0n),
  ID_AA64AFR1_EL1: constant('S3_0_C0_C5_5', EL1_RO, () => 0n),
  ID_AA64ISAR0_EL1: constant('S3_0_C0_C6_0', EL1_RO, c => announced(c, ID_AA64ISAR0_EL1)),
  ID_AA64ISAR1_EL1: constant('S3_0_C0_C6_1', EL1_RO, c => announced(c, ID_AA64ISAR1_EL1)),
  ID_AA64ISAR2_EL1: constant('S3_0_C0_C6_2', EL1_RO, c => announced(c, ID_AA64ISAR2_EL1)),
  ID_AA64MMFR0_EL1: constant('S3_0_C0_C7_0', EL1_RO, c => announced(c, ID_AA64MMFR0_EL1, 'ID_AA64MMFR0_EL1')),
  ID_AA64MMFR1_EL1: constant('S3_0_C0_C7_1', EL1_RO, c => announced(c, ID_AA64MMFR1_EL1, 'ID_AA64MMFR1_EL1')),
  ID_AA64MMFR2_EL1: constant('S3_0_C0_C7_2', EL1_RO, c => announced(c, ID_AA64MMFR2_EL1, 'ID_AA64MMFR2_EL1')),
} as const;

const AARCH32_NAMES = {
  C1: ['ID_PFR0', 'ID_PFR1', 'ID_DFR0', 'ID_AFR0', 'ID_MMFR0', 'ID_MMFR1', 'ID_MMFR2', 'ID_MMFR3'],
  C2: ['ID_ISAR0', 'ID_ISAR1', 'ID_ISAR2', 'ID_ISAR3', 'ID_ISAR4', 'ID_ISAR5', 'ID_MMFR4', 'ID_ISAR6'],
  C3: ['MVFR0', 'MVFR1', 'MVFR2', undefined, 'ID_PFR2', 'ID_DFR1', 'ID_MMFR5', undefined],
} as const;

/** The AArch32 registers, and the part of the ID space that is reserved: all read as zero. */
function readAsZero(): Record<string, RegisterSpec> {
  const rows: Record<string, RegisterSpec> = {};
  for (const [CRm, names] of Object.entries(AARCH32_NAMES)) {
    for (const [op2, name] of names.entries()) {
      const encoding = `S3_0_C0_${CRm}_${op2}` as GenericRegisterName;
      rows[name === undefined ? encoding : `${name}_EL1`] = constant(encoding, EL1_RO, () => 0n);
    }
  }
  const taken = new Set<string>(Object.values(FEATURE_REGISTERS).map(row => row.encoding));
  for (const CRm of [4, 5, 6, 7]) {
    for (let op2 = 0; op2 < 8; op2++) {
      const encoding: GenericRegisterName = `S3_0_C0_C${CRm}_${op2}`;
      if (!taken.has(encoding)) rows[encoding] = constant(encoding, EL1_RO, () => 0n);
    }
  }
  return rows;
}

/** DCZID_EL0.DZP: DC ZVA is prohibited. */
const DCZID_DZP = 1n << 4n;
/** DCZID_EL0.BS: log2 of the block size in words; 64 bytes. */
export const DCZID_BS = 4n;

const CACHES = {
  CTR_EL0: constant('S3_3_C0_C0_1', EL0_RO, c => c.model.CTR_EL0, {
    trap: cpu => cpu.exceptionLevel === 0 && !cpu.el0May('UCT'),
  }),
  DCZID_EL0: computed('S3_3_C0_C0_7', EL0_RO, {
    read: cpu => (cpu.exceptionLevel > 0 || cpu.el0May('DZE') ? DCZID_BS : DCZID_BS | DCZID_DZP),
  }),
  CLIDR_EL1: constant('S3_1_C0_C0_1', EL1_RO, c => c.model.CLIDR_EL1),
  CSSELR_EL1: storage('S3_2_C0_C0_0', EL1_RW, { mask: 0xfn }),
  CCSIDR_EL1: computed('S3_1_C0_C0_0', EL1_RO, { read: cpu => cpu.selectedCache() }),
} as const;

export const IDENTIFICATION_REGISTERS = registers({
  ...MACHINE_IDENTIFICATION,
  ...FEATURE_REGISTERS,
  ...CACHES,
});

export const RESERVED_ID_REGISTERS = registers(readAsZero());
