/**
 * The GICv3 redistributors' registers: two 64 KiB frames a CPU, one for control and LPIs, one for SGIs and PPIs.
 *
 * Source: GICv3 IHI 0069 "The GIC Redistributor register descriptions".
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import {
  BIT_REGISTERS_END,
  BIT_REGISTERS_START,
  type InterruptBankState,
  readBitRegister,
  writeBitRegister,
} from '../gic/interrupt-bank.ts';
import type { CpuInterfaceState } from './cpu-interface.ts';
import type { Gicv3Core } from './core.ts';
import { IDENTIFICATION, IIDR, readIdentification } from './identification.ts';
import { GICR_CTLR_ENABLE_LPIS, type LpiTablesState } from './lpi-tables.ts';

/** Bytes of one CPU's two frames. */
export const REDISTRIBUTOR_STRIDE = 0x20000;

/** RD_base frame. */
const GICR_CTLR = 0x0000;
const GICR_IIDR = 0x0004;
const GICR_TYPER = 0x0008;
const GICR_WAKER = 0x0014;
const GICR_PROPBASER = 0x0070;
const GICR_PENDBASER = 0x0078;
const GICR_INVLPIR = 0x00a0;
const GICR_INVALLR = 0x00b0;

/** SGI_base frame. */
const SGI_FRAME = 0x10000;
const GICR_IPRIORITYR = 0x0400;
const GICR_IPRIORITYR_END = 0x0420;
const GICR_ICFGR0 = 0x0c00;
const GICR_ICFGR1 = 0x0c04;

/** GICR_CTLR.CES: EnableLPIs may be cleared again. */
const CTLR_CES = 1 << 1;
/** GICR_WAKER. */
const WAKER = { ProcessorSleep: 1 << 1, ChildrenAsleep: 1 << 2 } as const;
/** GICR_TYPER: PLPIS, Last, CommonLPIAff = 1 (tables shared by all with the same Aff3), affinity in the upper half. */
const TYPER = { PLPIS: 1n, Last: 1n << 4n, CommonLPIAff: 1n << 24n } as const;

/** What a snapshot holds of one CPU; the CPU interface, which is not on the bus, is saved with it. */
export interface Gicv3RedistributorState {
  readonly asleep: boolean;
  readonly privates: InterruptBankState;
  readonly lpis: LpiTablesState | null;
  readonly cpuInterface: CpuInterfaceState;
}

/** GICR_* of all CPUs, one after the other, as the bus sees them. */
export class Gicv3Redistributors implements Device<readonly Gicv3RedistributorState[]> {
  readonly name = 'gicv3-redistributors';
  private readonly core: Gicv3Core;
  private readonly asleep: boolean[];

  constructor(core: Gicv3Core) {
    this.core = core;
    this.asleep = core.affinities.map(() => true);
  }

  read(offset: number, width: AccessWidth): number {
    const cpu = Math.floor(offset / REDISTRIBUTOR_STRIDE);
    if (cpu >= this.core.cpuCount) return 0;
    const register = offset % REDISTRIBUTOR_STRIDE;
    if (register >= SGI_FRAME) return this.readPrivate(cpu, register - SGI_FRAME, width);
    if (width !== 4) return 0;
    const long = this.readLongRegister(cpu, register & ~7);
    if (long !== undefined) return Number((register & 4) === 0 ? long & 0xffff_ffffn : long >> 32n);
    return this.readControl(cpu, register);
  }

  write(offset: number, value: number, width: AccessWidth): void {
    const cpu = Math.floor(offset / REDISTRIBUTOR_STRIDE);
    if (cpu >= this.core.cpuCount) return;
    const register = offset % REDISTRIBUTOR_STRIDE;
    if (register >= SGI_FRAME) {
      this.writePrivate(cpu, register - SGI_FRAME, value, width);
    } else if (width === 4) {
      const old = this.readLongRegister(cpu, register & ~7);
      if (old === undefined) this.writeControl(cpu, register, value);
      else this.writeLongRegister(cpu, register & ~7, mergeHalf(old, register, value));
    }
    this.core.updateCpu(cpu);
  }

  readLong(offset: number): bigint {
    const cpu = Math.floor(offset / REDISTRIBUTOR_STRIDE);
    const register = offset % REDISTRIBUTOR_STRIDE;
    const long = cpu < this.core.cpuCount && register < SGI_FRAME ? this.readLongRegister(cpu, register) : undefined;
    return long ?? (BigInt(this.read(offset + 4, 4)) << 32n) | BigInt(this.read(offset, 4));
  }

  writeLong(offset: number, value: bigint): void {
    const cpu = Math.floor(offset / REDISTRIBUTOR_STRIDE);
    if (cpu >= this.core.cpuCount) return;
    this.writeLongRegister(cpu, offset % REDISTRIBUTOR_STRIDE, value);
    this.core.updateCpu(cpu);
  }

  reset(): void {
    this.asleep.fill(true);
    for (let cpu = 0; cpu < this.core.cpuCount; cpu++) this.core.resetCpu(cpu);
  }

  save(): readonly Gicv3RedistributorState[] {
    const { privates, lpis, cpuInterfaces } = this.core;
    return privates.map((bank, cpu) => ({
      asleep: this.asleep[cpu]!,
      privates: bank.save(),
      lpis: lpis[cpu]?.save() ?? null,
      cpuInterface: cpuInterfaces[cpu]!.save(),
    }));
  }

  restore(states: readonly Gicv3RedistributorState[]): void {
    for (const [cpu, state] of states.entries()) {
      this.asleep[cpu] = state.asleep;
      this.core.privates[cpu]!.restore(state.privates);
      if (state.lpis !== null) this.core.lpis[cpu]?.restore(state.lpis);
      this.core.cpuInterfaces[cpu]!.restore(state.cpuInterface);
    }
    this.core.update();
  }

  private readControl(cpu: number, register: number): number {
    switch (register) {
      case GICR_CTLR: {
        const lpis = this.core.lpis[cpu];
        if (lpis === undefined) return 0;
        return lpis.isEnabled ? CTLR_CES | GICR_CTLR_ENABLE_LPIS : CTLR_CES;
      }
      case GICR_IIDR:
        return IIDR;
      case GICR_WAKER:
        return this.asleep[cpu] === true ? WAKER.ProcessorSleep | WAKER.ChildrenAsleep : 0;
      default: // GICR_SYNCR: never busy.
        return readIdentification(register, IDENTIFICATION.redistributor);
    }
  }

  private writeControl(cpu: number, register: number, value: number): void {
    switch (register) {
      case GICR_CTLR:
        this.core.lpis[cpu]?.setEnabled((value & GICR_CTLR_ENABLE_LPIS) !== 0);
        break;
      case GICR_WAKER:
        this.asleep[cpu] = (value & WAKER.ProcessorSleep) !== 0;
        break;
      default: // Read-only and reserved registers ignore writes.
    }
  }

  private readLongRegister(cpu: number, register: number): bigint | undefined {
    switch (register) {
      case GICR_TYPER:
        return this.typer(cpu);
      case GICR_PROPBASER:
        return this.core.lpis[cpu]?.readPROPBASER() ?? 0n;
      case GICR_PENDBASER:
        return this.core.lpis[cpu]?.readPENDBASER() ?? 0n;
      case GICR_INVLPIR:
      case GICR_INVALLR:
        return 0n;
      default:
        return undefined;
    }
  }

  private writeLongRegister(cpu: number, register: number, value: bigint): void {
    if (register === GICR_PROPBASER) this.core.lpis[cpu]?.writePROPBASER(value);
    else if (register === GICR_PENDBASER) this.core.lpis[cpu]?.writePENDBASER(value);
    // GICR_INVLPIR, GICR_INVALLR: configuration is not cached, selecting anew is all.
  }

  private typer(cpu: number): bigint {
    const affinity = BigInt(this.core.affinities[cpu]!) << 32n;
    const last = cpu === this.core.cpuCount - 1 ? TYPER.Last : 0n;
    const lpis = this.core.hasLpis ? TYPER.PLPIS : 0n;
    return affinity | TYPER.CommonLPIAff | (BigInt(cpu) << 8n) | last | lpis;
  }

  private readPrivate(cpu: number, register: number, width: AccessWidth): number {
    const bank = this.core.privates[cpu]!;
    if (register >= GICR_IPRIORITYR && register < GICR_IPRIORITYR_END)
      return bank.readPriority(register - GICR_IPRIORITYR, width);
    if (width !== 4) return 0;
    if (isBitRegisterOfWord0(register)) return readBitRegister(bank, register, 0);
    return register === GICR_ICFGR0 || register === GICR_ICFGR1 ? bank.readConfig((register - GICR_ICFGR0) >>> 2) : 0;
  }

  private writePrivate(cpu: number, register: number, value: number, width: AccessWidth): void {
    const bank = this.core.privates[cpu]!;
    if (register >= GICR_IPRIORITYR && register < GICR_IPRIORITYR_END)
      bank.writePriority(register - GICR_IPRIORITYR, value, width, 0xff);
    else if (width !== 4) return;
    else if (isBitRegisterOfWord0(register)) writeBitRegister(bank, register, 0, value);
    else if (register === GICR_ICFGR1) bank.writeConfig(1, value); // GICR_ICFGR0: SGIs stay edge-triggered.
  }
}

function isBitRegisterOfWord0(register: number): boolean {
  return register >= BIT_REGISTERS_START && register < BIT_REGISTERS_END && (register & 0x7f) === 0;
}

function mergeHalf(old: bigint, register: number, value: number): bigint {
  const half = BigInt(value);
  return (register & 4) === 0 ? (old & ~0xffff_ffffn) | half : (old & 0xffff_ffffn) | (half << 32n);
}
