/**
 * A machine as those see it who watch its kernel from outside, the same for both architectures: CPUs with the registers that a crash
 * note has, and host calls in place of instructions.
 */
import type { CpuRegisters } from '../../capture/formats/elf-notes.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import {
  type A64Cpu,
  type GuestMemory,
  HOST_CALL_BYTES,
  HOST_CALL_WORD,
  type MachineCore,
  type PcBoard,
  type VirtBoard,
  type X64Cpu,
} from '../../emulator/index.ts';
import { readU32, writeU32 } from '../../capture/formats/bytes.ts';

/** One CPU. */
export interface WatchedCpu {
  readonly index: number;
  readonly isOff: boolean;
  pc: bigint;
  /** An argument of a function that has just been entered: 0 to 3. */
  argument(n: number): bigint;
  /** Registers by the names of its crash note; none when it is off. */
  registers(): CpuRegisters;
  /** Physical address of a kernel's virtual one; undefined when it is not mapped. */
  translate(address: bigint): number | undefined;
  /** Takes the CPU out of the machine until something starts it. */
  powerOff(): void;
  /** The mode in which it is, in words. */
  describeMode(): string;
  onHostCall(handler: (() => void) | undefined): void;
}

/** Where in a function a host call goes. */
export interface ProbeSite {
  /** Bytes from the function's beginning. */
  readonly offset: number;
  /** Length of the no-operation there, behind which the CPU goes on; 0: the call replaces an instruction that does something. */
  readonly skip: number;
}

/** What is particular to an architecture. */
export interface ProbeCode {
  /** The host call. */
  readonly bytes: Uint8Array;
  /** Finds the place in the first bytes of a function: kernels built for ftrace have a no-operation there. */
  readonly findSite: (code: Uint8Array) => ProbeSite;
}

/** A board. */
export interface WatchedBoard {
  readonly architecture: 'aarch64' | 'x86_64';
  readonly machine: MachineCore;
  readonly memory: GuestMemory;
  readonly cpus: readonly WatchedCpu[];
  readonly probe: ProbeCode;
}

/** Bytes of a function that `findSite` wants. */
export const PROBE_WINDOW = 16;

/** A board's memory, as the analyzer and the dump writers take it. */
export function machineStateOf({ memory, architecture }: Pick<WatchedBoard, 'memory' | 'architecture'>): MachineState {
  return {
    name: 'the machine',
    architecture,
    ram: memory.ranges.map(({ start, size }): PhysicalRange => ({ start, end: start + size })),
    read: (paddr, length) => memory.ramSlice(paddr, length),
    cpus: [],
  };
}

const NONE: CpuRegisters = { pid: 0, registers: new Map() };

/** The `virt` board. @param exceptionLevel in which kernels are started: decides which call reaches the host */
export function watchVirt(board: VirtBoard, exceptionLevel: 1 | 2): WatchedBoard {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, exceptionLevel === 2 ? HOST_CALL_WORD.smc : HOST_CALL_WORD.hvc);
  const { machine, memory } = board;
  return {
    architecture: 'aarch64',
    machine,
    memory,
    cpus: board.cpus.map(cpu => new WatchedA64(cpu)),
    probe: { bytes, findSite: findA64Site },
  };
}

const A64_NOP = 0xd503_201f;

/** Of the two instructions that ftrace patches the second is a NOP. */
function findA64Site(code: Uint8Array): ProbeSite {
  if (readU32(code, 4) === A64_NOP) return { offset: 4, skip: 4 };
  return { offset: 0, skip: readU32(code, 0) === A64_NOP ? 4 : 0 };
}

class WatchedA64 implements WatchedCpu {
  readonly #cpu: A64Cpu;

  constructor(cpu: A64Cpu) {
    this.#cpu = cpu;
  }

  get index(): number {
    return this.#cpu.engine.index;
  }

  get isOff(): boolean {
    return this.#cpu.idle === 'off';
  }

  get pc(): bigint {
    return this.#cpu.engine.pc;
  }

  set pc(value: bigint) {
    this.#cpu.engine.pc = value;
  }

  argument(n: number): bigint {
    return this.#cpu.registers.x(n);
  }

  registers(): CpuRegisters {
    const cpu = this.#cpu;
    if (this.isOff) return NONE;
    const level = cpu.process.exceptionLevel;
    const usesSp0 = level === 0 || cpu.process.field('SP') === 0;
    const registers = new Map<string, bigint>([
      ...Array.from({ length: 31 }, (_, n) => [`x${n}`, cpu.registers.x(n)] as const),
      ['sp', cpu.process.stackPointer(usesSp0 ? 0 : level)],
      ['pc', cpu.engine.pc],
      ['pstate', BigInt(cpu.process.saved() >>> 0)],
    ]);
    return { pid: 0, registers };
  }

  translate(address: bigint): number | undefined {
    return this.#cpu.translateForDebugger(address);
  }

  powerOff(): void {
    this.#cpu.powerOff();
  }

  describeMode(): string {
    return `EL${this.#cpu.exceptionLevel}, x0 0x${this.#cpu.registers.x(0).toString(16)}`;
  }

  onHostCall(handler: (() => void) | undefined): void {
    this.#cpu.hostCall = handler;
  }
}

/** The PC boards. */
export function watchPc(board: PcBoard): WatchedBoard {
  const { machine, memory } = board;
  return {
    architecture: 'x86_64',
    machine,
    memory,
    cpus: board.cpus.map(cpu => new WatchedX64(cpu)),
    probe: { bytes: Uint8Array.from(HOST_CALL_BYTES), findSite: findX64Site },
  };
}

/** ENDBR64, or the no-operation that kernels put in its place where nobody jumps to. */
const LANDING_PADS = ['f30f1efa', '0f1f4000', '660f1f00', 'd6909090'];
/** What ftrace leaves where it does not trace. */
const FTRACE_NOP = '0f1f440000';

function findX64Site(code: Uint8Array): ProbeSite {
  const hex = Buffer.from(code).toString('hex');
  const offset = LANDING_PADS.includes(hex.slice(0, 8)) ? 4 : 0;
  return hex.startsWith(FTRACE_NOP, offset * 2) ? { offset, skip: 5 } : { offset, skip: 0 };
}

/** Numbers of the general registers in the order of instructions' encodings, and of the segments. */
const GPR_NAMES = [
  'ax',
  'cx',
  'dx',
  'bx',
  'sp',
  'bp',
  'si',
  'di',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** System V ABI: RDI, RSI, RDX, RCX. */
const ARGUMENT_REGISTERS = [7, 6, 2, 1];

class WatchedX64 implements WatchedCpu {
  readonly #cpu: X64Cpu;

  constructor(cpu: X64Cpu) {
    this.#cpu = cpu;
  }

  get index(): number {
    return this.#cpu.engine.index;
  }

  get isOff(): boolean {
    return this.#cpu.idle === 'off';
  }

  get pc(): bigint {
    return this.#cpu.engine.pc;
  }

  set pc(value: bigint) {
    this.#cpu.engine.pc = value;
  }

  argument(n: number): bigint {
    return this.#cpu.state.gpr(ARGUMENT_REGISTERS[n]!);
  }

  registers(): CpuRegisters {
    const { state, engine } = this.#cpu;
    if (this.isOff) return NONE;
    const registers = new Map<string, bigint>([
      ...GPR_NAMES.map((name, n) => [name, state.gpr(n)] as const),
      ...SEGMENT_NAMES.map((name, n) => [name, BigInt(state.selector(n))] as const),
      ['fs_base', state.base(SEGMENT_NAMES.indexOf('fs'))],
      ['gs_base', state.base(SEGMENT_NAMES.indexOf('gs'))],
      ['orig_ax', 0n],
      ['ip', engine.pc],
      ['flags', BigInt(state.eflags >>> 0)],
    ]);
    return { pid: 0, registers };
  }

  translate(address: bigint): number | undefined {
    return this.#cpu.translateForDebugger(address);
  }

  powerOff(): void {
    this.#cpu.powerOff();
  }

  describeMode(): string {
    const mode = this.#cpu.is64 ? '64-bit mode' : 'not in 64-bit mode';
    return `${mode}, rsi 0x${this.#cpu.state.gpr(6).toString(16)}`;
  }

  onHostCall(handler: (() => void) | undefined): void {
    this.#cpu.hostCall = handler;
  }
}
