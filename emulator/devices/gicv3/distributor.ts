/**
 * The GICv3 distributor's registers: shared interrupts, their routing, and the groups' enables.
 *
 * Source: GICv3 IHI 0069 "The GIC Distributor register descriptions". With affinity routing on, the registers of SGIs and
 * PPIs (INTID 0 to 31) are RAZ/WI here; they are the redistributors'.
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import {
  BIT_REGISTERS_END,
  BIT_REGISTERS_START,
  type InterruptBankState,
  readBitRegister,
  writeBitRegister,
} from '../gic/interrupt-bank.ts';
import type { Gicv3Core } from './core.ts';
import { IDENTIFICATION, IIDR, readIdentification } from './identification.ts';
import { INTID_BITS } from './lpi-tables.ts';

const GICD_CTLR = 0x0000;
const GICD_TYPER = 0x0004;
const GICD_IIDR = 0x0008;
const GICD_IPRIORITYR = 0x0400;
const GICD_ITARGETSR = 0x0800;
const GICD_ICFGR = 0x0c00;
const GICD_IGRPMODR = 0x0d00;
const GICD_IROUTER = 0x6000;
const GICD_IROUTER_END = 0x8000;

/** GICD_CTLR with one security state: EnableGrp0, EnableGrp1; ARE and DS read as one. */
const CTLR = { EnableGrp0: 1 << 0, EnableGrp1: 1 << 1, ARE: 1 << 4, DS: 1 << 6 } as const;

/** GICD_TYPER: LPIS, IDbits, A3V (Aff3 may be non-zero), No1N (no 1-of-N routing). */
const TYPER = { LPIS: 1 << 17, IDbits: (INTID_BITS - 1) << 19, A3V: 1 << 24, No1N: 1 << 25 } as const;

/** Aff3 and Aff2..Aff0 of GICD_IROUTER; Interrupt_Routing_Mode (bit 31) is RAZ/WI as No1N is 1. */
const IROUTER_AFFINITY = 0xff_00ff_ffffn;

/** What a snapshot holds. */
export interface Gicv3DistributorState {
  readonly enabledGroups: number;
  readonly spis: InterruptBankState;
  /** GICD_IROUTER as written. */
  readonly routers: BigUint64Array;
}

/** GICD_* as the bus sees them. */
export class Gicv3Distributor implements Device<Gicv3DistributorState> {
  readonly name = 'gicv3-distributor';
  private readonly core: Gicv3Core;
  private routers: BigUint64Array;

  constructor(core: Gicv3Core) {
    this.core = core;
    this.routers = new BigUint64Array(core.routes.length);
  }

  read(offset: number, width: AccessWidth): number {
    if (offset >= GICD_IPRIORITYR && offset < GICD_ITARGETSR) {
      const index = offset - GICD_IPRIORITYR - 32;
      return index < 0 ? 0 : this.core.spis.readPriority(index, width);
    }
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
      const value = this.readRouter((offset - GICD_IROUTER) >>> 3);
      return Number((offset & 4) === 0 ? value & 0xffff_ffffn : value >> 32n);
    }
    return width === 4 ? this.readWord(offset) : 0;
  }

  write(offset: number, value: number, width: AccessWidth): void {
    if (offset >= GICD_IPRIORITYR && offset < GICD_ITARGETSR) {
      const index = offset - GICD_IPRIORITYR - 32;
      if (index >= 0 && index < this.core.routes.length) this.core.spis.writePriority(index, value, width, 0xff);
    } else if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
      this.writeRouterHalf(offset, value);
    } else if (width === 4) {
      this.writeWord(offset, value);
    }
    this.core.update();
  }

  readLong(offset: number): bigint {
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) return this.readRouter((offset - GICD_IROUTER) >>> 3);
    return (BigInt(this.read(offset + 4, 4)) << 32n) | BigInt(this.read(offset, 4));
  }

  writeLong(offset: number, value: bigint): void {
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
      this.writeRouter((offset - GICD_IROUTER) >>> 3, value);
      this.core.update();
      return;
    }
    this.write(offset, Number(value & 0xffff_ffffn), 4);
    this.write(offset + 4, Number(value >> 32n), 4);
  }

  reset(): void {
    this.routers = new BigUint64Array(this.core.routes.length);
    this.core.resetDistributor();
  }

  save(): Gicv3DistributorState {
    const { enabledGroups, spis } = this.core;
    return { enabledGroups, spis: spis.save(), routers: this.routers.slice() };
  }

  restore(state: Gicv3DistributorState): void {
    this.core.enabledGroups = state.enabledGroups;
    this.core.spis.restore(state.spis);
    for (const [spi, value] of state.routers.entries()) this.writeRouter(spi + 32, value);
    this.core.update();
  }

  private readWord(offset: number): number {
    if (offset >= BIT_REGISTERS_START && offset < BIT_REGISTERS_END) {
      const word = this.spiWord(offset);
      return word < 0 ? 0 : readBitRegister(this.core.spis, offset, word);
    }
    if (offset >= GICD_ICFGR && offset < GICD_IGRPMODR) {
      const register = ((offset - GICD_ICFGR) >>> 2) - 2;
      return register >= 0 && register < this.core.spis.words * 2 ? this.core.spis.readConfig(register) : 0;
    }
    switch (offset) {
      case GICD_CTLR:
        return this.core.enabledGroups | CTLR.ARE | CTLR.DS;
      case GICD_TYPER:
        return this.typer();
      case GICD_IIDR:
        return IIDR;
      default: // GICD_TYPER2, GICD_STATUSR, GICD_ITARGETSR, GICD_IGRPMODR, GICD_NSACR: nothing implemented there.
        return readIdentification(offset, IDENTIFICATION.distributor);
    }
  }

  private writeWord(offset: number, value: number): void {
    if (offset >= BIT_REGISTERS_START && offset < BIT_REGISTERS_END) {
      const word = this.spiWord(offset);
      if (word >= 0) writeBitRegister(this.core.spis, offset, word, value);
    } else if (offset >= GICD_ICFGR && offset < GICD_IGRPMODR) {
      const register = ((offset - GICD_ICFGR) >>> 2) - 2;
      if (register >= 0 && register < this.core.spis.words * 2) this.core.spis.writeConfig(register, value);
    } else if (offset === GICD_CTLR) {
      this.core.enabledGroups = value & (CTLR.EnableGrp0 | CTLR.EnableGrp1);
    }
  }

  /** Word of the SPI bank that a bit register is for; -1 for SGIs, PPIs and beyond the last SPI. */
  private spiWord(offset: number): number {
    const word = ((offset & 0x7f) >>> 2) - 1;
    return word < this.core.spis.words ? word : -1;
  }

  private typer(): number {
    const lines = this.core.intidCount / 32 - 1;
    return lines | TYPER.IDbits | TYPER.A3V | TYPER.No1N | (this.core.hasLpis ? TYPER.LPIS : 0);
  }

  private readRouter(intid: number): bigint {
    return this.routers[intid - 32] ?? 0n;
  }

  private writeRouter(intid: number, value: bigint): void {
    const spi = intid - 32;
    if (spi < 0 || spi >= this.routers.length) return;
    const masked = value & IROUTER_AFFINITY;
    this.routers[spi] = masked;
    const affinity = Number(((masked >> 8n) & 0xff00_0000n) | (masked & 0xff_ffffn));
    this.core.routes[spi] = this.core.cpuOfAffinity(affinity);
  }

  private writeRouterHalf(offset: number, value: number): void {
    const intid = (offset - GICD_IROUTER) >>> 3;
    const old = this.readRouter(intid);
    const half = BigInt(value);
    const merged = (offset & 4) === 0 ? (old & ~0xffff_ffffn) | half : (old & 0xffff_ffffn) | (half << 32n);
    this.writeRouter(intid, merged);
  }
}
