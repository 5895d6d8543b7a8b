/**
 * The `-cpu` models: features, identification and caches of each.
 *
 * Source: Technical Reference Manuals of Cortex-A53 (DDI 0500), A57 (DDI 0488), A72 (100095), A76 (100798); values as
 * QEMU 7.2 shows them on `virt` where a manual leaves a choice to the integrator.
 *
 * AArch32 is not modelled: ID_AA64PFR0_EL1 announces AArch64 only, and the AArch32 ID registers read as zero.
 */
import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import type { A64FeatureName, A64Features } from './features.ts';

/** Fields of the AArch64 ID registers that do not follow from `A64Features`, in place. */
export interface IdentificationBase {
  readonly ID_AA64PFR0_EL1: bigint;
  readonly ID_AA64DFR0_EL1: bigint;
  readonly ID_AA64MMFR0_EL1: bigint;
  readonly ID_AA64MMFR1_EL1: bigint;
  readonly ID_AA64MMFR2_EL1: bigint;
}

/** A CPU model. */
export interface CpuModel {
  readonly name: CpuModelName;
  /** `compatible` of its device tree node, as QEMU's boards write it. */
  readonly compatible: string;
  readonly features: A64Features;
  readonly MIDR_EL1: bigint;
  readonly identification: IdentificationBase;
  /** Width of physical addresses in bits. */
  readonly physicalAddressBits: number;
  readonly CTR_EL0: bigint;
  readonly CLIDR_EL1: bigint;
  /** CCSIDR_EL1 by CSSELR_EL1: level 1 data, level 1 instruction, level 2. */
  readonly CCSIDR_EL1: readonly bigint[];
  /** SCTLR_EL1 out of reset. */
  readonly SCTLR_EL1: bigint;
}

/** What the board decides about a CPU. */
export interface A64Configuration {
  readonly model: CpuModel;
  /** EL2 is implemented; the CPU then resets into it. */
  readonly hasEl2: boolean;
  /** The GIC CPU interface is reached by system registers. */
  readonly hasGicv3: boolean;
  /** Aff2, Aff1 and Aff0 at their places in MPIDR_EL1. */
  readonly affinity: number;
  /** Instruction through which PSCI is called; a call by the other one is an ordinary exception. */
  readonly psciConduit: 'hvc' | 'smc' | 'none';
}

const V8_0_CRYPTO: readonly A64FeatureName[] = ['FEAT_CRC32', 'FEAT_AES', 'FEAT_PMULL', 'FEAT_SHA1', 'FEAT_SHA256'];

const V8_2_A76: readonly A64FeatureName[] = [
  ...V8_0_CRYPTO,
  'FEAT_LSE',
  'FEAT_RDM',
  'FEAT_LOR',
  'FEAT_HPDS',
  'FEAT_PAN',
  'FEAT_PAN2',
  'FEAT_UAO',
  'FEAT_HAFDBS',
  'FEAT_DPB',
  'FEAT_LRCPC',
  'FEAT_DotProd',
  'FEAT_FP16',
  'FEAT_RAS',
  'FEAT_SSBS',
  'FEAT_TGran16K',
];

const MAX: readonly A64FeatureName[] = [
  ...V8_2_A76,
  'FEAT_SHA512',
  'FEAT_SHA3',
  'FEAT_DPB2',
  'FEAT_LRCPC2',
  'FEAT_FCMA',
  'FEAT_JSCVT',
  'FEAT_FlagM',
  'FEAT_FlagM2',
  'FEAT_FHM',
  'FEAT_FRINTTS',
  'FEAT_PAuth',
  'FEAT_PACQARMA5',
  'FEAT_BTI',
  'FEAT_DIT',
  'FEAT_SB',
  'FEAT_SPECRES',
  'FEAT_SSBS2',
  'FEAT_E0PD',
  'FEAT_LVA',
  'FEAT_LPA2',
  'FEAT_TLBIRANGE',
  'FEAT_TLBIOS',
  'FEAT_TTST',
  'FEAT_IDST',
  'FEAT_RNG',
];

/** ID_AA64DFR0_EL1: 6 breakpoints, 4 watchpoints, 2 context comparators, PMUv3. */
const DFR0_V8_0 = 0x1030_5106n;
/** The same with Armv8.2 debug and PMUv3p1. */
const DFR0_V8_2 = 0x1030_5408n;

const A5X_IDENTIFICATION: IdentificationBase = {
  ID_AA64PFR0_EL1: 0n,
  ID_AA64DFR0_EL1: DFR0_V8_0,
  // ASIDBits 16, SNSMem, PARange 44 bits
  ID_AA64MMFR0_EL1: 0x1024n,
  ID_AA64MMFR1_EL1: 0n,
  ID_AA64MMFR2_EL1: 0n,
};

const CORTEX_A57: CpuModel = {
  name: 'cortex-a57',
  compatible: 'arm,cortex-a57',
  features: new Set(V8_0_CRYPTO),
  MIDR_EL1: 0x411f_d070n,
  identification: A5X_IDENTIFICATION,
  physicalAddressBits: 44,
  CTR_EL0: 0x8444_c004n,
  CLIDR_EL1: 0x0a20_0023n,
  CCSIDR_EL1: [0x701f_e00an, 0x201f_e012n, 0x70ff_e07an],
  SCTLR_EL1: 0x00c5_0838n,
};

const CORTEX_A76: CpuModel = {
  name: 'cortex-a76',
  compatible: 'arm,cortex-a76',
  features: new Set(V8_2_A76),
  MIDR_EL1: 0x414f_d0b1n,
  identification: {
    // CSV3, CSV2
    ID_AA64PFR0_EL1: 0x1100_0000_0000_0000n,
    ID_AA64DFR0_EL1: DFR0_V8_2,
    // SNSMem, ASIDBits 16, PARange 40 bits
    ID_AA64MMFR0_EL1: 0x1022n,
    // XNX, VMIDBits 16
    ID_AA64MMFR1_EL1: 0x1000_0020n,
    // IESB, CnP
    ID_AA64MMFR2_EL1: 0x1001n,
  },
  physicalAddressBits: 40,
  CTR_EL0: 0x8444_c004n,
  CLIDR_EL1: 0x8200_0023n,
  CCSIDR_EL1: [0x701f_e01an, 0x201f_e01an, 0x707f_e03an],
  SCTLR_EL1: 0x30c5_0838n,
};

const MODELS = {
  'cortex-a53': {
    ...CORTEX_A57,
    name: 'cortex-a53',
    compatible: 'arm,cortex-a53',
    MIDR_EL1: 0x410f_d034n,
    // PARange 40 bits
    identification: { ...A5X_IDENTIFICATION, ID_AA64MMFR0_EL1: 0x1022n },
    physicalAddressBits: 40,
    CTR_EL0: 0x8444_8004n,
    CCSIDR_EL1: [0x700f_e01an, 0x201f_e00an, 0x707f_e07an],
  },
  'cortex-a57': CORTEX_A57,
  'cortex-a72': {
    ...CORTEX_A57,
    name: 'cortex-a72',
    compatible: 'arm,cortex-a72',
    MIDR_EL1: 0x410f_d083n,
    CCSIDR_EL1: [0x701f_e00an, 0x201f_e012n, 0x707f_e07an],
  },
  'cortex-a76': CORTEX_A76,
  /** Everything that this emulator implements. QEMU 7.2's `max` also has SVE, SME, MTE, VHE, AArch32 and more. */
  max: {
    ...CORTEX_A57,
    name: 'max',
    compatible: 'arm,armv8',
    features: new Set(MAX),
    MIDR_EL1: 0x000f_0510n,
    identification: {
      // CSV3, CSV2
      ID_AA64PFR0_EL1: 0x1100_0000_0000_0000n,
      ID_AA64DFR0_EL1: DFR0_V8_2,
      // TGran4_2, TGran64_2, TGran16_2, SNSMem, ASIDBits 16, PARange 52 bits
      ID_AA64MMFR0_EL1: 0x222_0000_1026n,
      ID_AA64MMFR1_EL1: 0x1000_0020n,
      // BBM 2, TTL, IESB, CnP
      ID_AA64MMFR2_EL1: 0x0021_0000_0000_1001n,
    },
    physicalAddressBits: 52,
    CLIDR_EL1: 0x0200_0023n,
  },
} as const satisfies Record<string, CpuModel>;

/** Models that `-cpu` names. */
export type CpuModelName = 'cortex-a53' | 'cortex-a57' | 'cortex-a72' | 'cortex-a76' | 'max';

export const CPU_MODEL_NAMES = Object.keys(MODELS) as readonly CpuModelName[];

/** What a property of `-cpu NAME,PROPERTY=on|off` changes: features that go when it is on or off, and those that come. */
interface CpuProperty {
  readonly on: FeatureChange | { readonly unimplemented: string };
  readonly off: FeatureChange | { readonly unimplemented: string };
  /** Models that have it besides `max`. */
  readonly everywhere?: true;
}

interface FeatureChange {
  readonly without?: readonly A64FeatureName[];
  readonly with?: readonly A64FeatureName[];
}

const AS_IT_IS: FeatureChange = {};

/** Source: QEMU 7.2 docs/system/arm/cpu-features.rst. */
const PROPERTIES: Readonly<Record<string, CpuProperty>> = {
  aarch64: { on: AS_IT_IS, off: { unimplemented: 'AArch32' }, everywhere: true },
  pmu: { on: AS_IT_IS, off: { unimplemented: 'CPUs without performance monitors' }, everywhere: true },
  pauth: { on: AS_IT_IS, off: { without: ['FEAT_PAuth', 'FEAT_PACQARMA5', 'FEAT_PACIMP'] } },
  /** PAuth by an algorithm that is cheaper than QARMA5. */
  'pauth-impdef': { on: { without: ['FEAT_PACQARMA5'], with: ['FEAT_PACIMP'] }, off: AS_IT_IS },
  lpa2: { on: AS_IT_IS, off: { without: ['FEAT_LPA2'] } },
  sve: { on: { unimplemented: 'SVE' }, off: AS_IT_IS },
  sme: { on: { unimplemented: 'SME' }, off: AS_IT_IS },
};

/**
 * The model of a name with properties, as `-cpu` takes it: `max,pauth-impdef=on`.
 * @throws UsageError when there is no such model or property
 * @throws UnimplementedError when a property asks for what is not modelled
 */
export function cpuModel(text: string): CpuModel {
  const [name = '', ...settings] = text.split(',');
  if (!Object.hasOwn(MODELS, name)) {
    throw new UsageError(`unknown CPU model ${name}: choose one of ${CPU_MODEL_NAMES.join(', ')}`);
  }
  return settings.reduce(withProperty, MODELS[name as CpuModelName]);
}

/** @throws UsageError when the model has no such property */
function propertyOf(model: CpuModel, name: string): CpuProperty {
  const property = Object.hasOwn(PROPERTIES, name) ? PROPERTIES[name]! : undefined;
  if (property === undefined || (model.name !== 'max' && property.everywhere === undefined)) {
    throw new UsageError(`-cpu ${model.name} has no property ${name}`);
  }
  return property;
}

/** @param setting `PROPERTY=on` or `PROPERTY=off` */
function withProperty(model: CpuModel, setting: string): CpuModel {
  const [name = '', value = 'on'] = setting.split('=');
  if (value !== 'on' && value !== 'off') throw new UsageError(`-cpu ${model.name},${name}=${value}: it is on or off`);
  const change = propertyOf(model, name)[value];
  if ('unimplemented' in change) throw new UnimplementedError(change.unimplemented, `-cpu ${model.name},${setting}`);
  const features = new Set(model.features);
  const hasPauth = features.has('FEAT_PAuth');
  for (const feature of change.without ?? []) features.delete(feature);
  for (const feature of change.with ?? []) if (hasPauth) features.add(feature);
  return { ...model, features };
}
