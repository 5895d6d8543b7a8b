/**
 * An address window through which CPUs reach the BARs behind a host bridge.
 *
 * What no BAR decodes reads as ones, and writes there are lost, as on QEMU's generic host. Guests may program BARs to overlap: the
 * function with the lower number answers then.
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import type { BarHandler } from './function.ts';

/** A BAR that is decoded at present. */
export interface MappedBar {
  /** PCI bus addresses, half open. */
  readonly start: number;
  readonly end: number;
  readonly handler: BarHandler;
}

/** A window as the bus sees it. */
export class PciWindow implements Device<null> {
  readonly name: string;
  /** PCI bus address of the window's first byte. */
  readonly busBase: number;
  readonly size: number;
  private mapped: readonly MappedBar[] = [];

  constructor(name: string, busBase: number, size: number) {
    this.name = name;
    this.busBase = busBase;
    this.size = size;
  }

  /** Whether a BAR at these bus addresses lies in the window. */
  holds(start: number, end: number): boolean {
    return start >= this.busBase && end <= this.busBase + this.size;
  }

  /** Replaces what is decoded. */
  setMapped(mapped: readonly MappedBar[]): void {
    this.mapped = mapped;
  }

  read(offset: number, width: AccessWidth): number {
    const address = this.busBase + offset;
    const found = this.find(address);
    return found === undefined ? 2 ** (8 * width) - 1 : found.handler.read(address - found.start, width);
  }

  write(offset: number, value: number, width: AccessWidth): void {
    const address = this.busBase + offset;
    const found = this.find(address);
    found?.handler.write(address - found.start, value, width);
  }

  reset(): void {
    // What is decoded follows from the functions' configuration.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // What is decoded follows from the functions' configuration.
  }

  private find(address: number): MappedBar | undefined {
    for (const bar of this.mapped) if (address >= bar.start && address < bar.end) return bar;
    return undefined;
  }
}
