/**
 * Host mode: kdump for a kernel that cannot do it itself. Watches the production kernel from outside, takes over where it would jump to
 * a capture kernel that nobody loaded, and starts one.
 *
 * `__crash_kexec` is where every panic comes by, and oopses that may not go on too, whatever the context: interrupts off, a bad stack, no
 * user space yet. A host call stands in place of its first instruction; the original comes back before memory is dumped. Other triggers
 * (triggers.ts) come earlier or later.
 * A kernel is looked at every 50 ms of its time until it has described itself, and as soon as it prints that it crashes.
 * Not modelled: a panic before the kernel has described itself in VMCOREINFO (subsys_initcall); kernels built without KALLSYMS, whatever
 * the trigger: where the capture kernel goes is read from their `iomem_resource`.
 */
import { AARCH64_REGISTERS, X86_64_REGISTERS, type CpuRegisters } from '../../capture/formats/elf-notes.ts';
import { FaultError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { asBuffer, readU64 } from '../../capture/formats/bytes.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import type { Program } from '../../analyzer/program.ts';
import type { Machine, PhysicalDma, StopReason } from '../../emulator/index.ts';
import { crashNote, withCrashTime } from '../../kexec/crash-shutdown.ts';
import { crashRegionOf, type LoadPlan } from '../../kexec/load-plan.ts';
import type { RunningSystem } from '../../kexec/running-system.ts';
import type { CaptureStarter } from './capture-starter.ts';
import type { KernelProbes } from './kernel-probes.ts';
import { describeLiveKernel, openLiveKernel } from './live-kernel.ts';
import { TRIGGERS, type Trigger, type TriggerName, type WatchedFunction } from './triggers.ts';
import { machineStateOf, type WatchedBoard, type WatchedCpu } from './watched-board.ts';

/** Registers in `struct pt_regs`, from its beginning: all of arm64's note, up to SS of x86_64's. */
const PT_REGS = {
  aarch64: AARCH64_REGISTERS,
  x86_64: X86_64_REGISTERS.slice(0, X86_64_REGISTERS.indexOf('ss') + 1),
} as const;
const NS_PER_SECOND = 1e9;

/** The crash, as the host saw it. */
interface Crash {
  readonly cpu: number;
  /** Of all CPUs; undefined while the one that crashed is still in the middle of an instruction. */
  readonly registers: readonly CpuRegisters[] | undefined;
}

/** Why a machine stops when the host is to take over. */
const CRASHED: StopReason = { kind: 'interrupted', reason: 'the production kernel has crashed' };

/** What the host has done at a crash, for those who trace it. */
export interface Takeover {
  readonly crashedCpu: number;
  /** CPUs whose registers went to their crash notes. */
  readonly saved: readonly number[];
  readonly plan: LoadPlan;
  readonly region: PhysicalRange;
}

/** Watches one machine. */
export class HostKexec implements KernelWatcher {
  readonly #board: WatchedBoard;
  readonly #starter: CaptureStarter;
  readonly #trigger: Trigger;
  readonly #epochSeconds: number;
  readonly #dma: PhysicalDma;
  readonly #probes: KernelProbes;
  readonly #onTakeover: (takeover: Takeover) => void;
  #isArmed: boolean;
  #crash: Crash | undefined;
  #hasTakenOver = false;

  /**
   * @param starter loads and starts the capture kernel
   * @param trigger what tells of the crash; with `pvpanic` the device does, through `guestHasPanicked`
   * @param epochSeconds seconds since 1970 at power-on
   */
  constructor(
    probes: KernelProbes,
    starter: CaptureStarter,
    trigger: TriggerName,
    epochSeconds: number,
    onTakeover: (takeover: Takeover) => void = () => {},
  ) {
    this.#onTakeover = onTakeover;
    this.#board = probes.board;
    this.#starter = starter;
    this.#trigger = TRIGGERS[trigger];
    this.#isArmed = this.#trigger.functions.length === 0;
    this.#epochSeconds = epochSeconds;
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
    const watched = program && this.#trigger.functions.find(({ name }) => program.symbols.find(name) !== undefined);
    if (watched === undefined) return;
    const paddr = program!.space.translate(program!.symbols.find(watched.name)!);
    if (paddr === undefined) return;
    this.#isArmed = true;
    this.#probes.plantAtFunction(paddr, cpu => this.#onCrash(cpu, watched));
  }

  /** A device has heard of the crash from the CPU that runs: it is in the middle of an instruction, and stops soon. */
  guestHasPanicked(): void {
    if (this.#hasTakenOver) return;
    const { machine } = this.#board;
    this.#crash = { cpu: machine.engine.current.index, registers: undefined };
    machine.stop(CRASHED);
  }

  /**
   * Loads the capture kernel and puts the CPU that crashed at its entry; the others stay off.
   * @returns what was loaded
   * @throws UsageError when nothing is reserved for it, or it does not fit
   */
  startCapture(): LoadPlan {
    const { cpu: crashedCpu, registers = this.#stopAll() } = this.#crash!;
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    if (program === undefined)
      throw new UsageError('the crashed kernel cannot be read: host mode needs its VMCOREINFO and its kallsyms');
    const system = describeLiveKernel(program, state, this.#starter.deviceTree());
    const plan = this.#starter.load(program, system);
    const saved = this.#writeNotes(system, registers, program);
    this.#onTakeover({ crashedCpu, saved, plan, region: crashRegionOf(system) });
    this.#starter.start(crashedCpu);
    this.#hasTakenOver = true;
    this.#crash = undefined;
    return plan;
  }

  /** A CPU has come to the host call: it and all others stand still from here on. */
  #onCrash(cpu: WatchedCpu, watched: WatchedFunction): 'stay' {
    const own = this.#crashRegisters(cpu, watched);
    this.#crash = { cpu: cpu.index, registers: this.#stopAll().with(cpu.index, own) };
    this.#board.machine.stop(CRASHED);
    return 'stay';
  }

  /** @returns the registers that the CPUs had */
  #stopAll(): CpuRegisters[] {
    this.#probes.removeAll();
    const registers = this.#board.cpus.map(cpu => cpu.registers());
    for (const cpu of this.#board.cpus) cpu.powerOff();
    return registers;
  }

  /**
   * `crash_setup_regs`: those that the exception saved, if there was one, else the ones of now. The watched function has no frame yet:
   * on arm64 its caller is where the stack begins; on x86_64 the return address is where the function's unwind information has it.
   */
  #crashRegisters(cpu: WatchedCpu, { takesRegisters }: WatchedFunction): CpuRegisters {
    const { architecture } = this.#board;
    const now = cpu.registers();
    const regs = takesRegisters ? cpu.argument(0) : 0n;
    const names = PT_REGS[architecture];
    const saved = regs === 0n ? undefined : this.#readVirtual(cpu, regs, names.length * 8);
    if (saved !== undefined) {
      const registers = new Map(names.map((name, i) => [name, readU64(saved, i * 8)]));
      return { ...now, registers: new Map([...now.registers, ...registers]) };
    }
    const caller = now.registers.get('x30');
    return caller === undefined ? now : { ...now, registers: new Map([...now.registers, ['pc', caller]]) };
  }

  /** Virtual memory, page by page: an exception's registers on a stack may cross one. */
  #readVirtual(cpu: WatchedCpu, address: bigint, size: number): Uint8Array | undefined {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 8) {
      const paddr = cpu.translate(address + BigInt(at));
      if (paddr === undefined) return undefined;
      bytes.set(this.#dma.read(paddr, 8), at);
    }
    return bytes;
  }

  /** @returns the CPUs that have notes now */
  #writeNotes(system: RunningSystem, registers: readonly CpuRegisters[], program: Program): number[] {
    const saved: number[] = [];
    for (const [i, { paddr }] of system.cpuNotes.entries()) {
      const cpu = registers[i];
      if (cpu === undefined || cpu.registers.size === 0) continue;
      this.#dma.write(paddr, crashNote({ ...cpu, pid: currentPid(program, i) }, system.architecture));
      saved.push(i);
    }
    const { vmcoreinfo } = system;
    if (vmcoreinfo === undefined) return saved;
    const seconds = this.#epochSeconds + this.#board.machine.guestNs / NS_PER_SECOND;
    this.#dma.write(vmcoreinfo.paddr, withCrashTime(this.#dma.read(vmcoreinfo.paddr, vmcoreinfo.size), seconds));
    return saved;
  }
}

/** Somebody who waits for a kernel to describe itself. Only host mode takes over at a crash. */
export interface KernelWatcher {
  readonly isArmed: boolean;
  tryArm(): void;
  /** Guest time between looks, where the usual one is too long. */
  readonly lookIntervalNs?: number | undefined;
  readonly hasCrashed?: boolean;
  guestHasPanicked?(): void;
  startCapture?(): void;
}

/** Why a machine stops when watchers shall look at its kernel now. */
export const LOOK_AGAIN = 'watchers look at the kernel';

/** Guest time between looks at a kernel that has not described itself yet. */
const LOOK_INTERVAL_NS = 50e6;

/** Runs a machine, from its first kernel into its second. @throws UsageError when the host cannot load the capture kernel */
export async function runWatched(
  machine: Pick<Machine, 'guestNs' | 'run'>,
  watchers: readonly KernelWatcher[],
  untilNs: number,
): Promise<StopReason> {
  for (;;) {
    const intervals = watchers.flatMap(({ isArmed, lookIntervalNs }) =>
      isArmed ? [] : [lookIntervalNs ?? LOOK_INTERVAL_NS],
    );
    const look = Math.min(untilNs, machine.guestNs + Math.min(...intervals));
    const stop = await machine.run(look);
    const taking = watchers.find(({ hasCrashed }) => hasCrashed === true);
    if (taking !== undefined) taking.startCapture?.();
    else if (!isLookDue(stop, look < untilNs)) return stop;
    else for (const watcher of watchers) if (!watcher.isArmed) watcher.tryArm();
  }
}

/** The interval is over, or somebody wants a look now. */
function isLookDue(stop: StopReason, isTimeLeft: boolean): boolean {
  return stop.kind === 'timeout' ? isTimeLeft : stop.kind === 'interrupted' && stop.reason === LOOK_AGAIN;
}

/** Lines that kernels print on their way to `__crash_kexec`, with a stack trace to come. */
const CRASH_LINE = /Kernel panic - not syncing|Internal error: |\bOops: |\bBUG: |kernel BUG at/;
/** A guest may print them for ever. */
const MOST_CALLS = 16;

/** Hears a crash on the console: a kernel may crash between describing itself and the next look at it. */
export class CrashListener {
  readonly #onCrashLine: () => void;
  #calls = 0;

  constructor(onCrashLine: () => void) {
    this.#onCrashLine = onCrashLine;
  }

  /** @param line of the console, or part of one */
  hear(line: Uint8Array): void {
    if (this.#calls >= MOST_CALLS || !CRASH_LINE.test(asBuffer(line).toString('latin1'))) return;
    this.#calls++;
    this.#onCrashLine();
  }
}

/** `current->pid`: the run queue knows who runs. 0 where it cannot be told. */
function currentPid(program: Program, cpu: number): number {
  try {
    const runQueue = program.percpuAddress('runqueues', cpu);
    if (runQueue === undefined) return 0;
    const task = program.object('rq', runQueue).pointer('curr');
    return task === 0n ? 0 : program.object('task_struct', task).num('pid');
  } catch (error) {
    if (error instanceof FaultError || error instanceof UnimplementedError) return 0;
    throw error;
  }
}
