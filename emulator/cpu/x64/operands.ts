/**
 * The operands of a decoded instruction, as semantics see them. What kind an operand is, is known while translating; its value is not.
 */
import { assert, assertNever } from '../../../capture/formats/errors.ts';
import type { Addressing, Decoded } from './decode.ts';
import { REX } from './decode.ts';
import type { IntSize } from './flags.ts';
import type { OperandSpec } from './instruction.ts';
import { GPR, SEGMENT } from './state.ts';

/** A general register, or bits 15 to 8 of one. */
export interface RegisterOperand {
  readonly kind: 'register';
  readonly size: IntSize;
  readonly number: number;
  readonly high: boolean;
}

/** Memory at an effective address. `size` is 0 where the row leaves it to the semantics. */
export interface MemoryOperand {
  readonly kind: 'memory';
  readonly size: number;
  readonly segment: number;
  readonly addressing: Addressing;
  readonly addressSize: 2 | 4 | 8;
}

/** An immediate, sign-extended to 64 bits where the row says so. */
export interface ImmediateOperand {
  readonly kind: 'immediate';
  readonly size: IntSize;
  readonly value: bigint;
}

/** Target of a relative jump: distance from the next instruction. */
export interface RelativeOperand {
  readonly kind: 'relative';
  readonly size: IntSize;
  readonly distance: number;
}

/** A segment, control or debug register. */
export interface SpecialOperand {
  readonly kind: 'segment' | 'control' | 'debug';
  readonly size: IntSize;
  readonly number: number;
}

/** An XMM or YMM register (the low `size` bytes of it), or an MMX register. */
export interface VectorOperand {
  readonly kind: 'vector' | 'mmx';
  readonly size: number;
  readonly number: number;
}

/** An immediate far pointer. */
export interface FarOperand {
  readonly kind: 'far';
  readonly size: IntSize;
  readonly selector: number;
  readonly offset: number;
}

export type Operand =
  RegisterOperand | MemoryOperand | ImmediateOperand | RelativeOperand | SpecialOperand | VectorOperand | FarOperand;

/** The operands of an instruction in the order of its row. */
export function operandsOf(decoded: Decoded): readonly Operand[] {
  let next = 0;
  const immediate = (): bigint => decoded.immediates[next++]!;
  const operands: Operand[] = [];
  for (const spec of decoded.instruction.operands) operands.push(operandOf(spec, decoded, immediate));
  return operands;
}

/** Width in bytes that a row's size letters mean for integer operands. */
function integerSize(size: string, decoded: Decoded): IntSize {
  switch (size) {
    case 'b':
    case 'bs':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 'y':
      return decoded.prefixes.rex & REX.W ? 8 : 4;
    case 'z':
      return decoded.operandSize === 8 ? 4 : decoded.operandSize;
    default:
      return decoded.operandSize;
  }
}

const VECTOR_SIZES: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, ss: 4, q: 8, sd: 8, dq: 16, ps: 16, pd: 16 };

/** Width in bytes of vector operands and of memory that is not an integer's. */
function vectorSize(size: string, decoded: Decoded): number {
  const vex256 = decoded.prefixes.vex?.length === 256 && !decoded.instruction.attributes.has('lig');
  if (size === 'x' || size === 'ps' || size === 'pd') return vex256 ? 32 : 16;
  if (size === 'h') return vex256 ? 16 : 8;
  return VECTOR_SIZES[size] ?? 16;
}

function memorySize(size: string, decoded: Decoded): number {
  if (size === '') return 0;
  if (size === 'p') return decoded.operandSize + 2;
  if (size === 'a') return 2 * decoded.operandSize;
  return size.length === 1 && 'bwdqyzv'.includes(size) ? integerSize(size, decoded) : vectorSize(size, decoded);
}

function operandOf(spec: OperandSpec, decoded: Decoded, immediate: () => bigint): Operand {
  const { letter, size } = spec;
  if (letter === 'fixed') return fixedOperand(size, decoded);
  switch (letter) {
    case 'E':
      return decoded.memory ? memoryOperand(decoded, integerSize(size, decoded)) : register(decoded, size, decoded.rm);
    case 'M':
      return memoryOperand(decoded, memorySize(size, decoded));
    case 'R':
    case 'G':
    case 'Z':
    case 'B':
      return register(decoded, size, registerNumber(letter, decoded));
    default:
      return namedOperand(spec, decoded) ?? vectorOperand(spec, decoded) ?? immediateOperand(spec, decoded, immediate);
  }
}

/** Segment, control and debug registers, and the implied memory operands of string instructions. */
function namedOperand({ letter, size }: OperandSpec, decoded: Decoded): Operand | undefined {
  const { reg } = decoded;
  switch (letter) {
    case 'X':
    case 'Y':
      return { kind: 'immediate', size: integerSize(size, decoded), value: 0n };
    case 'S':
      return { kind: 'segment', size: 2, number: reg & 7 };
    case 'C':
      return { kind: 'control', size: 8, number: reg };
    case 'D':
      return { kind: 'debug', size: 8, number: reg };
    default:
      return undefined;
  }
}

/** Where an operand's letter has the number of its register. */
function registerNumber(letter: 'R' | 'G' | 'Z' | 'B', { rm, reg, opcode, prefixes }: Decoded): number {
  switch (letter) {
    case 'R':
      return rm;
    case 'G':
      return reg;
    case 'Z':
      return (opcode & 7) | (prefixes.rex & REX.B ? 8 : 0);
    case 'B':
      return prefixes.vex!.vvvv;
    default:
      return assertNever(letter);
  }
}

/** A general register; without REX, numbers 4 to 7 of byte registers are AH, CH, DH, BH. */
function register(decoded: Decoded, sizeLetters: string, number: number): RegisterOperand {
  const size = integerSize(sizeLetters, decoded);
  const high = size === 1 && number >= 4 && number < 8 && decoded.prefixes.rex === 0;
  return { kind: 'register', size, number: high ? number - 4 : number, high };
}

function plain(number: number, size: IntSize): RegisterOperand {
  return { kind: 'register', size, number, high: false };
}

function fixedOperand(name: string, decoded: Decoded): Operand {
  switch (name) {
    case '1':
      return { kind: 'immediate', size: 1, value: 1n };
    case 'AL':
      return plain(GPR.AX, 1);
    case 'CL':
      return plain(GPR.CX, 1);
    case 'AX':
      return plain(GPR.AX, 2);
    case 'DX':
      return plain(GPR.DX, 2);
    case 'rAX':
      return plain(GPR.AX, decoded.operandSize);
    case 'XMM0':
      return { kind: 'vector', size: 16, number: 0 };
    default:
      return { kind: 'segment', size: 2, number: SEGMENT[name as keyof typeof SEGMENT] };
  }
}

function vectorOperand({ letter, size }: OperandSpec, decoded: Decoded): Operand | undefined {
  const width = vectorSize(size, decoded);
  switch (letter) {
    case 'V':
      return { kind: 'vector', size: width, number: decoded.reg };
    case 'W':
      return decoded.memory ? memoryOperand(decoded, width) : { kind: 'vector', size: width, number: decoded.rm };
    case 'U':
      return { kind: 'vector', size: width, number: decoded.rm };
    case 'H':
      return { kind: 'vector', size: width, number: decoded.prefixes.vex!.vvvv };
    case 'P':
      return { kind: 'mmx', size: 8, number: decoded.reg & 7 };
    case 'Q':
      return decoded.memory
        ? memoryOperand(decoded, size === 'd' ? 4 : 8)
        : { kind: 'mmx', size: 8, number: decoded.rm & 7 };
    case 'N':
      return { kind: 'mmx', size: 8, number: decoded.rm & 7 };
    default:
      return undefined;
  }
}

function immediateOperand({ letter, size }: OperandSpec, decoded: Decoded, immediate: () => bigint): Operand {
  const width = integerSize(size, decoded);
  switch (letter) {
    case 'I':
      return { kind: 'immediate', size: width, value: immediateValue(size, decoded, immediate()) };
    case 'J': {
      const bits = size === 'b' ? 8 : decoded.operandSize === 2 ? 16 : 32;
      return { kind: 'relative', size: decoded.operandSize, distance: Number(BigInt.asIntN(bits, immediate())) };
    }
    case 'O':
      return moffs(decoded, width, immediate());
    case 'L':
      return { kind: 'vector', size: vectorSize(size, decoded), number: Number(immediate() >> 4n) };
    default: {
      assert(letter === 'A', `operand ${letter}${size} of ${decoded.instruction.text}`);
      const offset = Number(immediate());
      return { kind: 'far', size: decoded.operandSize, selector: Number(immediate()), offset };
    }
  }
}

/** `bs` is sign-extended from a byte, `z` from 4 bytes to the operand size. */
function immediateValue(size: string, decoded: Decoded, value: bigint): bigint {
  if (size === 'bs') return BigInt.asIntN(8, value);
  return size === 'z' && decoded.operandSize === 8 ? BigInt.asIntN(32, value) : value;
}

/** Memory at an absolute offset, which may have 64 bits. */
function moffs(decoded: Decoded, size: IntSize, displacement: bigint): MemoryOperand {
  return {
    kind: 'memory',
    size,
    segment: decoded.prefixes.segment ?? SEGMENT.DS,
    addressing: { base: -1, index: -1, scale: 0, displacement, ripRelative: false },
    addressSize: decoded.addressSize,
  };
}

function memoryOperand(decoded: Decoded, size: number): MemoryOperand {
  const addressing = decoded.memory!;
  const { base } = addressing;
  const usesStack = base === GPR.SP || base === GPR.BP;
  return {
    kind: 'memory',
    size,
    segment: decoded.prefixes.segment ?? (usesStack ? SEGMENT.SS : SEGMENT.DS),
    addressing,
    addressSize: decoded.addressSize,
  };
}
