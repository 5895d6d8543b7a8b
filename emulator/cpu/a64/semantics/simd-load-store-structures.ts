/**
 * Meaning of the loads and stores of structures: elements of memory that alternate between registers.
 *
 * Registers are written after the last access, so that an instruction that faults can be run again.
 * Source: Arm ARM DDI 0487 "Advanced SIMD load/store multiple structures", "Advanced SIMD load/store single structure".
 * Not modelled: big-endian data (SCTLR_ELx.EE).
 */
import type { Value } from '../../ir/block.ts';
import type { SIMD_MULTIPLE_STRUCTURES, SIMD_REPLICATE, SIMD_SINGLE_STRUCTURE } from '../encodings/simd-load-store.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { loadVector, storeVector } from './simd-memory.ts';
import { pickBytes, times, type Vector } from './vector-permute.ts';
import { lane, setV, splat, vectorBits, withLane } from './vector-registers.ts';

interface Base {
  readonly rn: number;
  /** Post-index register; 31 for the number of bytes transferred. */
  readonly rm?: number;
}

/** Adds what the post-index form adds to the base register. */
function postIndex(t: Translation, { rn, rm }: Base, base: Value<'i64'>, bytes: number): void {
  if (rm !== undefined) t.setRegOrSp(rn, t.ir.add(base, rm === 31 ? t.ir.i64(bytes) : t.x(rm)));
}

// Multiple structures: `count` registers that take turns in groups of `interleave` (1 for LD1 and ST1)

interface MultipleFields extends Base {
  readonly q: number;
  readonly size: number;
  readonly rt: number;
}

/** Sizes (as powers of two) and offsets of the accesses that cover `bytes`, a multiple of 8. */
function chunks(bytes: number): readonly { readonly offset: number; readonly scale: number }[] {
  return Array.from({ length: Math.ceil(bytes / 16) }, (_, i) => ({
    offset: i * 16,
    scale: bytes - i * 16 >= 16 ? 4 : 3,
  }));
}

/** Where byte `byte` of register `register` stands in memory. */
function memoryByte(interleave: number, size: number, registerBytes: number, register: number, byte: number): number {
  if (interleave === 1) return register * registerBytes + byte;
  const element = byte >> size;
  return ((element * interleave + register) << size) + (byte & ((1 << size) - 1));
}

function loadStructures(interleave: number, count: number) {
  return (t: Translation, fields: MultipleFields): void => {
    const { q, size, rt } = fields;
    if (interleave > 1 && size === 3 && !q) return t.undefined();
    const registerBytes = q ? 16 : 8;
    const base = t.base(fields.rn);
    const memory = chunks(count * registerBytes).map(({ offset, scale }) => loadVector(t, base, offset, scale));
    for (let register = 0; register < count; register++) {
      const picks = times(16, i => memoryByte(interleave, size, registerBytes, register, i % registerBytes));
      setV(t, (rt + register) % 32, pickBytes(t.ir, memory, picks), vectorBits(q));
    }
    postIndex(t, fields, base, count * registerBytes);
  };
}

function storeStructures(interleave: number, count: number) {
  return (t: Translation, fields: MultipleFields): void => {
    const { q, size, rt } = fields;
    if (interleave > 1 && size === 3 && !q) return t.undefined();
    const registerBytes = q ? 16 : 8;
    const base = t.base(fields.rn);
    const registers = times(count, i => (rt + i) % 32).map(n => t.v(n));
    const source = sourceOfMemory(interleave, size, registerBytes, count);
    for (const { offset, scale } of chunks(count * registerBytes)) {
      const picks = times(16, i => source[(offset + i) % source.length]!);
      storeVector(t, base, offset, scale, pickBytes(t.ir, registers, picks));
    }
    postIndex(t, fields, base, count * registerBytes);
  };
}

/** For each byte of memory, the byte counted through the registers (16 each) that goes there. */
function sourceOfMemory(interleave: number, size: number, registerBytes: number, count: number): number[] {
  const source: number[] = [];
  for (let register = 0; register < count; register++) {
    for (let byte = 0; byte < registerBytes; byte++) {
      source[memoryByte(interleave, size, registerBytes, register, byte)] = register * 16 + byte;
    }
  }
  return source;
}

export const multipleStructuresSemantics: Semantics<typeof SIMD_MULTIPLE_STRUCTURES> = {
  'ST4 (multiple structures)': storeStructures(4, 4),
  'ST4 (multiple structures, post-index)': storeStructures(4, 4),
  'ST3 (multiple structures)': storeStructures(3, 3),
  'ST3 (multiple structures, post-index)': storeStructures(3, 3),
  'ST2 (multiple structures)': storeStructures(2, 2),
  'ST2 (multiple structures, post-index)': storeStructures(2, 2),
  'ST1 (multiple structures, 4 registers)': storeStructures(1, 4),
  'ST1 (multiple structures, 4 registers, post-index)': storeStructures(1, 4),
  'ST1 (multiple structures, 3 registers)': storeStructures(1, 3),
  'ST1 (multiple structures, 3 registers, post-index)': storeStructures(1, 3),
  'ST1 (multiple structures, 1 register)': storeStructures(1, 1),
  'ST1 (multiple structures, 1 register, post-index)': storeStructures(1, 1),
  'ST1 (multiple structures, 2 registers)': storeStructures(1, 2),
  'ST1 (multiple structures, 2 registers, post-index)': storeStructures(1, 2),
  'LD4 (multiple structures)': loadStructures(4, 4),
  'LD4 (multiple structures, post-index)': loadStructures(4, 4),
  'LD3 (multiple structures)': loadStructures(3, 3),
  'LD3 (multiple structures, post-index)': loadStructures(3, 3),
  'LD2 (multiple structures)': loadStructures(2, 2),
  'LD2 (multiple structures, post-index)': loadStructures(2, 2),
  'LD1 (multiple structures, 4 registers)': loadStructures(1, 4),
  'LD1 (multiple structures, 4 registers, post-index)': loadStructures(1, 4),
  'LD1 (multiple structures, 3 registers)': loadStructures(1, 3),
  'LD1 (multiple structures, 3 registers, post-index)': loadStructures(1, 3),
  'LD1 (multiple structures, 1 register)': loadStructures(1, 1),
  'LD1 (multiple structures, 1 register, post-index)': loadStructures(1, 1),
  'LD1 (multiple structures, 2 registers)': loadStructures(1, 2),
  'LD1 (multiple structures, 2 registers, post-index)': loadStructures(1, 2),
};

// Single structure: one lane of each of `count` registers

interface SingleFields extends Base {
  readonly q: number;
  readonly s: number;
  readonly size: number;
  readonly rt: number;
}
interface LaneNumber {
  /** log2 of the lane's bytes. */
  readonly size: number;
  readonly index: number;
}
/** @returns `undefined` for an encoding that does not exist */
type LaneOf = (fields: SingleFields) => LaneNumber | undefined;

const byteLane: LaneOf = ({ q, s, size }) => ({ size: 0, index: (q << 3) | (s << 2) | size });
const halfwordLane: LaneOf = ({ q, s, size }) =>
  size & 1 ? undefined : { size: 1, index: (q << 2) | (s << 1) | (size >> 1) };
const wordLane: LaneOf = ({ q, s, size }) => {
  if (size === 0) return { size: 2, index: (q << 1) | s };
  return size === 1 && s === 0 ? { size: 3, index: q } : undefined;
};

type LaneBytes = 1 | 2 | 4 | 8;
const laneBytes = (size: number): LaneBytes => (1 << size) as LaneBytes;

/** Loads the `count` elements of one structure. */
function loadElements(t: Translation, base: Value<'i64'>, size: number, count: number): Value<'i64'>[] {
  return times(count, i => i << size).map(offset => t.memory.load(t.ir.add(base, t.ir.i64(offset)), laneBytes(size)));
}

function loadLane(count: number, laneOf: LaneOf) {
  return (t: Translation, fields: SingleFields): void => {
    const at = laneOf(fields);
    if (!at) return t.undefined();
    const base = t.base(fields.rn);
    loadElements(t, base, at.size, count).forEach((value, i) => {
      const register = (fields.rt + i) % 32;
      t.setV(register, withLane(t.ir, at.size, t.v(register), at.index, value));
    });
    postIndex(t, fields, base, count << at.size);
  };
}

function storeLane(count: number, laneOf: LaneOf) {
  return (t: Translation, fields: SingleFields): void => {
    const at = laneOf(fields);
    if (!at) return t.undefined();
    const base = t.base(fields.rn);
    for (let i = 0; i < count; i++) {
      const value = lane(t.ir, at.size, t.v((fields.rt + i) % 32), at.index);
      const address = t.ir.add(base, t.ir.i64(i << at.size));
      t.memory.store(address, t.ir.toI64(value), laneBytes(at.size));
    }
    postIndex(t, fields, base, count << at.size);
  };
}

export const singleStructureSemantics: Semantics<typeof SIMD_SINGLE_STRUCTURE> = {
  'ST1 (single structure, 8-bit)': storeLane(1, byteLane),
  'ST1 (single structure, 8-bit, post-index)': storeLane(1, byteLane),
  'ST1 (single structure, 16-bit)': storeLane(1, halfwordLane),
  'ST1 (single structure, 16-bit, post-index)': storeLane(1, halfwordLane),
  'ST1 (single structure, 32- or 64-bit)': storeLane(1, wordLane),
  'ST1 (single structure, 32- or 64-bit, post-index)': storeLane(1, wordLane),
  'ST2 (single structure, 8-bit)': storeLane(2, byteLane),
  'ST2 (single structure, 8-bit, post-index)': storeLane(2, byteLane),
  'ST2 (single structure, 16-bit)': storeLane(2, halfwordLane),
  'ST2 (single structure, 16-bit, post-index)': storeLane(2, halfwordLane),
  'ST2 (single structure, 32- or 64-bit)': storeLane(2, wordLane),
  'ST2 (single structure, 32- or 64-bit, post-index)': storeLane(2, wordLane),
  'ST3 (single structure, 8-bit)': storeLane(3, byteLane),
  'ST3 (single structure, 8-bit, post-index)': storeLane(3, byteLane),
  'ST3 (single structure, 16-bit)': storeLane(3, halfwordLane),
  'ST3 (single structure, 16-bit, post-index)': storeLane(3, halfwordLane),
  'ST3 (single structure, 32- or 64-bit)': storeLane(3, wordLane),
  'ST3 (single structure, 32- or 64-bit, post-index)': storeLane(3, wordLane),
  'ST4 (single structure, 8-bit)': storeLane(4, byteLane),
  'ST4 (single structure, 8-bit, post-index)': storeLane(4, byteLane),
  'ST4 (single structure, 16-bit)': storeLane(4, halfwordLane),
  'ST4 (single structure, 16-bit, post-index)': storeLane(4, halfwordLane),
  'ST4 (single structure, 32- or 64-bit)': storeLane(4, wordLane),
  'ST4 (single structure, 32- or 64-bit, post-index)': storeLane(4, wordLane),
  'LD1 (single structure, 8-bit)': loadLane(1, byteLane),
  'LD1 (single structure, 8-bit, post-index)': loadLane(1, byteLane),
  'LD1 (single structure, 16-bit)': loadLane(1, halfwordLane),
  'LD1 (single structure, 16-bit, post-index)': loadLane(1, halfwordLane),
  'LD1 (single structure, 32- or 64-bit)': loadLane(1, wordLane),
  'LD1 (single structure, 32- or 64-bit, post-index)': loadLane(1, wordLane),
  'LD2 (single structure, 8-bit)': loadLane(2, byteLane),
  'LD2 (single structure, 8-bit, post-index)': loadLane(2, byteLane),
  'LD2 (single structure, 16-bit)': loadLane(2, halfwordLane),
  'LD2 (single structure, 16-bit, post-index)': loadLane(2, halfwordLane),
  'LD2 (single structure, 32- or 64-bit)': loadLane(2, wordLane),
  'LD2 (single structure, 32- or 64-bit, post-index)': loadLane(2, wordLane),
  'LD3 (single structure, 8-bit)': loadLane(3, byteLane),
  'LD3 (single structure, 8-bit, post-index)': loadLane(3, byteLane),
  'LD3 (single structure, 16-bit)': loadLane(3, halfwordLane),
  'LD3 (single structure, 16-bit, post-index)': loadLane(3, halfwordLane),
  'LD3 (single structure, 32- or 64-bit)': loadLane(3, wordLane),
  'LD3 (single structure, 32- or 64-bit, post-index)': loadLane(3, wordLane),
  'LD4 (single structure, 8-bit)': loadLane(4, byteLane),
  'LD4 (single structure, 8-bit, post-index)': loadLane(4, byteLane),
  'LD4 (single structure, 16-bit)': loadLane(4, halfwordLane),
  'LD4 (single structure, 16-bit, post-index)': loadLane(4, halfwordLane),
  'LD4 (single structure, 32- or 64-bit)': loadLane(4, wordLane),
  'LD4 (single structure, 32- or 64-bit, post-index)': loadLane(4, wordLane),
};

function replicate(count: number) {
  return (t: Translation, fields: MultipleFields): void => {
    const { q, size, rt } = fields;
    const base = t.base(fields.rn);
    const values: Vector[] = loadElements(t, base, size, count).map(value => splat(t.ir, size, value));
    values.forEach((value, i) => setV(t, (rt + i) % 32, value, vectorBits(q)));
    postIndex(t, fields, base, count << size);
  };
}

export const replicateSemantics: Semantics<typeof SIMD_REPLICATE> = {
  LD1R: replicate(1),
  'LD1R (post-index)': replicate(1),
  LD2R: replicate(2),
  'LD2R (post-index)': replicate(2),
  LD3R: replicate(3),
  'LD3R (post-index)': replicate(3),
  LD4R: replicate(4),
  'LD4R (post-index)': replicate(4),
};
