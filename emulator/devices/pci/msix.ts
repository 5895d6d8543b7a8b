/**
 * MSI-X: a function's table of interrupt messages.
 *
 * Source: PCI Local Bus Specification 3.0 "MSI-X Capability and Table Structures".
 */
import type { AccessWidth } from '../../memory/device.ts';
import type { Capability, PciConfigSpace } from './config-space.ts';
import type { BarHandler } from './function.ts';

const PCI_CAP_ID_MSIX = 0x11;
const ENTRY_BYTES = 16;
/** Message Control, the upper half: enable, mask all. */
const CONTROL_ENABLE = 0x80;
const CONTROL_MASK = 0x40;
/** Vector Control. */
const ENTRY_MASKED = 1;

/** What a snapshot holds; configuration space has the rest. */
export interface MsixState {
  readonly table: Uint32Array;
  readonly pending: boolean[];
}

/** Where table and pending bits are. */
export interface MsixPlace {
  readonly capabilityAt: number;
  readonly bar: number;
  readonly tableAt: number;
  readonly pendingAt: number;
}

/** Table, pending bits and delivery. Its registers are behind a BAR. */
export class Msix implements BarHandler {
  readonly vectors: number;
  private readonly place: MsixPlace;
  private readonly send: (address: number, data: number) => void;
  private table: Uint32Array;
  private pending: boolean[];
  private control = 0;

  constructor(vectors: number, place: MsixPlace, send: (address: number, data: number) => void) {
    this.vectors = vectors;
    this.place = place;
    this.send = send;
    this.table = maskedTable(vectors);
    this.pending = Array.from({ length: vectors }, () => false);
  }

  get isEnabled(): boolean {
    return (this.control & CONTROL_ENABLE) !== 0;
  }

  /** The entry for the function's capability list. */
  static capability(vectors: number, { capabilityAt, bar, tableAt, pendingAt }: MsixPlace): Capability {
    const body = [vectors - 1, 0, ...bytes32(tableAt + bar), ...bytes32(pendingAt + bar)];
    return { id: PCI_CAP_ID_MSIX, at: capabilityAt, body, writable: [0, CONTROL_ENABLE | CONTROL_MASK] };
  }

  /** Takes over Message Control after configuration space was written or restored. */
  updateControl(config: PciConfigSpace): void {
    this.control = config.bytes[this.place.capabilityAt + 3]!;
    this.deliverPending();
  }

  /** Raises an interrupt: sends its message, or remembers it while masked. Vectors that do not exist are ignored. */
  raise(vector: number): void {
    if (vector >= this.vectors || !this.isEnabled) return;
    this.pending[vector] = true;
    this.deliverPending();
  }

  read(offset: number, _width: AccessWidth): number {
    const index = (offset - this.place.tableAt) >>> 2;
    if (offset >= this.place.tableAt && index < this.table.length) return this.table[index]!;
    const word = (offset - this.place.pendingAt) >>> 2;
    let bits = 0;
    if (offset >= this.place.pendingAt)
      for (let i = 0; i < 32; i++) if (this.pending[word * 32 + i] === true) bits |= 1 << i;
    return bits >>> 0;
  }

  write(offset: number, value: number, width: AccessWidth): void {
    const index = (offset - this.place.tableAt) >>> 2;
    if (width !== 4 || offset < this.place.tableAt || index >= this.table.length) return;
    this.table[index] = index % 4 === 3 ? value & ENTRY_MASKED : value;
    this.deliverPending();
  }

  reset(): void {
    this.table = maskedTable(this.vectors);
    this.pending.fill(false);
    this.control = 0;
  }

  save(): MsixState {
    return { table: this.table.slice(), pending: [...this.pending] };
  }

  restore(state: MsixState, config: PciConfigSpace): void {
    this.table = state.table.slice();
    this.pending = [...state.pending];
    this.control = config.bytes[this.place.capabilityAt + 3]!;
  }

  private deliverPending(): void {
    if ((this.control & (CONTROL_ENABLE | CONTROL_MASK)) !== CONTROL_ENABLE) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      const entry = vector * (ENTRY_BYTES / 4);
      if (!this.pending[vector] || (this.table[entry + 3]! & ENTRY_MASKED) !== 0) continue;
      this.pending[vector] = false;
      const address = this.table[entry + 1]! * 2 ** 32 + this.table[entry]!;
      this.send(address, this.table[entry + 2]!);
    }
  }
}

function maskedTable(vectors: number): Uint32Array {
  return Uint32Array.from({ length: vectors * 4 }, (_, i) => (i % 4 === 3 ? ENTRY_MASKED : 0));
}

function bytes32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
