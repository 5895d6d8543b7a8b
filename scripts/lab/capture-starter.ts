/** Host mode's last part, by architecture: puts a capture kernel into memory, and a CPU at its entry as `machine_kexec` would. */
import type { Program } from '../../analyzer/program.ts';
import { readU32 } from '../../capture/formats/bytes.ts';
import { assert } from '../../capture/formats/errors.ts';
import type { PcBoard, PhysicalDma, VirtBoard } from '../../emulator/index.ts';
import { buildControlPages } from '../../kexec/control-pages.ts';
import { captureBootState } from '../../kexec/crash-shutdown.ts';
import { planKexecFileLoad } from '../../kexec/load-plan-aarch64.ts';
import { planX86KexecFileLoad } from '../../kexec/load-plan-x86_64.ts';
import { crashRegionOf, NO_LIMITS, type LoadPlan, type LoadRequest } from '../../kexec/load-plan.ts';
import type { RunningSystem } from '../../kexec/running-system.ts';
import { firmwareOfLiveKernel } from './live-kernel.ts';

/** What the capture kernel is. */
export interface CaptureImage {
  /** Raw arm64 Image, or bzImage. */
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** Loads and starts a capture kernel on one board. */
export interface CaptureStarter {
  /** The device tree that the production kernel was booted with; empty on machines without one. */
  deviceTree(): Uint8Array;
  /** Puts it into memory. @throws UsageError when nothing is reserved for it, or it does not fit */
  load(program: Program, system: RunningSystem): LoadPlan;
  /** Starts what was loaded, on a CPU that is off. */
  start(cpu: number): void;
}

/** `totalsize` in `struct fdt_header`, big endian. */
const FDT_TOTALSIZE = 4;

function requestOf({ kernel, initrd, commandLine }: CaptureImage): LoadRequest {
  return {
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
}

function writeSegments(dma: PhysicalDma, { segments }: LoadPlan): void {
  for (const { mem, memsz, bytes } of segments) {
    dma.write(mem, bytes);
    dma.write(mem + bytes.length, new Uint8Array(memsz - bytes.length));
  }
}

/** arm64: the kernel is entered with its MMU off and the device tree in X0. */
export class Aarch64Starter implements CaptureStarter {
  readonly #board: VirtBoard;
  readonly #dma: PhysicalDma;
  readonly #image: CaptureImage;
  readonly #treePaddr: number;
  readonly #exceptionLevel: 1 | 2;
  #plan: LoadPlan | undefined;

  /**
   * @param treePaddr where the production kernel found its device tree
   * @param exceptionLevel in which kernels are started
   */
  constructor(board: VirtBoard, dma: PhysicalDma, image: CaptureImage, treePaddr: number, exceptionLevel: 1 | 2) {
    this.#board = board;
    this.#dma = dma;
    this.#image = image;
    this.#treePaddr = treePaddr;
    this.#exceptionLevel = exceptionLevel;
  }

  deviceTree(): Uint8Array {
    const size = readU32(this.#dma.read(this.#treePaddr, 8), FDT_TOTALSIZE, 'big');
    return this.#dma.read(this.#treePaddr, size);
  }

  load(_program: Program, system: RunningSystem): LoadPlan {
    const plan = planKexecFileLoad(system, requestOf(this.#image), undefined, this.#treePaddr);
    writeSegments(this.#dma, plan);
    this.#plan = plan;
    return plan;
  }

  start(cpu: number): void {
    assert(this.#plan !== undefined, 'a capture kernel is loaded before it is started');
    const { entry } = captureBootState(this.#plan, this.#exceptionLevel);
    assert(entry.architecture === 'aarch64', 'an arm64 board starts arm64 kernels');
    this.#board.cpus[cpu]!.start(BigInt(entry.pc), entry.x, entry.exceptionLevel);
  }
}

/** x86_64: the kernel is entered in 64-bit mode with memory mapped to itself and the boot parameters in RSI. */
export class X86Starter implements CaptureStarter {
  readonly #board: PcBoard;
  readonly #dma: PhysicalDma;
  readonly #image: CaptureImage;
  readonly #usesPics: boolean;
  #entry: Parameters<PcBoard['cpus'][number]['start']>[0] | undefined;

  /** @param usesPics whether kernels know the 8259 pair: they do not where ACPI is hardware-reduced (microvm) */
  constructor(board: PcBoard, dma: PhysicalDma, image: CaptureImage, usesPics: boolean) {
    this.#board = board;
    this.#dma = dma;
    this.#image = image;
    this.#usesPics = usesPics;
  }

  deviceTree(): Uint8Array {
    return new Uint8Array(0);
  }

  load(program: Program, system: RunningSystem): LoadPlan {
    const plan = planX86KexecFileLoad(system, firmwareOfLiveKernel(program), requestOf(this.#image));
    const memoryEnd = Math.max(...system.systemRam.map(({ end }) => end));
    const control = buildControlPages(crashRegionOf(system), plan.segments, memoryEnd);
    writeSegments(this.#dma, plan);
    this.#dma.write(control.mem, control.bytes);
    const { base, limit } = control.gdt;
    this.#entry = {
      mode: 'long64',
      rip: BigInt(plan.entry),
      rsi: BigInt(plan.bootParams),
      rbx: 0n,
      cr3: control.cr3,
      gdt: { base: BigInt(base), limit },
    };
    return plan;
  }

  /**
   * `machine_crash_shutdown` leaves the interrupt controllers as firmware had them: only the 8259 pair gets through. A kernel that does
   * not know the pair leaves them shut (`restore_boot_irq_mode`): the capture kernel would not mask what is pending there.
   */
  start(cpu: number): void {
    assert(this.#entry !== undefined, 'a capture kernel is loaded before it is started');
    const { localApics, ioApics } = this.#board.chipset.interrupts;
    for (const apic of [...localApics, ...ioApics]) apic.reset();
    if (this.#usesPics) localApics[cpu]!.enterVirtualWireMode();
    this.#board.cpus[cpu]!.start(this.#entry);
  }
}
