/**
 * Host mode: kdump for a kernel that cannot do it itself. Watches the production kernel from outside, takes over where it would jump to
 * a capture kernel that nobody loaded, and starts one.
 *
 * `__crash_kexec` is where every panic comes by, and oopses that may not go on too, whatever the context: interrupts off, a bad stack, no
 * user space yet. A host call stands in place of its first instruction; the original comes back before memory is dumped.
 * Not covered: a panic before the kernel has described itself in VMCOREINFO (subsys_initcall).
 */
import { AARCH64_REGISTERS, type CpuRegisters } from '../../capture/formats/elf-notes.ts';
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { readU32, readU64 } from '../../capture/formats/bytes.ts';
import type { Program } from '../../analyzer/program.ts';
import type { A64Cpu } from '../../emulator/cpu/a64/index.ts';
import type { Machine, StopReason } from '../../emulator/machine/machine.ts';
import type { VirtBoard } from '../../emulator/machine/virt-aarch64/board.ts';
import type { PhysicalDma } from '../../emulator/memory/physical-dma.ts';
import { captureBootState, crashNote, withCrashTime } from '../../kexec/crash-shutdown.ts';
import { planKexecFileLoad } from '../../kexec/load-plan-aarch64.ts';
import { NO_LIMITS, type LoadPlan } from '../../kexec/load-plan.ts';
import type { RunningSystem } from '../../kexec/running-system.ts';
import type { KernelProbes } from './kernel-probes.ts';
import { describeLiveKernel, machineStateOf, openLiveKernel } from './live-kernel.ts';

/** What the capture kernel is. */
export interface CaptureImage {
  /** Raw arm64 Image. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** What stays the same from boot to crash. */
export interface HostKexecSettings extends CaptureImage {
  /** Where the production kernel found its device tree. */
  readonly treePaddr: number;
  /** In which kernels are started. */
  readonly exceptionLevel: 1 | 2;
  /** Seconds since 1970 at power-on. */
  readonly epochSeconds: number;
}

/** Functions through which a panic goes to its capture kernel; the first that the kernel has is watched. */
const WATCHED = ['__crash_kexec', 'crash_kexec', 'panic'];
/** Registers in `struct pt_regs` of arm64, from its beginning: `user_pt_regs`. */
const PT_REGS_SIZE = AARCH64_REGISTERS.length * 8;
/** `totalsize` in `struct fdt_header`, big endian. */
const FDT_TOTALSIZE = 4;
const NS_PER_SECOND = 1e9;

/** The crash, as the host saw it. */
interface Crash {
  readonly cpu: number;
  readonly registers: readonly CpuRegisters[];
}

/** Watches one machine. */
export class HostKexec implements KernelWatcher {
  readonly #board: VirtBoard;
  readonly #settings: HostKexecSettings;
  readonly #dma: PhysicalDma;
  readonly #probes: KernelProbes;
  #isArmed = false;
  #crash: Crash | undefined;

  constructor(board: VirtBoard, probes: KernelProbes, settings: HostKexecSettings) {
    this.#board = board;
    this.#settings = settings;
    this.#probes = probes;
    this.#dma = probes.dma;
  }

  /** Whether the panic will be noticed. */
  get isArmed(): boolean {
    return this.#isArmed;
  }

  /** Whether the production kernel has crashed, and waits for `startCapture`. */
  get hasCrashed(): boolean {
    return this.#crash !== undefined;
  }

  /** Plants the host call, if the kernel is far enough. Call it while the machine stands. */
  tryArm(): void {
    if (this.isArmed) return;
    const program = openLiveKernel(machineStateOf(this.#board));
    const address = program && WATCHED.map(name => program.symbols.find(name)).find(found => found !== undefined);
    const paddr = address === undefined ? undefined : program!.space.translate(address);
    if (paddr === undefined) return;
    this.#isArmed = true;
    this.#probes.plant(paddr, cpu => this.#onCrash(cpu));
  }

  /**
   * Loads the capture kernel and puts the CPU that crashed at its entry; the others stay off.
   * @returns what was loaded
   * @throws UsageError when nothing is reserved for it, or it does not fit
   */
  startCapture(): LoadPlan {
    const crash = this.#crash!;
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    if (program === undefined)
      throw new UsageError('the crashed kernel cannot be read any more: its VMCOREINFO is gone');
    const system = describeLiveKernel(program, state, this.#deviceTree());
    const plan = this.#plan(system);
    this.#writeNotes(system, crash, program);
    for (const { mem, memsz, bytes } of plan.segments) {
      this.#dma.write(mem, bytes);
      this.#dma.write(mem + bytes.length, new Uint8Array(memsz - bytes.length));
    }
    const { entry } = captureBootState(plan, this.#settings.exceptionLevel);
    if (entry.architecture === 'aarch64')
      this.#board.cpus[crash.cpu]!.start(BigInt(entry.pc), entry.x, entry.exceptionLevel);
    this.#crash = undefined;
    return plan;
  }

  #plan(system: RunningSystem): LoadPlan {
    const { kernel, initrd, commandLine, treePaddr } = this.#settings;
    const request = {
      kernel,
      initrd,
      commandLine,
      onPanic: true,
      noChecks: true,
      memory: NO_LIMITS,
      entry: undefined,
      dtb: undefined,
      kaslrSeed: undefined,
      rngSeed: undefined,
    };
    return planKexecFileLoad(system, request, undefined, treePaddr);
  }

  /** A CPU has come to the host call: it and all others stand still from here on. */
  #onCrash(cpu: A64Cpu): 'stay' {
    this.#probes.removeAll();
    const { cpus, machine } = this.#board;
    this.#crash = {
      cpu: cpu.engine.index,
      registers: cpus.map(each => (each === cpu ? this.#crashRegisters(cpu) : registersOf(each))),
    };
    for (const each of cpus) each.powerOff();
    machine.stop({ kind: 'interrupted', reason: 'the production kernel has crashed' });
    return 'stay';
  }

  /**
   * `crash_setup_regs`: those that the exception saved, if there was one, else the ones of now. The watched function has no frame yet:
   * its caller is where the stack begins.
   */
  #crashRegisters(cpu: A64Cpu): CpuRegisters {
    const now = registersOf(cpu);
    const regs = cpu.registers.x(0);
    const paddr = regs === 0n ? undefined : cpu.translateForDebugger(regs);
    if (paddr === undefined) return { ...now, registers: new Map([...now.registers, ['pc', cpu.registers.x(30)]]) };
    const saved = this.#dma.read(paddr, PT_REGS_SIZE);
    const registers = new Map(AARCH64_REGISTERS.map((name, i) => [name, readU64(saved, i * 8)]));
    return { ...now, registers: registers.set(CURRENT, now.registers.get(CURRENT) ?? 0n) };
  }

  #writeNotes(system: RunningSystem, { registers }: Crash, program: Program): void {
    for (const [i, { paddr }] of system.cpuNotes.entries()) {
      const cpu = registers[i];
      if (cpu !== undefined && cpu.registers.size > 0)
        this.#dma.write(paddr, crashNote({ ...cpu, pid: pidOf(program, cpu) }, 'aarch64'));
    }
    const { vmcoreinfo } = system;
    if (vmcoreinfo === undefined) return;
    const seconds = this.#settings.epochSeconds + this.#board.machine.guestNs / NS_PER_SECOND;
    this.#dma.write(vmcoreinfo.paddr, withCrashTime(this.#dma.read(vmcoreinfo.paddr, vmcoreinfo.size), seconds));
  }

  #deviceTree(): Uint8Array {
    const { treePaddr } = this.#settings;
    const size = readU32(this.#dma.read(treePaddr, 8), FDT_TOTALSIZE, 'big');
    return this.#dma.read(treePaddr, size);
  }
}

/** Somebody who waits for a kernel to describe itself. Only host mode takes over at a crash. */
export interface KernelWatcher {
  readonly isArmed: boolean;
  tryArm(): void;
  readonly hasCrashed?: boolean;
  startCapture?(): void;
}

/** Guest time between looks at a kernel that has not described itself yet. */
const LOOK_INTERVAL_NS = 50e6;

/** Runs a machine, from its first kernel into its second. @throws UsageError when the host cannot load the capture kernel */
export async function runWatched(
  machine: Machine,
  watchers: readonly KernelWatcher[],
  untilNs: number,
): Promise<StopReason> {
  for (;;) {
    const isWaiting = watchers.some(({ isArmed }) => !isArmed);
    const look = isWaiting ? Math.min(untilNs, machine.guestNs + LOOK_INTERVAL_NS) : untilNs;
    const stop = await machine.run(look);
    const taking = watchers.find(({ hasCrashed }) => hasCrashed === true);
    if (taking !== undefined) taking.startCapture?.();
    else if (stop.kind !== 'timeout' || look >= untilNs) return stop;
    else for (const watcher of watchers) if (!watcher.isArmed) watcher.tryArm();
  }
}

/** Registers of a CPU by the names of its notes; none when it is off. */
function registersOf(cpu: A64Cpu): CpuRegisters {
  if (cpu.idle === 'off') return { pid: 0, registers: new Map() };
  const level = cpu.process.exceptionLevel;
  const x = Array.from({ length: 31 }, (_, n) => [`x${n}`, cpu.registers.x(n)] as const);
  const usesSp0 = level === 0 || cpu.process.field('SP') === 0;
  const registers = new Map<string, bigint>([
    ...x,
    ['sp', cpu.process.stackPointer(usesSp0 ? 0 : level)],
    ['pc', cpu.engine.pc],
    ['pstate', BigInt(cpu.process.saved() >>> 0)],
    // Not part of the note: `current` of a CPU in the kernel.
    [CURRENT, level === 0 ? 0n : cpu.process.stackPointer(0)],
  ]);
  return { pid: 0, registers };
}

const CURRENT = 'sp_el0';

/** `current->pid`, as far as it can be told. */
function pidOf(program: Program, { registers }: CpuRegisters): number {
  const task = registers.get(CURRENT) ?? 0n;
  try {
    return task === 0n ? 0 : program.object('task_struct', task).num('pid');
  } catch (error) {
    if (error instanceof FaultError) return 0;
    throw error;
  }
}
