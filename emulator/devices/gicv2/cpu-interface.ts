/**
 * The GICv2 CPU interfaces' registers, all at the same addresses: who accesses decides which is meant.
 *
 * Source: GICv2 IHI 0048 "CPU interface register descriptions". Without the Security Extensions every access is as a Secure one.
 * Not modelled: the group 1 aliases GICC_AIAR, GICC_AEOIR and GICC_AHPPIR.
 */
import type { AccessWidth, Device } from '../../memory/device.ts';
import { IDLE_PRIORITY } from '../gic/interrupt-bank.ts';
import {
  type CpuInterfaceState,
  GICC_CTLR,
  type Gicv2Core,
  groupPriorityMask,
  INTID_OTHER_GROUP,
  INTID_SPURIOUS,
  lowestBit,
  NO_RUNNING_PRIORITY,
  runningPriority,
  SGI_COUNT,
} from './core.ts';

const CTLR = 0x0000;
const PMR = 0x0004;
const BPR = 0x0008;
const IAR = 0x000c;
const EOIR = 0x0010;
const RPR = 0x0014;
const HPPIR = 0x0018;
const ABPR = 0x001c;
const APR0 = 0x00d0;
const NSAPR0 = 0x00e0;
const APR_END = 0x00f0;
const IIDR = 0x00fc;
const DIR = 0x1000;

const CTLR_WRITABLE = 0x21f;
/** QEMU's: architecture version 2, implementer Arm. */
const IIDR_VALUE = 0x2_043b;

/** GICC_* as the bus sees them. */
export class Gicv2CpuInterfaces implements Device<readonly CpuInterfaceState[]> {
  readonly name = 'gicv2-cpu-interface';
  private readonly core: Gicv2Core;

  constructor(core: Gicv2Core) {
    this.core = core;
  }

  read(offset: number, _width: AccessWidth): number {
    const cpu = this.core.currentCpu();
    const state = this.core.interfaces[cpu]!;
    switch (offset) {
      case CTLR:
        return state.ctlr;
      case PMR:
        return state.pmr;
      case BPR:
        return state.bpr[0];
      case IAR:
        return this.acknowledge(cpu);
      case RPR:
        return Math.min(runningPriority(state), 0xff);
      case HPPIR:
        return this.visible(cpu, this.core.candidates[cpu]!.priority !== IDLE_PRIORITY);
      case ABPR:
        return state.bpr[1];
      case IIDR:
        return IIDR_VALUE;
      default:
        return offset >= APR0 && offset < APR_END ? activePriorities(state, offset)[(offset & 0xf) >>> 2]! >>> 0 : 0;
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const cpu = this.core.currentCpu();
    const state = this.core.interfaces[cpu]!;
    switch (offset) {
      case CTLR:
        state.ctlr = value & CTLR_WRITABLE;
        break;
      case PMR:
        state.pmr = value & 0xff;
        break;
      case BPR:
        state.bpr[0] = value & 7;
        break;
      case ABPR:
        state.bpr[1] = Math.max(value & 7, 1);
        break;
      case EOIR:
        this.endOfInterrupt(cpu, value & 0x3ff);
        break;
      case DIR:
        if ((state.ctlr & GICC_CTLR.EOImode) !== 0) this.deactivate(cpu, value & 0x3ff);
        break;
      default:
        if (offset >= APR0 && offset < APR_END) activePriorities(state, offset)[(offset & 0xf) >>> 2] = value >>> 0;
    }
    this.core.signal(cpu);
  }

  reset(): void {
    this.core.reset();
  }

  save(): readonly CpuInterfaceState[] {
    return structuredClone(this.core.interfaces);
  }

  restore(state: readonly CpuInterfaceState[]): void {
    for (const [cpu, one] of structuredClone(state).entries()) this.core.interfaces[cpu] = one;
    this.core.update();
  }

  /** INTID as a register shows it: an interrupt of group 1 only where AckCtl lets it, an SGI with its sender. */
  private visible(cpu: number, isPending: boolean): number {
    if (!isPending) return INTID_SPURIOUS;
    const { intid, group } = this.core.candidates[cpu]!;
    if (group === 1 && (this.core.interfaces[cpu]!.ctlr & GICC_CTLR.AckCtl) === 0) return INTID_OTHER_GROUP;
    return intid < SGI_COUNT ? intid | (this.senderOf(cpu, intid) << 10) : intid;
  }

  private senderOf(cpu: number, sgi: number): number {
    return lowestBit(this.core.sgiSources[cpu * SGI_COUNT + sgi]! || 1);
  }

  private acknowledge(cpu: number): number {
    const shown = this.visible(cpu, this.core.canPreempt(cpu));
    const intid = shown & 0x3ff;
    if (intid >= INTID_OTHER_GROUP) return shown;
    const state = this.core.interfaces[cpu]!;
    const { priority, group } = this.core.candidates[cpu]!;
    const level = (priority & groupPriorityMask(state, group)) >>> 1;
    state.apr[group][level >>> 5]! |= 1 << (level & 31);
    this.activate(cpu, intid);
    this.core.update();
    return shown;
  }

  /** An SGI stays pending while other CPUs have sent it, too. */
  private activate(cpu: number, intid: number): void {
    const { bank, index } = this.core.locate(cpu, intid);
    bank.activate(index);
    if (intid >= SGI_COUNT) return;
    const at = cpu * SGI_COUNT + intid;
    this.core.sgiSources[at]! &= ~(1 << this.senderOf(cpu, intid));
    if (this.core.sgiSources[at] !== 0) bank.latch(index);
  }

  private endOfInterrupt(cpu: number, intid: number): void {
    if (intid >= this.core.intidCount) return;
    const state = this.core.interfaces[cpu]!;
    const running = runningPriority(state);
    if (running === NO_RUNNING_PRIORITY) return;
    const level = running >>> 1;
    const bit = 1 << (level & 31);
    const group = (state.apr[0][level >>> 5]! & bit) === 0 ? 1 : 0;
    state.apr[group][level >>> 5]! &= ~bit;
    if ((state.ctlr & GICC_CTLR.EOImode) === 0) this.deactivate(cpu, intid);
  }

  private deactivate(cpu: number, intid: number): void {
    if (intid >= this.core.intidCount) return;
    const { bank, index } = this.core.locate(cpu, intid);
    bank.deactivate(index);
    this.core.update();
  }
}

function activePriorities(state: CpuInterfaceState, offset: number): number[] {
  return state.apr[offset < NSAPR0 ? 0 : 1];
}
