/**
 * State that the GICv3's register views share, and the selection of the highest-priority interrupt for each CPU.
 *
 * Source: GICv3 IHI 0069 "Interrupt handling and prioritization".
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { DmaMemory, InterruptLine } from '../../memory/device.ts';
import { type Candidate, IDLE_PRIORITY, idleCandidate, InterruptBank } from '../gic/interrupt-bank.ts';
import { CpuInterface } from './cpu-interface.ts';
import { INTID_SPURIOUS, PRIVATE_INTERRUPTS } from './intids.ts';
import { LpiTables } from './lpi-tables.ts';

/** What a board decides. */
export interface Gicv3Wiring {
  /** Affinity of each CPU as in GICR_TYPER's upper half: Aff3 << 24 | Aff2 << 16 | Aff1 << 8 | Aff0. */
  readonly affinities: readonly number[];
  /** Shared interrupts, a multiple of 32; 224 on `virt`. */
  readonly spiCount: number;
  /** nIRQ of each CPU. */
  readonly irq: readonly InterruptLine[];
  /** nFIQ of each CPU. */
  readonly fiq: readonly InterruptLine[];
  /** Guest memory with the LPI tables; without it there are no LPIs. */
  readonly memory?: DmaMemory;
}

/** The distributor's and redistributors' registers and the ITS change it, the CPU interfaces read it. */
export class Gicv3Core {
  readonly cpuCount: number;
  readonly affinities: readonly number[];
  /** Bit n: group n is enabled in GICD_CTLR. */
  enabledGroups = 0;
  readonly spis: InterruptBank;
  /** CPU index that each SPI is routed to; -1 when the affinity written names no CPU. */
  readonly routes: Int16Array;
  /** SGIs and PPIs of each CPU. */
  readonly privates: readonly InterruptBank[];
  /** LPI tables of each CPU; empty when the controller has no LPIs. */
  readonly lpis: readonly LpiTables[];
  /** What each CPU should take next. */
  readonly candidates: readonly Candidate[];
  readonly cpuInterfaces: readonly CpuInterface[];
  private readonly accepts: readonly ((index: number) => boolean)[];

  constructor(wiring: Gicv3Wiring) {
    const { affinities, spiCount, irq, fiq, memory } = wiring;
    assert(spiCount > 0 && spiCount % 32 === 0 && spiCount <= 960, 'GICv3 has SPIs in words of 32');
    assert(irq.length === affinities.length && fiq.length === affinities.length, 'GICv3 needs two lines a CPU');
    this.cpuCount = affinities.length;
    this.affinities = affinities;
    this.spis = new InterruptBank(PRIVATE_INTERRUPTS, spiCount / 32);
    this.routes = new Int16Array(spiCount);
    this.privates = affinities.map(() => new InterruptBank(0, 1));
    this.lpis = memory === undefined ? [] : affinities.map(() => new LpiTables(memory));
    this.candidates = affinities.map(() => idleCandidate());
    this.accepts = affinities.map((_, cpu) => index => this.routes[index] === cpu);
    this.cpuInterfaces = affinities.map((_, cpu) => new CpuInterface(this, cpu, irq[cpu]!, fiq[cpu]!));
    this.resetDistributor();
    for (let cpu = 0; cpu < this.cpuCount; cpu++) this.resetCpu(cpu);
  }

  get hasLpis(): boolean {
    return this.lpis.length > 0;
  }

  /** Number of INTIDs below the LPIs: what GICD_TYPER.ITLinesNumber counts. */
  get intidCount(): number {
    return PRIVATE_INTERRUPTS + this.routes.length;
  }

  /** Selects anew for all CPUs, and drives their lines. */
  update(): void {
    for (let cpu = 0; cpu < this.cpuCount; cpu++) this.updateCpu(cpu);
  }

  /** Selects anew for one CPU, which suffices when only its own interrupts changed. */
  updateCpu(cpu: number): void {
    const best = this.candidates[cpu]!;
    best.priority = IDLE_PRIORITY;
    best.intid = INTID_SPURIOUS;
    this.privates[cpu]!.select(best, this.enabledGroups);
    this.spis.select(best, this.enabledGroups, this.accepts[cpu]);
    if ((this.enabledGroups & 2) !== 0) this.lpis[cpu]?.select(best);
    this.cpuInterfaces[cpu]!.signal();
  }

  /** Pending → active in whichever bank the interrupt belongs to; LPIs have no active state. */
  activate(cpu: number, intid: number): void {
    if (intid < PRIVATE_INTERRUPTS) this.privates[cpu]!.activate(intid);
    else if (intid < this.intidCount) this.spis.activate(intid - PRIVATE_INTERRUPTS);
    else this.lpis[cpu]?.clearPending(intid);
    this.update();
  }

  deactivate(cpu: number, intid: number): void {
    if (intid < PRIVATE_INTERRUPTS) this.privates[cpu]!.deactivate(intid);
    else if (intid < this.intidCount) this.spis.deactivate(intid - PRIVATE_INTERRUPTS);
    this.update();
  }

  /** Makes an SGI pending on a CPU if it is configured in `group` there. */
  sendSgi(cpu: number, sgi: number, group: 0 | 1): void {
    const bank = this.privates[cpu]!;
    if (bank.groupOf(sgi) !== group) return;
    bank.latch(sgi);
    this.updateCpu(cpu);
  }

  setLpiPending(cpu: number, intid: number): void {
    this.lpis[cpu]?.setPending(intid);
    this.updateCpu(cpu);
  }

  clearLpiPending(cpu: number, intid: number): void {
    this.lpis[cpu]?.clearPending(intid);
    this.updateCpu(cpu);
  }

  /** CPU with this affinity, or -1. */
  cpuOfAffinity(affinity: number): number {
    return this.affinities.indexOf(affinity);
  }

  resetDistributor(): void {
    this.enabledGroups = 0;
    this.spis.reset();
    this.routes.fill(this.cpuOfAffinity(0));
    this.update();
  }

  resetCpu(cpu: number): void {
    const bank = this.privates[cpu]!;
    bank.reset();
    bank.state.edge[0] = 0xffff; // SGIs are always edge-triggered.
    this.lpis[cpu]?.reset();
    this.cpuInterfaces[cpu]!.reset();
    this.updateCpu(cpu);
  }
}
