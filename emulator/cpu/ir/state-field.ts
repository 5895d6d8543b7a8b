/**
 * Declares where a guest's registers live in the CPU state block of linear memory.
 *
 * An architecture lists its fields once; builder, evaluator, emitter and snapshots read the list.
 */
import { SIZE_OF_TYPE, type ValueType } from './types.ts';

/** One register (or flag) of the guest in the CPU state block. */
export interface StateField<T extends ValueType = ValueType> {
  readonly name: string;
  readonly type: T;
  /** Byte offset in the CPU state block. */
  readonly offset: number;
  /** Dense number of the field within its layout. */
  readonly index: number;
  /** Compiled code may hold it in a local between instructions (general registers, flags); system state is always in memory. */
  readonly inLocals: boolean;
}

/** Hands out naturally aligned offsets and keeps the list of fields. */
export class StateLayout {
  readonly fields: StateField[] = [];
  #end: number;

  /** @param start first byte that the guest may use in the CPU state block */
  constructor(start: number) {
    this.#end = start;
  }

  /** Bytes used so far, from the start of the CPU state block. */
  get end(): number {
    return this.#end;
  }

  /** A system or control register: always in memory. */
  system<T extends ValueType>(name: string, type: T): StateField<T> {
    return this.#add(name, type, false);
  }

  /** A register that instructions use all the time. */
  register<T extends ValueType>(name: string, type: T): StateField<T> {
    return this.#add(name, type, true);
  }

  /** Registers `name0` … `name{count-1}`. */
  registers<T extends ValueType>(name: string, type: T, count: number): readonly StateField<T>[] {
    return Array.from({ length: count }, (_, i) => this.register(`${name}${i}`, type));
  }

  #add<T extends ValueType>(name: string, type: T, inLocals: boolean): StateField<T> {
    const size = SIZE_OF_TYPE[type];
    const offset = Math.ceil(this.#end / size) * size;
    this.#end = offset + size;
    const field = { name, type, offset, index: this.fields.length, inLocals };
    this.fields.push(field);
    return field;
  }
}

/** A set of fields of one layout that is emptied often. */
export class FieldSet {
  /** By field index: the generation in which the field was added. */
  readonly #added: number[] = [];
  #generation = 1;

  clear(): void {
    this.#generation++;
  }
  add({ index }: StateField): void {
    this.#added[index] = this.#generation;
  }
  delete({ index }: StateField): void {
    this.#added[index] = 0;
  }
  has({ index }: StateField): boolean {
    return this.#added[index] === this.#generation;
  }
}
