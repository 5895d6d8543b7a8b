/**
 * The AHCI controller of q35's ICH9, at 00:1f.2: six SATA ports.
 *
 * Source: Serial ATA AHCI 1.3.1 "HBA Memory Registers", "PCI Header and Configuration"; identity and capabilities as QEMU 7.2's ich9-ahci.
 */
import type { AccessWidth, DmaMemory } from '../../memory/device.ts';
import { type Capability, PciConfigSpace } from '../pci/config-space.ts';
import type { BarHandler, PciFunction, PciSlot } from '../pci/function.ts';
import { QEMU_SUBSYSTEM_ID, VENDOR } from '../pci/host-bridge.ts';
import { AHCI_PORT_SIZE, AhciPort, type AhciPortState } from './ahci-port.ts';
import type { AtaDisk } from './ata-disk.ts';

export const AHCI_PORTS = 6;

/** Generic host control. */
const CAP = 0x00;
const GHC = 0x04;
const HOST_IS = 0x08;
const PI = 0x0c;
const VS = 0x10;
const FIRST_PORT = 0x100;

const GHC_BITS = { HR: 1 << 0, IE: 1 << 1, AE: 1 << 31 } as const;
/** 64-bit addresses, NCQ, 1.5 Gb/s, AHCI only, 32 slots, six ports. */
const CAPABILITIES = 0xc014_1f05;
const VERSION_1_0 = 0x0001_0000;

const REGISTERS_BAR = 5;
const INDEX_DATA_BAR = 4;
/** The index/data pair in I/O space. */
const INDEX_DATA = { INDEX: 0x10, DATA: 0x14 } as const;

const MSI_AT = 0x80;
const MSI = { CONTROL: MSI_AT + 2, ADDRESS: MSI_AT + 4, DATA: MSI_AT + 12 } as const;
const MSI_ENABLE = 1;
/** MAP register: AHCI mode. */
const AHCI_MODE = { 0x90: 0x40 } as const;

/** One message with a 64-bit address. */
const MSI_CAPABILITY: Capability = {
  id: 5,
  at: MSI_AT,
  body: [0x80, 0, ...Array.from({ length: 10 }, () => 0)],
  writable: [MSI_ENABLE, 0, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
};
/** Revision 1.0; the index/data pair is in BAR 4 at 0x10. */
const SATA_CAPABILITY: Capability = { id: 0x12, at: 0xa8, body: [0x10, 0, 0x48, 0, 0, 0] };

/** What a snapshot holds beyond configuration space. */
export interface AhciState {
  readonly control: number;
  readonly index: number;
  readonly ports: readonly AhciPortState[];
  /** The disks' contents, as their backends save them. */
  readonly disks: readonly unknown[];
}

/** The controller as a PCI function. */
export class Ahci implements PciFunction<AhciState> {
  readonly name = 'ich9-ahci';
  readonly config = new PciConfigSpace(
    {
      vendorId: VENDOR.INTEL,
      deviceId: 0x2922,
      revision: 2,
      classCode: 0x01_0601,
      subsystemVendorId: VENDOR.REDHAT_QUMRANET,
      subsystemId: QEMU_SUBSYSTEM_ID,
      interruptPin: 1,
    },
    [
      { index: INDEX_DATA_BAR, kind: 'io', size: 0x20 },
      { index: REGISTERS_BAR, kind: 'mem32', size: 0x1000 },
    ],
    [MSI_CAPABILITY, SATA_CAPABILITY],
    AHCI_MODE,
  );
  private readonly disks: readonly AtaDisk[];
  private readonly ports: readonly AhciPort[];
  private slot: PciSlot | undefined;
  private control = GHC_BITS.AE;
  private index = 0;
  private asserted = false;

  /** @param disks behind the first ports, at most six */
  constructor(disks: readonly AtaDisk[], memory: DmaMemory) {
    this.disks = disks;
    this.ports = Array.from(
      { length: AHCI_PORTS },
      (_, i) => new AhciPort(disks[i], memory, () => this.updateInterrupt(true)),
    );
  }

  bar(index: number): BarHandler {
    return index === REGISTERS_BAR ? this.registers : this.indexData;
  }

  plug(slot: PciSlot): void {
    this.slot = slot;
  }

  configWritten(): void {
    this.updateInterrupt(false);
  }

  reset(): void {
    this.resetController();
    this.index = 0;
  }

  save(): AhciState {
    const { control, index, ports, disks } = this;
    return { control, index, ports: ports.map(port => port.save()), disks: disks.map(({ backend }) => backend.save()) };
  }

  restore({ control, index, ports, disks }: AhciState): void {
    this.control = control;
    this.index = index;
    for (const [i, state] of ports.entries()) this.ports[i]!.restore(state);
    for (const [i, state] of disks.entries()) this.disks[i]!.backend.restore(state);
    this.updateInterrupt(false);
  }

  /** Registers are words; narrower reads see their part. */
  private readonly registers: BarHandler = {
    read: (offset: number, width: AccessWidth) => {
      const word = this.read(offset & ~3);
      return width === 4 ? word : (word >>> (8 * (offset & 3))) & (2 ** (8 * width) - 1);
    },
    write: (offset: number, value: number, width: AccessWidth) => {
      if (width === 4) this.write(offset, value);
    },
  };

  private readonly indexData: BarHandler = {
    read: (offset: number) => {
      if (offset === INDEX_DATA.INDEX) return this.index;
      return offset === INDEX_DATA.DATA ? this.read(this.index) : 0;
    },
    write: (offset: number, value: number) => {
      if (offset === INDEX_DATA.INDEX) this.index = value & 0xffc;
      else if (offset === INDEX_DATA.DATA) this.write(this.index, value);
    },
  };

  private read(offset: number): number {
    if (offset >= FIRST_PORT) return this.port(offset)?.read((offset - FIRST_PORT) % AHCI_PORT_SIZE) ?? 0;
    switch (offset) {
      case CAP:
        return CAPABILITIES;
      case GHC:
        return this.control >>> 0;
      case HOST_IS:
        return this.pending();
      case PI:
        return 2 ** AHCI_PORTS - 1;
      case VS:
        return VERSION_1_0;
      default:
        return 0;
    }
  }

  private write(offset: number, value: number): void {
    if (offset >= FIRST_PORT) this.port(offset)?.write((offset - FIRST_PORT) % AHCI_PORT_SIZE, value);
    else if (offset === GHC) this.writeControl(value);
  }

  private writeControl(value: number): void {
    if ((value & GHC_BITS.HR) !== 0) this.resetController();
    else this.control = (value & GHC_BITS.IE) | GHC_BITS.AE;
    this.updateInterrupt(false);
  }

  private resetController(): void {
    this.control = GHC_BITS.AE;
    for (const port of this.ports) port.reset();
    this.updateInterrupt(false);
  }

  private port(offset: number): AhciPort | undefined {
    return this.ports[Math.floor((offset - FIRST_PORT) / AHCI_PORT_SIZE)];
  }

  /** IS: a bit for each port with an interrupt; clearing it is up to the port's own register. */
  private pending(): number {
    return this.ports.reduce((bits, port, i) => bits | (port.interrupt ? 1 << i : 0), 0);
  }

  /** @param isNew a port may have a new interrupt: a message is sent again */
  private updateInterrupt(isNew: boolean): void {
    const level = (this.control & GHC_BITS.IE) !== 0 && this.pending() !== 0;
    const rises = level && (isNew || !this.asserted);
    this.asserted = level;
    const usesMsi = (this.config.get(MSI.CONTROL, 2) & MSI_ENABLE) !== 0;
    this.slot?.intx.set(level && !usesMsi);
    if (rises && usesMsi) this.sendMessage();
  }

  private sendMessage(): void {
    const address = this.config.get(MSI.ADDRESS, 4) + this.config.get(MSI.ADDRESS + 4, 4) * 2 ** 32;
    this.slot?.sendMsi(address, this.config.get(MSI.DATA, 2));
  }
}
