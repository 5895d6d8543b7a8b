/**
 * An arm64 machine as gdb sees it: registers with their description, memory by virtual address, breakpoints, steps.
 *
 * Source: "Debugging with GDB", appendix "Target Descriptions", section "AArch64 Features" for feature and register names;
 * SPSR_ELx's layout for `cpsr`.
 */
import type { A64Cpu } from '../cpu/a64/index.ts';
import { A64_STATE } from '../cpu/a64/state.ts';
import type { Engine } from '../cpu/execute/engine.ts';
import { PhysicalDma } from '../memory/physical-dma.ts';

/** Register numbers in the order of the description. */
const NUMBER = { SP: 31, PC: 32, CPSR: 33, V0: 34, FPSR: 66, FPCR: 67, SYSTEM: 68 } as const;
const PAGE = 4096n;

/** The machine-independent part of a debug target is the session's: who runs, who pauses. */
export class Aarch64DebugView {
  readonly description: string;
  readonly generalRegisters = NUMBER.V0;
  readonly #cpus: readonly A64Cpu[];
  readonly #engine: Engine;
  readonly #dma: PhysicalDma;

  constructor(cpus: readonly A64Cpu[], engine: Engine) {
    this.#cpus = cpus;
    this.#engine = engine;
    this.#dma = new PhysicalDma(engine.memory, (address, size) => engine.code.written(address, size));
    this.description = describeTarget([...cpus[0]!.systemRegisters()].map(([name]) => name));
  }

  get cpuCount(): number {
    return this.#cpus.length;
  }

  /** Little endian; system registers cannot be written. */
  readRegister(index: number, register: number): Uint8Array | undefined {
    const cpu = this.#cpus[index]!;
    const { registers, process: state, engine } = cpu;
    if (register < NUMBER.SP) return bytes64(registers.x(register));
    if (register === NUMBER.SP) return bytes64(registers.get64(A64_STATE.sp));
    if (register === NUMBER.PC) return bytes64(engine.pc);
    if (register === NUMBER.CPSR) return bytes32(state.saved());
    if (register < NUMBER.FPSR) return this.#vector(cpu, register - NUMBER.V0).slice();
    if (register === NUMBER.FPSR) return bytes32(registers.get32(A64_STATE.FPSR));
    if (register === NUMBER.FPCR) return bytes32(registers.get32(A64_STATE.FPCR));
    const system = [...cpu.systemRegisters()][register - NUMBER.SYSTEM];
    return system && bytes64(system[1]);
  }

  writeRegister(index: number, register: number, bytes: Uint8Array): boolean {
    const cpu = this.#cpus[index]!;
    const { registers, engine } = cpu;
    const size = this.readRegister(index, register)?.length;
    if (size !== bytes.length) return false;
    const view = Buffer.from(bytes);
    if (register < NUMBER.SP) registers.setX(register, view.readBigUInt64LE());
    else if (register === NUMBER.SP) registers.set64(A64_STATE.sp, view.readBigUInt64LE());
    else if (register === NUMBER.PC) engine.pc = view.readBigUInt64LE();
    else if (register === NUMBER.CPSR) return writeProcessState(cpu, view.readInt32LE());
    else if (register < NUMBER.FPSR) this.#vector(cpu, register - NUMBER.V0).set(bytes);
    else if (register === NUMBER.FPSR) registers.set32(A64_STATE.FPSR, view.readInt32LE());
    else if (register === NUMBER.FPCR) registers.set32(A64_STATE.FPCR, view.readInt32LE());
    else return false;
    return true;
  }

  /** RAM as the CPU maps it, up to the first byte that is not. */
  readMemory(index: number, address: bigint, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const { vaddr, size } of pieces(address, length)) {
      const paddr = this.#cpus[index]!.translateForDebugger(vaddr);
      const part = paddr === undefined ? new Uint8Array(0) : this.#engine.memory.ramSlice(paddr, size);
      parts.push(part);
      if (part.length < size) break;
    }
    return Buffer.concat(parts);
  }

  /** @returns false, with nothing written, when not all of it is mapped RAM */
  writeMemory(index: number, address: bigint, bytes: Uint8Array): boolean {
    if (this.readMemory(index, address, bytes.length).length < bytes.length) return false;
    for (const { vaddr, offset, size } of pieces(address, bytes.length)) {
      this.#dma.write(this.#cpus[index]!.translateForDebugger(vaddr)!, bytes.subarray(offset, offset + size));
    }
    return true;
  }

  addBreakpoint(address: bigint): void {
    this.#engine.code.breakpoints.add(address);
  }

  removeBreakpoint(address: bigint): void {
    this.#engine.code.breakpoints.remove(address);
  }

  step(index: number): void {
    this.#engine.step(this.#engine.cpus[index]!);
  }

  describe(index: number): string {
    const { exceptionLevel, idle } = this.#cpus[index]!;
    return `CPU#${index} EL${exceptionLevel} [${idle}]`;
  }

  #vector({ engine }: A64Cpu, n: number): Uint8Array {
    return new Uint8Array(engine.view.buffer, engine.base + A64_STATE.v[n]!.offset, 16);
  }
}

function writeProcessState(cpu: A64Cpu, value: number): boolean {
  if (!cpu.process.isLegal(value)) return false;
  cpu.process.restore(value);
  cpu.contextChanged();
  return true;
}

/** Cuts a range at page boundaries. */
function* pieces(
  address: bigint,
  length: number,
): Generator<{ readonly vaddr: bigint; readonly offset: number; readonly size: number }> {
  for (let offset = 0; offset < length;) {
    const vaddr = BigInt.asUintN(64, address + BigInt(offset));
    const size = Math.min(length - offset, Number(PAGE - (vaddr % PAGE)));
    yield { vaddr, offset, size };
    offset += size;
  }
}

function bytes64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

function bytes32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
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

function feature(name: string, contents: readonly string[]): string {
  return `<feature name="${name}">\n${contents.join('\n')}\n</feature>`;
}

function register(name: string, bits: number, attributes = ''): string {
  return `<reg name="${name}" bitsize="${bits}" ${attributes}/>`;
}
