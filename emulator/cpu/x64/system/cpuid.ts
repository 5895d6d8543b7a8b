/**
 * CPUID leaves from a model's features.
 *
 * Source: Intel SDM vol. 2 "CPUID"; AMD APM vol. 3 "CPUID Leaf Functions"; QEMU 7.2 for caches and TLBs.
 */
import type { X64Cpu } from '../cpu.ts';
import type { X64FeatureName, X64Features } from '../features.ts';
import type { X64Model } from '../models.ts';
import { GPR } from '../state.ts';
import { CR4 } from './control-bits.ts';
import { xsaveArea } from './xsave-layout.ts';

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** Feature bits of a register: bit number → name. */
type FeatureBits = Readonly<Record<number, X64FeatureName>>;

const LEAF_1_EDX: FeatureBits = {
  0: 'fpu',
  1: 'vme',
  2: 'de',
  3: 'pse',
  4: 'tsc',
  5: 'msr',
  6: 'pae',
  7: 'mce',
  8: 'cx8',
  9: 'apic',
  11: 'sep',
  12: 'mtrr',
  13: 'pge',
  14: 'mca',
  15: 'cmov',
  16: 'pat',
  17: 'pse36',
  19: 'clflush',
  23: 'mmx',
  24: 'fxsr',
  25: 'sse',
  26: 'sse2',
};
const LEAF_1_ECX: FeatureBits = {
  0: 'pni',
  1: 'pclmulqdq',
  3: 'monitor',
  9: 'ssse3',
  12: 'fma',
  13: 'cx16',
  17: 'pcid',
  19: 'sse4_1',
  20: 'sse4_2',
  21: 'x2apic',
  22: 'movbe',
  23: 'popcnt',
  24: 'tsc_deadline_timer',
  25: 'aes',
  26: 'xsave',
  28: 'avx',
  29: 'f16c',
  30: 'rdrand',
  31: 'hypervisor',
};
const LEAF_7_EBX: FeatureBits = {
  0: 'fsgsbase',
  3: 'bmi1',
  5: 'avx2',
  7: 'smep',
  8: 'bmi2',
  9: 'erms',
  10: 'invpcid',
  18: 'rdseed',
  19: 'adx',
  20: 'smap',
  23: 'clflushopt',
  24: 'clwb',
  29: 'sha_ni',
};
/** CR4.PKE, in leaf 7 ECX. */
const OSPKE = 1 << 4;
const LEAF_7_ECX: FeatureBits = { 2: 'umip', 3: 'pku', 9: 'vaes', 10: 'vpclmulqdq', 16: 'la57', 22: 'rdpid' };
const LEAF_7_EDX: FeatureBits = { 4: 'fsrm' };
const EXTENDED_1_EDX: FeatureBits = { 11: 'syscall', 20: 'nx', 26: 'pdpe1gb', 27: 'rdtscp', 29: 'lm' };
const EXTENDED_1_ECX: FeatureBits = { 0: 'lahf_lm', 2: 'svm', 5: 'abm', 6: 'sse4a', 8: '3dnowprefetch' };
const EXTENDED_8_EBX: FeatureBits = { 9: 'wbnoinvd' };
const XSAVE_1_EAX: FeatureBits = { 0: 'xsaveopt', 2: 'xgetbv1' };
/** AMD repeats these of leaf 1 EDX in leaf 8000_0001. */
const AMD_REPEATED = 0x0183_f3ff;

const OSXSAVE = 1 << 27;
const APIC = 1 << 9;
/** Of IA32_APIC_BASE. */
const APIC_BASE_ENABLE = 1n << 11n;
const CLFLUSH_LINE = 64;
/** Leaf 5 ECX: extensions are listed; interrupts end MWAIT. */
const MWAIT_EXTENSIONS = 3;
/** Leaf 8000_0001 ECX: threads that leaf 1 counts are cores. */
const CMP_LEGACY = 1 << 1;
const NONE: Leaf = [0, 0, 0, 0];

function bitsOf(table: FeatureBits, features: X64Features): number {
  let word = 0;
  for (const [bit, name] of Object.entries(table)) if (features.has(name)) word |= 1 << Number(bit);
  return word;
}

/** Executes CPUID: leaf in EAX, sub-leaf in ECX. */
export function executeCpuid(cpu: X64Cpu): void {
  const { state } = cpu;
  const [eax, ebx, ecx, edx] = leaf(cpu, state.gpr32(GPR.AX), state.gpr32(GPR.CX));
  state.setGpr32(GPR.AX, eax);
  state.setGpr32(GPR.BX, ebx);
  state.setGpr32(GPR.CX, ecx);
  state.setGpr32(GPR.DX, edx);
}

/** Leaves that do not exist give what the highest basic one gives. */
function leaf(cpu: X64Cpu, requested: number, subleaf: number): Leaf {
  const { model } = cpu;
  if (requested >>> 28 === 4) return hypervisorLeaf(model, requested);
  const isExtended = requested >= 0x8000_0000 && requested <= model.maxExtendedLeaf;
  return isExtended ? extendedLeaf(cpu, requested) : basicLeaf(cpu, Math.min(requested, model.maxLeaf), subleaf);
}

function basicLeaf(cpu: X64Cpu, requested: number, subleaf: number): Leaf {
  const { model } = cpu;
  switch (requested) {
    case 0:
      return [model.maxLeaf, ...vendorText(model)];
    case 1:
      return leaf1(cpu);
    case 2:
    case 4:
      return intelCaches(cpu, requested, subleaf);
    case 5:
      return [0, 0, MWAIT_EXTENSIONS, 0];
    case 7:
      return subleaf === 0 ? leaf7(cpu) : NONE;
    case 0xb:
      return topologyLeaf(cpu, subleaf);
    case 0xd:
      return xsaveLeaf(cpu, subleaf);
    default:
      return requested === 6 && model.features.has('arat') ? [4, 0, 0, 0] : NONE;
  }
}

/** Four characters of a string, lowest first. */
function text(source: string, at: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= (source.charCodeAt(at + i) || 0) << (8 * i);
  return word;
}

function leaf1(cpu: X64Cpu): Leaf {
  const { model, apicId, cpuCount } = cpu;
  const threads = cpuCount > 1 ? cpuCount << 16 : 0;
  const ebx = (apicId << 24) | threads | ((CLFLUSH_LINE / 8) << 8);
  const osxsave = cpu.registers.cr4 & CR4.OSXSAVE ? OSXSAVE : 0;
  const htt = cpuCount > 1 ? 1 << 28 : 0;
  const { features } = model;
  // a local APIC that is switched off is not there
  const missing = cpu.apic.readBase() & APIC_BASE_ENABLE ? 0 : APIC;
  const edx = (bitsOf(LEAF_1_EDX, features) & ~missing) | htt;
  return [model.signature, ebx, bitsOf(LEAF_1_ECX, features) | osxsave, edx];
}

function leaf7({ features, registers }: X64Cpu): Leaf {
  const ospke = registers.cr4 & CR4.PKE ? OSPKE : 0;
  return [0, bitsOf(LEAF_7_EBX, features), bitsOf(LEAF_7_ECX, features) | ospke, bitsOf(LEAF_7_EDX, features)];
}

/** Descriptors of caches and TLBs, or parameters of one cache. */
function intelCaches(cpu: X64Cpu, requested: 2 | 4, subleaf: number): Leaf {
  if (cpu.model.vendor !== 'GenuineIntel') return NONE;
  return requested === 2 ? [1, 0, 0x4d, 0x2c_307d] : cacheLeaf(cpu, subleaf);
}

/** Deterministic cache parameters: L1 data, L1 instruction, L2, L3. */
const CACHES = [
  { type: 1, level: 1, ways: 8, sets: 64 },
  { type: 2, level: 1, ways: 8, sets: 64 },
  { type: 3, level: 2, ways: 16, sets: 4096 },
  { type: 3, level: 3, ways: 16, sets: 16_384 },
] as const;

/** Leaf 4 EDX: WBINVD reaches sharing threads; the cache is inclusive, and indexed by a complex function. */
const [WRITE_BACK_SHARED, INCLUSIVE, COMPLEX_INDEX] = [1, 2, 4];

/** The last level is the package's, the others are a core's. */
function cacheLeaf(cpu: X64Cpu, subleaf: number): Leaf {
  const cache = CACHES[subleaf];
  if (!cache) return NONE;
  const sharing = cache.level === 3 ? (1 << coreBits(cpu)) - 1 : 0;
  const eax = cache.type | (cache.level << 5) | (1 << 8) | (sharing << 14) | ((cpu.cpuCount - 1) << 26);
  const edx = cache.level === 3 ? INCLUSIVE | COMPLEX_INDEX : WRITE_BACK_SHARED;
  return [eax, (CLFLUSH_LINE - 1) | ((cache.ways - 1) << 22), cache.sets - 1, edx];
}

/** Bits of an APIC ID that tell the cores of the package apart. */
function coreBits({ cpuCount }: X64Cpu): number {
  return Math.ceil(Math.log2(cpuCount));
}

/** One thread a core, all cores in one package, as QEMU's `-smp N` has them. */
function topologyLeaf(cpu: X64Cpu, subleaf: number): Leaf {
  switch (subleaf) {
    case 0:
      return [0, 1, subleaf | (1 << 8), cpu.apicId];
    case 1:
      return [coreBits(cpu), cpu.cpuCount, subleaf | (2 << 8), cpu.apicId];
    default:
      return [0, 0, subleaf, cpu.apicId];
  }
}

function xsaveLeaf(cpu: X64Cpu, subleaf: number): Leaf {
  const { features } = cpu.model;
  if (!features.has('xsave')) return NONE;
  const area = xsaveArea(features);
  if (subleaf === 0) return [area.components, area.sizeOf(cpu.registers.xcr0), area.sizeOf(area.components), 0];
  if (subleaf === 1) return [bitsOf(XSAVE_1_EAX, features), 0, 0, 0];
  const component = area.component(subleaf);
  return component ? [component.size, component.offset, 0, 0] : NONE;
}

/** QEMU's TCG says so here; Linux asks for the vendor only. */
function hypervisorLeaf({ features }: X64Model, requested: number): Leaf {
  if (!features.has('hypervisor') || requested !== 0x4000_0000) return NONE;
  const vendor = 'TCGTCGTCGTCG';
  return [0x4000_0001, text(vendor, 0), text(vendor, 4), text(vendor, 8)];
}

/** Caches and TLBs, by leaf. */
const EXTENDED_CACHES: Readonly<Record<0x8000_0005 | 0x8000_0006, Leaf>> = {
  0x8000_0005: [0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140],
  0x8000_0006: [0, 0x4200_4200, 0x0200_8140, 0x0080_8140],
};

function extendedFeatures({ model, cpuCount }: X64Cpu, amd: boolean): Leaf {
  const { features, signature } = model;
  const repeated = amd ? bitsOf(LEAF_1_EDX, features) & AMD_REPEATED : 0;
  const ecx = bitsOf(EXTENDED_1_ECX, features) | (amd && cpuCount > 1 ? CMP_LEGACY : 0);
  return [signature, 0, ecx, bitsOf(EXTENDED_1_EDX, features) | repeated];
}

function extendedLeaf(cpu: X64Cpu, requested: number): Leaf {
  const { model, cpuCount } = cpu;
  const { vendor, features, brand } = model;
  const amd = vendor === 'AuthenticAMD';
  switch (requested) {
    case 0x8000_0000:
      return [model.maxExtendedLeaf | 0, ...vendorText(model)];
    case 0x8000_0001:
      return extendedFeatures(cpu, amd);
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const at = (requested - 0x8000_0002) * 16;
      return [text(brand, at), text(brand, at + 4), text(brand, at + 8), text(brand, at + 12)];
    }
    case 0x8000_0005:
    case 0x8000_0006:
      return EXTENDED_CACHES[requested];
    case 0x8000_0008:
      return [
        model.physicalAddressBits | ((features.has('la57') ? 57 : 48) << 8),
        bitsOf(EXTENDED_8_EBX, features),
        (coreBits(cpu) << 12) | (cpuCount - 1),
        0,
      ];
    default:
      return NONE;
  }
}

/** EBX, ECX and EDX. */
function vendorText({ vendor }: X64Model): readonly [number, number, number] {
  return [text(vendor, 0), text(vendor, 8), text(vendor, 4)];
}
