/**
 * Decodes an instruction: prefixes, opcode, ModRM, SIB, displacement, immediates.
 *
 * Source: Intel SDM vol. 2 "Instruction Format", "VEX Prefix".
 */
import type { X64Features } from './features.ts';
import type { Instruction, MandatoryPrefix, VexForm } from './instruction.ts';
import type { X64Mode } from './mode.ts';
import { SEGMENT } from './state.ts';

/** Longest instruction; a longer one raises #GP. */
export const MAX_LENGTH = 15;

/** What the prefixes say. */
export interface Prefixes {
  readonly operandSize: boolean;
  readonly addressSize: boolean;
  readonly lock: boolean;
  /** The last of F2 and F3, or 0. */
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** Number of the segment register, or undefined. */
  readonly segment: number | undefined;
  /** REX (or what VEX says of W, R, X, B in its place), 0 when there is none. */
  readonly rex: number;
  readonly vex: Vex | undefined;
}

/** Fields of a VEX prefix. */
export interface Vex {
  readonly length: 128 | 256;
  /** Register number (0 to 15). */
  readonly vvvv: number;
}

export const REX = { PRESENT: 0x40, W: 8, R: 4, X: 2, B: 1 } as const;

/** Memory operand as encoded. */
export interface Addressing {
  /** Register numbers, or -1 for none. */
  readonly base: number;
  readonly index: number;
  /** Shift of the index. */
  readonly scale: number;
  readonly displacement: number | bigint;
  readonly ripRelative: boolean;
  /** Number of the vector register that is the index in VSIB addressing; undefined without a SIB byte. */
  readonly vectorIndex?: number | undefined;
}

/** A decoded instruction. */
export interface Decoded {
  readonly instruction: Instruction;
  readonly length: number;
  readonly prefixes: Prefixes;
  readonly opcode: number;
  /** Operand size in bytes by prefixes, mode and the row: 2, 4 or 8. */
  readonly operandSize: 2 | 4 | 8;
  /** Address size in bytes. */
  readonly addressSize: 2 | 4 | 8;
  /** The ModRM byte, 0 without one. */
  readonly modrm: number;
  /** ModRM.reg and .rm with REX bits; 0 without ModRM. */
  readonly reg: number;
  readonly rm: number;
  /** undefined when r/m is a register. */
  readonly memory: Addressing | undefined;
  /** Immediates in order of the operands: unsigned bytes as read, little-endian. */
  readonly immediates: readonly bigint[];
}

/** Why bytes are no instruction: invalid opcode, too long, or the page ends before it does. */
export type DecodeFailure = 'invalid' | 'too-long' | 'beyond-page';

/** Bytes of code from one or two pages. */
export interface CodeBytes {
  readonly page: DataView;
  /** The page behind, when an instruction may cross into it. */
  readonly next: DataView | undefined;
}

/** Rows that may match an opcode byte, and whether it is followed by ModRM. */
interface OpcodeEntry {
  readonly rows: readonly Instruction[];
  readonly hasModrm: boolean;
}

const MODRM_LETTERS = 'EGMRSCDVWUPQNHLB';

/** A decoder for the instructions that a set of features has. */
export class Decoder {
  /** By VEX (0 or 1), map, opcode. */
  readonly #entries: (OpcodeEntry | undefined)[] = [];

  constructor(instructions: readonly Instruction[], features: X64Features) {
    const lists = new Map<number, Instruction[]>();
    for (const row of instructions) {
      if (row.features.some(feature => !features.has(feature))) continue;
      const index = entryIndex(row.vex !== undefined, row.map, row.opcode);
      const list = lists.get(index);
      if (list) list.push(row);
      else lists.set(index, [row]);
    }
    for (const [index, rows] of lists) {
      rows.sort((a, b) => specificity(b) - specificity(a));
      this.#entries[index] = { rows, hasModrm: rows.some(needsModrm) };
    }
  }

  /** Decodes the instruction at `offset`. */
  decode(code: CodeBytes, offset: number, mode: X64Mode): Decoded | DecodeFailure {
    const reader = new CodeReader(code, offset);
    const result = this.#decode(reader, mode);
    if (reader.overrun) return 'beyond-page';
    return reader.length > MAX_LENGTH ? 'too-long' : result;
  }

  #decode(reader: CodeReader, mode: X64Mode): Decoded | DecodeFailure {
    const head = readHead(reader, mode);
    if (!head) return 'invalid';
    const entry = this.#entries[entryIndex(head.prefixes.vex !== undefined, head.map, head.opcode)];
    if (!entry) return 'invalid';
    const modrm = entry.hasModrm ? reader.peek() : 0;
    for (const row of entry.rows) {
      if (matches(row, head, modrm, mode)) return finish(reader, head, row, entry.hasModrm, mode);
    }
    return 'invalid';
  }
}

function entryIndex(vex: boolean, map: number, opcode: number): number {
  return (Number(vex) << 10) | (map << 8) | opcode;
}

function needsModrm(row: Instruction): boolean {
  return (
    row.reg !== undefined ||
    row.modrm !== undefined ||
    row.mod !== undefined ||
    row.operands.some(({ letter }) => MODRM_LETTERS.includes(letter))
  );
}

/** Rows with more conditions are tried first. */
function specificity(row: Instruction): number {
  const prefix = row.prefix === undefined ? 0 : row.prefix === 'F2' || row.prefix === 'F3' ? 2 : 1;
  return (
    Number(row.modrm !== undefined) * 32 +
    Number(row.reg !== undefined) * 8 +
    prefix * 2 +
    Number(row.mod !== undefined) +
    Number(row.mode !== undefined)
  );
}

/** Reads bytes forward over two pages, and takes note when there are none. */
class CodeReader {
  readonly #code: CodeBytes;
  readonly #start: number;
  offset: number;
  overrun = false;

  constructor(code: CodeBytes, offset: number) {
    this.#code = code;
    this.#start = offset;
    this.offset = offset;
  }

  /** Bytes read so far. */
  get length(): number {
    return this.offset - this.#start;
  }

  peek(): number {
    const { page, next } = this.#code;
    if (this.offset < page.byteLength) return page.getUint8(this.offset);
    if (next) return next.getUint8(this.offset - page.byteLength);
    this.overrun = true;
    return 0;
  }

  byte(): number {
    const byte = this.peek();
    this.offset++;
    return byte;
  }

  /** Reads `size` bytes, little-endian, unsigned. */
  bytes(size: number): bigint {
    if (size <= 4) return BigInt(this.#word(size));
    return BigInt(this.#word(4)) | (BigInt(this.#word(size - 4)) << 32n);
  }

  /** Up to 4 bytes, unsigned. */
  #word(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.byte() << (8 * i);
    return value >>> 0;
  }

  /** Reads a signed number of `size` bytes, at most 4. */
  signed(size: number): number {
    const unused = 32 - 8 * size;
    return (this.#word(size) << unused) >> unused;
  }
}

/** Prefixes and opcode. */
interface Head {
  readonly prefixes: Prefixes;
  readonly map: number;
  readonly opcode: number;
  /** Prefix as rows with a mandatory prefix see it. */
  readonly mandatory: MandatoryPrefix;
  readonly vexW: 0 | 1;
}

const SEGMENT_PREFIXES: Readonly<Record<number, number>> = {
  0x26: SEGMENT.ES,
  0x2e: SEGMENT.CS,
  0x36: SEGMENT.SS,
  0x3e: SEGMENT.DS,
  0x64: SEGMENT.FS,
  0x65: SEGMENT.GS,
};

function readHead(reader: CodeReader, mode: X64Mode): Head | undefined {
  const prefixes = {
    operandSize: false,
    addressSize: false,
    lock: false,
    repeat: 0 as 0 | 0xf2 | 0xf3,
    segment: undefined as number | undefined,
    rex: 0,
    vex: undefined as Vex | undefined,
  };
  for (let count = 0; count < MAX_LENGTH; count++) {
    const byte = reader.byte();
    if (takeLegacyPrefix(prefixes, byte, mode)) {
      prefixes.rex = 0;
    } else if (mode.codeSize === 64 && (byte & 0xf0) === 0x40) {
      prefixes.rex = byte;
    } else if ((byte & 0xfe) === 0xc4 && isVex(reader.peek(), mode)) {
      return readVex(reader, prefixes, byte, mode);
    } else {
      return readOpcode(reader, prefixes, byte);
    }
  }
  return { prefixes, map: 0, opcode: 0x90, mandatory: 'NP', vexW: 0 };
}

/** Outside of 64-bit mode C4 and C5 are LES and LDS with a memory operand. */
function isVex(next: number, mode: X64Mode): boolean {
  return mode.codeSize === 64 || (!mode.real && (next & 0xc0) === 0xc0);
}

type MutablePrefixes = { -readonly [K in keyof Prefixes]: Prefixes[K] };

function takeLegacyPrefix(prefixes: MutablePrefixes, byte: number, mode: X64Mode): boolean {
  const segment = SEGMENT_PREFIXES[byte];
  if (segment !== undefined) {
    // ES, CS, SS, DS overrides mean nothing in 64-bit mode, and do not cancel FS or GS
    if (mode.codeSize !== 64 || segment >= SEGMENT.FS) prefixes.segment = segment;
    return true;
  }
  switch (byte) {
    case 0x66:
      prefixes.operandSize = true;
      return true;
    case 0x67:
      prefixes.addressSize = true;
      return true;
    case 0xf0:
      prefixes.lock = true;
      return true;
    case 0xf2:
    case 0xf3:
      prefixes.repeat = byte;
      return true;
    default:
      return false;
  }
}

function readOpcode(reader: CodeReader, prefixes: MutablePrefixes, first: number): Head {
  const mandatory =
    prefixes.repeat === 0xf3 ? 'F3' : prefixes.repeat === 0xf2 ? 'F2' : prefixes.operandSize ? '66' : 'NP';
  if (first !== 0x0f) return { prefixes, map: 0, opcode: first, mandatory, vexW: 0 };
  const second = reader.byte();
  if (second !== 0x38 && second !== 0x3a) return { prefixes, map: 1, opcode: second, mandatory, vexW: 0 };
  return { prefixes, map: second === 0x38 ? 2 : 3, opcode: reader.byte(), mandatory, vexW: 0 };
}

const VEX_PREFIXES: readonly MandatoryPrefix[] = ['NP', '66', 'F3', 'F2'];

function readVex(reader: CodeReader, prefixes: MutablePrefixes, first: number, mode: X64Mode): Head | undefined {
  if (prefixes.operandSize || prefixes.lock || prefixes.repeat !== 0 || prefixes.rex !== 0) return undefined;
  const { map, rxb, w, last } = vexFields(reader, first === 0xc4);
  const vvvv = (~last >> 3) & 15;
  if (map === 0 || map > 3) return undefined;
  prefixes.rex = mode.codeSize === 64 ? REX.PRESENT | (w ? REX.W : 0) | rxb : 0;
  prefixes.vex = { length: last & 4 ? 256 : 128, vvvv: mode.codeSize === 64 ? vvvv : vvvv & 7 };
  return { prefixes, map, opcode: reader.byte(), mandatory: VEX_PREFIXES[last & 3]!, vexW: w };
}

interface VexFields {
  readonly map: number;
  /** R, X and B where REX has them. */
  readonly rxb: number;
  readonly w: 0 | 1;
  /** The byte with vvvv, L and pp. */
  readonly last: number;
}

/** Both forms have R, X and B inverted in the upper three bits of their second byte; the short one has R only. */
function vexFields(reader: CodeReader, long: boolean): VexFields {
  const second = reader.byte();
  if (!long) return { map: 1, rxb: (~second >> 5) & 4, w: 0, last: second };
  const last = reader.byte();
  return { map: second & 31, rxb: (~second >> 5) & 7, w: (last >> 7) as 0 | 1, last };
}

function matches(row: Instruction, head: Head, modrm: number, mode: X64Mode): boolean {
  if (row.prefix !== undefined && !prefixMatches(row, head)) return false;
  if (!modrmMatches(row, modrm)) return false;
  if (row.mode !== undefined && (row.mode === 'o64') !== (mode.codeSize === 64)) return false;
  const { vex } = head.prefixes;
  return !vex || !row.vex || vexMatches(row, row.vex, vex, head.vexW);
}

/** VEX.vvvv must be 0 (as it is here, not inverted) where it names no operand. */
function vexMatches({ usesVvvv }: Instruction, form: VexForm, vex: Vex, w: 0 | 1): boolean {
  if (vex.vvvv !== 0 && !usesVvvv) return false;
  return (form.length ?? vex.length) === vex.length && (form.w ?? w) === w;
}

function modrmMatches(row: Instruction, modrm: number): boolean {
  if (row.modrm !== undefined && row.modrm !== modrm) return false;
  if (row.reg !== undefined && row.reg !== ((modrm >> 3) & 7)) return false;
  return row.mod === undefined || (row.mod === 'reg') === modrm >= 0xc0 || modIgnored(row);
}

/** F2 and F3 win over 66 as mandatory prefixes; a row for 66 or NP does not exist with them. */
function prefixMatches(row: Instruction, head: Head): boolean {
  return row.prefix === head.mandatory;
}

/** MOV to and from control and debug registers take r/m as a register whatever mod says. */
function modIgnored(row: Instruction): boolean {
  return row.operands.some(({ letter }) => letter === 'C' || letter === 'D');
}

function finish(reader: CodeReader, head: Head, row: Instruction, hasModrm: boolean, mode: X64Mode): Decoded {
  const { prefixes } = head;
  const addressSize = addressSizeOf(mode, prefixes);
  const operandSize = operandSizeOf(row, mode, prefixes);
  const modrm = hasModrm ? reader.byte() : 0;
  const isMemory = hasModrm && modrm < 0xc0 && !(row.map === 1 && modIgnored(row));
  const memory = isMemory ? readAddressing(reader, modrm, addressSize, prefixes.rex, mode) : undefined;
  const immediates =
    row.immediates.length === 0 ? NO_IMMEDIATES : readImmediates(reader, row, operandSize, addressSize);
  return {
    instruction: row,
    length: reader.length,
    prefixes,
    opcode: head.opcode,
    operandSize,
    addressSize,
    modrm,
    reg: ((modrm >> 3) & 7) | (prefixes.rex & REX.R ? 8 : 0),
    rm: (modrm & 7) | (prefixes.rex & REX.B ? 8 : 0),
    memory,
    immediates,
  };
}

const NO_IMMEDIATES: readonly bigint[] = [];

function readImmediates(reader: CodeReader, row: Instruction, operandSize: number, addressSize: number): bigint[] {
  const values: bigint[] = [];
  for (const { letter, size } of row.immediates) {
    for (const bytes of immediateSizes(letter, size, operandSize, addressSize)) values.push(reader.bytes(bytes));
  }
  return values;
}

function addressSizeOf(mode: X64Mode, prefixes: Prefixes): 2 | 4 | 8 {
  if (mode.codeSize === 64) return prefixes.addressSize ? 4 : 8;
  return (mode.codeSize === 32) !== prefixes.addressSize ? 4 : 2;
}

function operandSizeOf(row: Instruction, mode: X64Mode, prefixes: Prefixes): 2 | 4 | 8 {
  const override = prefixes.operandSize && row.prefix !== '66';
  if (mode.codeSize !== 64) return (mode.codeSize === 32) !== override ? 4 : 2;
  if (row.isFixed64 || prefixes.rex & REX.W) return 8;
  if (override) return 2;
  return row.isDefault64 ? 8 : 4;
}

function immediateSizes(letter: string, size: string, operandSize: number, addressSize: number): readonly number[] {
  switch (letter) {
    case 'I':
    case 'J':
      return [immediateSize(size, operandSize)];
    case 'O':
      return [addressSize];
    case 'A':
      return [Math.min(operandSize, 4), 2];
    case 'L':
      return [1];
    default:
      return [];
  }
}

/** Bytes of an immediate by its size letters. */
export function immediateSize(size: string, operandSize: number): number {
  switch (size) {
    case 'b':
    case 'bs':
      return 1;
    case 'w':
      return 2;
    case 'v':
      return operandSize;
    default:
      return Math.min(operandSize, 4);
  }
}

function readAddressing(
  reader: CodeReader,
  modrm: number,
  addressSize: number,
  rex: number,
  mode: X64Mode,
): Addressing {
  return addressSize === 2
    ? readAddressing16(reader, modrm)
    : readAddressing32(reader, modrm, rex, mode.codeSize === 64);
}

/** Base and index of 16-bit addressing by ModRM.rm. Source: Intel SDM vol. 2 "16-Bit Addressing Forms with the ModR/M Byte". */
const BASE_16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX_16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

function readAddressing16(reader: CodeReader, modrm: number): Addressing {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  const absolute = mod === 0 && rm === 6;
  const displacement = readDisplacement(reader, absolute ? 2 : mod, 2);
  return { base: absolute ? -1 : BASE_16[rm]!, index: INDEX_16[rm]!, scale: 0, displacement, ripRelative: false };
}

/** @param wide bytes of the displacement for mod 2 */
function readDisplacement(reader: CodeReader, mod: number, wide: 2 | 4): number {
  if (mod === 1) return reader.signed(1);
  return mod === 2 ? reader.signed(wide) : 0;
}

/** A SIB byte without index: what an address without SIB means. */
const NO_INDEX_SIB = 4 << 3;

function readAddressing32(reader: CodeReader, modrm: number, rex: number, long: boolean): Addressing {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  const hasSib = rm === 4;
  const sib = hasSib ? reader.byte() : NO_INDEX_SIB | rm;
  const noBase = mod === 0 && (sib & 7) === 5;
  const index = ((sib >> 3) & 7) | (hasSib && rex & REX.X ? 8 : 0);
  const displacement = readDisplacement(reader, noBase ? 2 : mod, 4);
  return {
    base: noBase ? -1 : (sib & 7) | (rex & REX.B ? 8 : 0),
    index: index === 4 ? -1 : index,
    scale: sib >> 6,
    displacement,
    ripRelative: noBase && !hasSib && long,
    vectorIndex: hasSib ? index : undefined,
  };
}
