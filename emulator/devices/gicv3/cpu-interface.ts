/**
 * The GICv3 CPU interface: what a CPU reaches through the ICC_* system registers.
 *
 * Source: GICv3 IHI 0069 "Physical CPU interface" and "AArch64 System register descriptions"; Arm ARM DDI 0487.
 * Modelled as a core without EL3 sees it: the registers show the unshifted priorities, and group 1 is Non-secure group 1.
 * Register values are 64-bit `bigint`s as MRS and MSR move them.
 */
import type { InterruptLine } from '../../memory/device.ts';
import { IDLE_PRIORITY } from '../gic/interrupt-bank.ts';
import type { Gicv3Core } from './core.ts';
import { FIRST_LPI, INTID_SPURIOUS, PRIORITY_BITS } from './intids.ts';

/** ICC_CTLR_EL1. */
const CTLR = { CBPR: 1 << 0, EOImode: 1 << 1 } as const;
/** The rest of ICC_CTLR_EL1 is fixed: A3V, IDbits = 1 (24 bits), PRIbits. */
const CTLR_FIXED = (1 << 15) | (1 << 11) | ((PRIORITY_BITS - 1) << 8);
/** ICC_SRE_EL1: SRE, DFB and DIB, all read-as-one. */
const SRE_EL1 = 0x7n;
/** ICC_SRE_EL2: also Enable. */
const SRE_EL2 = 0xfn;

const PRIORITY_MASK = (0xff << (8 - PRIORITY_BITS)) & 0xff;
/** Smallest binary points: every implemented bit is a group priority bit. Group 1's is shown one higher. */
const MIN_BPR0 = 7 - PRIORITY_BITS;
const MIN_BPR1 = MIN_BPR0 + 1;

/** What a snapshot holds. */
export interface CpuInterfaceState {
  pmr: number;
  bpr: [number, number];
  ctlr: number;
  igrpen: [number, number];
  /** Active priorities: bit n is priority n << (8 - PRIORITY_BITS). */
  apr: [number, number];
}

type Group = 0 | 1;

/** One CPU's interface. */
export class CpuInterface {
  private readonly core: Gicv3Core;
  private readonly cpu: number;
  private readonly irq: InterruptLine;
  private readonly fiq: InterruptLine;
  private state: CpuInterfaceState = initialState();

  constructor(core: Gicv3Core, cpu: number, irq: InterruptLine, fiq: InterruptLine) {
    this.core = core;
    this.cpu = cpu;
    this.irq = irq;
    this.fiq = fiq;
  }

  readIAR0(): bigint {
    return this.acknowledge(0);
  }

  readIAR1(): bigint {
    return this.acknowledge(1);
  }

  readHPPIR0(): bigint {
    return BigInt(this.highestPending(0));
  }

  readHPPIR1(): bigint {
    return BigInt(this.highestPending(1));
  }

  writeEOIR0(value: bigint): void {
    this.endOfInterrupt(Number(value & 0xff_ffffn), 0);
  }

  writeEOIR1(value: bigint): void {
    this.endOfInterrupt(Number(value & 0xff_ffffn), 1);
  }

  /** ICC_DIR_EL1 deactivates when EOImode has split it from the priority drop. */
  writeDIR(value: bigint): void {
    if ((this.state.ctlr & CTLR.EOImode) !== 0) this.core.deactivate(this.cpu, Number(value & 0xff_ffffn));
  }

  readPMR(): bigint {
    return BigInt(this.state.pmr);
  }

  writePMR(value: bigint): void {
    this.state.pmr = Number(value & 0xffn) & PRIORITY_MASK;
    this.signal();
  }

  readBPR0(): bigint {
    return BigInt(this.state.bpr[0]);
  }

  writeBPR0(value: bigint): void {
    this.state.bpr[0] = Math.max(Number(value & 7n), MIN_BPR0);
    this.signal();
  }

  readBPR1(): bigint {
    const shared = (this.state.ctlr & CTLR.CBPR) !== 0;
    return BigInt(shared ? Math.min(this.state.bpr[0] + 1, 7) : this.state.bpr[1]);
  }

  writeBPR1(value: bigint): void {
    if ((this.state.ctlr & CTLR.CBPR) !== 0) return;
    this.state.bpr[1] = Math.max(Number(value & 7n), MIN_BPR1);
    this.signal();
  }

  readCTLR(): bigint {
    return BigInt(this.state.ctlr | CTLR_FIXED);
  }

  writeCTLR(value: bigint): void {
    this.state.ctlr = Number(value) & (CTLR.CBPR | CTLR.EOImode);
    this.signal();
  }

  readSRE(): bigint {
    return SRE_EL1;
  }

  /** ICC_SRE_EL2; writes to it, as to ICC_SRE_EL1, change nothing. */
  readSREEL2(): bigint {
    return SRE_EL2;
  }

  readIGRPEN0(): bigint {
    return BigInt(this.state.igrpen[0]);
  }

  writeIGRPEN0(value: bigint): void {
    this.state.igrpen[0] = Number(value & 1n);
    this.signal();
  }

  readIGRPEN1(): bigint {
    return BigInt(this.state.igrpen[1]);
  }

  writeIGRPEN1(value: bigint): void {
    this.state.igrpen[1] = Number(value & 1n);
    this.signal();
  }

  readRPR(): bigint {
    return BigInt(this.runningPriority());
  }

  readAP0R0(): bigint {
    return BigInt(this.state.apr[0]);
  }

  writeAP0R0(value: bigint): void {
    this.state.apr[0] = Number(value & 0xffff_ffffn);
    this.signal();
  }

  readAP1R0(): bigint {
    return BigInt(this.state.apr[1]);
  }

  writeAP1R0(value: bigint): void {
    this.state.apr[1] = Number(value & 0xffff_ffffn);
    this.signal();
  }

  /** Generates a group 0 SGI. */
  writeSGI0R(value: bigint): void {
    this.generateSgi(value, 0);
  }

  /** Generates a group 1 SGI. */
  writeSGI1R(value: bigint): void {
    this.generateSgi(value, 1);
  }

  /** The other security state's group 1 is, with one security state, group 0. */
  writeASGI1R(value: bigint): void {
    this.generateSgi(value, 0);
  }

  /** Drives nIRQ and nFIQ from the candidate, the masks and the running priority. */
  signal(): void {
    const takes = this.canPreempt();
    const { group } = this.core.candidates[this.cpu]!;
    this.irq.set(takes && group === 1);
    this.fiq.set(takes && group === 0);
  }

  reset(): void {
    this.state = initialState();
    this.signal();
  }

  save(): CpuInterfaceState {
    return structuredClone(this.state);
  }

  /** Takes over a state; the owner selects anew afterwards. */
  restore(state: CpuInterfaceState): void {
    this.state = structuredClone(state);
  }

  /** GICv3 IHI 0069 "Preemption": the candidate must beat the priority mask and the running group priority. */
  private canPreempt(): boolean {
    const { priority, group } = this.core.candidates[this.cpu]!;
    if (priority >= this.state.pmr || this.state.igrpen[group] === 0) return false;
    const running = this.runningPriority();
    if (running === IDLE_PRIORITY) return true;
    const mask = this.groupPriorityMask(group);
    return (priority & mask) < (running & mask);
  }

  /** Which bits of a priority take part in preemption. Group 1's binary point is shown one too high. */
  private groupPriorityMask(group: Group): number {
    const usesBpr0 = group === 0 || (this.state.ctlr & CTLR.CBPR) !== 0;
    const point = usesBpr0 ? this.state.bpr[0] : this.state.bpr[1] - 1;
    return (0xff << (point + 1)) & 0xff;
  }

  private runningPriority(): number {
    const active = (this.state.apr[0] | this.state.apr[1]) >>> 0;
    return active === 0 ? IDLE_PRIORITY : lowestBit(active) << (8 - PRIORITY_BITS);
  }

  private highestPending(group: Group): number {
    const candidate = this.core.candidates[this.cpu]!;
    const shown = candidate.priority !== IDLE_PRIORITY && candidate.group === group && this.state.igrpen[group] !== 0;
    return shown ? candidate.intid : INTID_SPURIOUS;
  }

  private acknowledge(group: Group): bigint {
    if (!this.canPreempt()) return BigInt(INTID_SPURIOUS);
    const intid = this.highestPending(group);
    if (intid === INTID_SPURIOUS) return BigInt(INTID_SPURIOUS);
    const { priority } = this.core.candidates[this.cpu]!;
    const level = (priority & this.groupPriorityMask(group)) >>> (8 - PRIORITY_BITS);
    this.state.apr[group] = (this.state.apr[group] | (1 << level)) >>> 0;
    this.core.activate(this.cpu, intid);
    return BigInt(intid);
  }

  /** Priority drop, and deactivation unless EOImode splits them. Ignored unless the highest active priority is of `group`. */
  private endOfInterrupt(intid: number, group: Group): void {
    const isLpi = intid >= FIRST_LPI && this.core.hasLpis;
    if (intid >= this.core.intidCount && !isLpi) return;
    if (this.highestActiveGroup() !== group) return;
    const active = this.state.apr[group];
    this.state.apr[group] = (active & (active - 1)) >>> 0;
    if ((this.state.ctlr & CTLR.EOImode) === 0 && !isLpi) this.core.deactivate(this.cpu, intid);
    else this.signal();
  }

  private highestActiveGroup(): Group | undefined {
    const [group0, group1] = this.state.apr;
    if ((group0 | group1) === 0) return undefined;
    if (group0 === 0) return 1;
    if (group1 === 0) return 0;
    return lowestBit(group0) <= lowestBit(group1) ? 0 : 1;
  }

  /** ICC_SGI1R_EL1: Aff3 55:48, RS 47:44, IRM 40, Aff2 39:32, INTID 27:24, Aff1 23:16, TargetList 15:0. */
  private generateSgi(value: bigint, group: Group): void {
    const sgi = Number((value >> 24n) & 0xfn);
    const toAllOthers = (value & (1n << 40n)) !== 0n;
    const cluster = Number(((value >> 24n) & 0xff00_0000n) | ((value >> 16n) & 0xff_0000n) | ((value >> 8n) & 0xff00n));
    const firstAff0 = Number((value >> 44n) & 0xfn) * 16;
    const targets = Number(value & 0xffffn);
    for (let cpu = 0; cpu < this.core.cpuCount; cpu++) {
      const affinity = this.core.affinities[cpu]!;
      const bit = (affinity & 0xff) - firstAff0;
      const listed = (affinity & ~0xff) >>> 0 === cluster && bit >= 0 && bit < 16 && ((targets >>> bit) & 1) !== 0;
      if (toAllOthers ? cpu !== this.cpu : listed) this.core.sendSgi(cpu, sgi, group);
    }
  }
}

function lowestBit(value: number): number {
  return 31 - Math.clz32(value & -value);
}

function initialState(): CpuInterfaceState {
  return { pmr: 0, bpr: [MIN_BPR0, MIN_BPR1], ctlr: 0, igrpen: [0, 0], apr: [0, 0] };
}
