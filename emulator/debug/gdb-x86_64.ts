/**
 * An x86_64 machine as gdb sees it: registers with their description, memory by virtual address, breakpoints, steps.
 *
 * Source: "Debugging with GDB", appendix "Target Descriptions", section "i386 Features" for feature and register names; Intel SDM
 * vol. 1 "x87 FPU Tag Word". Not modelled: the tag word tells empty from valid only; selectors cannot be written.
 */
import type { X64Cpu } from '../cpu/x64/index.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../cpu/x64/state.ts';
import { CR0, CR4 } from '../cpu/x64/system/control-bits.ts';
import { CpuDebugView } from './cpu-debug-view.ts';
import type { DebugView, PageMapping } from './debug-view.ts';
import { x64Mappings } from './page-tables.ts';
import { grouped, hex16, hex32, hex64 } from './register-dump.ts';
import { bytes32, bytes64, feature, register } from './target-description.ts';

/** Register numbers in the order of the description. */
const NUMBER = {
  RIP: 16,
  EFLAGS: 17,
  SEGMENTS: 18,
  ST: 24,
  FPU: 32,
  XMM: 40,
  MXCSR: 56,
  BASES: 57,
  SYSTEM: 59,
} as const;
/** gdb's order of the general registers, by their number in encodings. */
const GPR_ORDER = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const GPR_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...range(8, 16).map(n => `r${n}`)];
const SEGMENT_ORDER = [SEGMENT.CS, SEGMENT.SS, SEGMENT.DS, SEGMENT.ES, SEGMENT.FS, SEGMENT.GS] as const;
const SEGMENT_NAMES = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const;
const FPU_NAMES = ['fctrl', 'fstat', 'ftag', 'fiseg', 'fioff', 'foseg', 'fooff', 'fop'] as const;
/** Shown by name and in `info registers system`; they cannot be written. */
const SYSTEM: Readonly<Record<string, (cpu: X64Cpu) => bigint>> = {
  k_gs_base: ({ registers }) => registers.kernelGsBase,
  cr0: ({ registers }) => BigInt(registers.cr0 >>> 0),
  cr2: ({ registers }) => registers.cr2,
  cr3: ({ registers }) => BigInt(registers.cr3),
  cr4: ({ registers }) => BigInt(registers.cr4 >>> 0),
  efer: ({ registers }) => BigInt(registers.efer >>> 0),
  star: ({ registers }) => registers.star,
  lstar: ({ registers }) => registers.lstar,
  fmask: ({ registers }) => BigInt(registers.fmask >>> 0),
};
/** Other names that people use. */
const NAMED: Readonly<Record<string, (cpu: X64Cpu) => bigint>> = {
  rip: ({ engine }) => engine.pc,
  pc: ({ engine }) => engine.pc,
  eip: cpu => cpu.ip,
  sp: ({ state }) => state.gpr(GPR.SP),
  eflags: ({ state }) => BigInt(state.eflags >>> 0),
  rflags: ({ state }) => BigInt(state.eflags >>> 0),
  fs_base: ({ state }) => state.base(SEGMENT.FS),
  gs_base: ({ state }) => state.base(SEGMENT.GS),
};
const TAG_EMPTY = 3;

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

/** The registers and page tables of the machine's CPUs. */
export class X64DebugView extends CpuDebugView<X64Cpu> implements DebugView {
  readonly description = describeTarget();
  readonly generalRegisters = NUMBER.BASES;
  readonly stopsAfterAccess = true;

  readRegister(index: number, number: number): Uint8Array | undefined {
    const cpu = this.cpus[index]!;
    const { state } = cpu;
    if (number < NUMBER.RIP) return bytes64(state.gpr(GPR_ORDER[number]!));
    if (number === NUMBER.RIP) return bytes64(cpu.engine.pc);
    if (number === NUMBER.EFLAGS) return bytes32(state.eflags);
    if (number < NUMBER.ST) return bytes32(state.selector(SEGMENT_ORDER[number - NUMBER.SEGMENTS]!));
    if (number < NUMBER.FPU) return stackRegister(cpu, number - NUMBER.ST);
    if (number < NUMBER.XMM) return bytes32(controlWord(cpu, number - NUMBER.FPU));
    if (number < NUMBER.MXCSR) return vector(cpu, number - NUMBER.XMM).slice();
    if (number === NUMBER.MXCSR) return bytes32(state.get32(X64_STATE.MXCSR));
    if (number < NUMBER.SYSTEM) return bytes64(state.base(number === NUMBER.BASES ? SEGMENT.FS : SEGMENT.GS));
    const system = Object.values(SYSTEM)[number - NUMBER.SYSTEM];
    return system && bytes64(system(cpu));
  }

  writeRegister(index: number, number: number, bytes: Uint8Array): boolean {
    const cpu = this.cpus[index]!;
    const { state } = cpu;
    const before = this.readRegister(index, number);
    if (before?.length !== bytes.length) return false;
    const view = Buffer.from(bytes);
    if (number < NUMBER.RIP) state.setGpr(GPR_ORDER[number]!, view.readBigUInt64LE());
    else if (number === NUMBER.RIP) cpu.engine.pc = view.readBigUInt64LE();
    else if (number === NUMBER.EFLAGS) {
      state.eflags = view.readInt32LE();
      cpu.contextChanged();
    } else if (number >= NUMBER.ST && number < NUMBER.FPU) writeStackRegister(cpu, number - NUMBER.ST, view);
    else if (number >= NUMBER.XMM && number < NUMBER.MXCSR) vector(cpu, number - NUMBER.XMM).set(bytes);
    else if (number === NUMBER.MXCSR) state.set32(X64_STATE.MXCSR, view.readInt32LE());
    // gdb writes back all general registers at once: what cannot be written may stay what it is
    else return Buffer.compare(before, bytes) === 0;
    return true;
  }

  mappings(index: number, limit: number): readonly PageMapping[] {
    const { registers, isLongMode } = this.cpus[index]!;
    if ((registers.cr0 & CR0.PG) === 0 || !isLongMode) return [];
    return x64Mappings(this.engine.memory, registers.cr3, (registers.cr4 & CR4.LA57) === 0 ? 4 : 5, limit);
  }

  describe(index: number): string {
    const { cpl, idle } = this.cpus[index]!;
    return `CPU#${index} CPL${cpl} [${idle}]`;
  }

  register(index: number, name: string): bigint | undefined {
    const cpu = this.cpus[index]!;
    const { state } = cpu;
    const general = GPR_NAMES.indexOf(name);
    if (general >= 0) return state.gpr(general);
    const wide = /^e([a-d]x|[sb]p|[sd]i)$/.exec(name)?.[1];
    if (wide !== undefined) return state.gpr(GPR_NAMES.indexOf(`r${wide}`)) & 0xffff_ffffn;
    const segment = (SEGMENT_NAMES as readonly string[]).indexOf(name);
    if (segment >= 0) return BigInt(state.selector(SEGMENT_ORDER[segment]!));
    return (NAMED[name] ?? SYSTEM[name])?.(cpu);
  }

  dumpRegisters(index: number): readonly string[] {
    const cpu = this.cpus[index]!;
    return [...dumpX64Registers(cpu), ...dumpFloatingPoint(cpu)];
  }
}

/** Lines of the registers without floating point, laid out as QEMU's. */
export function dumpX64Registers(cpu: X64Cpu): readonly string[] {
  const { state, registers } = cpu;
  const gpr = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', ...range(8, 16).map(n => `r${n}`)].map(
    name => `${name.toUpperCase().padEnd(3)}=${hex64(state.gpr(GPR_NAMES.indexOf(name)))}`,
  );
  const { cr0, cr2, cr3, cr4, gdtr, idtr, breakpoints, dr6, dr7, efer } = registers;
  return [
    ...grouped(gpr, 4),
    `RIP=${hex64(cpu.ip)} RFL=${hex32(state.eflags)} [${flagLetters(state.eflags)}] CPL=${cpu.cpl} HLT=${Number(cpu.idle === 'waiting-for-interrupt')}`,
    ...DUMPED_SEGMENTS.map(([name, number]) => segmentLine(cpu, name, number)),
    `GDT=     ${hex64(gdtr.base)} ${hex32(gdtr.limit)}`,
    `IDT=     ${hex64(idtr.base)} ${hex32(idtr.limit)}`,
    `CR0=${hex32(cr0)} CR2=${hex64(cr2)} CR3=${hex64(BigInt(cr3))} CR4=${hex32(cr4)}`,
    ...grouped(
      breakpoints.map((value, n) => `DR${n}=${hex64(value)}`),
      4,
    ),
    `DR6=${hex64(BigInt(dr6 >>> 0))} DR7=${hex64(BigInt(dr7 >>> 0))}`,
    `EFER=${hex64(BigInt(efer >>> 0))}`,
  ];
}

const DUMPED_SEGMENTS = [
  ['ES', SEGMENT.ES],
  ['CS', SEGMENT.CS],
  ['SS', SEGMENT.SS],
  ['DS', SEGMENT.DS],
  ['FS', SEGMENT.FS],
  ['GS', SEGMENT.GS],
  ['LDT', SEGMENT.LDTR],
  ['TR', SEGMENT.TR],
] as const;

function segmentLine({ state }: X64Cpu, name: string, number: number): string {
  const { selector, base, limit, attributes } = state.segment(number);
  const privilege = (attributes >> 13) & 3;
  return `${name.padEnd(3)}=${hex16(selector)} ${hex64(base)} ${hex32(limit)} ${hex32(attributes)} DPL=${privilege}`;
}

const FLAG_LETTERS = [
  ['D', 1 << 10],
  ['O', EFLAGS.OF],
  ['S', EFLAGS.SF],
  ['Z', EFLAGS.ZF],
  ['A', EFLAGS.AF],
  ['P', EFLAGS.PF],
  ['C', EFLAGS.CF],
] as const;

function flagLetters(eflags: number): string {
  return FLAG_LETTERS.map(([letter, mask]) => ((eflags & mask) === 0 ? '-' : letter)).join('');
}

function dumpFloatingPoint(cpu: X64Cpu): string[] {
  const { state } = cpu;
  const top = state.get32(X64_STATE.TOP);
  const tags = ~state.get32(X64_STATE.emptyTags) & 0xff;
  const numbers = range(0, 8).map(n => {
    const significand = state.get64(X64_STATE.significand[n]!);
    return `FPR${n}=${hex64(significand)} ${hex16(state.get32(X64_STATE.exponent[n]!))}`;
  });
  const vectors = range(0, 16).map(n => {
    const view = Buffer.from(vector(cpu, n));
    return `XMM${String(n).padStart(2, '0')}=${hex64(view.readBigUInt64LE(8))} ${hex64(view.readBigUInt64LE(0))}`;
  });
  return [
    `FCW=${hex16(state.get32(X64_STATE.FCW))} FSW=${hex16(statusWord(cpu))} [ST=${top}] FTW=${tags.toString(16).padStart(2, '0')} MXCSR=${hex32(state.get32(X64_STATE.MXCSR))}`,
    ...grouped(numbers, 2),
    ...grouped(vectors, 2),
  ];
}

function statusWord({ state }: X64Cpu): number {
  return state.get32(X64_STATE.FSW) | (state.get32(X64_STATE.TOP) << 11);
}

/** The register that is ST(i). */
function physical({ state }: X64Cpu, i: number): number {
  return (state.get32(X64_STATE.TOP) + i) & 7;
}

function stackRegister(cpu: X64Cpu, i: number): Uint8Array {
  const n = physical(cpu, i);
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64LE(cpu.state.get64(X64_STATE.significand[n]!));
  bytes.writeUInt16LE(cpu.state.get32(X64_STATE.exponent[n]!) & 0xffff, 8);
  return bytes;
}

function writeStackRegister(cpu: X64Cpu, i: number, bytes: Buffer): void {
  const n = physical(cpu, i);
  cpu.state.set64(X64_STATE.significand[n]!, bytes.readBigUInt64LE());
  cpu.state.set32(X64_STATE.exponent[n]!, bytes.readUInt16LE(8));
}

/** fctrl, fstat, ftag, fiseg, fioff, foseg, fooff, fop. */
function controlWord(cpu: X64Cpu, index: number): number {
  const { state } = cpu;
  switch (FPU_NAMES[index]) {
    case 'fctrl':
      return state.get32(X64_STATE.FCW);
    case 'fstat':
      return statusWord(cpu);
    case 'ftag':
      return tagWord(state.get32(X64_STATE.emptyTags));
    case 'fioff':
      return Number(BigInt.asIntN(32, state.get64(X64_STATE.FIP)));
    case 'fooff':
      return Number(BigInt.asIntN(32, state.get64(X64_STATE.FDP)));
    case 'fop':
      return state.get32(X64_STATE.FOP);
    default:
      return 0;
  }
}

function tagWord(empty: number): number {
  return range(0, 8).reduce((word, n) => word | ((((empty >> n) & 1) * TAG_EMPTY) << (2 * n)), 0);
}

function vector({ engine }: X64Cpu, n: number): Uint8Array {
  return new Uint8Array(engine.view.buffer, engine.base + X64_STATE.xmm[n]!.offset, 16);
}

/** Vector types that gdb's own descriptions give to XMM registers. */
const VECTOR_TYPES = [
  ['v4f', 'ieee_single', 4],
  ['v2d', 'ieee_double', 2],
  ['v16i8', 'int8', 16],
  ['v8i16', 'int16', 8],
  ['v4i32', 'int32', 4],
  ['v2i64', 'int64', 2],
] as const;
const VECTOR_FIELDS = [
  ['v4_float', 'v4f'],
  ['v2_double', 'v2d'],
  ['v16_int8', 'v16i8'],
  ['v8_int16', 'v8i16'],
  ['v4_int32', 'v4i32'],
  ['v2_int64', 'v2i64'],
  ['uint128', 'uint128'],
] as const;

/** target.xml: registers in the order of their numbers. */
function describeTarget(): string {
  const pointers: Readonly<Record<string, string>> = { rbp: 'type="data_ptr"', rsp: 'type="data_ptr"' };
  const general = GPR_ORDER.map(n => register(GPR_NAMES[n]!, 64, pointers[GPR_NAMES[n]!] ?? 'type="int64"'));
  const core = [
    ...general,
    register('rip', 64, 'type="code_ptr"'),
    register('eflags', 32),
    ...SEGMENT_NAMES.map(name => register(name, 32, 'type="int32"')),
    ...range(0, 8).map(n => register(`st${n}`, 80, 'type="i387_ext"')),
    ...FPU_NAMES.map(name => register(name, 32, 'type="int" group="float"')),
  ];
  const types = VECTOR_TYPES.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`);
  const fields = VECTOR_FIELDS.map(([name, type]) => `<field name="${name}" type="${type}"/>`);
  const sse = [
    ...types,
    `<union id="vec128">${fields.join('')}</union>`,
    ...range(0, 16).map(n => register(`xmm${n}`, 128, 'type="vec128"')),
    register('mxcsr', 32, 'type="int" group="vector"'),
  ];
  const bases = ['fs_base', 'gs_base'].map(name => register(name, 64, 'type="int"'));
  const system = Object.keys(SYSTEM).map(name => register(name, 64, 'group="system"'));
  return [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">',
    '<architecture>i386:x86-64</architecture>',
    feature('org.gnu.gdb.i386.core', core),
    feature('org.gnu.gdb.i386.sse', sse),
    feature('org.gnu.gdb.i386.segments', bases),
    feature('kdump-lab.x86_64.system-registers', system),
    '</target>',
  ].join('\n');
}
