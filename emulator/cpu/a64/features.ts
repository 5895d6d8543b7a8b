/**
 * Architecture features by their FEAT_ name, and what each `-cpu` model has. ID registers are derived from this, so that
 * they announce exactly what is implemented.
 *
 * Source: Arm ARM DDI 0487 "The Armv8-A architecture extensions"; Technical Reference Manuals of the cores.
 */

/** Features that a CPU model may have beyond Armv8.0-A with Advanced SIMD and floating point. */
export const A64_FEATURE_NAMES = [
  'FEAT_CRC32',
  'FEAT_AES',
  'FEAT_PMULL',
  'FEAT_SHA1',
  'FEAT_SHA256',
  'FEAT_SHA512',
  'FEAT_SHA3',
  'FEAT_LSE',
  'FEAT_RDM',
  'FEAT_LOR',
  'FEAT_PAN',
  'FEAT_PAN2',
  'FEAT_UAO',
  'FEAT_HAFDBS',
  'FEAT_DPB',
  'FEAT_DPB2',
  'FEAT_LRCPC',
  'FEAT_LRCPC2',
  'FEAT_FCMA',
  'FEAT_JSCVT',
  'FEAT_FlagM',
  'FEAT_FlagM2',
  'FEAT_DotProd',
  'FEAT_FP16',
  'FEAT_FHM',
  'FEAT_FRINTTS',
  'FEAT_PAuth',
  'FEAT_PACQARMA5',
  'FEAT_PACIMP',
  'FEAT_BTI',
  'FEAT_DIT',
  'FEAT_SB',
  'FEAT_SPECRES',
  'FEAT_SSBS',
  'FEAT_SSBS2',
  'FEAT_RAS',
  'FEAT_E0PD',
  'FEAT_TGran16K',
  'FEAT_LVA',
  'FEAT_LPA2',
  'FEAT_HPDS',
  'FEAT_TTST',
  'FEAT_IDST',
  'FEAT_TLBIRANGE',
  'FEAT_TLBIOS',
  'FEAT_RNG',
  'FEAT_ECV',
  'FEAT_MOPS',
] as const;

export type A64FeatureName = (typeof A64_FEATURE_NAMES)[number];
export type A64Features = ReadonlySet<A64FeatureName>;
