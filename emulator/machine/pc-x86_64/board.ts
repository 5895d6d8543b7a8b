/**
 * QEMU's `q35` and `microvm` boards: makes CPUs, memory and disks, and wires them with the chip set.
 *
 * Source: QEMU 7.2 hw/i386/pc_q35.c, microvm.c; addresses are in layout.ts, devices in chipset.ts.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { EngineCpu } from '../../cpu/execute/guest.ts';
import { Engine, type EngineOptions, engineReservedBytes } from '../../cpu/execute/engine.ts';
import { createX64Guest, type PortSpace, type X64Cpu, type X64Guest, x64Model } from '../../cpu/x64/index.ts';
import type { ApicCpu } from '../../devices/apic/local-apic.ts';
import type { BlockBackend } from '../../devices/block/backend.ts';
import type { Ns16550 } from '../../devices/ns16550.ts';
import { VirtioBlock } from '../../devices/virtio/block.ts';
import { VirtioPciFunction } from '../../devices/virtio/pci-transport.ts';
import type { PvpanicEvent } from '../../devices/pvpanic.ts';
import { Bus } from '../../memory/bus.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { PhysicalDma } from '../../memory/physical-dma.ts';
import type { BootState } from '../boot-state.ts';
import { type InstructionCounter, VirtualClock } from '../clock.ts';
import { Machine, type StopReason } from '../machine.ts';
import { type MachineSnapshot, restoreSnapshot, type SnapshotSubject, takeSnapshot } from '../snapshot.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { PcChipset } from './chipset.ts';
import { BOOT_LAYOUT, directBoot, GDT_LIMIT, type PcLinuxBoot } from './direct-boot.ts';
import { type PcBoard as PcBoardName, ramRanges } from './layout.ts';

/** A disk on the board: virtio-blk-pci on q35, virtio-blk-device on microvm. */
export interface PcDrive {
  readonly backend: BlockBackend;
  /** Serial number that the guest reads, at most 20 characters. */
  readonly serial?: string;
}

/** What a board is made of. */
export interface PcConfig {
  readonly board: PcBoardName;
  /** `-cpu`: qemu64, Nehalem, Haswell, max. */
  readonly cpu: string;
  readonly cpuCount: number;
  /** RAM in bytes, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  readonly drives: readonly PcDrive[];
  /** Takes each character that the guest sends to COM1. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  /** Told what the guest says to pvpanic. */
  readonly panicked?: (event: PvpanicEvent) => void;
  readonly engine?: Partial<EngineOptions>;
}

/** The time-stamp counter's rate: one tick a nanosecond of guest time. */
const TSC_HZ = 1_000_000_000;
/** q35: disks take the PCI slots from here on. */
const FIRST_DRIVE_SLOT = 2;
/** Before the engine is there nothing has run. */
const POWERED_OFF: InstructionCounter = { retired: 0, requestAttention: () => undefined };

/** The board: a machine, and what of its hardware others may touch. */
export class PcBoard {
  readonly machine: Machine;
  readonly memory: GuestMemory;
  readonly cpus: readonly X64Cpu[];
  readonly chipset: PcChipset;
  readonly bus = new Bus('memory');
  readonly #config: PcConfig;
  readonly #portBus = new Bus('ports');
  readonly #clock: VirtualClock;
  readonly #dma: PhysicalDma;
  #boot: BootState | undefined;

  constructor(config: PcConfig) {
    this.#config = config;
    const { cpuCount } = config;
    const cpus: X64Cpu[] = [];
    this.cpus = cpus;
    const ranges = ramRanges(config.board, config.memoryBytes).map(({ start, end }) => ({ start, size: end - start }));
    this.memory = new GuestMemory(engineReservedBytes(cpuCount), ranges);
    this.#clock = new VirtualClock(() => this.#counter);
    this.#dma = new PhysicalDma(this.memory, (address, size) => this.machine.engine.code.written(address, size));
    this.chipset = this.#createChipset();
    this.#place();
    const guest = createX64Guest(x64Model(config.cpu), cpuCount, () => cpus[this.machine.engine.current.index]!);
    const createCpu = (engineCpu: EngineCpu): X64Cpu => {
      const cpu = this.#createCpu(guest, engineCpu);
      cpus.push(cpu);
      return cpu;
    };
    const engine = new Engine(guest, this.memory, this.bus, cpuCount, createCpu, config.engine);
    this.machine = new Machine(engine, this.#clock);
    for (const cpu of cpus) cpu.reset(cpu.apicId === 0);
    this.#plugDrives();
  }

  /** Puts a kernel into memory, and the boot CPU at its entry. Call it once, before the machine runs. */
  loadLinux(boot: PcLinuxBoot): void {
    this.load(directBoot(boot, this.#acpi()));
  }

  /** Puts segments into memory, and the boot CPU at the entry. */
  load(boot: BootState): void {
    const { segments, entry } = boot;
    this.#boot = boot;
    for (const { paddr, bytes } of segments) this.#dma.write(paddr, bytes);
    assert(entry.architecture === 'x86_64', 'a PC boots x86_64 kernels');
    this.chipset.interrupts.localApics[0]!.enterVirtualWireMode();
    this.cpus[0]!.start({
      mode: entry.mode,
      rip: BigInt(entry.rip),
      rsi: BigInt(entry.rsi),
      rbx: BigInt(entry.rbx),
      cr3: BOOT_LAYOUT.PAGE_TABLES,
      gdt: { base: BigInt(BOOT_LAYOUT.GDT), limit: GDT_LIMIT },
    });
  }

  /** Resets the hardware and boots again what was loaded. Memory keeps what nothing is loaded over, and time goes on. */
  reset(): void {
    for (const device of this.chipset.devices) device.reset();
    for (const cpu of this.cpus) cpu.reset(cpu.apicId === 0);
    if (this.#boot !== undefined) this.load(this.#boot);
  }

  /** Takes a snapshot to go back to; the one before is void. The machine must not run. */
  takeSnapshot(): MachineSnapshot {
    return takeSnapshot(this.#subject);
  }

  /** Goes back to the latest snapshot. */
  restoreSnapshot(snapshot: MachineSnapshot): void {
    restoreSnapshot(this.#subject, snapshot);
  }

  get serial(): Ns16550 {
    return this.chipset.serial;
  }

  /** The first host error behind a drive. */
  get driveError(): Error | undefined {
    return this.#config.drives.map(({ backend }) => backend.error).find(error => error !== undefined);
  }

  get #subject(): SnapshotSubject {
    return { machine: this.machine, cpus: this.cpus, parts: this.chipset.devices };
  }

  /** The engine, once it is there: devices look at the clock before. */
  get #counter(): InstructionCounter {
    return (this.machine as Machine | undefined)?.engine ?? POWERED_OFF;
  }

  #acpi(): AcpiConfig {
    const { board, cpuCount, memoryBytes, drives } = this.#config;
    return { board, cpuCount, memoryBytes, virtioDevices: board === 'microvm' ? drives.length : 0 };
  }

  #createChipset(): PcChipset {
    const { board, memoryBytes, consoleOutput, epochSeconds, cpuCount, panicked } = this.#config;
    const stop = (reason: StopReason): void => this.machine.stop(reason);
    return new PcChipset({
      board,
      clock: this.#clock,
      memory: this.#dma,
      memoryBytes,
      cpus: Array.from({ length: cpuCount }, (_, index) => this.#interruptInputs(index)),
      tscHz: TSC_HZ,
      currentCpu: () => this.machine.engine.current.index,
      consoleOutput,
      epochSeconds,
      fwCfgFiles: [],
      virtio: board === 'microvm' ? this.#disks() : [],
      powerOff: () => stop({ kind: 'power-off' }),
      resetMachine: () => stop({ kind: 'reset' }),
      panicked: panicked ?? (() => undefined),
      debugExit: status => stop({ kind: 'interrupted', reason: `isa-debug-exit: ${status}` }),
    });
  }

  /** The inputs of a CPU that is made after its local APIC. */
  #interruptInputs(index: number): ApicCpu {
    return {
      interrupt: { set: level => this.cpus[index]?.setInterrupt(level) },
      nmi: () => this.cpus[index]!.nmi(),
      init: () => this.cpus[index]!.init(),
      startup: vector => this.cpus[index]!.startup(vector),
    };
  }

  #createCpu(guest: X64Guest, engineCpu: EngineCpu): X64Cpu {
    return guest.createCpu(engineCpu, {
      apic: this.chipset.interrupts.localApics[engineCpu.index]!,
      ports: portSpace(this.#portBus),
      timestamp: () => BigInt(this.#clock.now()),
      host: { tripleFault: () => this.machine.stop({ kind: 'reset' }) },
    });
  }

  #place(): void {
    const { memoryDevices, portDevices } = this.chipset;
    for (const { region, device } of memoryDevices) this.bus.map(region.base, region.size, device);
    for (const { region, device } of portDevices) this.#portBus.map(region.base, region.size, device);
  }

  #disks(): VirtioBlock[] {
    return this.#config.drives.map(({ backend, serial }) => new VirtioBlock(backend, serial));
  }

  #plugDrives(): void {
    const { pci } = this.chipset;
    if (pci === undefined) return;
    for (const [i, disk] of this.#disks().entries()) {
      pci.plug(FIRST_DRIVE_SLOT + i, new VirtioPciFunction(disk, this.#dma));
    }
  }
}

/** Unassigned ports read as all ones. */
function portSpace(bus: Bus): PortSpace {
  return {
    read: (port, width) => bus.read(port, width) ?? 2 ** (8 * width) - 1,
    write: (port, value, width) => void bus.write(port, value, width),
  };
}
