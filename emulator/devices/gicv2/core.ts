/**
 * State that the GICv2's distributor and CPU interfaces share, and the selection of what each CPU should take.
 *
 * Source: Arm Generic Interrupt Controller Architecture Specification version 2.0, IHI 0048 "Interrupt Handling and
 * Prioritization".
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { InterruptLine } from '../../memory/device.ts';
import { type Candidate, IDLE_PRIORITY, idleCandidate, InterruptBank } from '../gic/interrupt-bank.ts';

/** SGIs and PPIs, which each CPU has its own of. */
export const PRIVATE_INTERRUPTS = 32;
export const SGI_COUNT = 16;
export const FIRST_PPI = 16;
/** What an acknowledge returns when nothing is to be taken, or only an interrupt of the other group. */
export const INTID_SPURIOUS = 1023;
export const INTID_OTHER_GROUP = 1022;

/** What a board decides. */
export interface Gicv2Wiring {
  readonly cpuCount: number;
  /** Shared interrupts, a multiple of 32. QEMU's `virt` announces 256. */
  readonly spiCount: number;
  readonly irq: readonly InterruptLine[];
  readonly fiq: readonly InterruptLine[];
  /** CPU whose access is being made: registers are banked by it. */
  readonly currentCpu: () => number;
}

/** GICC_* registers of one CPU. */
export interface CpuInterfaceState {
  ctlr: number;
  pmr: number;
  /** GICC_BPR and GICC_ABPR. */
  bpr: [number, number];
  /** Active group priorities, bit n of word w: priority (w × 32 + n) × 2; one array for each group. */
  apr: [number[], number[]];
}

/** Bits of GICC_CTLR. */
export const GICC_CTLR = {
  EnableGrp0: 1 << 0,
  EnableGrp1: 1 << 1,
  AckCtl: 1 << 2,
  FIQEn: 1 << 3,
  CBPR: 1 << 4,
  EOImode: 1 << 9,
} as const;

const APR_WORDS = 4;

/** Banks, SGI sources, targets, CPU interfaces. */
export class Gicv2Core {
  readonly cpuCount: number;
  readonly currentCpu: () => number;
  enabledGroups = 0;
  readonly spis: InterruptBank;
  readonly privates: readonly InterruptBank[];
  /** GICD_ITARGETSR of the SPIs. */
  readonly targets: Uint8Array;
  /** Mask of the CPUs that sent an SGI that is pending: index cpu × 16 + SGI. */
  readonly sgiSources: Uint8Array;
  readonly interfaces: CpuInterfaceState[];
  readonly candidates: readonly Candidate[];
  private readonly irq: readonly InterruptLine[];
  private readonly fiq: readonly InterruptLine[];
  private readonly accepts: readonly ((index: number) => boolean)[];

  constructor({ cpuCount, spiCount, irq, fiq, currentCpu }: Gicv2Wiring) {
    assert(cpuCount >= 1 && cpuCount <= 8, 'GICv2 has 1 to 8 CPUs');
    assert(spiCount > 0 && spiCount % 32 === 0 && spiCount <= 960, 'GICv2 has SPIs in words of 32');
    this.cpuCount = cpuCount;
    this.currentCpu = currentCpu;
    this.irq = irq;
    this.fiq = fiq;
    const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
    this.spis = new InterruptBank(PRIVATE_INTERRUPTS, spiCount / 32);
    this.privates = cpus.map(() => new InterruptBank(0, 1));
    this.targets = new Uint8Array(spiCount);
    this.sgiSources = new Uint8Array(cpuCount * SGI_COUNT);
    this.interfaces = cpus.map(() => initialInterface());
    this.candidates = cpus.map(() => idleCandidate());
    // With one CPU there is nothing to choose: GICD_ITARGETSR is RAZ/WI and all SPIs are for it.
    this.accepts = cpus.map(cpu => index => cpuCount === 1 || ((this.targets[index]! >>> cpu) & 1) !== 0);
    this.reset();
  }

  get intidCount(): number {
    return PRIVATE_INTERRUPTS + this.targets.length;
  }

  /** The bank and index of an interrupt as a CPU sees it. */
  locate(cpu: number, intid: number): { bank: InterruptBank; index: number } {
    return intid < PRIVATE_INTERRUPTS
      ? { bank: this.privates[cpu]!, index: intid }
      : { bank: this.spis, index: intid - PRIVATE_INTERRUPTS };
  }

  update(): void {
    for (let cpu = 0; cpu < this.cpuCount; cpu++) {
      const best = this.candidates[cpu]!;
      best.priority = IDLE_PRIORITY;
      best.intid = INTID_SPURIOUS;
      this.privates[cpu]!.select(best, this.enabledGroups);
      this.spis.select(best, this.enabledGroups, this.accepts[cpu]);
      this.signal(cpu);
    }
  }

  /** Makes an SGI pending on a CPU, with its sender. */
  sendSgi(from: number, to: number, sgi: number): void {
    this.sgiSources[to * SGI_COUNT + sgi]! |= 1 << from;
    this.privates[to]!.latch(sgi);
  }

  /** Drives nIRQ and nFIQ of a CPU. */
  signal(cpu: number): void {
    const { group } = this.candidates[cpu]!;
    const takes = this.canPreempt(cpu);
    const isFiq = group === 0 && (this.interfaces[cpu]!.ctlr & GICC_CTLR.FIQEn) !== 0;
    this.irq[cpu]!.set(takes && !isFiq);
    this.fiq[cpu]!.set(takes && isFiq);
  }

  canPreempt(cpu: number): boolean {
    const state = this.interfaces[cpu]!;
    const { priority, group } = this.candidates[cpu]!;
    if (((state.ctlr >>> group) & 1) === 0 || priority >= state.pmr) return false;
    const running = runningPriority(state);
    const mask = groupPriorityMask(state, group);
    return running === NO_RUNNING_PRIORITY || (priority & mask) < (running & mask);
  }

  reset(): void {
    this.enabledGroups = 0;
    this.spis.reset();
    this.targets.fill(0);
    this.sgiSources.fill(0);
    for (const [cpu, bank] of this.privates.entries()) {
      bank.reset();
      // SGIs are always enabled and edge-triggered.
      bank.state.enabled[0] = 0xffff;
      bank.state.edge[0] = 0xffff;
      this.interfaces[cpu] = initialInterface();
    }
    this.update();
  }
}

/** Which bits of a priority take part in preemption. */
export function groupPriorityMask(state: CpuInterfaceState, group: 0 | 1): number {
  const usesBpr = group === 0 || (state.ctlr & GICC_CTLR.CBPR) !== 0;
  const point = usesBpr ? state.bpr[0] : state.bpr[1] - 1;
  return (0xff << (point + 1)) & 0xff;
}

/** What stands for no active interrupt: lower than all. */
export const NO_RUNNING_PRIORITY = 0x100;

/** Priority of the highest active interrupt. */
export function runningPriority(state: CpuInterfaceState): number {
  for (let word = 0; word < APR_WORDS; word++) {
    const bits = state.apr[0][word]! | state.apr[1][word]!;
    if (bits !== 0) return (word * 32 + lowestBit(bits)) * 2;
  }
  return NO_RUNNING_PRIORITY;
}

export function lowestBit(value: number): number {
  return 31 - Math.clz32(value & -value);
}

function initialInterface(): CpuInterfaceState {
  return {
    ctlr: 0,
    pmr: 0,
    bpr: [0, 1],
    apr: [
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ],
  };
}
