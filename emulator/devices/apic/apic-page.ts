/**
 * The page at 0xfee00000: the local APIC of whichever CPU accesses it, and the place to which MSIs are written.
 *
 * Source: Intel SDM vol. 3A "The Local APIC Block Diagram".
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import { APIC_BASE_ADDRESS } from './local-apic-registers.ts';
import type { LocalApic, LocalApicState } from './local-apic.ts';
import type { ApicBus } from './messages.ts';

/** Size of the range: MSIs use all of it, CPUs its first page. */
export const APIC_PAGE_SIZE = 0x10_0000;
const REGISTERS_END = 0x400;
/** What CPUs read here while their local APIC is off or an x2APIC. */
const NOTHING = 0xffff_ffff;

/** All local APICs as the bus sees them. */
export class ApicPage implements Device<readonly LocalApicState[]> {
  readonly name = 'local-apic';
  private readonly apics: readonly LocalApic[];
  private readonly currentCpu: () => number;
  private readonly bus: ApicBus;

  constructor(apics: readonly LocalApic[], currentCpu: () => number, bus: ApicBus) {
    this.apics = apics;
    this.currentCpu = currentCpu;
    this.bus = bus;
  }

  read(offset: number, _width: AccessWidth): number {
    return this.readAt(APIC_BASE_ADDRESS, offset);
  }

  /** Writes beyond the registers are MSIs that a CPU makes. */
  write(offset: number, value: number, _width: AccessWidth): void {
    const apic = this.apics[this.currentCpu()]!;
    if (offset < REGISTERS_END) this.writeAt(APIC_BASE_ADDRESS, offset, value);
    else if (apic.isMappedAt(APIC_BASE_ADDRESS)) this.bus.send(APIC_BASE_ADDRESS + offset, value);
  }

  /** Reads what the current CPU has on the page at this address. */
  readAt(address: number, offset: number): number {
    const apic = this.apics[this.currentCpu()]!;
    if (!apic.isMappedAt(address)) return NOTHING;
    return offset < REGISTERS_END ? apic.readRegister(offset >>> 4) : 0;
  }

  writeAt(address: number, offset: number, value: number): void {
    const apic = this.apics[this.currentCpu()]!;
    if (apic.isMappedAt(address) && offset < REGISTERS_END) apic.writeRegister(offset >>> 4, value);
  }

  /** Where local APICs are beside the usual place. */
  movedAddresses(): ReadonlySet<number> {
    return new Set(this.apics.map(({ address }) => address).filter(address => address !== APIC_BASE_ADDRESS));
  }

  reset(): void {
    for (const apic of this.apics) apic.powerOn();
  }

  save(): readonly LocalApicState[] {
    return this.apics.map(apic => apic.save());
  }

  restore(states: readonly LocalApicState[]): void {
    for (const [cpu, apic] of this.apics.entries()) apic.restore(states[cpu]!);
  }
}
