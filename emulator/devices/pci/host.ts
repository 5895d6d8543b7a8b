/**
 * A PCI host bridge: one bus of functions, reached by ECAM and (on PCs) by ports 0xcf8 and 0xcfc.
 *
 * Source: PCI Express Base Specification "PCI Express Enhanced Configuration Access Mechanism (ECAM)"; PCI Local Bus
 * Specification 3.0 "Configuration Mechanism #1"; QEMU hw/pci-host/gpex.c for `virt`'s bridge.
 * Modelled: bus 0, 32 devices of up to 8 functions, INTx routing, MSI. Not modelled: bridges and further buses, hot plug.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { AccessWidth, Device, InterruptLine } from '../../memory/device.ts';
import { COMMAND } from './config-space.ts';
import type { MsiSink, PciFunction } from './function.ts';
import { type MappedBar, PciWindow } from './windows.ts';

const PINS = 4;

/** Address ranges through which the CPU reaches BARs. */
export interface PciWindows {
  readonly io: PciWindow;
  readonly memory: readonly PciWindow[];
}

/** What a board gives to the bridge. */
export interface PciHostWiring {
  readonly windows: PciWindows;
  /** Inputs for INTA to INTD behind the swizzle; level. */
  readonly intx: readonly InterruptLine[];
  readonly msi: MsiSink;
}

/** What a snapshot holds of one function. */
export interface PciFunctionState {
  readonly slot: number;
  readonly config: Uint8Array;
  readonly intx: boolean;
  readonly state: unknown;
}

interface Plugged {
  /** device << 3 | function. */
  readonly slot: number;
  readonly pciFunction: PciFunction;
  intx: boolean;
}

/** The bridge; its `ecam` goes onto the bus. */
export class PciHost {
  readonly windows: PciWindows;
  readonly ecam: PciEcam;
  private readonly intx: readonly InterruptLine[];
  private readonly msi: MsiSink;
  private readonly plugged = new Map<number, Plugged>();

  constructor({ windows, intx, msi }: PciHostWiring) {
    assert(intx.length === PINS, 'a PCI host has four interrupt lines');
    this.windows = windows;
    this.intx = intx;
    this.msi = msi;
    this.ecam = new PciEcam(this);
  }

  /** Functions in slot order, for a monitor's `info pci`. */
  get functions(): readonly { readonly slot: number; readonly pciFunction: PciFunction }[] {
    return [...this.plugged.values()].sort((a, b) => a.slot - b.slot);
  }

  /** Puts a function at a place on bus 0. */
  plug(device: number, pciFunction: PciFunction, functionNumber = 0): void {
    const slot = device * 8 + functionNumber;
    assert(
      device < 32 && functionNumber < 8 && !this.plugged.has(slot),
      `PCI slot ${device}.${functionNumber} is free`,
    );
    const entry: Plugged = { slot, pciFunction, intx: false };
    this.plugged.set(slot, entry);
    pciFunction.plug({
      intx: { set: level => this.setIntx(entry, level) },
      sendMsi: (address, data) => this.sendMsi(entry, address, data),
    });
    this.remap();
  }

  /** Reads configuration space. @param requester bus << 8 | device << 3 | function */
  readConfig(requester: number, offset: number, width: AccessWidth): number {
    const entry = this.plugged.get(requester);
    if (entry === undefined) return 2 ** (8 * width) - 1;
    entry.pciFunction.beforeConfigRead?.(offset);
    return entry.pciFunction.config.read(offset, width);
  }

  writeConfig(requester: number, offset: number, value: number, width: AccessWidth): void {
    const entry = this.plugged.get(requester);
    if (entry === undefined) return;
    const { config } = entry.pciFunction;
    if (config.write(offset, value, width)) {
      this.remap();
      this.updateIntx(entry);
    }
    entry.pciFunction.configWritten?.(offset, width);
  }

  reset(): void {
    for (const entry of this.plugged.values()) {
      entry.pciFunction.config.reset();
      entry.pciFunction.reset();
    }
    this.remap();
  }

  save(): PciFunctionState[] {
    return this.functions.map(({ slot, pciFunction }) => ({
      slot,
      config: pciFunction.config.bytes.slice(),
      intx: this.plugged.get(slot)!.intx,
      state: pciFunction.save(),
    }));
  }

  restore(states: readonly PciFunctionState[]): void {
    for (const { slot, config, intx, state } of states) {
      const entry = this.plugged.get(slot);
      assert(entry !== undefined, `PCI slot ${slot} is plugged`);
      entry.pciFunction.config.bytes.set(config);
      entry.intx = intx;
      entry.pciFunction.restore(state);
      this.updateIntx(entry);
    }
    this.remap();
  }

  /** Lets the windows decode what the functions' BARs say. */
  private remap(): void {
    const io: MappedBar[] = [];
    const memory: MappedBar[] = [];
    for (const { pciFunction } of this.functions) {
      for (const { bar, address } of pciFunction.config.mappings()) {
        const target = bar.kind === 'io' ? io : memory;
        target.push({ start: address, end: address + bar.size, handler: pciFunction.bar(bar.index) });
      }
    }
    this.windows.io.setMapped(io.filter(bar => this.windows.io.holds(bar.start, bar.end)));
    for (const window of this.windows.memory) window.setMapped(memory.filter(bar => window.holds(bar.start, bar.end)));
  }

  private setIntx(entry: Plugged, level: boolean): void {
    entry.intx = level;
    entry.pciFunction.config.setInterruptStatus(level);
    this.updateIntx(entry);
  }

  /** Swizzle: pin p of device d is line (d + p) mod 4; lines are shared, so all functions on it count. */
  private updateIntx({ slot, pciFunction }: Plugged): void {
    const line = lineOf(slot, pciFunction);
    if (line === undefined) return;
    let level = false;
    for (const other of this.plugged.values()) {
      const isMasked = (other.pciFunction.config.command & COMMAND.INTX_DISABLE) !== 0;
      if (other.intx && !isMasked && lineOf(other.slot, other.pciFunction) === line) level = true;
    }
    this.intx[line]!.set(level);
  }

  /** A write to memory needs bus mastering. */
  private sendMsi({ slot, pciFunction }: Plugged, address: number, data: number): void {
    if ((pciFunction.config.command & COMMAND.MASTER) !== 0) this.msi.send(address, data, slot);
  }
}

function lineOf(slot: number, pciFunction: PciFunction): number | undefined {
  const pin = pciFunction.config.get(0x3d, 1);
  return pin === 0 ? undefined : ((slot >> 3) + pin - 1) % PINS;
}

/** Configuration space by memory access: bus 27:20, device 19:15, function 14:12, register 11:0. */
export class PciEcam implements Device<PciFunctionState[]> {
  readonly name = 'pcie-ecam';
  private readonly host: PciHost;

  constructor(host: PciHost) {
    this.host = host;
  }

  read(offset: number, width: AccessWidth): number {
    return this.host.readConfig(Math.floor(offset / 4096), offset % 4096, width);
  }

  write(offset: number, value: number, width: AccessWidth): void {
    this.host.writeConfig(Math.floor(offset / 4096), offset % 4096, value, width);
  }

  reset(): void {
    this.host.reset();
  }

  save(): PciFunctionState[] {
    return this.host.save();
  }

  restore(state: PciFunctionState[]): void {
    this.host.restore(state);
  }
}

const CONFIG_ENABLE = 0x8000_0000;

/** Configuration mechanism #1: CONFIG_ADDRESS at port 0xcf8, CONFIG_DATA at 0xcfc to 0xcff. */
export class PciConfigPorts implements Device<number> {
  readonly name = 'pci-config-ports';
  private readonly host: PciHost;
  private address = 0;

  constructor(host: PciHost) {
    this.host = host;
  }

  read(offset: number, width: AccessWidth): number {
    if (offset === 0 && width === 4) return this.address;
    if (offset < 4 || this.address < CONFIG_ENABLE) return 2 ** (8 * width) - 1;
    return this.host.readConfig(this.requester(), this.register() + (offset & 3), width);
  }

  write(offset: number, value: number, width: AccessWidth): void {
    if (offset === 0 && width === 4) this.address = value;
    if (offset < 4 || this.address < CONFIG_ENABLE) return;
    this.host.writeConfig(this.requester(), this.register() + (offset & 3), value, width);
  }

  reset(): void {
    this.address = 0;
  }

  save(): number {
    return this.address;
  }

  restore(state: number): void {
    this.address = state;
  }

  private requester(): number {
    return (this.address >>> 8) & 0xffff;
  }

  private register(): number {
    return this.address & 0xfc;
  }
}
