/** Fields of a CPU state block from helpers. */
import type { EngineCpu } from '../../execute/guest.ts';
import type { StateField } from '../../ir/state-field.ts';
import { X64_STATE } from '../state.ts';
import { packStatusFlags, unpackStatusFlags } from './flag-words.ts';
import { EFLAGS, STATUS_FLAGS } from '../state.ts';

/** A segment register as values. */
export interface SegmentValue {
  selector: number;
  base: bigint;
  /** Last valid offset, unsigned. */
  limit: number;
  /** Bits 8 to 23 of the descriptor's second word; 0 for a null selector. */
  attributes: number;
}

/** Reads and writes registers of one CPU. */
export class RegisterAccess {
  readonly #engine: Pick<EngineCpu, 'view' | 'base'>;

  constructor(engine: Pick<EngineCpu, 'view' | 'base'>) {
    this.#engine = engine;
  }

  get32(field: StateField<'i32'>): number {
    return this.#engine.view.getInt32(this.#engine.base + field.offset, true);
  }
  set32(field: StateField<'i32'>, value: number): void {
    this.#engine.view.setInt32(this.#engine.base + field.offset, value, true);
  }
  get64(field: StateField<'i64'>): bigint {
    return this.#engine.view.getBigUint64(this.#engine.base + field.offset, true);
  }
  set64(field: StateField<'i64'>, value: bigint): void {
    this.#engine.view.setBigUint64(this.#engine.base + field.offset, value, true);
  }

  /** A general register. */
  gpr(number: number): bigint {
    return this.get64(X64_STATE.r[number]!);
  }
  setGpr(number: number, value: bigint): void {
    this.set64(X64_STATE.r[number]!, value);
  }
  /** The low 32 bits, unsigned. */
  gpr32(number: number): number {
    return this.#engine.view.getUint32(this.#engine.base + X64_STATE.r[number]!.offset, true);
  }
  /** Writes the low 32 bits and clears the others. */
  setGpr32(number: number, value: number): void {
    this.set64(X64_STATE.r[number]!, BigInt(value >>> 0));
  }

  /** EFLAGS, bit 1 set. */
  get eflags(): number {
    return packStatusFlags(this.#engine) | this.get32(X64_STATE.eflags) | EFLAGS.FIXED;
  }
  set eflags(value: number) {
    unpackStatusFlags(this.#engine, value);
    this.systemFlags = value & ~(STATUS_FLAGS | EFLAGS.FIXED);
  }

  /** The flags that arithmetic does not set. */
  get systemFlags(): number {
    return this.get32(X64_STATE.eflags);
  }
  set systemFlags(value: number) {
    this.set32(X64_STATE.eflags, value);
  }

  selector(segment: number): number {
    return this.get32(X64_STATE.segments[segment]!.selector);
  }
  base(segment: number): bigint {
    return this.get64(X64_STATE.segments[segment]!.base);
  }
  attributes(segment: number): number {
    return this.get32(X64_STATE.segments[segment]!.attributes);
  }
  segment(number: number): SegmentValue {
    const fields = X64_STATE.segments[number]!;
    return {
      selector: this.get32(fields.selector),
      base: this.get64(fields.base),
      limit: this.get32(fields.limit) >>> 0,
      attributes: this.get32(fields.attributes),
    };
  }
  setSegment(number: number, value: SegmentValue): void {
    const fields = X64_STATE.segments[number]!;
    this.set32(fields.selector, value.selector);
    this.set64(fields.base, value.base);
    this.set32(fields.limit, value.limit | 0);
    this.set32(fields.attributes, value.attributes);
  }
}
