/**
 * The devices of q35 and microvm, made and wired; a board adds CPUs, RAM and disks.
 *
 * Source: QEMU 7.2 hw/i386/pc_q35.c, microvm.c for what is connected to what; addresses are in layout.ts.
 */
import { GedEvents, GedRegisters } from '../../devices/acpi-ged.ts';
import { AcpiPm, ResetPort } from '../../devices/acpi-pm.ts';
import { Ahci } from '../../devices/ahci/ahci.ts';
import type { AtaDisk } from '../../devices/ahci/ata-disk.ts';
import type { ApicCpu } from '../../devices/apic/local-apic.ts';
import { DebugExit } from '../../devices/debug-exit.ts';
import { FwCfg, type FwCfgFile } from '../../devices/fw-cfg.ts';
import { Hpet } from '../../devices/hpet.ts';
import { I8042 } from '../../devices/i8042.ts';
import { I8254, PortB } from '../../devices/i8254.ts';
import { Mc146818 } from '../../devices/mc146818.ts';
import { Ns16550 } from '../../devices/ns16550.ts';
import { ICH9_LPC_IDENTITY, PciHostBridge, Q35_IDENTITY } from '../../devices/pci/host-bridge.ts';
import { PciConfigPorts, PciHost } from '../../devices/pci/host.ts';
import { PciWindow } from '../../devices/pci/windows.ts';
import { Port92 } from '../../devices/port-92.ts';
import { Pvpanic } from '../../devices/pvpanic.ts';
import type { VirtioDevice } from '../../devices/virtio/device-core.ts';
import { VirtioMmioTransport } from '../../devices/virtio/mmio-transport.ts';
import type { Clock, Device, DmaMemory, InterruptLine } from '../../memory/device.ts';
import type { IsaDevice } from '../board-devices.ts';
import type { PcParts } from './board-config.ts';
import { PcInterrupts } from './interrupts.ts';
import { GSI, HPET_ROUTES, IRQ, LAYOUT, MICROVM_VIRTIO, type PcBoard, pciMemory, PORT, type Region } from './layout.ts';

const PCI_PINS = 4;
const LPC_DEVICE = 0x1f;
const AHCI_FUNCTION = 2;
const HEADER_TYPE = 0x0e;
const MULTIFUNCTION = 0x80;
/** PMBASE and ACPI_CNTL of the LPC bridge: power management is at its ports, and on. Source: Intel ICH9 data sheet. */
const LPC_CONTENTS = {
  [HEADER_TYPE]: MULTIFUNCTION,
  0x40: (PORT.ACPI_PM.base & 0xff) | 1,
  0x41: PORT.ACPI_PM.base >> 8,
  0x44: 0x80,
} as const;
const IO_APIC_PINS = 24;

/** What a board decides and gives. */
export interface PcChipsetConfig {
  readonly board: PcBoard;
  readonly parts: PcParts;
  readonly clock: Clock;
  readonly memory: DmaMemory;
  readonly memoryBytes: number;
  /** Interrupt inputs of the CPUs. */
  readonly cpus: readonly ApicCpu[];
  readonly tscHz: number;
  readonly currentCpu: () => number;
  /** A CPU has moved the registers of its local APIC in memory. */
  readonly localApicMoved: () => void;
  /** Takes each character that the guest sends to COM1. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  readonly fwCfgFiles: readonly FwCfgFile[];
  readonly isaDevices: readonly IsaDevice[];
  /** q35: disks behind the SATA ports. */
  readonly ataDisks: readonly AtaDisk[];
  /** microvm: what sits on the virtio-mmio transports, the last slot first. */
  readonly virtio: readonly VirtioDevice[];
  readonly powerOff: () => void;
  readonly resetMachine: () => void;
  /** `isa-debug-exit` was written. */
  readonly debugExit: (status: number) => void;
}

/** A device and where it is. */
export interface PlacedDevice {
  readonly region: Region;
  readonly device: Device;
}

/** All devices of a PC but its CPUs. */
export class PcChipset {
  readonly interrupts: PcInterrupts;
  /** For the memory bus. */
  readonly memoryDevices: PlacedDevice[] = [];
  /** For the port bus. */
  readonly portDevices: PlacedDevice[] = [];
  readonly serial: Ns16550;
  /** q35 only: disks and other functions are plugged here. */
  readonly pci: PciHost | undefined;
  /** Asks the guest to shut down. */
  readonly pressPowerButton: () => void;
  private readonly config: PcChipsetConfig;

  constructor(config: PcChipsetConfig) {
    this.config = config;
    this.interrupts = new PcInterrupts({ ...config, hasPic: config.parts.pic });
    const { clock } = config;
    this.serial = new Ns16550({ interrupt: this.isa(IRQ.COM1), clock, output: config.consoleOutput });
    this.placeTimers();
    this.placePorts();
    if (config.board === 'q35') {
      this.pci = this.createPci();
      this.pressPowerButton = this.createAcpiPm();
    } else {
      this.placeVirtio();
      this.pressPowerButton = config.parts.acpi ? this.createGed() : () => undefined;
    }
    this.placeInterruptControllers();
  }

  /**
   * All devices in the order in which a snapshot restores them: interrupt controllers last, local APICs after the others, so that lines
   * which move on the way leave no interrupt behind.
   */
  get devices(): readonly Device[] {
    return [...this.portDevices, ...this.memoryDevices].map(({ device }) => device);
  }

  private isa(irq: number): InterruptLine {
    return this.interrupts.isaLine(irq);
  }

  private placeInterruptControllers(): void {
    const { pic, ioApics, localApicPage } = this.interrupts;
    if (this.config.parts.pic) {
      this.port(PORT.PIC_MASTER, pic.masterPorts);
      this.port(PORT.PIC_SLAVE, pic.slavePorts);
      this.port(PORT.ELCR, pic.elcrPorts);
    }
    for (const [i, ioApic] of ioApics.entries()) this.map(i === 0 ? LAYOUT.IO_APIC : LAYOUT.IO_APIC2, ioApic);
    this.map(LAYOUT.LOCAL_APIC, localApicPage);
  }

  /** While the HPET replaces the legacy timers, theirs are cut off. */
  private placeTimers(): void {
    const { clock, epochSeconds, board, parts } = this.config;
    const timer = new Gate(this.isa(IRQ.TIMER));
    const alarm = new Gate(this.isa(IRQ.RTC));
    if (parts.pit) this.placePit(timer);
    if (parts.rtc) this.port(PORT.RTC, new Mc146818({ interrupt: alarm, clock, epochSeconds }));
    if (board !== 'q35' || !parts.hpet) return;
    const legacyChanged = (isOn: boolean): void => {
      timer.setOpen(!isOn);
      alarm.setOpen(!isOn);
    };
    this.map(LAYOUT.HPET, new Hpet({ clock, lines: this.hpetLines(), routes: HPET_ROUTES, legacyChanged }));
  }

  /** QEMU's microvm has no port 0x61, and kernels on it now and then fail to calibrate their TSC: here both boards have it. */
  private placePit(interrupt: InterruptLine): void {
    const pit = new I8254(this.config.clock, interrupt);
    this.port(PORT.PIT, pit);
    this.port(PORT.PORT_B, new PortB(pit));
  }

  /** Pins 2 and 8 are the ISA interrupts that legacy replacement takes over. */
  private hpetLines(): InterruptLine[] {
    return Array.from({ length: IO_APIC_PINS }, (_, pin) => {
      if (pin === GSI.TIMER) return this.isa(IRQ.TIMER);
      return pin === IRQ.RTC ? this.isa(IRQ.RTC) : this.interrupts.gsiLine(pin);
    });
  }

  private placePorts(): void {
    const { board, memory, memoryBytes, cpus, fwCfgFiles, resetMachine } = this.config;
    if (this.config.parts.isaSerial) this.port(PORT.COM1, this.serial);
    const fwCfg = { layout: 'ports', memory, memoryBytes, cpuCount: cpus.length, files: fwCfgFiles } as const;
    this.port(PORT.FW_CFG, new FwCfg(fwCfg));
    for (const device of this.config.isaDevices) this.placeIsaDevice(device);
    if (board !== 'q35') return;
    const keyboard = new I8042(this.isa(IRQ.KEYBOARD), resetMachine);
    this.port(PORT.KBD_DATA, keyboard);
    this.port(PORT.KBD_COMMAND, new KeyboardCommandPort(keyboard));
    this.port(PORT.SYSTEM_CONTROL_A, new Port92(resetMachine));
  }

  private placeIsaDevice(isaDevice: IsaDevice): void {
    const isPvpanic = isaDevice.type === 'pvpanic-isa';
    const { base, size } = isPvpanic ? PORT.PVPANIC : PORT.DEBUG_EXIT;
    const device = isPvpanic ? new Pvpanic(isaDevice.report) : new DebugExit(this.config.debugExit);
    this.port({ base: isaDevice.port ?? base, size }, device);
  }

  /** The configuration ports, with the reset port in the middle of them. */
  private createPci(): PciHost {
    const { PCI_IO, PCIE_ECAM } = LAYOUT;
    const io = new PciWindow('pci-io', PCI_IO.base, PCI_IO.size);
    const regions = pciMemory(this.config.memoryBytes);
    const memory = regions.map(({ base, size }) => new PciWindow('pci-memory', base, size));
    const intx = Array.from({ length: PCI_PINS }, (_, pin) => this.interrupts.gsiLine(GSI.PCI + pin));
    const host = new PciHost({ windows: { io, memory }, intx, msi: this.interrupts.bus });
    host.plug(0, new PciHostBridge(Q35_IDENTITY));
    host.plug(LPC_DEVICE, new PciHostBridge(ICH9_LPC_IDENTITY, LPC_CONTENTS));
    host.plug(LPC_DEVICE, new Ahci(this.config.ataDisks, this.config.memory), AHCI_FUNCTION);
    this.port(PCI_IO, io);
    for (const [i, window] of memory.entries()) this.map(regions[i]!, window);
    this.map(PCIE_ECAM, host.ecam);
    const reset = new ResetPort(this.config.resetMachine);
    this.port(PORT.PCI_CONFIG_ADDRESS, new ConfigAndResetPorts(new PciConfigPorts(host), reset));
    return host;
  }

  private createAcpiPm(): () => void {
    const { clock, powerOff } = this.config;
    const pm = new AcpiPm({ clock, interrupt: this.isa(IRQ.SCI), powerOff });
    this.port(PORT.ACPI_PM, pm);
    return () => pm.pressPowerButton();
  }

  private createGed(): () => void {
    const { powerOff, resetMachine } = this.config;
    const events = new GedEvents(this.interrupts.gsiLine(IRQ.SCI));
    this.map(LAYOUT.GED_EVENTS, events);
    this.map(LAYOUT.GED_REGISTERS, new GedRegisters(powerOff, resetMachine));
    return () => events.pressPowerButton();
  }

  /** Devices take the transports from the last one down, as QEMU fills them. */
  private placeVirtio(): void {
    const { virtio, memory, parts } = this.config;
    const { base, size } = LAYOUT.VIRTIO_MMIO;
    const { count, irq } = MICROVM_VIRTIO[parts.acpi ? 'acpi' : 'noAcpi'];
    for (let slot = 0; slot < count; slot++) {
      const device = virtio[count - 1 - slot];
      const interrupt = parts.acpi ? this.interrupts.gsiLine(irq + slot) : this.isa(irq + slot);
      const wiring = { interrupt, memory, version: 1, ...(device && { device }) } as const;
      this.map({ base: base + slot * size, size }, new VirtioMmioTransport(wiring));
    }
  }

  private map(region: Region, device: Device): void {
    this.memoryDevices.push({ region, device });
  }

  private port(region: Region, device: Device): void {
    this.portDevices.push({ region, device });
  }
}

/** A line that can be cut off; what its driver wants comes through again when it is opened. */
class Gate implements InterruptLine {
  private readonly target: InterruptLine;
  private level = false;
  private isOpen = true;

  constructor(target: InterruptLine) {
    this.target = target;
  }

  set(level: boolean): void {
    this.level = level;
    if (this.isOpen) this.target.set(level);
  }

  setOpen(isOpen: boolean): void {
    if (this.isOpen === isOpen) return;
    this.isOpen = isOpen;
    this.target.set(isOpen && this.level);
  }
}

/** Port 0x64 of the keyboard controller, whose state is saved with port 0x60. */
class KeyboardCommandPort implements Device<null> {
  readonly name = 'i8042-command';
  private readonly keyboard: I8042;

  constructor(keyboard: I8042) {
    this.keyboard = keyboard;
  }

  read(): number {
    return this.keyboard.read(4, 1);
  }

  write(_offset: number, value: number): void {
    this.keyboard.write(4, value, 1);
  }

  reset(): void {
    // Port 0x60 resets the controller.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // Port 0x60 restores the controller.
  }
}

/** Ports 0xcf8 to 0xcff: a byte access to 0xcf9 is the reset port, all others are PCI configuration. */
class ConfigAndResetPorts implements Device<readonly [number, number]> {
  readonly name = 'pci-config-ports';
  private readonly ports: PciConfigPorts;
  private readonly resetPort: ResetPort;

  constructor(ports: PciConfigPorts, resetPort: ResetPort) {
    this.ports = ports;
    this.resetPort = resetPort;
  }

  read(offset: number, width: 1 | 2 | 4): number {
    return isResetPort(offset, width) ? this.resetPort.read() : this.ports.read(offset, width);
  }

  write(offset: number, value: number, width: 1 | 2 | 4): void {
    if (isResetPort(offset, width)) this.resetPort.write(0, value, width);
    else this.ports.write(offset, value, width);
  }

  reset(): void {
    this.ports.reset();
    this.resetPort.reset();
  }

  save(): readonly [number, number] {
    return [this.ports.save(), this.resetPort.save()];
  }

  restore([address, reset]: readonly [number, number]): void {
    this.ports.restore(address);
    this.resetPort.restore(reset);
  }
}

function isResetPort(offset: number, width: number): boolean {
  return width === 1 && offset === PORT.RESET.base - PORT.PCI_CONFIG_ADDRESS.base;
}
