/**
 * An arm64 machine as gdb sees it: registers with their description, memory by virtual address, breakpoints, steps.
 *
 * Source: "Debugging with GDB", appendix "Target Descriptions", section "AArch64 Features" for feature and register names;
 * SPSR_ELx's layout for `cpsr`.
 */
import type { A64Cpu } from '../cpu/a64/index.ts';
import { A64_STATE } from '../cpu/a64/state.ts';
import type { Engine } from '../cpu/execute/engine.ts';
import { decodeEl1Half } from '../cpu/a64/system/translation-control.ts';
import { CpuDebugView } from './cpu-debug-view.ts';
import type { DebugView, PageMapping } from './debug-view.ts';
import { a64Mappings } from './page-tables.ts';
import { bytes32, bytes64, feature, register } from './target-description.ts';
import { grouped, hex32, hex64 } from './register-dump.ts';

/** Register numbers in the order of the description. */
const NUMBER = { SP: 31, PC: 32, CPSR: 33, V0: 34, FPSR: 66, FPCR: 67, SYSTEM: 68 } as const;
const SCTLR_M = 1n;

/** The registers and page tables of the machine's CPUs. */
export class Aarch64DebugView extends CpuDebugView<A64Cpu> implements DebugView {
  readonly description: string;
  readonly stopsAfterAccess = false;
  readonly generalRegisters = NUMBER.V0;

  constructor(cpus: readonly A64Cpu[], engine: Engine) {
    super(cpus, engine);
    this.description = describeTarget([...cpus[0]!.systemRegisters()].map(([name]) => name));
  }

  /** Little endian; system registers cannot be written. */
  readRegister(index: number, register: number): Uint8Array | undefined {
    const cpu = this.cpus[index]!;
    const { registers, process: state, engine } = cpu;
    if (register < NUMBER.SP) return bytes64(registers.x(register));
    if (register === NUMBER.SP) return bytes64(registers.get64(A64_STATE.sp));
    if (register === NUMBER.PC) return bytes64(engine.pc);
    if (register === NUMBER.CPSR) return bytes32(state.saved(cpu.branchType));
    if (register < NUMBER.FPSR) return this.#vector(cpu, register - NUMBER.V0).slice();
    if (register === NUMBER.FPSR) return bytes32(registers.get32(A64_STATE.FPSR));
    if (register === NUMBER.FPCR) return bytes32(registers.get32(A64_STATE.FPCR));
    const system = [...cpu.systemRegisters()][register - NUMBER.SYSTEM];
    return system && bytes64(system[1]);
  }

  writeRegister(index: number, register: number, bytes: Uint8Array): boolean {
    const cpu = this.cpus[index]!;
    const { registers } = cpu;
    const size = this.readRegister(index, register)?.length;
    if (size !== bytes.length) return false;
    const view = Buffer.from(bytes);
    if (register < NUMBER.SP) registers.setX(register, view.readBigUInt64LE());
    else if (register === NUMBER.SP) registers.set64(A64_STATE.sp, view.readBigUInt64LE());
    else if (register === NUMBER.PC) cpu.branchTo(view.readBigUInt64LE());
    else if (register === NUMBER.CPSR) return writeProcessState(cpu, view.readInt32LE());
    else if (register < NUMBER.FPSR) this.#vector(cpu, register - NUMBER.V0).set(bytes);
    else if (register === NUMBER.FPSR) registers.set32(A64_STATE.FPSR, view.readInt32LE());
    else if (register === NUMBER.FPCR) registers.set32(A64_STATE.FPCR, view.readInt32LE());
    else return false;
    return true;
  }

  mappings(index: number, limit: number): readonly PageMapping[] {
    const cpu = this.cpus[index]!;
    const value = (name: string): bigint => this.register(index, name) ?? 0n;
    if ((value('sctlr_el1') & SCTLR_M) === 0n) return [];
    const { features, configuration } = cpu;
    const bits = configuration.model.physicalAddressBits;
    const lower = decodeEl1Half(0, value('tcr_el1'), value('ttbr0_el1'), features, bits);
    const upper = decodeEl1Half(1, value('tcr_el1'), value('ttbr1_el1'), features, bits);
    const found = a64Mappings(this.engine.memory, lower, false, limit);
    return [...found, ...a64Mappings(this.engine.memory, upper, true, limit - found.length)];
  }

  register(index: number, name: string): bigint | undefined {
    const cpu = this.cpus[index]!;
    const number = /^x(\d+)$/.exec(name)?.[1];
    if (number !== undefined) return Number(number) <= 30 ? cpu.registers.x(Number(number)) : undefined;
    if (name === 'pc') return cpu.engine.pc;
    if (name === 'lr') return cpu.registers.x(30);
    if (name === 'sp') return cpu.registers.get64(A64_STATE.sp);
    if (name === 'cpsr' || name === 'pstate') return BigInt(cpu.process.saved(cpu.branchType) >>> 0);
    const upper = name.toUpperCase();
    for (const [system, value] of cpu.systemRegisters()) if (system.toUpperCase() === upper) return value;
    return undefined;
  }

  dumpRegisters(index: number): readonly string[] {
    const cpu = this.cpus[index]!;
    const { registers } = cpu;
    const vectors = Array.from({ length: 32 }, (_, n) => {
      const view = Buffer.from(this.#vector(cpu, n));
      return `Q${String(n).padStart(2, '0')}=${hex64(view.readBigUInt64LE(8))}:${hex64(view.readBigUInt64LE(0))}`;
    });
    return [
      ...dumpA64Registers(cpu),
      `     FPCR=${hex32(registers.get32(A64_STATE.FPCR))} FPSR=${hex32(registers.get32(A64_STATE.FPSR))}`,
      ...grouped(vectors, 2),
    ];
  }

  describe(index: number): string {
    const { exceptionLevel, idle } = this.cpus[index]!;
    return `CPU#${index} EL${exceptionLevel} [${idle}]`;
  }

  #vector({ engine }: A64Cpu, n: number): Uint8Array {
    return new Uint8Array(engine.view.buffer, engine.base + A64_STATE.v[n]!.offset, 16);
  }
}

/** Lines of the general registers, laid out as QEMU's. */
export function dumpA64Registers({ registers, process: state, engine, branchType }: A64Cpu): readonly string[] {
  const names = [
    ` PC=${hex64(engine.pc)}`,
    ...Array.from({ length: 31 }, (_, n) => `X${String(n).padStart(2, '0')}=${hex64(registers.x(n))}`),
    ` SP=${hex64(registers.get64(A64_STATE.sp))}`,
  ];
  const pstate = state.saved(branchType);
  const flags = ['N', 'Z', 'C', 'V'].map((flag, i) => ((pstate >>> (31 - i)) & 1 ? flag : '-')).join('');
  const mode = `EL${state.exceptionLevel}${state.field('SP') ? 'h' : 't'}`;
  return [...grouped(names, 3), `PSTATE=${hex32(pstate)} ${flags} ${mode}`];
}

function writeProcessState(cpu: A64Cpu, value: number): boolean {
  if (!cpu.process.isLegal(value)) return false;
  cpu.process.restore(value);
  cpu.contextChanged();
  return true;
}

const VECTOR_TYPES = [
  ['v2d', 'ieee_double', 2],
  ['v2u', 'uint64', 2],
  ['v2i', 'int64', 2],
  ['v4f', 'ieee_single', 4],
  ['v4u', 'uint32', 4],
  ['v4i', 'int32', 4],
  ['v8u', 'uint16', 8],
  ['v8i', 'int16', 8],
  ['v16u', 'uint8', 16],
  ['v16i', 'int8', 16],
  ['v1u', 'uint128', 1],
] as const;

/** Names of the parts of the union by which gdb shows a vector register: $v0.d.f, $v0.s.u. */
const VECTOR_UNIONS = [
  [
    'vnd',
    [
      ['f', 'v2d'],
      ['u', 'v2u'],
      ['s', 'v2i'],
    ],
  ],
  [
    'vns',
    [
      ['f', 'v4f'],
      ['u', 'v4u'],
      ['s', 'v4i'],
    ],
  ],
  [
    'vnh',
    [
      ['u', 'v8u'],
      ['s', 'v8i'],
    ],
  ],
  [
    'vnb',
    [
      ['u', 'v16u'],
      ['s', 'v16i'],
    ],
  ],
  ['vnq', [['u', 'v1u']]],
  [
    'aarch64v',
    [
      ['d', 'vnd'],
      ['s', 'vns'],
      ['h', 'vnh'],
      ['b', 'vnb'],
      ['q', 'vnq'],
    ],
  ],
] as const;

/** target.xml: registers in the order of their numbers. */
function describeTarget(systemRegisters: readonly string[]): string {
  const x = Array.from({ length: 31 }, (_, n) => register(`x${n}`, 64));
  const v = Array.from({ length: 32 }, (_, n) => register(`v${n}`, 128, 'type="aarch64v"'));
  const vectors = VECTOR_TYPES.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`);
  const unions = VECTOR_UNIONS.map(([id, fields]) => {
    const members = fields.map(([name, type]) => `<field name="${name}" type="${type}"/>`);
    return `<union id="${id}">${members.join('')}</union>`;
  });
  const core = [
    ...x,
    register('sp', 64, 'type="data_ptr"'),
    register('pc', 64, 'type="code_ptr"'),
    register('cpsr', 32),
  ];
  const fpu = [...vectors, ...unions, ...v, register('fpsr', 32), register('fpcr', 32)];
  const system = systemRegisters.map(name => register(name, 64, 'group="system"'));
  return [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">',
    '<architecture>aarch64</architecture>',
    feature('org.gnu.gdb.aarch64.core', core),
    feature('org.gnu.gdb.aarch64.fpu', fpu),
    feature('kdump-lab.aarch64.system-registers', system),
    '</target>',
  ].join('\n');
}
