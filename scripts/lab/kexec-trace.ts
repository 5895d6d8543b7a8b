/**
 * Observes kexec in a guest: its system calls with what they load, the panic, each CPU's stop, the check of what was loaded, the jump
 * and the capture kernel's first steps. The guest notices nothing.
 */
import { readU64 } from '../../capture/formats/bytes.ts';
import type { Program } from '../../analyzer/program.ts';
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import { STARTUP_64 } from '../../kexec/boot-params.ts';
import { mapLines } from '../../kexec/report.ts';
import { memoryOf } from '../../kexec/running-system.ts';
import {
  applyKexecLoad,
  KEXEC_ARCH,
  KEXEC_FILE_FLAGS,
  KEXEC_FLAGS,
  type KexecLoadArguments,
  MOST_SEGMENTS,
  willingKernel,
} from '../../kexec/syscalls.ts';
import { LOOK_AGAIN, type KernelWatcher, type Takeover } from './host-kexec.ts';
import type { KernelProbes } from './kernel-probes.ts';
import { checkProgram, describeImage, findingLines, type ImageDescription } from './live-check.ts';
import { iomemOf, loadedImageOf, openLiveKernel } from './live-kernel.ts';
import { machineStateOf, type WatchedBoard, type WatchedCpu } from './watched-board.ts';

/** What was seen, as plain data. */
export interface KexecEvent {
  readonly name:
    | 'region'
    | 'kexec_load'
    | 'kexec_file_load'
    | 'loaded'
    | 'image'
    | 'map'
    | 'panic'
    | 'check'
    | 'cpu-stop'
    | 'jump'
    | 'entry'
    | 'capture';
  readonly guestSeconds: number;
  readonly instructions: number;
  readonly cpu: number;
  /** One line for people. */
  readonly text: string;
  readonly details?: object;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const NS_PER_SECOND = 1e9;
const CAPTURE_LOOK_NS = 5e6;
const LOAD_FLAGS_MASK = 0xffffn;
/** COMMAND_LINE_SIZE of both architectures. */
const LONGEST_COMMAND_LINE = 2048;
/** `struct kexec_segment` on 64-bit kernels: buf, bufsz, mem, memsz. */
const SEGMENT_SIZE = 32;

/** Wrappers of system calls by architecture, and where `struct pt_regs` has the arguments. */
const SYSCALLS = {
  aarch64: { prefix: '__arm64_sys_', arguments: [0, 1, 2, 3, 4] },
  // RDI, RSI, RDX, R10, R8.
  x86_64: { prefix: '__x64_sys_', arguments: [14, 13, 12, 7, 9] },
} as const;

/** Functions of the capture kernel on its way to user space, and what they mean. */
const STEPS: Readonly<Record<string, string>> = {
  vmcore_init: 'makes /proc/vmcore of the ELF core header',
  run_init_process: 'starts the first program',
};

/** Watches one board. */
export class KexecTrace implements KernelWatcher {
  readonly #board: WatchedBoard;
  readonly #probes: KernelProbes;
  readonly #onEvent: (event: KexecEvent) => void;
  /** Which kernel is waited for; `done`: both have been found. */
  #stage: 'production' | 'running' | 'capture' | 'done' = 'production';
  /** What was loaded when the production kernel jumped. */
  #jumped:
    { readonly image: ImageDescription; readonly region: { readonly start: number; readonly end: number } } | undefined;

  constructor(probes: KernelProbes, onEvent: (event: KexecEvent) => void) {
    this.#board = probes.board;
    this.#probes = probes;
    this.#onEvent = onEvent;
  }

  get isArmed(): boolean {
    return this.#stage === 'running' || this.#stage === 'done';
  }

  /** A capture kernel passes from VMCOREINFO to /proc/vmcore in little time. */
  get lookIntervalNs(): number | undefined {
    return this.#stage === 'capture' ? CAPTURE_LOOK_NS : undefined;
  }

  /** Plants the probes, if the kernel that is waited for has described itself. Call it while the machine stands. */
  tryArm(): void {
    if (this.#stage === 'production') this.#armProduction();
    else if (this.#stage === 'capture') this.#armCapture();
  }

  #armProduction(): void {
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    if (program === undefined) return;
    this.#stage = 'running';
    this.#showRegions(program);
    const { prefix } = SYSCALLS[this.#board.architecture];
    this.#watch(program, `${prefix}kexec_load`, cpu => this.#kexecLoad(cpu));
    this.#watch(program, `${prefix}kexec_file_load`, cpu => this.#kexecFileLoad(cpu));
    this.#watch(program, 'kimage_terminate', cpu => this.#loaded(cpu));
    this.#watch(program, '__crash_kexec', cpu => this.#panic(cpu));
    this.#watch(program, 'crash_save_cpu', cpu => this.#cpuStop(cpu));
    this.#watch(program, 'machine_kexec', cpu => this.#jump(cpu));
  }

  #showRegions(program: Program): void {
    const cpu = this.#board.cpus[0]!;
    const { regions, failure } = regionsOf(program);
    for (const { start, end } of regions)
      this.#emit(cpu, 'region', `crash kernel region ${hex(start)}-${hex(end - 1)} (${(end - start) / 2 ** 20} MiB)`, {
        start,
        end,
      });
    if (regions.length > 0) return;
    this.#emit(cpu, 'region', failure ?? 'no memory is reserved for a capture kernel');
  }

  /** The capture kernel runs in the region alone: nothing else of the memory is looked at. */
  #armCapture(): void {
    const region = this.#jumped?.region;
    if (region === undefined) return;
    const program = openLiveKernel({ ...machineStateOf(this.#board), ram: [region] });
    if (program === undefined) return;
    this.#stage = 'done';
    const release = program.vmcoreinfo.get('OSRELEASE') ?? '';
    this.#emit(this.#runningCpu(), 'capture', `the capture kernel, ${release}, has described itself`, { release });
    for (const [name, meaning] of Object.entries(STEPS))
      this.#watch(program, name, cpu => this.#emit(cpu, 'capture', `${name}: ${meaning}`, { function: name }));
  }

  #runningCpu(): WatchedCpu {
    const { cpus } = this.#board;
    return cpus.find(({ isOff }) => !isOff) ?? cpus[0]!;
  }

  #watch(program: Program, name: string, handler: (cpu: WatchedCpu) => void): void {
    const address = program.symbols.find(name);
    const paddr = address === undefined ? undefined : program.space.translate(address);
    if (paddr === undefined) return;
    this.#probes.plantAtFunction(paddr, cpu => {
      handler(cpu);
      return 'continue';
    });
  }

  #emit(cpu: WatchedCpu, name: KexecEvent['name'], text: string, details?: object): void {
    const { guestNs, instructions } = this.#board.machine;
    const guestSeconds = guestNs / NS_PER_SECOND;
    this.#onEvent({ name, guestSeconds, instructions, cpu: cpu.index, text, ...(details && { details }) });
  }

  /** Arguments of a system call: its wrapper gets `struct pt_regs`. */
  #arguments(cpu: WatchedCpu): bigint[] {
    const regs = cpu.argument(0);
    return SYSCALLS[this.#board.architecture].arguments.map(n => {
      const bytes = this.#read(cpu, regs + BigInt(n * 8), 8);
      return bytes === undefined ? 0n : readU64(bytes, 0);
    });
  }

  /** Virtual memory within a page. */
  #read(cpu: WatchedCpu, address: bigint, size: number): Uint8Array | undefined {
    const paddr = cpu.translate(address);
    return paddr === undefined ? undefined : this.#probes.dma.read(paddr, size);
  }

  #kexecLoad(cpu: WatchedCpu): void {
    const [entry, count, array, flags] = this.#arguments(cpu) as [bigint, bigint, bigint, bigint];
    const segments = Array.from({ length: Math.min(Number(count), MOST_SEGMENTS) }, (_, i) => {
      const at = (n: number): bigint => {
        const bytes = this.#read(cpu, array + BigInt(i * SEGMENT_SIZE + n * 8), 8);
        return bytes === undefined ? 0n : readU64(bytes, 0);
      };
      return { buf: at(0), bufsz: at(1), mem: at(2), memsz: at(3) };
    });
    this.#emit(cpu, 'kexec_load', formatKexecLoad(entry, count, segments, flags), {
      entry: hex(entry),
      flags: hex(flags),
      segments: segments.map(segment => Object.fromEntries(Object.entries(segment).map(([k, v]) => [k, hex(v)]))),
    });
    this.#foretell(cpu, { entry, segments, nrSegments: Number(count), flags });
  }

  /** Says when the arguments alone make the kernel refuse a call. */
  #foretell(cpu: WatchedCpu, call: KexecLoadArguments): void {
    const program = openLiveKernel(machineStateOf(this.#board));
    if (program === undefined) return;
    const kernel = willingKernel(this.#board.architecture, regionsOf(program).regions.at(-1));
    const { refusal, held } = applyKexecLoad({ crash: 'old', reboot: 'old' }, call, kernel, 'new');
    if (refusal === undefined) return;
    const loss = held.crash === undefined ? '; a capture kernel that was loaded before is gone' : '';
    this.#emit(cpu, 'check', `the kernel will return ${refusal.errno}: ${refusal.why}${loss}`, refusal);
  }

  #kexecFileLoad(cpu: WatchedCpu): void {
    const [kernel, initrd, length, text, flags] = this.#arguments(cpu) as [bigint, bigint, bigint, bigint, bigint];
    const descriptors = { kernel_fd: Number(BigInt.asIntN(32, kernel)), initrd_fd: Number(BigInt.asIntN(32, initrd)) };
    const commandLine = this.#readText(cpu, text, Math.min(Number(length), LONGEST_COMMAND_LINE));
    const { kernel_fd, initrd_fd } = descriptors;
    const names = namesOf(flags, KEXEC_FILE_FLAGS, 'KEXEC_FILE');
    const call = `kexec_file_load(${kernel_fd}, ${initrd_fd}, ${length}, ${JSON.stringify(commandLine)}, ${names})`;
    this.#emit(cpu, 'kexec_file_load', call, { ...descriptors, commandLine, flags: hex(flags) });
  }

  /** A string without the NUL that ends it; what is not mapped is left out. */
  #readText(cpu: WatchedCpu, address: bigint, length: number): string {
    let text = '';
    for (let i = 0; i < length; i++) {
      const byte = this.#read(cpu, address + BigInt(i), 1)?.[0] ?? 0;
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** `kimage_terminate`: all segments are in memory; the argument is the image, which nobody else knows yet. */
  #loaded(cpu: WatchedCpu): void {
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    const image = program && loadedImageOf(program, cpu.argument(0));
    if (program === undefined || image === undefined) return;
    const described = describeImage(image, state.read, this.#board.architecture);
    this.#emit(cpu, 'loaded', `${described.syscall}: ${described.segments.length} segments are in memory`, described);
    this.#describe(cpu, described, regionsOf(program).regions.at(-1));
  }

  /** Each segment, and a map. */
  #describe(cpu: WatchedCpu, image: ImageDescription, region: { start: number; end: number } | undefined): void {
    for (const { name, mem, memsz, bufsz } of image.segments) {
      const isEntered = image.entry >= mem && image.entry < mem + memsz;
      const text = `${name.padEnd(12)}${hex(mem)}-${hex(mem + memsz - 1)}${isEntered ? `  entry ${hex(image.entry)}` : ''}`;
      this.#emit(cpu, 'image', text, { what: name, mem, memsz, bufsz });
    }
    if (region === undefined) return;
    for (const line of mapLines(image, region)) this.#emit(cpu, 'map', line);
  }

  /** The last moment before the kernel acts: what it has loaded is looked at. */
  #panic(cpu: WatchedCpu): void {
    this.#emit(cpu, 'panic', '__crash_kexec: the kernel looks for a capture kernel');
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    if (program === undefined) return;
    const { image, regions, findings } = checkProgram(program, state);
    if (image !== undefined) this.#describe(cpu, image, regions.at(-1));
    this.#emit(cpu, 'check', findingLines(findings).join('; '), { findings });
  }

  #cpuStop(cpu: WatchedCpu): void {
    const number = Number(BigInt.asUintN(32, cpu.argument(1)));
    this.#emit(cpu, 'cpu-stop', `crash_save_cpu: the registers of CPU ${number} go to its crash notes`, {
      stopped: number,
    });
  }

  #jump(cpu: WatchedCpu): void {
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    const image = program && loadedImageOf(program);
    const how = this.#board.architecture === 'aarch64' ? 'MMU off' : 'memory mapped to itself';
    const entry = image === undefined ? 'the new kernel' : hex(image.start);
    this.#emit(cpu, 'jump', `machine_kexec: ${how}, to ${entry}`, { entry: image?.start });
    const described = image && describeImage(image, state.read, this.#board.architecture);
    const region = program && regionsOf(program).regions.at(-1);
    this.#probes.removeAll();
    if (described !== undefined && region !== undefined) this.follow(described, region);
  }

  /** Host mode has taken over: what it did, and from now on the capture kernel. */
  hostTookOver({ crashedCpu, saved, plan, region }: Takeover): void {
    const cpu = this.#board.cpus[crashedCpu]!;
    for (const stopped of saved)
      this.#emit(cpu, 'cpu-stop', `the host: the registers of CPU ${stopped} go to its crash notes`, { stopped });
    const segments = plan.segments.map(({ name, mem, memsz, bytes }) => ({ name, mem, memsz, bufsz: bytes.length }));
    const image = { syscall: plan.syscall, entry: plan.entry, segments, commandLine: '' };
    this.#emit(cpu, 'loaded', `the host: ${segments.length} segments are in memory`, image);
    this.#describe(cpu, image, region);
    this.#emit(cpu, 'jump', `the host: CPU ${crashedCpu} goes to ${hex(plan.entry)}`, { entry: plan.entry });
    this.follow(image, region);
  }

  /**
   * Follows a capture kernel from its first instruction on.
   * @param region that it runs in
   */
  follow(image: ImageDescription, region: { readonly start: number; readonly end: number }): void {
    this.#jumped = { image, region };
    this.#stage = 'capture';
    this.#board.machine.stop({ kind: 'interrupted', reason: LOOK_AGAIN });
    this.#watchEntry(image.entry, 'first instruction of the new image');
    const kernel = image.segments.find(({ name }) => name === 'kernel');
    if (kernel === undefined) return;
    const start = this.#board.architecture === 'aarch64' ? kernel.mem : kernel.mem + STARTUP_64;
    if (start !== image.entry) this.#watchVerified(start, 'the purgatory is done: first instruction of the kernel');
  }

  #watchEntry(paddr: number, what: string): void {
    this.#probes.plant(paddr, cpu => {
      this.#entered(cpu, what);
      return 'continue';
    });
  }

  /** Watches an instruction whose bytes the purgatory compares with a digest, so that they must stay what they are. It runs with physical addresses. */
  #watchVerified(paddr: number, what: string): void {
    const { breakpoints } = this.#board.machine.engine.code;
    const address = BigInt(paddr);
    const others = breakpoints.hit;
    breakpoints.add(address);
    breakpoints.hit = index => {
      const cpu = this.#board.cpus[index]!;
      if (cpu.pc !== address) return others(index);
      breakpoints.remove(address);
      breakpoints.hit = others;
      this.#entered(cpu, what);
    };
  }

  #entered(cpu: WatchedCpu, what: string): void {
    this.#emit(cpu, 'entry', `${what} at ${hex(cpu.pc)}: ${cpu.describeMode()}`, { pc: hex(cpu.pc) });
  }
}

/** What is reserved for a capture kernel; none, and why, where the kernel cannot be asked. */
function regionsOf(program: Program): { readonly regions: readonly PhysicalRange[]; readonly failure?: string } {
  try {
    return { regions: memoryOf(iomemOf(program)).crashRegions };
  } catch (error) {
    if (error instanceof FormatError || error instanceof FaultError)
      return { regions: [], failure: `the memory map cannot be told: ${error.message}` };
    throw error;
  }
}

/** A segment as user space passes it. */
type PassedSegment = Readonly<Record<'buf' | 'bufsz' | 'mem' | 'memsz', bigint>>;

/** As strace shows the call. */
function formatKexecLoad(entry: bigint, count: bigint, segments: readonly PassedSegment[], flags: bigint): string {
  const shown = segments.map(
    ({ buf, bufsz, mem, memsz }) => `{buf=${hex(buf)}, bufsz=${bufsz}, mem=${hex(mem)}, memsz=${memsz}}`,
  );
  return `kexec_load(${hex(entry)}, ${count}, [${shown.join(', ')}], ${loadFlags(flags)})`;
}

function loadFlags(flags: bigint): string {
  const architecture = flags - (flags & LOAD_FLAGS_MASK);
  const name = Object.entries(KEXEC_ARCH).find(([, value]) => BigInt(value) === architecture)?.[0];
  const rest = flags & LOAD_FLAGS_MASK;
  const words = [
    `KEXEC_ARCH_${name ?? hex(architecture)}`,
    ...(rest === 0n ? [] : [namesOf(rest, KEXEC_FLAGS, 'KEXEC')]),
  ];
  return words.join('|');
}

function namesOf(flags: bigint, table: Readonly<Record<string, number>>, prefix: string): string {
  const set = Object.entries(table).filter(([, bit]) => (flags & BigInt(bit)) !== 0n);
  return set.length === 0 ? hex(flags) : set.map(([name]) => `${prefix}_${name}`).join('|');
}
