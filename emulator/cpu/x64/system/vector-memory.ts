/**
 * Masked moves and gathers: elements whose mask has its sign bit set move one at a time, the others touch no memory.
 *
 * Source: Intel SDM vol. 2 "VMASKMOV—Conditional SIMD Packed Loads and Stores", "VPMASKMOV", "VPGATHERDD" and the like. A gather that
 * faults keeps the elements before, and has cleared their masks.
 */
import { CPU_STATE } from '../../execute/cpu-state.ts';
import type { EngineCpu, HelperImplementation } from '../../execute/guest.ts';
import type { MemoryAccess } from '../../ir/block.ts';
import { X64_STATE } from '../state.ts';
import { type ElementSize, UNLIMITED, unpackVectorMemory, type VectorMemoryForm } from './vector-memory-form.ts';
import { vectorMemory } from './vector-helpers.ts';

const ACCESS: Readonly<Record<ElementSize, MemoryAccess>> = {
  4: { size: 4, regime: 'current', alignment: 1, forWrite: false },
  8: { size: 8, regime: 'current', alignment: 1, forWrite: false },
};

type Cpu = Pick<EngineCpu, 'view' | 'base' | 'load' | 'store'>;

/** Whether a segment allows an access; when not, the exception is kept. */
export type SegmentCheck = (segment: number, offset: number, size: number, write: boolean) => boolean;

/** What an instruction does its elements' accesses with. */
class ElementMemory {
  readonly #cpu: Cpu;
  readonly #form: VectorMemoryForm;
  readonly #check: SegmentCheck;

  constructor(cpu: Cpu, form: VectorMemoryForm, check: SegmentCheck) {
    this.#cpu = cpu;
    this.#form = form;
    this.#check = check;
  }

  /** @returns undefined when it faulted */
  load(address: bigint): bigint | undefined {
    const { view, base } = this.#cpu;
    if (!this.#allows(address, false)) return undefined;
    if (!this.#cpu.load(halfOf(address, 0n), halfOf(address, 32n), ACCESS[this.#form.element])) return undefined;
    return view.getBigInt64(base + CPU_STATE.scratch, true);
  }

  /** @returns false when it faulted */
  store(address: bigint, value: bigint): boolean {
    const { view, base } = this.#cpu;
    if (!this.#allows(address, true)) return false;
    view.setBigInt64(base + CPU_STATE.scratch, value, true);
    return this.#cpu.store(halfOf(address, 0n), halfOf(address, 32n), ACCESS[this.#form.element]);
  }

  #allows(address: bigint, write: boolean): boolean {
    const { segment, element } = this.#form;
    if (segment === UNLIMITED) return true;
    const { view, base } = this.#cpu;
    const start = view.getBigUint64(base + X64_STATE.segments[segment]!.base.offset, true);
    return this.#check(segment, Number(BigInt.asUintN(32, address - start)), element, write);
  }
}

/** Elements of a vector register. */
class Elements {
  readonly #view: DataView;
  readonly #low: number;
  readonly #high: number;
  readonly #size: ElementSize;

  constructor({ view, base }: Cpu, register: number, size: ElementSize) {
    this.#view = view;
    this.#low = base + X64_STATE.xmm[register]!.offset;
    this.#high = base + X64_STATE.ymmHigh[register]!.offset;
    this.#size = size;
  }

  #at(n: number): number {
    const offset = n * this.#size;
    return offset < 16 ? this.#low + offset : this.#high + offset - 16;
  }

  /** Sign-extended. */
  get(n: number): bigint {
    const at = this.#at(n);
    return this.#size === 8 ? this.#view.getBigInt64(at, true) : BigInt(this.#view.getInt32(at, true));
  }

  set(n: number, value: bigint): void {
    const at = this.#at(n);
    if (this.#size === 8) this.#view.setBigInt64(at, value, true);
    else this.#view.setInt32(at, Number(BigInt.asIntN(32, value)), true);
  }

  /** Clears the elements from `first` to the end of the register. */
  clearFrom(first: number): void {
    for (let n = first; n < 32 / this.#size; n++) this.set(n, 0n);
  }
}

function halfOf(address: bigint, shift: bigint): number {
  return Number(BigInt.asIntN(32, address >> shift));
}

function countOf({ kind, wide, element, index }: VectorMemoryForm): number {
  const size = kind === 'gather' ? Math.max(element, index) : element;
  return (wide ? 32 : 16) / size;
}

/** The register changes only when no element has faulted. */
function maskedLoad(cpu: Cpu, memory: ElementMemory, form: VectorMemoryForm, address: bigint): void {
  const mask = new Elements(cpu, form.mask, form.element);
  const values: bigint[] = [];
  for (let n = 0; n < countOf(form); n++) {
    const value = mask.get(n) < 0n ? memory.load(address + BigInt(n * form.element)) : 0n;
    if (value === undefined) return;
    values.push(value);
  }
  const register = new Elements(cpu, form.register, form.element);
  values.forEach((value, n) => register.set(n, value));
}

function maskedStore(cpu: Cpu, memory: ElementMemory, form: VectorMemoryForm, address: bigint): void {
  const mask = new Elements(cpu, form.mask, form.element);
  const register = new Elements(cpu, form.register, form.element);
  for (let n = 0; n < countOf(form); n++) {
    if (mask.get(n) >= 0n) continue;
    if (!memory.store(address + BigInt(n * form.element), register.get(n))) return;
  }
}

function gather(cpu: Cpu, memory: ElementMemory, form: VectorMemoryForm, base: bigint): void {
  const mask = new Elements(cpu, form.mask, form.element);
  const indices = new Elements(cpu, form.indexRegister, form.index);
  const register = new Elements(cpu, form.register, form.element);
  const count = countOf(form);
  for (let n = 0; n < count; n++) {
    if (mask.get(n) < 0n) {
      const value = memory.load(base + (indices.get(n) << BigInt(form.scale)));
      if (value === undefined) return;
      register.set(n, value);
    }
    mask.set(n, 0n);
  }
  mask.clearFrom(count);
  register.clearFrom(count);
}

/** Implementation of the helper. @param current gives the CPU that runs now */
export function vectorMemoryHelpers(
  current: () => Cpu,
  check: SegmentCheck,
): Readonly<Record<string, HelperImplementation>> {
  const run = { load: maskedLoad, store: maskedStore, gather };
  return {
    [vectorMemory.name]: (packed: number, address: bigint) => {
      const form = unpackVectorMemory(packed);
      const cpu = current();
      run[form.kind](cpu, new ElementMemory(cpu, form, check), form, address);
    },
  };
}
