/**
 * CPU models by QEMU's names. A model announces what it executes, and nothing else; where QEMU's model has more (SVM, say), it is
 * left out here.
 *
 * Source: QEMU 7.2 target/i386/cpu.c, `builtin_x86_defs`, for signatures and features of the named models; `feature_dependencies`.
 */
import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { X64_FEATURE_NAMES, type X64FeatureName, type X64Features } from './features.ts';

export interface X64Model {
  readonly name: string;
  /** CPUID leaf 0: 12 characters. */
  readonly vendor: 'AuthenticAMD' | 'GenuineIntel';
  /** CPUID leaf 1 EAX: family, model, stepping. */
  readonly signature: number;
  /** Processor brand string. */
  readonly brand: string;
  readonly features: X64Features;
  readonly physicalAddressBits: number;
  /** Highest basic and extended leaf. */
  readonly maxLeaf: number;
  readonly maxExtendedLeaf: number;
}

/** Family, model and stepping packed as CPUID has them. Source: Intel SDM vol. 2 "CPUID", leaf 1. */
function signature(family: number, model: number, stepping: number): number {
  const extendedFamily = family > 15 ? family - 15 : 0;
  const baseFamily = Math.min(family, 15);
  return (extendedFamily << 20) | ((model >> 4) << 16) | (baseFamily << 8) | ((model & 15) << 4) | stepping;
}

const BASE: readonly X64FeatureName[] = [
  ...([
    'fpu',
    'de',
    'pse',
    'tsc',
    'msr',
    'pae',
    'mce',
    'cx8',
    'apic',
    'sep',
    'mtrr',
    'pge',
    'mca',
    'cmov',
    'pat',
  ] as const),
  ...([
    'pse36',
    'clflush',
    'mmx',
    'fxsr',
    'sse',
    'sse2',
    'syscall',
    'nx',
    'lm',
    'pni',
    'cx16',
    'lahf_lm',
    'hypervisor',
  ] as const),
];

const NEHALEM: readonly X64FeatureName[] = [...BASE, 'vme', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt'];

const HASWELL: readonly X64FeatureName[] = [
  ...NEHALEM,
  ...([
    'pclmulqdq',
    'fma',
    'pcid',
    'x2apic',
    'rdtscp',
    'arat',
    'movbe',
    'tsc_deadline_timer',
    'aes',
    'xsave',
    'avx',
    'f16c',
    'rdrand',
  ] as const),
  ...(['fsgsbase', 'bmi1', 'avx2', 'smep', 'bmi2', 'erms', 'invpcid', 'abm', 'xsaveopt'] as const),
];

const MAX: readonly X64FeatureName[] = [
  ...HASWELL,
  ...([
    'adx',
    'smap',
    'clflushopt',
    'clwb',
    'umip',
    'la57',
    'rdpid',
    'pdpe1gb',
    '3dnowprefetch',
    'xgetbv1',
    'sha_ni',
    'fsrm',
    'rdseed',
    'pku',
    'vaes',
    'vpclmulqdq',
    'wbnoinvd',
  ] as const),
];

/** What announced features need that is not executed yet: taken from every model. */
const NOT_EXECUTED: ReadonlySet<X64FeatureName> = new Set<X64FeatureName>(['vme']);

function model(
  name: string,
  row: Omit<X64Model, 'name' | 'features'> & { readonly features: readonly X64FeatureName[] },
): X64Model {
  return { ...row, name, features: new Set(row.features.filter(feature => !NOT_EXECUTED.has(feature))) };
}

const MODELS: readonly X64Model[] = [
  model('qemu64', {
    vendor: 'AuthenticAMD',
    signature: signature(15, 107, 1),
    brand: 'QEMU Virtual CPU version 2.5+',
    features: BASE,
    physicalAddressBits: 40,
    maxLeaf: 0xd,
    maxExtendedLeaf: 0x8000_000a,
  }),
  model('Nehalem', {
    vendor: 'GenuineIntel',
    signature: signature(6, 26, 3),
    brand: 'Intel Core i7 9xx (Nehalem Class Core i7)',
    features: NEHALEM,
    physicalAddressBits: 40,
    maxLeaf: 0xb,
    maxExtendedLeaf: 0x8000_0008,
  }),
  model('Haswell', {
    vendor: 'GenuineIntel',
    signature: signature(6, 60, 4),
    brand: 'Intel Core Processor (Haswell)',
    features: HASWELL,
    physicalAddressBits: 40,
    maxLeaf: 0xd,
    maxExtendedLeaf: 0x8000_0008,
  }),
  model('max', {
    vendor: 'AuthenticAMD',
    signature: signature(15, 107, 1),
    brand: 'QEMU TCG CPU version 2.5+',
    features: MAX,
    physicalAddressBits: 40,
    maxLeaf: 0xd,
    maxExtendedLeaf: 0x8000_000a,
  }),
];

export const X64_MODEL_NAMES: readonly string[] = MODELS.map(({ name }) => name);

/**
 * The model of a name with features switched as QEMU's `-cpu` takes it: `max,la57=off`, `qemu64,+x2apic,-nx`, `max,vendor=GenuineIntel`.
 * @throws UsageError when there is no such model or feature, or no kernel starts without it
 * @throws UnimplementedError for a feature that is to be announced, and not executed
 */
export function x64Model(text: string): X64Model {
  const [name, ...settings] = text.split(',');
  const found = MODELS.find(candidate => candidate.name === name);
  if (!found) throw new UsageError(`no CPU model ${name}: there are ${X64_MODEL_NAMES.join(', ')}`);
  return settings.reduce((changed, setting) => withSetting(changed, text, setting), found);
}

/** Features that 64-bit kernels take for granted. */
const INDISPENSABLE: readonly X64FeatureName[] = [
  ...(['fpu', 'tsc', 'msr', 'pae', 'cx8', 'apic', 'cmov', 'mmx', 'fxsr', 'sse', 'sse2', 'syscall', 'lm'] as const),
];
/** Announced by other machines, and not executed here. */
const UNKNOWN_HERE: ReadonlySet<X64FeatureName> = new Set([...NOT_EXECUTED, 'monitor', 'svm', 'sse4a'] as const);
/** Features that are gone with another one. */
const REQUIRED: Readonly<Partial<Record<X64FeatureName, X64FeatureName>>> = {
  xsaveopt: 'xsave',
  xgetbv1: 'xsave',
  pku: 'xsave',
  avx: 'xsave',
  avx2: 'avx',
  fma: 'avx',
  f16c: 'avx',
  vaes: 'avx',
  vpclmulqdq: 'avx',
};
/** Other names of features; QEMU takes `-` and `.` for `_`. */
const ALIASES: Readonly<Record<string, X64FeatureName>> = {
  sse3: 'pni',
  tsc_deadline: 'tsc_deadline_timer',
  i64: 'lm',
  xd: 'nx',
  lzcnt: 'abm',
};
/** CPUID leaf that tells of the parts of XSAVE's area. */
const XSAVE_LEAF = 0xd;

/** @param text the whole value of `-cpu`, for messages */
function withSetting(model: X64Model, text: string, setting: string): X64Model {
  const [, sign = '', name = '', value = 'on'] = /^([+-]?)([^=]*)=?(.+)?$/.exec(setting) ?? [];
  if (name === 'vendor') return { ...model, vendor: vendorOf(text, value) };
  if (value !== 'on' && value !== 'off') throw new UsageError(`-cpu ${text}: ${name} is on or off`);
  const feature = featureOf(text, name);
  const isOn = sign === '' ? value === 'on' : sign === '+';
  return isOn ? withFeature(model, feature, text) : withoutFeature(model, feature, text);
}

function featureOf(text: string, name: string): X64FeatureName {
  const normal = name.toLowerCase().replaceAll(/[-.]/g, '_');
  const feature = ALIASES[normal] ?? X64_FEATURE_NAMES.find(known => known === normal);
  if (feature === undefined) throw new UsageError(`-cpu ${text}: no feature ${name}`);
  return feature;
}

function vendorOf(text: string, vendor: string): X64Model['vendor'] {
  if (vendor === 'AuthenticAMD' || vendor === 'GenuineIntel') return vendor;
  throw new UsageError(`-cpu ${text}: the vendor is AuthenticAMD or GenuineIntel`);
}

function withFeature(model: X64Model, feature: X64FeatureName, text: string): X64Model {
  if (UNKNOWN_HERE.has(feature))
    throw new UnimplementedError(`the CPU feature ${feature} (-cpu ${text})`, 'Intel SDM vol. 2 "CPUID"');
  const required = REQUIRED[feature];
  const base = required === undefined ? model : withFeature(model, required, text);
  const maxLeaf = feature === 'xsave' ? Math.max(base.maxLeaf, XSAVE_LEAF) : base.maxLeaf;
  return { ...base, maxLeaf, features: new Set([...base.features, feature]) };
}

function withoutFeature(model: X64Model, feature: X64FeatureName, text: string): X64Model {
  if (INDISPENSABLE.includes(feature)) throw new UsageError(`-cpu ${text}: no kernel starts without ${feature}`);
  const features = new Set(model.features);
  features.delete(feature);
  const orphans = X64_FEATURE_NAMES.filter(other => features.has(other) && REQUIRED[other] === feature);
  return orphans.reduce<X64Model>((rest, orphan) => withoutFeature(rest, orphan, text), { ...model, features });
}
