/**
 * Random x86_64 test cases from the rows of the opcode map: short sequences of instructions that touch memory only in a scratch
 * area, and a register file to start from.
 *
 * RBX, RSP, RSI and RDI point into scratch memory, RCX is small, and memory operands are [RBX + disp] or [RBX + RCX * scale + disp].
 */
import { immediateSize } from '../../emulator/cpu/x64/decode.ts';
import type { Instruction, OperandSpec } from '../../emulator/cpu/x64/instruction.ts';
import type { Random } from './random.ts';

/** The memory map of a case. */
export const X64_MEMORY = {
  size: 0x80_0000,
  scratch: 0x10_0000,
  scratchSize: 0x1_0000,
  code: 0x40_0000,
  codeSize: 0x10_0000,
  /** In 16-bit code, which is in segment 0, and whose data segments begin at `dataBase`. */
  code16: 0x8000,
  codeSize16: 0x8000,
  dataBase16: 0xf_fff0,
  /** Bytes of code a case may have. */
  slot: 128,
} as const;

/** Places in the array of registers: RAX to R15 by number, RFLAGS, RIP, MXCSR, XMM/YMM0 to 15 in words of 8 bytes, four each, MM0 to 7. */
export const X64_REGISTER = { flags: 16, pc: 17, mxcsr: 18, y: 19, m: 19 + 64, count: 19 + 64 + 8 } as const;

export interface X64Case {
  readonly code: Uint8Array;
  readonly rows: readonly string[];
  readonly count: number;
  /** Has string instructions, which may run again and again. */
  readonly repeats: boolean;
  readonly registers: BigUint64Array;
}

export interface CaseOptions {
  /** 16 for real mode, 32 for code in a 32-bit segment; 64 by default. */
  readonly codeSize?: 16 | 32 | 64;
}

/** Where the code of a case is. */
export function codeArea({ codeSize }: CaseOptions): { readonly start: number; readonly size: number } {
  const { code, code16, codeSize: size, codeSize16 } = X64_MEMORY;
  return codeSize === 16 ? { start: code16, size: codeSize16 } : { start: code, size };
}

/** Encodes a row with random fields. */
export function randomInstruction(random: Random, row: Instruction, options: CaseOptions = {}): number[] {
  const { rexR, ...shape } = randomShape(random, row, options.codeSize ?? 64);
  if (row.vex) {
    return vexInstruction(random, row, shape, { w: row.vex.w ?? Number(shape.rexW), r: rexR, b: shape.rexB });
  }
  const body = operandBytes(random, row, shape);
  const prefixes = legacyPrefixes(random, row, shape, body.isMemory);
  const rex = (shape.rexW ? 8 : 0) | rexR | body.rexB;
  const hasRex = shape.codeSize === 64 && takesRex(row) && (rex !== 0 || random.below(4) === 0);
  return [...prefixes, ...(hasRex ? [0x40 | rex] : []), ...opcodeBytes(row), ...body.bytes];
}

function randomShape(random: Random, row: Instruction, codeSize: 16 | 32 | 64): Shape & { readonly rexR: number } {
  const long = codeSize === 64;
  const is66 = mayResize(row) && random.below(4) === 0;
  const rexW = long && random.below(2) === 0;
  const rexBits = long && random.below(2) === 0 ? random.below(8) : 0;
  const is67 = !isGather(row) && random.below(8) === 0;
  return { codeSize, is66, is67, rexW, rexR: takesRexR(row) ? rexBits & 4 : 0, rexB: rexBits & 1 };
}

/** Overrides that lead to the same segment: SS and DS. */
const SEGMENT_PREFIXES = [0x36, 0x3e];

function legacyPrefixes(random: Random, row: Instruction, shape: Shape, isMemory: boolean): number[] {
  const bytes = sizePrefixes(shape);
  if (isMemory) bytes.push(...memoryPrefixes(random, row));
  if (random.below(2) === 0) bytes.reverse();
  if (row.prefix !== undefined && row.prefix !== 'NP') bytes.push(Number.parseInt(row.prefix, 16));
  if (isString(row) && random.below(2) === 0) bytes.push(random.pick([0xf2, 0xf3]));
  return bytes;
}

function sizePrefixes({ is66, is67 }: Shape): number[] {
  return [...(is67 ? [0x67] : []), ...(is66 ? [0x66] : [])];
}

function memoryPrefixes(random: Random, row: Instruction): number[] {
  const locks = row.attributes.has('lock') && random.below(4) === 0;
  const overrides = random.below(8) === 0;
  return [...(locks ? [0xf0] : []), ...(overrides ? [random.pick(SEGMENT_PREFIXES)] : [])];
}

/** With REX, Unicorn takes AH for SPL in the first two; the third is then an exchange with R8. */
const NO_REX = /^(SAHF|LAHF|PAUSE)$/;

function takesRex(row: Instruction): boolean {
  return !NO_REX.test(row.mnemonic);
}

/** Unicorn takes REX.R into account where ModRM.reg is part of the opcode; processors do not. */
function takesRexR(row: Instruction): boolean {
  return row.reg === undefined && !row.operands.some(({ letter }) => letter === 'P');
}

/** Whether prefix 66 chooses the operand size. */
function mayResize({ prefix, attributes, mnemonic, operands }: Instruction): boolean {
  const isSized = operands.some(({ size }) => size === 'v' || size === 'z' || size === 'rAX');
  return isSized && prefix === undefined && !attributes.has('f64') && mnemonic !== 'BSWAP';
}

function isString(row: Instruction): boolean {
  return row.operands.some(({ letter }) => letter === 'X');
}

function opcodeBytes(row: Instruction): number[] {
  return [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][row.map]!.concat(row.opcode);
}

/** Outside of 64-bit mode R and X must be as in 64-bit mode without them, and registers 8 to 15 do not exist. */
function vexInstruction(
  random: Random,
  row: Instruction,
  shape: Shape,
  rex: { w: number; r: number; b: number },
): number[] {
  const length = row.vex!.length ?? random.pick([128, 256]);
  const body = operandBytes(random, row, { ...shape, is66: false, rexW: rex.w === 1, rexB: rex.b });
  const pp = ['NP', '66', 'F3', 'F2'].indexOf(row.prefix!);
  const usesV = row.operands.some(({ letter }) => letter === 'H' || letter === 'B');
  const vvvv = usesV ? pickRegister(random, shape.codeSize === 64 ? 16 : 8) : 0;
  const second = (rex.r ? 0 : 0x80) | 0x40 | (body.rexB ? 0 : 0x20) | row.map;
  const third = (rex.w << 7) | ((~vvvv & 15) << 3) | (length === 256 ? 4 : 0) | pp;
  return [...(shape.is67 ? [0x67] : []), 0xc4, second, third, row.opcode, ...body.bytes];
}

/** Vector register that gathers take their indices from, and that cases keep small. */
const INDEX_REGISTER = 5;

function isGather({ mnemonic }: Instruction): boolean {
  return mnemonic.startsWith('GATHER');
}

/** Small indices of four or eight bytes. */
function setIndices(random: Random, registers: BigUint64Array): void {
  const wide = random.below(2) === 0;
  const small = (): bigint => BigInt(random.below(0x400) - 0x200);
  for (let word = 0; word < 4; word++) {
    const high = wide ? 0n : BigInt.asUintN(32, small());
    const low = wide ? BigInt.asUintN(64, small()) : BigInt.asUintN(32, small());
    registers[X64_REGISTER.y + 4 * INDEX_REGISTER + word] = (high << 32n) | low;
  }
}

/** A register that is none of RBX and RSP. */
function pickRegister(random: Random, count: number): number {
  for (;;) {
    const number = random.below(count);
    if (number !== 3 && number !== 4) return number;
  }
}

interface Shape {
  readonly codeSize: 16 | 32 | 64;
  readonly is66: boolean;
  readonly is67: boolean;
  readonly rexW: boolean;
  readonly rexB: number;
}

function operandSizeOf({ codeSize, is66, rexW }: Shape): 2 | 4 | 8 {
  if (rexW) return 8;
  return (codeSize === 16) === is66 ? 4 : 2;
}

function addressSizeOf({ codeSize, is67 }: Shape): 2 | 4 | 8 {
  if (codeSize === 64) return is67 ? 4 : 8;
  return (codeSize === 16) === is67 ? 4 : 2;
}

const MODRM = 'EGMRSCDVWUPQNHLB';

function takesModrm({ modrm, reg, mod, operands }: Instruction): boolean {
  return (
    modrm !== undefined ||
    reg !== undefined ||
    mod !== undefined ||
    operands.some(({ letter }) => MODRM.includes(letter))
  );
}

interface OperandBytes {
  readonly bytes: number[];
  readonly rexB: number;
  readonly isMemory: boolean;
}

function operandBytes(random: Random, row: Instruction, shape: Shape): OperandBytes {
  const bytes: number[] = [];
  let { rexB } = shape;
  let isMemory = false;
  if (row.modrm !== undefined) bytes.push(row.modrm);
  else if (takesModrm(row)) {
    const reg = row.reg ?? (usesVector(row, 'VP') ? random.below(8) : pickRegister(random, 8));
    isMemory = row.mod === 'mem' || (row.mod === undefined && random.below(2) === 0);
    if (isMemory) rexB = 0;
    bytes.push(...modrmOf(random, row, reg, isMemory, addressSizeOf(shape)));
  }
  for (const spec of row.operands) bytes.push(...immediateBytes(random, spec, shape));
  return { bytes, rexB, isMemory };
}

function usesVector(row: Instruction, letters: string): boolean {
  return row.operands.some(({ letter }) => letters.includes(letter) && letter !== '');
}

function modrmOf(random: Random, row: Instruction, reg: number, isMemory: boolean, addressSize: number): number[] {
  if (isGather(row)) return [0x44 | (reg << 3), (random.below(4) << 6) | (INDEX_REGISTER << 3) | 3, random.below(128)];
  if (!isMemory) return [0xc0 | (reg << 3) | pickRegister(random, 8)];
  return memoryBytes(random, reg, usesVector(row, 'WUQNVP'), addressSize);
}

/** [rBX + disp8] or [rBX + rCX * scale + disp32]; with 16-bit addresses [BX + disp8], [BX + disp16] or [BX + SI]. */
function memoryBytes(random: Random, reg: number, vector: boolean, addressSize: number): number[] {
  const displacement = vector ? random.below(8) * 16 : random.below(16) * 8;
  const form = vector ? 0 : random.below(2);
  if (addressSize === 2) {
    if (form === 0) return [0x47 | (reg << 3), displacement & 0x7f];
    return random.below(2) === 0 ? [reg << 3] : [0x87 | (reg << 3), displacement, random.below(8)];
  }
  if (form === 0) return [0x43 | (reg << 3), displacement & 0x7f];
  const sib = (random.below(4) << 6) | (1 << 3) | 3;
  return [0x84 | (reg << 3), sib, displacement, random.below(8), 0, 0];
}

function immediateBytes(random: Random, { letter, size }: OperandSpec, shape: Shape): number[] {
  const operandSize = operandSizeOf(shape);
  const bytes = (count: number): number[] => Array.from({ length: count }, () => random.below(256));
  switch (letter) {
    case 'I':
      return bytes(immediateSize(size, operandSize));
    case 'L':
      return bytes(1);
    case 'J':
      return [random.below(64), ...(size === 'b' ? [] : Array<number>(Math.min(operandSize, 4) - 1).fill(0))];
    case 'O':
      return absoluteOffset(random, shape);
    default:
      return [];
  }
}

/** An offset that leads to scratch memory. */
function absoluteOffset(random: Random, shape: Shape): number[] {
  const size = addressSizeOf(shape);
  const offset = shape.codeSize === 16 || size === 2 ? [0x10, random.below(255)] : [0, random.below(256), 0x10];
  return [...offset, ...Array<number>(size - offset.length).fill(0)];
}

/** A case of `length` instructions of the rows. */
export function randomX64Case(
  random: Random,
  rows: readonly Instruction[],
  length: number,
  options: CaseOptions = {},
): X64Case {
  const chosen = Array.from({ length }, () => random.pick(rows));
  const registers = new BigUint64Array(X64_REGISTER.count);
  const mask = (options.codeSize ?? 64) === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  for (let i = 0; i < 16; i++) registers[i] = random.interesting64() & mask;
  const base = X64_MEMORY.scratch - (options.codeSize === 16 ? X64_MEMORY.dataBase16 : 0);
  const pointer = (): bigint => BigInt(base + 0x4000 + random.below(0x4000));
  registers[1] = BigInt(random.below(40));
  registers[3] = pointer() & ~15n;
  registers[4] = pointer() & ~15n;
  registers[5] = pointer() & ~15n;
  registers[6] = pointer();
  registers[7] = pointer();
  registers[X64_REGISTER.flags] = 2n | (BigInt(random.word()) & 0xcd5n);
  registers[X64_REGISTER.mxcsr] = 0x1f80n;
  for (let i = 0; i < 64; i++) registers[X64_REGISTER.y + i] = randomLane(random);
  for (let i = 0; i < 8; i++) registers[X64_REGISTER.m + i] = randomLane(random);
  if (chosen.some(isGather)) setIndices(random, registers);
  return {
    code: Uint8Array.from(chosen.flatMap(row => randomInstruction(random, row, options))),
    rows: chosen.map(row => `${row.key}: ${row.text}`),
    count: length,
    repeats: chosen.some(isString),
    registers,
  };
}

/** Eight bytes of a vector: integers, or floats of either width that are often special. */
function randomLane(random: Random): bigint {
  const single = [
    0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0001, 0x7f80_0001, 1, 0x7f7f_ffff,
  ];
  const double = [
    0n,
    1n << 63n,
    0x3ff0n << 48n,
    0xbff8n << 48n,
    0x7ff0n << 48n,
    (0x7ff8n << 48n) | 5n,
    (0x7ff0n << 48n) | 3n,
    1n,
  ];
  switch (random.below(4)) {
    case 0:
      return (BigInt(random.pick(single)) << 32n) | BigInt(random.pick(single));
    case 1:
      return random.pick(double);
    case 2: {
      const exponent = BigInt(1000 + random.below(60));
      return (exponent << 52n) | (random.word64() >> 12n) | (BigInt(random.below(2)) << 63n);
    }
    default:
      return random.interesting64();
  }
}
