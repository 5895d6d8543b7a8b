/**
 * A machine as those see it who watch its kernel from outside, the same for both architectures: CPUs with the registers that a crash
 * note has, and host calls in place of instructions.
 */
import type { CpuRegisters } from '../../capture/formats/elf-notes.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import {
  type A64Cpu,
  GPR,
  type GuestMemory,
  HOST_CALL_BYTES,
  HOST_CALL_WORD,
  type MachineCore,
  type PcBoard,
  type VirtBoard,
  type X64Cpu,
} from '../../emulator/index.ts';
import { readU32, writeU32 } from '../../capture/formats/bytes.ts';
import { a64Registers, x64Registers } from './cpu-registers.ts';

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

/** The `virt` board. @param exceptionLevel in which kernels are started: decides which call reaches the host */
export function watchVirt(board: VirtBoard, exceptionLevel: 1 | 2): WatchedBoard {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, exceptionLevel === 2 ? HOST_CALL_WORD.smc : HOST_CALL_WORD.hvc);
  const { machine, memory } = board;
  return {
    architecture: 'aarch64',
    machine,
    memory,
    cpus: board.cpus.map(watchA64),
    probe: { bytes, findSite: findA64Site },
  };
}

const A64_NOP = 0xd503_201f;

/** Of the two instructions that ftrace patches the second is a NOP. */
function findA64Site(code: Uint8Array): ProbeSite {
  if (readU32(code, 4) === A64_NOP) return { offset: 4, skip: 4 };
  return { offset: 0, skip: readU32(code, 0) === A64_NOP ? 4 : 0 };
}

function watchA64(cpu: A64Cpu): WatchedCpu {
  return new EmulatedCpu(cpu, {
    argument: n => cpu.registers.x(n),
    registers: () => a64Registers(cpu),
    describeMode: () => `EL${cpu.exceptionLevel}, x0 0x${cpu.registers.x(0).toString(16)}`,
    getPc: () => cpu.visiblePc(cpu.engine.pc),
    setPc: pc => cpu.branchTo(pc),
  });
}

/** The PC boards. */
export function watchPc(board: PcBoard): WatchedBoard {
  const { machine, memory } = board;
  return {
    architecture: 'x86_64',
    machine,
    memory,
    cpus: board.cpus.map(watchX64),
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

/** System V ABI: RDI, RSI, RDX, RCX. */
const ARGUMENT_REGISTERS = [GPR.DI, GPR.SI, GPR.DX, GPR.CX];

function watchX64(cpu: X64Cpu): WatchedCpu {
  const { engine, state } = cpu;
  return new EmulatedCpu(cpu, {
    argument: n => state.gpr(ARGUMENT_REGISTERS[n]!),
    registers: () => x64Registers(cpu),
    describeMode: () => `${cpu.is64 ? '64-bit mode' : 'not in 64-bit mode'}, rsi 0x${state.gpr(GPR.SI).toString(16)}`,
    getPc: () => engine.pc,
    setPc: pc => {
      engine.pc = pc;
    },
  });
}

/** What CPUs of all architectures have. */
type AnyCpu = Pick<A64Cpu & X64Cpu, 'idle' | 'translateForDebugger' | 'powerOff' | 'hostCall'> & {
  readonly engine: { readonly index: number };
};

/** What is particular to one. */
interface CpuView extends Pick<WatchedCpu, 'argument' | 'describeMode'> {
  registers(): Map<string, bigint>;
  getPc(): bigint;
  setPc(pc: bigint): void;
}

/** A CPU of the emulator. */
class EmulatedCpu implements WatchedCpu {
  readonly #cpu: AnyCpu;
  readonly #view: CpuView;

  constructor(cpu: AnyCpu, view: CpuView) {
    this.#cpu = cpu;
    this.#view = view;
  }

  get index(): number {
    return this.#cpu.engine.index;
  }

  get isOff(): boolean {
    return this.#cpu.idle === 'off';
  }

  get pc(): bigint {
    return this.#view.getPc();
  }

  set pc(value: bigint) {
    this.#view.setPc(value);
  }

  argument(n: number): bigint {
    return this.#view.argument(n);
  }

  registers(): CpuRegisters {
    return { pid: 0, registers: this.isOff ? new Map<string, bigint>() : this.#view.registers() };
  }

  translate(address: bigint): number | undefined {
    return this.#cpu.translateForDebugger(address);
  }

  powerOff(): void {
    this.#cpu.powerOff();
  }

  describeMode(): string {
    return this.#view.describeMode();
  }

  onHostCall(handler: (() => void) | undefined): void {
    this.#cpu.hostCall = handler;
  }
}
