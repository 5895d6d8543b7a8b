/**
 * QEMU's `virt` board for arm64: makes CPUs and devices and wires them.
 *
 * Source: QEMU 7.2 hw/arm/virt.c for what is connected to what; addresses and interrupt numbers are in layout.ts.
 */
import { type A64Cpu, type A64Guest, cpuModel, type CpuModel, createA64Guest } from '../../cpu/a64/index.ts';
import type { EngineCpu } from '../../cpu/execute/guest.ts';
import { Engine, type EngineOptions, engineReservedBytes } from '../../cpu/execute/engine.ts';
import type { BlockBackend } from '../../devices/block/backend.ts';
import { GenericTimer } from '../../devices/generic-timer.ts';
import { Pl011 } from '../../devices/pl011.ts';
import { Pl031 } from '../../devices/pl031.ts';
import { GpioKey, Pl061 } from '../../devices/pl061.ts';
import { VirtioBlock } from '../../devices/virtio/block.ts';
import { VirtioMmioTransport } from '../../devices/virtio/mmio-transport.ts';
import { VirtioPciFunction } from '../../devices/virtio/pci-transport.ts';
import { Bus } from '../../memory/bus.ts';
import type { Device } from '../../memory/device.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { PhysicalDma } from '../../memory/physical-dma.ts';
import type { BootState } from '../boot-state.ts';
import { VirtualClock } from '../clock.ts';
import { Machine } from '../machine.ts';
import type { Seeds, VirtDeviceTreeConfig } from './device-tree.ts';
import { directBoot, type LinuxBoot } from './direct-boot.ts';
import { createInterruptController, type InterruptController } from './interrupt-controller.ts';
import { affinityOf, LAYOUT, POWER_KEY_PIN, PPI, SPI, VIRTIO_MMIO_COUNT } from './layout.ts';
import { createPcieHost } from './pcie.ts';
import { createPsciHost } from './power-control.ts';

/** A disk on the board. */
export interface VirtDrive {
  readonly backend: BlockBackend;
  /** `mmio`: virtio-blk-device. `pci`: virtio-blk-pci. */
  readonly bus: 'mmio' | 'pci';
  /** Serial number that the guest reads, at most 20 characters. */
  readonly serial?: string;
}

/** What a board is made of. */
export interface VirtConfig {
  /** `-cpu`: cortex-a53, cortex-a57, cortex-a72, cortex-a76, max. */
  readonly cpu: string;
  readonly cpuCount: number;
  /** RAM in bytes, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  readonly gicVersion: 2 | 3;
  /** ITS beside a GICv3. */
  readonly its: boolean;
  /** EL2 is there, and kernels start in it. */
  readonly virtualization: boolean;
  /** The device tree has seeds (always the same ones). */
  readonly seeds: boolean;
  readonly drives: readonly VirtDrive[];
  /** Takes each character that the guest sends to its UART. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  readonly engine?: Partial<EngineOptions>;
}

/** The seeds of every run: fixed, because the same input gives the same run. */
const SEEDS: Seeds = {
  rng: Uint8Array.from({ length: 32 }, (_, i) => (i * 0x9d + 0x3b) & 0xff),
  kaslr: 0x5eed_c0de_1a2b_3c4dn,
};

/** The board: a machine, and what of its hardware others may touch. */
export class VirtBoard {
  readonly machine: Machine;
  readonly memory: GuestMemory;
  readonly uart: Pl011;
  readonly powerKey: GpioKey;
  readonly cpus: readonly A64Cpu[];
  readonly #config: VirtConfig;
  readonly #model: CpuModel;
  readonly #bus = new Bus('memory');
  readonly #clock: VirtualClock;
  readonly #dma: PhysicalDma;
  readonly #gic: InterruptController;
  readonly #timers: readonly GenericTimer[];
  readonly #devices: Device[] = [];

  constructor(config: VirtConfig) {
    this.#config = config;
    this.#model = cpuModel(config.cpu);
    const cpus: A64Cpu[] = [];
    this.cpus = cpus;
    const indexes = Array.from({ length: config.cpuCount }, (_, index) => index);
    const ram = { start: LAYOUT.RAM.base, size: config.memoryBytes };
    this.memory = new GuestMemory(engineReservedBytes(config.cpuCount), [ram]);
    this.#clock = new VirtualClock(() => this.machine.engine);
    this.#dma = new PhysicalDma(this.memory, (address, size) => this.machine.engine.code.written(address, size));
    this.#gic = createInterruptController({
      version: config.gicVersion,
      its: config.its,
      affinities: indexes.map(index => affinityOf(index, config.gicVersion)),
      irq: indexes.map(index => ({ set: level => cpus[index]?.setIrq(level) })),
      fiq: indexes.map(index => ({ set: level => cpus[index]?.setFiq(level) })),
      memory: this.#dma,
      currentCpu: () => this.machine.engine.current.index,
    });
    this.#timers = indexes.map(index => this.#createTimer(index));
    const guest = createA64Guest(this.#model, () => cpus[this.machine.engine.current.index]!);
    const engine = new Engine(
      guest,
      this.memory,
      this.#bus,
      config.cpuCount,
      cpu => {
        const a64 = this.#createCpu(guest, cpu);
        cpus.push(a64);
        return a64;
      },
      config.engine,
    );
    this.machine = new Machine(engine, this.#clock);
    for (const { base, size, device } of this.#gic.regions) this.#place(base, size, device);
    this.uart = this.#createUart();
    this.powerKey = this.#createGpio();
    this.#createRtc();
    this.#createVirtioMmio();
    this.#createPcie();
  }

  /** Puts a kernel into memory, and the boot CPU at its entry. Call it once, before the machine runs. */
  loadLinux(boot: LinuxBoot): void {
    this.load(directBoot(boot, this.#hardware(), this.#exceptionLevel));
  }

  /** Puts segments into memory, and the boot CPU at the entry. */
  load({ segments, entry }: BootState): void {
    for (const { paddr, bytes } of segments) this.#dma.write(paddr, bytes);
    if (entry.architecture === 'aarch64') this.cpus[0]!.start(BigInt(entry.pc), entry.x, entry.exceptionLevel);
  }

  get #exceptionLevel(): 1 | 2 {
    return this.#config.virtualization ? 2 : 1;
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

  #createUart(): Pl011 {
    const interrupt = this.#gic.spiLine(SPI.UART);
    const uart = new Pl011({ interrupt, clock: this.#clock, output: this.#config.consoleOutput });
    this.#place(LAYOUT.UART.base, LAYOUT.UART.size, uart);
    return uart;
  }

  #createRtc(): void {
    const { epochSeconds } = this.#config;
    const rtc = new Pl031({ interrupt: this.#gic.spiLine(SPI.RTC), clock: this.#clock, epochSeconds });
    this.#place(LAYOUT.RTC.base, LAYOUT.RTC.size, rtc);
  }

  #createGpio(): GpioKey {
    const gpio = new Pl061(this.#gic.spiLine(SPI.GPIO));
    this.#place(LAYOUT.GPIO.base, LAYOUT.GPIO.size, gpio);
    return new GpioKey(this.#clock, level => gpio.setInput(POWER_KEY_PIN, level));
  }

  /** Disks take the transports from the last one down, as QEMU fills them. */
  #createVirtioMmio(): void {
    const disks = this.#drives('mmio');
    const { base, size } = LAYOUT.VIRTIO_MMIO;
    for (let slot = 0; slot < VIRTIO_MMIO_COUNT; slot++) {
      const drive = disks[VIRTIO_MMIO_COUNT - 1 - slot];
      const transport = new VirtioMmioTransport({
        interrupt: this.#gic.spiLine(SPI.VIRTIO_MMIO + slot),
        memory: this.#dma,
        version: 1,
        ...(drive && { device: new VirtioBlock(drive.backend, drive.serial) }),
      });
      this.#place(base + slot * size, size, transport);
    }
  }

  /** Disks take the slots from 1 on: 0 is the host bridge. */
  #createPcie(): void {
    const { spiLine, msi } = this.#gic;
    const host = createPcieHost(spiLine, msi, (base, size, device) => this.#place(base, size, device));
    for (const [i, { backend, serial }] of this.#drives('pci').entries()) {
      host.plug(i + 1, new VirtioPciFunction(new VirtioBlock(backend, serial), this.#dma));
    }
  }

  #drives(bus: VirtDrive['bus']): readonly VirtDrive[] {
    return this.#config.drives.filter(drive => drive.bus === bus);
  }

  #place(base: number, size: number, device: Device): void {
    this.#bus.map(base, size, device);
    this.#devices.push(device);
  }
}
