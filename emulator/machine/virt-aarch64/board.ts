/**
 * QEMU's `virt` board for arm64: makes CPUs and devices and wires them.
 *
 * Source: QEMU 7.2 hw/arm/virt.c for what is connected to what; addresses and interrupt numbers are in layout.ts.
 */
import { assert } from '../../../capture/formats/errors.ts';
import { type A64Cpu, type A64Guest, cpuModel, type CpuModel, createA64Guest } from '../../cpu/a64/index.ts';
import type { EngineCpu, GuestCpu } from '../../cpu/execute/guest.ts';
import { Engine, engineReservedBytes } from '../../cpu/execute/engine.ts';
import { a64TraceView } from '../../debug/trace-aarch64.ts';
import { tracedCpu } from '../../debug/trace.ts';
import { tracedGuest } from '../../debug/trace-blocks.ts';
import { EmptyFlash } from '../../devices/empty-flash.ts';
import { FwCfg, vmcoreinfoFile, type VmcoreinfoLocation } from '../../devices/fw-cfg.ts';
import { GenericTimer } from '../../devices/generic-timer.ts';
import { Pl011 } from '../../devices/pl011.ts';
import { Pl031 } from '../../devices/pl031.ts';
import { GpioKey, Pl061 } from '../../devices/pl061.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { PciHost } from '../../devices/pci/host.ts';
import { PvpanicPci } from '../../devices/pvpanic.ts';
import { VirtioConsole } from '../../devices/virtio/console.ts';
import type { VirtioDevice } from '../../devices/virtio/device-core.ts';
import { VirtioPciFunction } from '../../devices/virtio/pci-transport.ts';
import { Bus } from '../../memory/bus.ts';
import type { Device } from '../../memory/device.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { PhysicalDma } from '../../memory/physical-dma.ts';
import { createVirtioDevices, type UnpluggedVirtio, type VirtioBus } from '../board-devices.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import { VirtualClock } from '../clock.ts';
import { HostEventQueue } from '../host-events.ts';
import { Machine } from '../machine.ts';
import {
  type MachineSnapshot,
  restoreSnapshot,
  type Savable,
  type SnapshotSubject,
  takeSnapshot,
} from '../snapshot.ts';
import type { VirtConfig } from './board-config.ts';
import type { Seeds, VirtDeviceTreeConfig } from './device-tree.ts';
import { directBoot, type LinuxBoot } from './direct-boot.ts';
import { createInterruptController, type InterruptController } from './interrupt-controller.ts';
import { affinityOf, LAYOUT, POWER_KEY_PIN, PPI, type Region, SPI } from './layout.ts';
import { createPcieHost } from './pcie.ts';
import { createPsciHost } from './power-control.ts';
import { createVirtioMmio } from './virtio-devices.ts';

export type { ExtraDevice as VirtExtraDevice, VirtioBus } from '../board-devices.ts';
export type { VirtConfig } from './board-config.ts';

/** The seeds of every run: fixed, because the same input gives the same run. */
const SEEDS: Seeds = {
  rng: Uint8Array.from({ length: 32 }, (_, i) => (i * 0x9d + 0x3b) & 0xff),
  kaslr: 0x5eed_c0de_1a2b_3c4dn,
};

/** A moment of a board. */
export interface VirtSnapshot {
  readonly machine: MachineSnapshot;
  readonly vmcoreinfo: VmcoreinfoLocation | undefined;
}

/** The board: a machine, and what of its hardware others may touch. */
export class VirtBoard {
  readonly machine: Machine;
  readonly memory: GuestMemory;
  readonly uart: Pl011;
  readonly powerKey: GpioKey;
  readonly cpus: readonly A64Cpu[];
  /** The virtio consoles, in the order of the configuration. */
  readonly consoles: readonly VirtioConsole[];
  readonly bus = new Bus('memory');
  readonly pci: PciHost;
  readonly #config: VirtConfig;
  readonly #model: CpuModel;
  readonly #clock: VirtualClock;
  readonly #hostEvents = new HostEventQueue();
  readonly #dma: PhysicalDma;
  readonly #gic: InterruptController;
  readonly #timers: readonly GenericTimer[];
  readonly #devices: Device[] = [];
  #boot: BootState | undefined;
  #vmcoreinfo: VmcoreinfoLocation | undefined;

  constructor(config: VirtConfig) {
    this.#config = config;
    this.#model = cpuModel(config.cpu);
    const cpus: A64Cpu[] = [];
    this.cpus = cpus;
    const ram = { start: LAYOUT.RAM.base, size: config.memoryBytes };
    this.memory = new GuestMemory(engineReservedBytes(config.cpuCount), [ram]);
    this.#clock = new VirtualClock(() => this.machine.engine);
    this.#dma = new PhysicalDma(this.memory, (address, size) => this.machine.engine.code.written(address, size));
    this.#gic = this.#createGic(cpus);
    this.#timers = this.#indexes.map(index => this.#createTimer(index));
    const guest = createA64Guest(this.#model, () => cpus[this.machine.engine.current.index]!);
    const createCpu = (engineCpu: EngineCpu): GuestCpu => {
      const cpu = this.#createCpu(guest, engineCpu);
      cpus.push(cpu);
      return config.trace === undefined ? cpu : tracedCpu(a64TraceView(cpu), config.trace);
    };
    const traced =
      config.trace === undefined
        ? guest
        : tracedGuest(guest, config.trace, () => a64TraceView(cpus[this.machine.engine.current.index]!));
    const engine = new Engine(traced, this.memory, this.bus, config.cpuCount, createCpu, config.engine);
    this.machine = new Machine(engine, this.#clock, this.#hostEvents);
    for (const { base, size, device } of this.#gic.regions) this.bus.map(base, size, device);
    this.#place(LAYOUT.FLASH, new EmptyFlash());
    this.#place(LAYOUT.FW_CFG, this.#createFwCfg());
    this.uart = this.#createUart();
    this.powerKey = this.#createGpio();
    this.#createRtc();
    const virtio = createVirtioDevices(config.drives, config.devices, this.#hostEvents);
    this.consoles = virtio.flatMap(({ device }) => (device instanceof VirtioConsole ? [device] : []));
    this.#createVirtioMmio(virtio);
    this.pci = this.#createPcie(virtio);
  }

  /** Puts a kernel into memory, and the boot CPU at its entry. Call it once, before the machine runs. */
  loadLinux(boot: LinuxBoot): void {
    this.load(directBoot(boot, this.#hardware(), this.#exceptionLevel));
  }

  /** Puts segments into memory, and the boot CPU at the entry. */
  load(boot: BootState): void {
    const { segments, entry } = boot;
    this.#boot = boot;
    for (const { paddr, bytes } of segments) this.#dma.write(paddr, bytes);
    assert(entry.architecture === 'aarch64', 'virt boots aarch64 kernels');
    this.cpus[0]!.start(BigInt(entry.pc), entry.x, entry.exceptionLevel);
  }

  /** What `load` put into memory. */
  get loaded(): readonly LoadSegment[] {
    return this.#boot?.segments ?? [];
  }

  /** Resets the hardware and boots again what was loaded. Memory keeps what nothing is loaded over, and time goes on. */
  reset(): void {
    for (const cpu of this.cpus) cpu.reset(false);
    for (const part of this.#parts) part.reset();
    this.#vmcoreinfo = undefined;
    if (this.#boot !== undefined) this.load(this.#boot);
  }

  /** Takes a snapshot to go back to; the one before is void. The machine must not run. */
  takeSnapshot(): VirtSnapshot {
    return { machine: takeSnapshot(this.#subject), vmcoreinfo: this.#vmcoreinfo };
  }

  /** Goes back to the latest snapshot. */
  restoreSnapshot({ machine, vmcoreinfo }: VirtSnapshot): void {
    restoreSnapshot(this.#subject, machine);
    this.#vmcoreinfo = vmcoreinfo;
  }

  get #subject(): SnapshotSubject {
    return { machine: this.machine, cpus: this.cpus, parts: this.#parts };
  }

  /** Where the guest says its vmcoreinfo note is, once its fw_cfg driver has. */
  get vmcoreinfo(): VmcoreinfoLocation | undefined {
    return this.#vmcoreinfo;
  }

  /** The first host error behind a drive. */
  get driveError(): Error | undefined {
    return this.#config.drives.map(({ backend }) => backend.error).find(error => error !== undefined);
  }

  get #exceptionLevel(): 1 | 2 {
    return this.#config.virtualization ? 2 : 1;
  }

  get #indexes(): readonly number[] {
    return Array.from({ length: this.#config.cpuCount }, (_, index) => index);
  }

  /** All hardware besides CPUs, the interrupt controller last: it has the last word on interrupt lines. */
  get #parts(): readonly (Savable & Pick<Device, 'reset'>)[] {
    return [...this.#timers, ...this.#devices, ...this.#gic.regions.map(({ device }) => device)];
  }

  #hardware(): Omit<VirtDeviceTreeConfig, 'bootargs' | 'initrd'> {
    const { cpuCount, memoryBytes, gicVersion, its, virtualization, seeds } = this.#config;
    return {
      cpuCount,
      cpuCompatible: this.#model.compatible,
      pmu: true,
      memoryBytes,
      gicVersion,
      its,
      psciMethod: virtualization ? 'smc' : 'hvc',
      ...(seeds && { seeds: SEEDS }),
    };
  }

  #createGic(cpus: readonly A64Cpu[]): InterruptController {
    const { gicVersion, its } = this.#config;
    return createInterruptController({
      version: gicVersion,
      its,
      affinities: this.#indexes.map(index => affinityOf(index, gicVersion)),
      irq: this.#indexes.map(index => ({ set: level => cpus[index]?.setIrq(level) })),
      fiq: this.#indexes.map(index => ({ set: level => cpus[index]?.setFiq(level) })),
      memory: this.#dma,
      currentCpu: () => this.machine.engine.current.index,
    });
  }

  #createTimer(index: number): GenericTimer {
    return new GenericTimer(this.#clock, {
      cntp: this.#gic.ppiLine(index, PPI.CNTP),
      cntv: this.#gic.ppiLine(index, PPI.CNTV),
      cnthp: this.#gic.ppiLine(index, PPI.CNTHP),
      cnthv: this.#gic.ppiLine(index, PPI.CNTHV),
    });
  }

  #createCpu(guest: A64Guest, cpu: EngineCpu): A64Cpu {
    return guest.createCpu(cpu, {
      affinity: affinityOf(cpu.index, this.#config.gicVersion),
      hasEl2: this.#config.virtualization,
      psciConduit: this.#config.virtualization ? 'smc' : 'hvc',
      gic: this.#gic.cpuInterfaces?.[cpu.index],
      timer: this.#timers[cpu.index]!,
      psci: createPsciHost(
        () => this.cpus,
        reason => this.machine.stop(reason),
      ),
      cluster: { forEachCpu: action => this.cpus.forEach(action) },
    });
  }

  #createFwCfg(): FwCfg {
    const { cpuCount, firmwareFiles = [] } = this.#config;
    const vmcoreinfo = vmcoreinfoFile(location => (this.#vmcoreinfo = location));
    return new FwCfg({ layout: 'mmio', memory: this.#dma, cpuCount, files: [vmcoreinfo, ...firmwareFiles] });
  }

  #createUart(): Pl011 {
    const interrupt = this.#gic.spiLine(SPI.UART);
    const uart = new Pl011({ interrupt, clock: this.#clock, output: this.#config.consoleOutput });
    this.#place(LAYOUT.UART, uart);
    return uart;
  }

  #createRtc(): void {
    const { epochSeconds } = this.#config;
    const interrupt = this.#gic.spiLine(SPI.RTC);
    this.#place(LAYOUT.RTC, new Pl031({ interrupt, clock: this.#clock, epochSeconds }));
  }

  #createGpio(): GpioKey {
    const gpio = new Pl061(this.#gic.spiLine(SPI.GPIO));
    this.#place(LAYOUT.GPIO, gpio);
    return new GpioKey(this.#clock, level => gpio.setInput(POWER_KEY_PIN, level));
  }

  #createVirtioMmio(virtio: readonly UnpluggedVirtio[]): void {
    const devices = devicesOn('mmio', virtio);
    const transports = createVirtioMmio(devices, this.#dma, spi => this.#gic.spiLine(spi));
    for (const { region, transport } of transports) this.#place(region, transport);
  }

  /** Devices take the slots from 1 on: 0 is the host bridge. */
  #createPcie(virtio: readonly UnpluggedVirtio[]): PciHost {
    const { msi } = this.#gic;
    const host = createPcieHost(
      spi => this.#gic.spiLine(spi),
      msi,
      (base, size, device) => this.#place({ base, size }, device),
    );
    const functions: PciFunction[] = [
      ...devicesOn('pci', virtio).map(device => new VirtioPciFunction(device, this.#dma)),
      ...(this.#config.devices ?? []).flatMap(extra =>
        extra.type === 'pvpanic' ? [new PvpanicPci(extra.report)] : [],
      ),
    ];
    for (const [i, pciFunction] of functions.entries()) host.plug(i + 1, pciFunction);
    return host;
  }

  #place({ base, size }: Region, device: Device): void {
    this.bus.map(base, size, device);
    this.#devices.push(device);
  }
}

function devicesOn(bus: VirtioBus, virtio: readonly UnpluggedVirtio[]): readonly VirtioDevice[] {
  return virtio.filter(unplugged => unplugged.bus === bus).map(({ device }) => device);
}
