/** Access to the registers in a CPU state block, for code outside of translated blocks. */
import type { EngineCpu } from '../../execute/guest.ts';
import type { StateField } from '../../ir/state-field.ts';
import { A64_STATE } from '../state.ts';

/** One CPU's registers. 64-bit values are unsigned bigints, 32-bit values signed numbers. */
export class RegisterFile {
  readonly #view: DataView;
  readonly #base: number;

  constructor(engine: Pick<EngineCpu, 'view' | 'base'>) {
    this.#view = engine.view;
    this.#base = engine.base;
  }

  get64(field: StateField<'i64'>): bigint {
    return this.#view.getBigUint64(this.#base + field.offset, true);
  }
  set64(field: StateField<'i64'>, value: bigint): void {
    this.#view.setBigUint64(this.#base + field.offset, value, true);
  }
  get32(field: StateField<'i32'>): number {
    return this.#view.getInt32(this.#base + field.offset, true);
  }
  set32(field: StateField<'i32'>, value: number): void {
    this.#view.setInt32(this.#base + field.offset, value, true);
  }
  /** Bits 31 to 0 of a field, signed: for what is asked at every exception. */
  getLow(field: StateField<'i64'>): number {
    return this.#view.getInt32(this.#base + field.offset, true);
  }
  /** Bits 63 to 32 of a field, signed. */
  getHigh(field: StateField<'i64'>): number {
    return this.#view.getInt32(this.#base + field.offset + 4, true);
  }

  /** X0 to X30; 31 reads as zero and ignores writes. */
  x(n: number): bigint {
    return n === 31 ? 0n : this.get64(A64_STATE.x[n]!);
  }
  setX(n: number, value: bigint): void {
    if (n !== 31) this.set64(A64_STATE.x[n]!, BigInt.asUintN(64, value));
  }
}
