/**
 * Observes kexec in a guest: its system calls with what they load, the panic, each CPU's stop, the check of what was loaded, the jump
 * and the capture kernel's first instruction. The guest notices nothing.
 */
import { readU64 } from '../../capture/formats/bytes.ts';
import type { Program } from '../../analyzer/program.ts';
import { checkLoadedImage, recogniseSegments, type Finding, type LoadedImage } from '../../kexec/check.ts';
import { KEXEC_ARCH, KEXEC_FILE_FLAGS, KEXEC_FLAGS, MOST_SEGMENTS } from '../../kexec/syscalls.ts';
import type { KernelWatcher } from './host-kexec.ts';
import type { KernelProbes } from './kernel-probes.ts';
import { describeLiveKernel, loadedImageOf, openLiveKernel } from './live-kernel.ts';
import { machineStateOf, type WatchedBoard, type WatchedCpu } from './watched-board.ts';

/** What was seen, as plain data. */
export interface KexecEvent {
  readonly name: 'kexec_load' | 'kexec_file_load' | 'panic' | 'image' | 'check' | 'cpu-stop' | 'jump' | 'entry';
  readonly guestSeconds: number;
  readonly instructions: number;
  readonly cpu: number;
  /** One line for people. */
  readonly text: string;
  readonly details?: object;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const NS_PER_SECOND = 1e9;
const LOAD_FLAGS_MASK = 0xffffn;
/** `struct kexec_segment` on 64-bit kernels: buf, bufsz, mem, memsz. */
const SEGMENT_SIZE = 32;

/** Watches one board. */
export class KexecTrace implements KernelWatcher {
  readonly #board: WatchedBoard;
  readonly #probes: KernelProbes;
  readonly #onEvent: (event: KexecEvent) => void;
  #isArmed = false;

  constructor(probes: KernelProbes, onEvent: (event: KexecEvent) => void) {
    this.#board = probes.board;
    this.#probes = probes;
    this.#onEvent = onEvent;
  }

  get isArmed(): boolean {
    return this.#isArmed;
  }

  /** Plants the probes, if the kernel has described itself. Call it while the machine stands. */
  tryArm(): void {
    const program = openLiveKernel(machineStateOf(this.#board));
    if (program === undefined) return;
    this.#isArmed = true;
    this.#watch(program, '__arm64_sys_kexec_load', cpu => this.#kexecLoad(cpu));
    this.#watch(program, '__arm64_sys_kexec_file_load', cpu => this.#kexecFileLoad(cpu));
    this.#watch(program, '__crash_kexec', cpu => this.#panic(cpu));
    this.#watch(program, 'crash_save_cpu', cpu => this.#cpuStop(cpu));
    this.#watch(program, 'machine_kexec', cpu => this.#jump(cpu));
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
    this.#onEvent({
      name,
      guestSeconds: guestNs / NS_PER_SECOND,
      instructions,
      cpu: cpu.index,
      text,
      ...(details && { details }),
    });
  }

  /** Arguments of a system call: X0 has `struct pt_regs`, which begins with X0 to X30. */
  #argument(cpu: WatchedCpu, n: number): bigint {
    const bytes = this.#read(cpu, cpu.argument(0) + BigInt(n * 8), 8);
    return bytes === undefined ? 0n : readU64(bytes, 0);
  }

  /** Virtual memory within a page. */
  #read(cpu: WatchedCpu, address: bigint, size: number): Uint8Array | undefined {
    const paddr = cpu.translate(address);
    return paddr === undefined ? undefined : this.#probes.dma.read(paddr, size);
  }

  #kexecLoad(cpu: WatchedCpu): void {
    const [entry, count, array, flags] = [0, 1, 2, 3].map(n => this.#argument(cpu, n)) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const segments = Array.from({ length: Math.min(Number(count), MOST_SEGMENTS) }, (_, i) => {
      const bytes = this.#read(cpu, array + BigInt(i * SEGMENT_SIZE), SEGMENT_SIZE);
      const at = (n: number): number => (bytes === undefined ? 0 : Number(readU64(bytes, n * 8)));
      return { bufsz: at(1), mem: at(2), memsz: at(3) };
    });
    const text = `kexec_load(entry ${hex(entry)}, ${count} segments, ${loadFlags(flags)})`;
    this.#emit(cpu, 'kexec_load', text, { entry: hex(entry), flags: hex(flags), segments });
  }

  #kexecFileLoad(cpu: WatchedCpu): void {
    const flags = this.#argument(cpu, 4);
    const names = namesOf(flags, KEXEC_FILE_FLAGS, 'KEXEC_FILE');
    const text = `kexec_file_load(kernel_fd ${this.#argument(cpu, 0)}, initrd_fd ${this.#argument(cpu, 1)}, ${names})`;
    this.#emit(cpu, 'kexec_file_load', text, { flags: hex(flags) });
  }

  /** The last moment before the kernel acts: what it has loaded is looked at. */
  #panic(cpu: WatchedCpu): void {
    this.#emit(cpu, 'panic', '__crash_kexec: the kernel looks for a capture kernel');
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    if (program === undefined) return;
    const system = describeLiveKernel(program, state, new Uint8Array(0));
    const image = loadedImageOf(program);
    if (image !== undefined) this.#describeImage(cpu, image, state.read);
    const findings = checkLoadedImage(image, system, state.read);
    this.#emit(cpu, 'check', describeFindings(findings), { findings });
  }

  #describeImage(cpu: WatchedCpu, image: LoadedImage, read: (paddr: number, length: number) => Uint8Array): void {
    for (const { what, mem, memsz } of recogniseSegments(image, read)) {
      const isEntered = image.start >= mem && image.start < mem + memsz;
      const text = `${what.padEnd(11)}${hex(mem)}-${hex(mem + memsz - 1)}${isEntered ? `  entry ${hex(image.start)}` : ''}`;
      this.#emit(cpu, 'image', text, { what, mem, memsz });
    }
  }

  #cpuStop(cpu: WatchedCpu): void {
    const number = BigInt.asUintN(32, cpu.argument(1));
    this.#emit(cpu, 'cpu-stop', `crash_save_cpu: the registers of CPU ${number} go to its crash notes`);
  }

  #jump(cpu: WatchedCpu): void {
    const state = machineStateOf(this.#board);
    const program = openLiveKernel(state);
    const image = program && loadedImageOf(program);
    this.#emit(cpu, 'jump', `machine_kexec: MMU off, to ${image === undefined ? 'the new kernel' : hex(image.start)}`);
    this.#probes.removeAll();
    if (image === undefined) return;
    this.#probes.plant(image.start, entered => {
      const mode = entered.describeMode();
      this.#emit(entered, 'entry', `first instruction of the new image at ${hex(entered.pc)}: ${mode}`);
      return 'continue';
    });
  }
}

function loadFlags(flags: bigint): string {
  const architecture = flags - (flags & LOAD_FLAGS_MASK);
  const name = Object.entries(KEXEC_ARCH).find(([, value]) => BigInt(value) === architecture)?.[0];
  return `${namesOf(flags & LOAD_FLAGS_MASK, KEXEC_FLAGS, 'KEXEC')}, KEXEC_ARCH_${name ?? hex(architecture)}`;
}

function namesOf(flags: bigint, table: Readonly<Record<string, number>>, prefix: string): string {
  const set = Object.entries(table).filter(([, bit]) => (flags & BigInt(bit)) !== 0n);
  return set.length === 0 ? hex(flags) : set.map(([name]) => `${prefix}_${name}`).join('|');
}

function describeFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'nothing wrong with the loaded image';
  return findings.map(({ severity, text }) => `${severity}: ${text}`).join('; ');
}
