/**
 * QEMU's `q35` and `microvm` boards: makes CPUs, memory and disks, and wires them with the chip set.
 *
 * Source: QEMU 7.2 hw/i386/pc_q35.c, microvm.c; addresses are in layout.ts, devices in chipset.ts.
 */
import { assert, UsageError } from '../../../capture/formats/errors.ts';
import type { EngineCpu, GuestCpu } from '../../cpu/execute/guest.ts';
import { Engine, engineReservedBytes } from '../../cpu/execute/engine.ts';
import { createX64Guest, type PortSpace, type X64Cpu, type X64Guest, x64Model } from '../../cpu/x64/index.ts';
import { tracedCpu } from '../../debug/trace.ts';
import { tracedGuest } from '../../debug/trace-blocks.ts';
import { x64TraceView } from '../../debug/trace-x86_64.ts';
import { AHCI_PORTS } from '../../devices/ahci/ahci.ts';
import { AtaDisk, SECTOR } from '../../devices/ahci/ata-disk.ts';
import type { ApicCpu } from '../../devices/apic/local-apic.ts';
import { vmcoreinfoFile, type VmcoreinfoLocation } from '../../devices/fw-cfg.ts';
import type { Ns16550 } from '../../devices/ns16550.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import { PvpanicPci } from '../../devices/pvpanic.ts';
import { VirtioConsole } from '../../devices/virtio/console.ts';
import type { VirtioDevice } from '../../devices/virtio/device-core.ts';
import { VirtioPciFunction } from '../../devices/virtio/pci-transport.ts';
import { Bus } from '../../memory/bus.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { PhysicalDma } from '../../memory/physical-dma.ts';
import {
  createVirtioDevices,
  type Drive,
  isVirtioDrive,
  type IsaDevice,
  type UnpluggedVirtio,
  type VirtioBus,
} from '../board-devices.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import { type InstructionCounter, VirtualClock } from '../clock.ts';
import { HostEventQueue } from '../host-events.ts';
import { Machine, type StopReason } from '../machine.ts';
import { type MachineSnapshot, restoreSnapshot, type SnapshotSubject, takeSnapshot } from '../snapshot.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { ALL_PARTS, type PcConfig, type PcParts } from './board-config.ts';
import { PcChipset } from './chipset.ts';
import type { BiosDisk } from './edd.ts';
import { BOOT_LAYOUT, directBoot, GDT_LIMIT, type PcLinuxBoot } from './direct-boot.ts';
import { LAYOUT, MICROVM_VIRTIO, PORT, ramRanges } from './layout.ts';
import { MovedLocalApics } from './moved-local-apics.ts';
import { setUpPci } from './pci-setup.ts';

export type { ExtraDevice, IsaDevice, VirtioBus, VirtioDrive } from '../board-devices.ts';
export type { PcConfig } from './board-config.ts';

/** The time-stamp counter's rate: one tick a nanosecond of guest time. */
const TSC_HZ = 1_000_000_000;
/** q35: what is plugged takes the PCI slots from here on. */
const FIRST_FREE_SLOT = 2;
/** From PCI memory to 4 GiB: memory that is not cached. */
const PCI_HOLE_SIZE = LAYOUT.FOUR_GIB - LAYOUT.PCI_MMIO.base;
/** Before the engine is there nothing has run. */
const POWERED_OFF: InstructionCounter = { retired: 0, requestAttention: () => undefined };

/** A moment of a board. */
export interface PcSnapshot {
  readonly machine: MachineSnapshot;
  readonly vmcoreinfo: VmcoreinfoLocation | undefined;
}

/** The board: a machine, and what of its hardware others may touch. */
export class PcBoard {
  readonly machine: Machine;
  readonly memory: GuestMemory;
  readonly cpus: readonly X64Cpu[];
  readonly chipset: PcChipset;
  /** Asks the guest to shut down. */
  readonly powerKey: { readonly press: () => void };
  /** The virtio consoles, in the order of the configuration. */
  readonly consoles: readonly VirtioConsole[];
  readonly bus = new Bus('memory');
  readonly #config: PcConfig;
  readonly #portBus = new Bus('ports');
  readonly #clock: VirtualClock;
  readonly #hostEvents = new HostEventQueue();
  readonly #dma: PhysicalDma;
  readonly #virtio: readonly UnpluggedVirtio[];
  readonly #movedApics: MovedLocalApics;
  #boot: BootState | undefined;
  #vmcoreinfo: VmcoreinfoLocation | undefined;

  constructor(config: PcConfig) {
    this.#config = config;
    const { cpuCount } = config;
    const cpus: X64Cpu[] = [];
    this.cpus = cpus;
    const ranges = ramRanges(config.board, config.memoryBytes).map(({ start, end }) => ({ start, size: end - start }));
    this.memory = new GuestMemory(engineReservedBytes(cpuCount), ranges);
    this.#clock = new VirtualClock(() => this.#counter);
    this.#dma = new PhysicalDma(this.memory, (address, size) => this.machine.engine.code.written(address, size));
    this.#virtio = createVirtioDevices(config.drives.filter(isVirtioDrive), config.devices, this.#hostEvents);
    this.consoles = this.#virtio.flatMap(({ device }) => (device instanceof VirtioConsole ? [device] : []));
    this.chipset = this.#createChipset();
    this.powerKey = { press: this.chipset.pressPowerButton };
    this.#place();
    this.#movedApics = new MovedLocalApics(this.chipset.interrupts.localApicPage, this.bus);
    const guest = createX64Guest(x64Model(config.cpu), cpuCount, () => cpus[this.machine.engine.current.index]!);
    const createCpu = (engineCpu: EngineCpu): GuestCpu => {
      const cpu = this.#createCpu(guest, engineCpu);
      cpus.push(cpu);
      return config.trace === undefined ? cpu : tracedCpu(x64TraceView(cpu), config.trace);
    };
    const traced =
      config.trace === undefined
        ? guest
        : tracedGuest(guest, config.trace, () => x64TraceView(cpus[this.machine.engine.current.index]!));
    const engine = new Engine(traced, this.memory, this.bus, cpuCount, createCpu, config.engine);
    this.machine = new Machine(engine, this.#clock, this.#hostEvents);
    this.#resetCpus();
    this.#plugFunctions();
  }

  /** Puts a kernel into memory, and the boot CPU at its entry. Call it once, before the machine runs. */
  loadLinux(boot: PcLinuxBoot): void {
    const commandLine = [boot.commandLine, ...this.#commandLineDevices()].join(' ');
    this.load(directBoot({ ...boot, commandLine }, this.#acpi()));
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
      rax: BigInt(entry.rax ?? 0),
      cr3: BOOT_LAYOUT.PAGE_TABLES,
      gdt: { base: BigInt(BOOT_LAYOUT.GDT), limit: GDT_LIMIT },
    });
    this.#runFirmware();
  }

  /** What `load` put into memory. */
  get loaded(): readonly LoadSegment[] {
    return this.#boot?.segments ?? [];
  }

  /** Resets the hardware and boots again what was loaded. Memory keeps what nothing is loaded over, and time goes on. */
  reset(): void {
    for (const device of this.chipset.devices) device.reset();
    this.#resetCpus();
    this.#vmcoreinfo = undefined;
    if (this.#boot !== undefined) this.load(this.#boot);
  }

  /** Takes a snapshot to go back to; the one before is void. The machine must not run. */
  takeSnapshot(): PcSnapshot {
    return { machine: takeSnapshot(this.#subject), vmcoreinfo: this.#vmcoreinfo };
  }

  /** Goes back to the latest snapshot. */
  restoreSnapshot({ machine, vmcoreinfo }: PcSnapshot): void {
    restoreSnapshot(this.#subject, machine);
    this.#vmcoreinfo = vmcoreinfo;
  }

  /** COM1. */
  get uart(): Ns16550 {
    return this.chipset.serial;
  }

  /** Where the guest says its vmcoreinfo note is, once its fw_cfg driver has. */
  get vmcoreinfo(): VmcoreinfoLocation | undefined {
    return this.#vmcoreinfo;
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

  /** Virtio disks are the first functions that are plugged. */
  #biosDisks(): readonly BiosDisk[] {
    const { drives } = this.#config;
    const virtio = drives
      .filter(isVirtioDrive)
      .map((drive, i): BiosDisk => ({ kind: 'virtio', device: FIRST_FREE_SLOT + i, sectors: sectorsOf(drive) }));
    const ata = drives.filter(drive => !isVirtioDrive(drive));
    return [...ata.map((drive, device): BiosDisk => ({ kind: 'ata', device, sectors: sectorsOf(drive) })), ...virtio];
  }

  /** microvm without ACPI tells of its virtio devices on the command line, as QEMU does (`auto-kernel-cmdline`). */
  #commandLineDevices(): readonly string[] {
    if (this.#config.board !== 'microvm' || this.#parts.acpi) return [];
    const { base, size } = LAYOUT.VIRTIO_MMIO;
    const { count, irq } = MICROVM_VIRTIO.noAcpi;
    return this.#on('mmio').map((_, i) => {
      const slot = count - 1 - i;
      return `virtio_mmio.device=${size}@0x${(base + slot * size).toString(16)}:${irq + slot}`;
    });
  }

  /** What SeaBIOS sets on q35 before it starts a kernel. */
  #runFirmware(): void {
    const { pci } = this.chipset;
    if (pci === undefined) return;
    setUpPci(pci);
    for (const cpu of this.cpus) setMemoryTypes(cpu);
  }

  #resetCpus(): void {
    for (const cpu of this.cpus) cpu.reset(cpu.apicId === 0);
  }

  get #parts(): PcParts {
    return { ...ALL_PARTS, ...this.#config.parts };
  }

  #acpi(): AcpiConfig {
    const { board, cpu, cpuCount, memoryBytes } = this.#config;
    const cpuSignature = x64Model(cpu).signature;
    const pvpanic = this.#isaDevices().find(({ type }) => type === 'pvpanic-isa');
    const pvpanicPort = pvpanic && (pvpanic.port ?? PORT.PVPANIC.base);
    return {
      board,
      cpuCount,
      memoryBytes,
      virtioDevices: this.#on('mmio').length,
      pvpanicPort,
      cpuSignature,
      parts: this.#parts,
      disks: this.#biosDisks(),
    };
  }

  #createChipset(): PcChipset {
    const { board, memoryBytes, consoleOutput, epochSeconds, cpuCount, firmwareFiles = [] } = this.#config;
    const parts = this.#parts;
    const stop = (reason: StopReason): void => this.machine.stop(reason);
    return new PcChipset({
      board,
      parts,
      clock: this.#clock,
      memory: this.#dma,
      memoryBytes,
      cpus: Array.from({ length: cpuCount }, (_, index) => this.#interruptInputs(index)),
      tscHz: TSC_HZ,
      currentCpu: () => this.machine.engine.current.index,
      localApicMoved: () => this.#movedApics.update(),
      consoleOutput,
      epochSeconds,
      fwCfgFiles: [vmcoreinfoFile(location => (this.#vmcoreinfo = location)), ...firmwareFiles],
      virtio: this.#on('mmio'),
      isaDevices: this.#isaDevices(),
      ataDisks: this.#ataDisks(),
      powerOff: () => stop({ kind: 'power-off' }),
      resetMachine: () => stop({ kind: 'reset' }),
      debugExit: status => stop({ kind: 'exit', status }),
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
      host: { tripleFault: () => this.machine.stop({ kind: 'reset', cause: 'triple fault' }) },
    });
  }

  #place(): void {
    const { memoryDevices, portDevices } = this.chipset;
    for (const { region, device } of memoryDevices) this.bus.map(region.base, region.size, device);
    for (const { region, device } of portDevices) this.#portBus.map(region.base, region.size, device);
  }

  #on(bus: VirtioBus): readonly VirtioDevice[] {
    return this.#virtio.filter(unplugged => unplugged.bus === bus).map(({ device }) => device);
  }

  /** Serial numbers are QEMU's: by port, from 1 on. */
  #ataDisks(): readonly AtaDisk[] {
    const { board, drives } = this.#config;
    const disks = drives.filter(({ bus }) => bus === 'ide');
    if (board === 'microvm' && disks.length > 0) throw new UsageError('microvm has no IDE or SATA: use virtio');
    if (disks.length > AHCI_PORTS) throw new UsageError(`q35 has ${AHCI_PORTS} SATA ports, not ${disks.length}`);
    return disks.map(
      ({ backend, serial }, i) => new AtaDisk(backend, serial ?? `QM${String(i * 2 + 1).padStart(5, '0')}`),
    );
  }

  #isaDevices(): readonly IsaDevice[] {
    const { devices = [] } = this.#config;
    return devices.filter(device => device.type === 'pvpanic-isa' || device.type === 'isa-debug-exit');
  }

  #plugFunctions(): void {
    const { pci } = this.chipset;
    const functions: readonly PciFunction[] = [
      ...this.#on('pci').map(device => new VirtioPciFunction(device, this.#dma)),
      ...(this.#config.devices ?? []).flatMap(extra =>
        extra.type === 'pvpanic' ? [new PvpanicPci(extra.report)] : [],
      ),
    ];
    if (pci === undefined && functions.length > 0) throw new UsageError('microvm has no PCI bus');
    if (pci !== undefined && this.#on('mmio').length > 0)
      throw new UsageError('q35 has no virtio-mmio: use virtio-…-pci');
    for (const [i, pciFunction] of functions.entries()) pci?.plug(FIRST_FREE_SLOT + i, pciFunction);
  }
}

function sectorsOf({ backend }: Drive): number {
  return Math.floor(backend.sizeBytes / SECTOR);
}

/**
 * Memory-type range registers as SeaBIOS sets them: write back, but nothing cached in the VGA hole and from 3 GiB on, and the BIOS
 * write protected. Source: Intel SDM vol. 3A "Memory Type Range Registers (MTRRS)"; SeaBIOS src/fw/mtrr.c.
 */
function setMemoryTypes({ registers, model }: X64Cpu): void {
  const [WRITE_BACK, WRITE_PROTECTED] = [0x0606_0606_0606_0606n, 0x0505_0505_0505_0505n];
  const [VALID, ENABLE] = [0x800n, 0xc06n];
  const mask = (1n << BigInt(model.physicalAddressBits)) - BigInt(PCI_HOLE_SIZE);
  Object.assign(registers.storage, {
    0x200: BigInt(LAYOUT.PCI_MMIO.base), // IA32_MTRR_PHYSBASE0: uncacheable
    0x201: mask | VALID,
    0x250: WRITE_BACK, // IA32_MTRR_FIX64K_00000
    0x258: WRITE_BACK, // IA32_MTRR_FIX16K_80000
    0x2ff: ENABLE, // IA32_MTRR_DEF_TYPE
  });
  // IA32_MTRR_FIX4K_C0000 to F8000
  for (let number = 0x268; number <= 0x26f; number++) registers.storage[number] = WRITE_PROTECTED;
}

/** Unassigned ports read as all ones. An access that no device takes whole goes to them in halves, as buses split it. */
function portSpace(bus: Bus): PortSpace {
  const read = (port: number, width: 1 | 2 | 4): number => {
    const whole = bus.read(port, width);
    if (whole !== undefined || width === 1) return whole ?? 0xff;
    const half = width === 4 ? 2 : 1;
    return read(port, half) + read(port + half, half) * 2 ** (8 * half);
  };
  const write = (port: number, value: number, width: 1 | 2 | 4): void => {
    if (bus.write(port, value, width) || width === 1) return;
    const half = width === 4 ? 2 : 1;
    write(port, value & (2 ** (8 * half) - 1), half);
    write(port + half, value >>> (8 * half), half);
  };
  return { read, write };
}
