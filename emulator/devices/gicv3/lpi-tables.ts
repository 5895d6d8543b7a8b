/**
 * A redistributor's LPIs: configuration and pending tables in guest memory.
 *
 * Source: GICv3 IHI 0069 "LPIs": one configuration byte an LPI (priority in bits 7:2, enable in bit 0), one pending bit an
 * INTID. Configuration is read when it is needed and never cached, so that invalidation commands have nothing to do
 * but to select anew. The pending bits are kept here and written through, as the table in memory is what a dump shows.
 */
import type { DmaMemory } from '../../memory/device.ts';
import type { Candidate } from '../gic/interrupt-bank.ts';
import { FIRST_LPI } from './intids.ts';

/** GICR_CTLR.EnableLPIs. */
export const GICR_CTLR_ENABLE_LPIS = 1;
/** GICR_PENDBASER.PTZ: the pending table holds zeros and need not be read. */
const PENDBASER_PTZ = 1n << 62n;
/** Physical_Address of GICR_PROPBASER (51:12) and GICR_PENDBASER (51:16). */
const PROPBASER_ADDRESS = 0xf_ffff_ffff_f000n;
const PENDBASER_ADDRESS = 0xf_ffff_ffff_0000n;
/** GICD_TYPER.IDbits: 16-bit INTIDs. */
export const INTID_BITS = 16;

/** What a snapshot holds. */
export interface LpiTablesState {
  enabled: boolean;
  propbaser: bigint;
  pendbaser: bigint;
  pending: number[];
}

/** LPIs of one CPU. */
export class LpiTables {
  private readonly memory: DmaMemory;
  private enabled = false;
  private propbaser = 0n;
  private pendbaser = 0n;
  private propbase = 0;
  private limit = 0;
  private readonly pending = new Set<number>();

  constructor(memory: DmaMemory) {
    this.memory = memory;
  }

  get isEnabled(): boolean {
    return this.enabled;
  }

  /** Writes GICR_CTLR.EnableLPIs; turning it on takes over the pending table. */
  setEnabled(enabled: boolean): void {
    if (enabled === this.enabled) return;
    this.enabled = enabled;
    this.pending.clear();
    if (enabled) this.loadPending();
  }

  readPROPBASER(): bigint {
    return this.propbaser;
  }

  writePROPBASER(value: bigint): void {
    if (this.enabled) return;
    this.propbaser = value;
    this.propbase = Number(value & PROPBASER_ADDRESS);
    const idBits = Math.min(Number(value & 0x1fn) + 1, INTID_BITS);
    this.limit = 2 ** idBits;
  }

  readPENDBASER(): bigint {
    return this.pendbaser & ~PENDBASER_PTZ;
  }

  writePENDBASER(value: bigint): void {
    if (!this.enabled) this.pendbaser = value;
  }

  setPending(intid: number): void {
    if (!this.enabled || intid < FIRST_LPI || intid >= this.limit) return;
    this.pending.add(intid);
    this.writeThrough(intid, true);
  }

  clearPending(intid: number): void {
    if (this.pending.delete(intid)) this.writeThrough(intid, false);
  }

  /** Takes all pending LPIs away, for MOVALL. */
  takePending(): number[] {
    const all = [...this.pending];
    for (const intid of all) this.clearPending(intid);
    return all;
  }

  isPending(intid: number): boolean {
    return this.pending.has(intid);
  }

  /** Improves `best` with the pending and enabled LPIs; LPIs are always group 1. */
  select(best: Candidate): void {
    for (const intid of this.pending) {
      const config = this.memory.read(this.propbase + intid - FIRST_LPI, 1)[0]!;
      const priority = config & 0xfc;
      const wins =
        priority < best.priority || (priority === best.priority && intid < best.intid && best.intid >= FIRST_LPI);
      if ((config & 1) === 0 || !wins) continue;
      best.priority = priority;
      best.intid = intid;
      best.group = 1;
    }
  }

  reset(): void {
    this.restore({ enabled: false, propbaser: 0n, pendbaser: 0n, pending: [] });
  }

  save(): LpiTablesState {
    const { enabled, propbaser, pendbaser, pending } = this;
    return { enabled, propbaser, pendbaser, pending: [...pending].sort((a, b) => a - b) };
  }

  restore(state: LpiTablesState): void {
    this.enabled = false;
    this.writePROPBASER(state.propbaser);
    this.pendbaser = state.pendbaser;
    this.enabled = state.enabled;
    this.pending.clear();
    for (const intid of state.pending) this.pending.add(intid);
  }

  private loadPending(): void {
    if ((this.pendbaser & PENDBASER_PTZ) !== 0n) return;
    const base = Number(this.pendbaser & PENDBASER_ADDRESS);
    const table = this.memory.read(base, this.limit / 8);
    for (let intid = FIRST_LPI; intid < this.limit; intid++)
      if (((table[intid >>> 3]! >>> (intid & 7)) & 1) !== 0) this.pending.add(intid);
  }

  private writeThrough(intid: number, pending: boolean): void {
    const at = Number(this.pendbaser & PENDBASER_ADDRESS) + (intid >>> 3);
    const byte = this.memory.read(at, 1);
    const bit = 1 << (intid & 7);
    byte[0] = pending ? byte[0]! | bit : byte[0]! & ~bit;
    this.memory.write(at, byte);
  }
}
