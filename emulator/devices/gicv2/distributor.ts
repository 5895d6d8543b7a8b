/**
 * The GICv2 distributor's registers. Those of SGIs and PPIs are banked: each CPU sees its own.
 *
 * Source: GICv2 IHI 0048 "Distributor register descriptions".
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import {
  BIT_REGISTERS_END,
  BIT_REGISTERS_START,
  type InterruptBank,
  type InterruptBankState,
  readBitRegister,
  writeBitRegister,
} from '../gic/interrupt-bank.ts';
import { type Gicv2Core, PRIVATE_INTERRUPTS, SGI_COUNT } from './core.ts';

const GICD_CTLR = 0x000;
const GICD_TYPER = 0x004;
const GICD_IIDR = 0x008;
const GICD_ISENABLER = 0x100;
const GICD_ISPENDR = 0x200;
const GICD_IPRIORITYR = 0x400;
const GICD_ITARGETSR = 0x800;
const GICD_ICFGR = 0xc00;
const GICD_ICFGR_END = 0xd00;
const GICD_SGIR = 0xf00;
const GICD_CPENDSGIR = 0xf10;
const GICD_SPENDSGIR = 0xf20;
const GICD_SGI_END = 0xf30;
const IDENTIFICATION_START = 0xfd0;

/** QEMU's: implementer Arm. */
const IIDR = 0x43b;
/** Identification as QEMU's GICv2 has it: PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3. */
const IDENTIFICATION = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1] as const;

/** GICD_SGIR.TargetListFilter. */
const SGIR_FILTER = { LIST: 0, OTHERS: 1, SELF: 2 } as const;

/** What a snapshot holds. */
export interface Gicv2DistributorState {
  readonly enabledGroups: number;
  readonly spis: InterruptBankState;
  readonly privates: readonly InterruptBankState[];
  readonly targets: Uint8Array;
  readonly sgiSources: Uint8Array;
}

/** GICD_* as the bus sees them. */
export class Gicv2Distributor implements Device<Gicv2DistributorState> {
  readonly name = 'gicv2-distributor';
  private readonly core: Gicv2Core;

  constructor(core: Gicv2Core) {
    this.core = core;
  }

  read(offset: number, width: AccessWidth): number {
    if (!isByteAccessible(offset)) return width === 4 ? this.readWord(offset) : 0;
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.readByte(offset + i);
    return value;
  }

  private readWord(offset: number): number {
    if (offset >= BIT_REGISTERS_START && offset < BIT_REGISTERS_END) return this.readBits(offset);
    if (offset >= GICD_ICFGR && offset < GICD_ICFGR_END) return this.readConfig((offset - GICD_ICFGR) >>> 2);
    switch (offset) {
      case GICD_CTLR:
        return this.core.enabledGroups;
      case GICD_TYPER:
        return (this.core.intidCount / 32 - 1) | ((this.core.cpuCount - 1) << 5);
      case GICD_IIDR:
        return IIDR;
      default:
        return offset >= IDENTIFICATION_START ? (IDENTIFICATION[(offset - IDENTIFICATION_START) >>> 2] ?? 0) : 0;
    }
  }

  write(offset: number, value: number, width: AccessWidth): void {
    if (isByteAccessible(offset)) {
      for (let i = 0; i < width; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
    } else if (width === 4) {
      this.writeWord(offset, value);
    }
    this.core.update();
  }

  reset(): void {
    this.core.reset();
  }

  save(): Gicv2DistributorState {
    const { enabledGroups, spis, privates, targets, sgiSources } = this.core;
    const banks = { spis: spis.save(), privates: privates.map(bank => bank.save()) };
    return { enabledGroups, ...banks, targets: targets.slice(), sgiSources: sgiSources.slice() };
  }

  restore(state: Gicv2DistributorState): void {
    const { core } = this;
    core.enabledGroups = state.enabledGroups;
    core.spis.restore(state.spis);
    for (const [cpu, bank] of core.privates.entries()) bank.restore(state.privates[cpu]!);
    core.targets.set(state.targets);
    core.sgiSources.set(state.sgiSources);
    core.update();
  }

  private writeWord(offset: number, value: number): void {
    if (offset >= BIT_REGISTERS_START && offset < BIT_REGISTERS_END) this.writeBits(offset, value);
    else if (offset >= GICD_ICFGR && offset < GICD_ICFGR_END) this.writeConfig((offset - GICD_ICFGR) >>> 2, value);
    else if (offset === GICD_CTLR) this.core.enabledGroups = value & 3;
    else if (offset === GICD_SGIR) this.generateSgi(value);
  }

  /** Word 0 of each bit register is the accessing CPU's own. */
  private word(offset: number): { bank: InterruptBank; word: number } | undefined {
    const word = (offset & 0x7f) >>> 2;
    if (word === 0) return { bank: this.core.privates[this.core.currentCpu()]!, word: 0 };
    return word <= this.core.spis.words ? { bank: this.core.spis, word: word - 1 } : undefined;
  }

  private readBits(offset: number): number {
    const place = this.word(offset);
    return place === undefined ? 0 : readBitRegister(place.bank, offset, place.word);
  }

  /** SGIs stay enabled, and become pending or not only through GICD_SGIR and its siblings. */
  private writeBits(offset: number, value: number): void {
    const place = this.word(offset);
    if (place === undefined) return;
    const isPrivate = place.bank !== this.core.spis;
    const isFixed = (offset >= GICD_ISENABLER && offset < GICD_ISPENDR) || (offset >= GICD_ISPENDR && offset < 0x300);
    writeBitRegister(place.bank, offset, place.word, isPrivate && isFixed ? value & ~0xffff : value);
  }

  private readByte(offset: number): number {
    if (offset >= GICD_CPENDSGIR) return this.core.sgiSources[this.core.currentCpu() * SGI_COUNT + (offset & 0xf)]!;
    if (offset >= GICD_ITARGETSR) return this.readTarget(offset - GICD_ITARGETSR);
    const intid = offset - GICD_IPRIORITYR;
    if (intid >= this.core.intidCount) return 0;
    const { bank, index } = this.core.locate(this.core.currentCpu(), intid);
    return bank.readPriority(index, 1);
  }

  private writeByte(offset: number, value: number): void {
    if (offset >= GICD_CPENDSGIR) {
      this.writeSgiPending(offset, value);
      return;
    }
    if (offset >= GICD_ITARGETSR) {
      const spi = offset - GICD_ITARGETSR - PRIVATE_INTERRUPTS;
      if (spi >= 0 && this.core.cpuCount > 1) this.core.targets[spi] = value & (2 ** this.core.cpuCount - 1);
      return;
    }
    const intid = offset - GICD_IPRIORITYR;
    if (intid >= this.core.intidCount) return;
    const { bank, index } = this.core.locate(this.core.currentCpu(), intid);
    bank.writePriority(index, value, 1, 0xff);
  }

  /** The first eight registers tell each CPU its own bit: that is how Linux learns it. */
  private readTarget(intid: number): number {
    if (this.core.cpuCount === 1) return 0;
    if (intid < PRIVATE_INTERRUPTS) return 1 << this.core.currentCpu();
    return this.core.targets[intid - PRIVATE_INTERRUPTS] ?? 0;
  }

  private readConfig(register: number): number {
    if (register < 2) return this.core.privates[this.core.currentCpu()]!.readConfig(register);
    return register - 2 < this.core.spis.words * 2 ? this.core.spis.readConfig(register - 2) : 0;
  }

  /** The configuration of SGIs (register 0) is fixed. */
  private writeConfig(register: number, value: number): void {
    if (register === 1) this.core.privates[this.core.currentCpu()]!.writeConfig(1, value);
    else if (register >= 2 && register - 2 < this.core.spis.words * 2) this.core.spis.writeConfig(register - 2, value);
  }

  private writeSgiPending(offset: number, sources: number): void {
    const cpu = this.core.currentCpu();
    const sgi = offset & 0xf;
    const at = cpu * SGI_COUNT + sgi;
    if (offset >= GICD_SPENDSGIR) this.core.sgiSources[at]! |= sources;
    else this.core.sgiSources[at]! &= ~sources;
    const latched = this.core.privates[cpu]!.state.latched;
    latched[0] = this.core.sgiSources[at] === 0 ? latched[0]! & ~(1 << sgi) : latched[0]! | (1 << sgi);
  }

  private generateSgi(value: number): void {
    const from = this.core.currentCpu();
    const filter = (value >>> 24) & 3;
    const list = (value >>> 16) & 0xff;
    for (let cpu = 0; cpu < this.core.cpuCount; cpu++) {
      const isListed = filter === SGIR_FILTER.LIST && ((list >>> cpu) & 1) !== 0;
      const isOther = filter === SGIR_FILTER.OTHERS && cpu !== from;
      const isSelf = filter === SGIR_FILTER.SELF && cpu === from;
      if (isListed || isOther || isSelf) this.core.sendSgi(from, cpu, value & 0xf);
    }
  }
}

/** Priorities, targets and SGI pending registers have a byte for each interrupt. */
function isByteAccessible(offset: number): boolean {
  return (offset >= GICD_IPRIORITYR && offset < GICD_ICFGR) || (offset >= GICD_CPENDSGIR && offset < GICD_SGI_END);
}
