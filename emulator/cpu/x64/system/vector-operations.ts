/**
 * Vector instructions that are too irregular for the IR.
 *
 * Source: Intel SDM vol. 2 "PCMPESTRI" and "Imm8 Control Byte Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM", "MPSADBW",
 * "PCLMULQDQ", "AESENC" and the like; FIPS 197 "Advanced Encryption Standard".
 */
import type { EngineCpu, HelperImplementation } from '../../execute/guest.ts';
import { EFLAGS, GPR, X64_STATE } from '../state.ts';
import { decryptRound, encryptRound, inverseMixColumns, keyGenerationAssist } from './aes.ts';
import { vectorOperation } from './vector-helpers.ts';

/** What an operation works on. */
interface VectorOperands {
  readonly a: Uint8Array;
  readonly b: Uint8Array;
  readonly immediate: number;
  /** Explicit lengths of strings. */
  readonly lengthA: number;
  readonly lengthB: number;
}

type Operation = (operands: VectorOperands) => Uint8Array;

/** Sums of absolute differences of four bytes of b with each of eight places of a. */
const sumOfDifferences: Operation = ({ a, b, immediate }) => {
  const result = new DataView(new ArrayBuffer(16));
  const from = immediate & 4;
  const block = (immediate & 3) * 4;
  for (let place = 0; place < 8; place++) {
    let sum = 0;
    for (let i = 0; i < 4; i++) sum += Math.abs(a[from + place + i]! - b[block + i]!);
    result.setUint16(2 * place, sum, true);
  }
  return new Uint8Array(result.buffer);
};

/** Adds the carry-less product of two words to the 64 bits of `result` from word `at` on. */
function addCarrylessProduct(result: Uint32Array, at: number, left: number, right: number): void {
  let [low, high] = [0, 0];
  for (let bit = 0; bit < 32; bit++) {
    if (((right >>> bit) & 1) === 0) continue;
    low ^= left << bit;
    if (bit > 0) high ^= left >>> (32 - bit);
  }
  result[at]! ^= low;
  result[at + 1]! ^= high;
}

const carrylessProduct: Operation = ({ a, b, immediate }) => {
  const left = new Uint32Array(a.buffer, immediate & 1 ? 8 : 0, 2);
  const right = new Uint32Array(b.buffer, immediate & 16 ? 8 : 0, 2);
  const result = new Uint32Array(4);
  for (const i of [0, 1]) for (const j of [0, 1]) addCarrylessProduct(result, i + j, left[i]!, right[j]!);
  return new Uint8Array(result.buffer);
};

/** Operations by name; a name's place is its number. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  MPSADBW: sumOfDifferences,
  PCLMULQDQ: carrylessProduct,
  AESIMC: ({ b }) => inverseMixColumns(b),
  AESENC: ({ a, b }) => encryptRound(a, b, false),
  AESENCLAST: ({ a, b }) => encryptRound(a, b, true),
  AESDEC: ({ a, b }) => decryptRound(a, b, false),
  AESDECLAST: ({ a, b }) => decryptRound(a, b, true),
  AESKEYGENASSIST: ({ b, immediate }) => keyGenerationAssist(b, immediate),
};
const STRINGS = ['PCMPESTRM', 'PCMPESTRI', 'PCMPISTRM', 'PCMPISTRI'] as const;

export const VECTOR_OPERATIONS: readonly string[] = [...Object.keys(OPERATIONS), ...STRINGS];

// Strings

/** Bit above the immediate: explicit lengths are RAX and RDX, not EAX and EDX. */
export const LONG_LENGTHS = 0x100;

interface Elements {
  readonly values: readonly number[];
  /** Elements before the end of the string. */
  readonly length: number;
}

function elementsOf(bytes: Uint8Array, immediate: number, length: number | undefined): Elements {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  const words = (immediate & 1) !== 0;
  const signed = (immediate & 2) !== 0;
  const count = words ? 8 : 16;
  const values = Array.from({ length: count }, (_, i) => {
    if (words) return signed ? view.getInt16(2 * i, true) : view.getUint16(2 * i, true);
    return signed ? view.getInt8(i) : view.getUint8(i);
  });
  const end = values.indexOf(0);
  return { values, length: length === undefined ? (end < 0 ? count : end) : Math.min(Math.abs(length), count) };
}

/** One bit an element of the second string. */
function aggregate(a: Elements, b: Elements, mode: number): number {
  const count = a.values.length;
  let bits = 0;
  for (let j = 0; j < count; j++) if (AGGREGATIONS[mode]!(a, b, j)) bits |= 1 << j;
  return bits;
}

const AGGREGATIONS: readonly ((a: Elements, b: Elements, j: number) => boolean)[] = [
  // equal any
  (a, b, j) => j < b.length && a.values.slice(0, a.length).includes(b.values[j]!),
  // ranges: pairs of bounds
  (a, b, j) => {
    if (j >= b.length) return false;
    for (let i = 0; i + 1 < a.length; i += 2) {
      if (b.values[j]! >= a.values[i]! && b.values[j]! <= a.values[i + 1]!) return true;
    }
    return false;
  },
  // equal each
  (a, b, j) => {
    const [inA, inB] = [j < a.length, j < b.length];
    return inA && inB ? a.values[j] === b.values[j] : !inA && !inB;
  },
  // equal ordered: a begins at j of b
  (a, b, j) => {
    for (let i = 0; i < a.length && j + i < a.values.length; i++) {
      if (j + i >= b.length || b.values[j + i] !== a.values[i]) return false;
    }
    return true;
  },
];

/** The bits after polarity. */
function polarize(bits: number, immediate: number, b: Elements): number {
  const all = 2 ** b.values.length - 1;
  if ((immediate & 0x10) === 0) return bits;
  return immediate & 0x20 ? bits ^ (2 ** b.length - 1) : ~bits & all;
}

function compareStrings(name: string, operands: VectorOperands): { result: Uint8Array; status: number } {
  const { immediate } = operands;
  const explicit = name.startsWith('PCMPE');
  const a = elementsOf(operands.a, immediate, explicit ? operands.lengthA : undefined);
  const b = elementsOf(operands.b, immediate, explicit ? operands.lengthB : undefined);
  const count = a.values.length;
  const bits = polarize(aggregate(a, b, (immediate >> 2) & 3), immediate, b);
  const index = bits === 0 ? count : immediate & 0x40 ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
  const flags =
    (bits !== 0 ? EFLAGS.CF : 0) |
    (b.length < count ? EFLAGS.ZF : 0) |
    (a.length < count ? EFLAGS.SF : 0) |
    (bits & 1 ? EFLAGS.OF : 0);
  return { result: maskOf(bits, count, (immediate & 0x40) !== 0), status: index | (flags << 8) };
}

/** The bits as a mask: a bit, or a whole element each. */
function maskOf(bits: number, count: number, expanded: boolean): Uint8Array {
  const size = 16 / count;
  if (expanded) return Uint8Array.from({ length: 16 }, (_, i) => ((bits >> Math.floor(i / size)) & 1 ? 0xff : 0));
  return Uint8Array.from({ length: 16 }, (_, i) => (i < 2 ? (bits >> (8 * i)) & 0xff : 0));
}

/** Implementation of the helper. @param current gives the CPU that runs now */
export function vectorOperationHelpers(
  current: () => Pick<EngineCpu, 'view' | 'base'>,
): Readonly<Record<string, HelperImplementation>> {
  return {
    [vectorOperation.name]: (number: number, immediate: number) => {
      const { view, base } = current();
      const bytes = (offset: number): Uint8Array => new Uint8Array(view.buffer, base + offset, 16).slice();
      const length = (number: number): number => {
        const at = base + X64_STATE.r[number]!.offset;
        return immediate & LONG_LENGTHS ? Number(view.getBigInt64(at, true)) : view.getInt32(at, true);
      };
      const operands: VectorOperands = {
        a: bytes(X64_STATE.vectorA.offset),
        b: bytes(X64_STATE.vectorB.offset),
        immediate: immediate & 0xff,
        lengthA: length(GPR.AX),
        lengthB: length(GPR.DX),
      };
      const name = VECTOR_OPERATIONS[number]!;
      const operation = OPERATIONS[name];
      const { result, status } = operation
        ? { result: operation(operands), status: 0 }
        : compareStrings(name, operands);
      new Uint8Array(view.buffer, base + X64_STATE.vectorResult.offset, 16).set(result);
      return status;
    },
  };
}
