/** Arm ARM DDI 0487 "Data Processing -- Immediate". */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type {
  ADD_SUB_IMMEDIATE,
  BITFIELD,
  LOGICAL_IMMEDIATE,
  MOVE_WIDE,
  PC_RELATIVE,
} from '../encodings/data-processing-immediate.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import { amountOutOfRange, bitmaskImmediate, lowOnes, signed } from './operands.ts';

interface PcRelativeFields {
  readonly immlo: number;
  readonly immhi: number;
}

function pcRelativeImmediate({ immhi, immlo }: PcRelativeFields): number {
  return (signed(immhi, 19) << 2) | immlo;
}

export const pcRelative: Semantics<typeof PC_RELATIVE> = {
  ADR: (t, f) => t.setReg(f.rd, t.pc(pcRelativeImmediate(f))),
  ADRP: (t, f) => t.setReg(f.rd, t.page(pcRelativeImmediate(f))),
};

interface AddSubFields {
  readonly sf: number;
  readonly sh: number;
  readonly imm12: number;
  readonly rn: number;
}

function addSubOperands(t: Translation, f: AddSubFields): [Value<IntType>, Value<IntType>] {
  const a = t.regOrSp(f.sf, f.rn);
  return [a, t.ir.int(a.type, f.imm12 << (f.sh * 12))];
}

export const addSubImmediate: Semantics<typeof ADD_SUB_IMMEDIATE> = {
  'ADD (immediate)': (t, f) => t.setRegOrSp(f.rd, t.ir.add(...addSubOperands(t, f))),
  'ADDS (immediate)': (t, f) => t.setReg(f.rd, t.flags.add(...addSubOperands(t, f))),
  'SUB (immediate)': (t, f) => t.setRegOrSp(f.rd, t.ir.sub(...addSubOperands(t, f))),
  'SUBS (immediate)': (t, f) => t.setReg(f.rd, t.flags.sub(...addSubOperands(t, f))),
};

interface LogicalFields {
  readonly sf: number;
  readonly N: number;
  readonly immr: number;
  readonly imms: number;
  readonly rn: number;
  readonly rd: number;
}

/** Computes with the bitmask immediate and passes the result on; reserved immediates are UNDEFINED. */
function logical(
  operation: 'and' | 'or' | 'xor',
  write: (t: Translation, rd: number, result: Value<IntType>) => void,
): (t: Translation, f: LogicalFields) => void {
  return (t, f) => {
    const mask = bitmaskImmediate(f.N, f.imms, f.immr);
    if (mask === undefined || (f.sf === 0 && f.N === 1)) return t.undefined();
    const a = t.reg(f.sf, f.rn);
    write(t, f.rd, t.ir[operation](a, t.ir.int(a.type, mask)));
  };
}

const toRegOrSp = (t: Translation, rd: number, result: Value<IntType>): void => t.setRegOrSp(rd, result);
const toRegAndFlags = (t: Translation, rd: number, result: Value<IntType>): void => {
  t.setReg(rd, result);
  t.flags.logical(result);
};

export const logicalImmediate: Semantics<typeof LOGICAL_IMMEDIATE> = {
  'AND (immediate)': logical('and', toRegOrSp),
  'ORR (immediate)': logical('or', toRegOrSp),
  'EOR (immediate)': logical('xor', toRegOrSp),
  'ANDS (immediate)': logical('and', toRegAndFlags),
};

interface MoveFields {
  readonly sf: number;
  readonly hw: number;
  readonly imm16: number;
  readonly rd: number;
}

function moveWide(value: (t: Translation, f: MoveFields, type: IntType) => Value<IntType>) {
  return (t: Translation, f: MoveFields): void => {
    if (f.sf === 0 && f.hw >= 2) t.undefined();
    else t.setReg(f.rd, value(t, f, f.sf ? 'i64' : 'i32'));
  };
}

const shifted16 = (f: MoveFields): bigint => BigInt(f.imm16) << BigInt(f.hw * 16);

export const moveWideImmediate: Semantics<typeof MOVE_WIDE> = {
  MOVN: moveWide((t, f, type) => t.ir.int(type, ~shifted16(f))),
  MOVZ: moveWide((t, f, type) => t.ir.int(type, shifted16(f))),
  MOVK: moveWide((t, f, type) => {
    const kept = t.ir.and(t.reg(f.sf, f.rd), t.ir.int(type, ~(0xffffn << BigInt(f.hw * 16))));
    return t.ir.or(kept, t.ir.int(type, shifted16(f)));
  }),
};

interface BitfieldFields {
  readonly sf: number;
  readonly N: number;
  readonly immr: number;
  readonly imms: number;
  readonly rn: number;
  readonly rd: number;
}

function bitfieldReserved(f: BitfieldFields): boolean {
  return f.N !== f.sf || amountOutOfRange(f.sf, f.immr) || amountOutOfRange(f.sf, f.imms);
}

/** UBFM: UBFX, UBFIZ, LSL, LSR, UXTB, UXTH. */
function unsignedBitfield(t: Translation, f: BitfieldFields): Value<IntType> {
  const width = f.sf ? 64 : 32;
  const source = t.reg(f.sf, f.rn);
  if (f.imms >= f.immr) {
    const moved = t.ir.shrU(source, f.immr);
    return f.imms === width - 1 ? moved : t.ir.and(moved, t.ir.int(source.type, lowOnes(f.imms - f.immr + 1)));
  }
  const amount = width - f.immr;
  const isLsl = f.imms + 1 === f.immr;
  return t.ir.shl(isLsl ? source : t.ir.and(source, t.ir.int(source.type, lowOnes(f.imms + 1))), amount);
}

/** SBFM: SBFX, SBFIZ, ASR, SXTB, SXTH, SXTW. */
function signedBitfield(t: Translation, f: BitfieldFields): Value<IntType> {
  const width = f.sf ? 64 : 32;
  const source = t.reg(f.sf, f.rn);
  const length = f.imms + 1;
  if (f.immr === 0 && (length === 8 || length === 16 || length === 32)) return t.ir.signExtend(source, length);
  const topped = t.ir.shl(source, width - length);
  return f.imms >= f.immr ? t.ir.shrS(topped, width - length + f.immr) : t.ir.shrS(topped, f.immr - length);
}

/** BFM: BFI, BFXIL, BFC. */
function bitfieldInsert(t: Translation, f: BitfieldFields): Value<IntType> {
  const width = f.sf ? 64 : 32;
  const extracts = f.imms >= f.immr;
  const length = extracts ? f.imms - f.immr + 1 : f.imms + 1;
  const at = extracts ? 0 : width - f.immr;
  const { ir } = t;
  const source = t.reg(f.sf, f.rn);
  const moved = extracts ? ir.shrU(source, f.immr) : ir.shl(source, at);
  const mask = lowOnes(length) << BigInt(at);
  const kept = ir.and(t.reg(f.sf, f.rd), ir.int(source.type, ~mask));
  return ir.or(kept, ir.and(moved, ir.int(source.type, mask)));
}

function bitfieldMove(value: (t: Translation, f: BitfieldFields) => Value<IntType>) {
  return (t: Translation, f: BitfieldFields): void => {
    if (bitfieldReserved(f)) t.undefined();
    else t.setReg(f.rd, value(t, f));
  };
}

export const bitfield: Semantics<typeof BITFIELD> = {
  SBFM: bitfieldMove(signedBitfield),
  BFM: bitfieldMove(bitfieldInsert),
  UBFM: bitfieldMove(unsignedBitfield),
  EXTR: (t, f) => {
    if (f.N !== f.sf || amountOutOfRange(f.sf, f.imms)) return t.undefined();
    const low = t.reg(f.sf, f.rm);
    if (f.rn === f.rm || f.imms === 0) return t.setReg(f.rd, t.ir.rotr(low, f.imms));
    const high = t.ir.shl(t.reg(f.sf, f.rn), (f.sf ? 64 : 32) - f.imms);
    t.setReg(f.rd, t.ir.or(t.ir.shrU(low, f.imms), high));
  },
};
