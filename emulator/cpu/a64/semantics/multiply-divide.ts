/** Arm ARM DDI 0487 "Data Processing -- Register": multiplication, division, variable shifts, CRC32 and bit counting. */
import type { Value } from '../../ir/block.ts';
import type { BlockBuilder } from '../../ir/builder.ts';
import { pureHelper } from '../../ir/helper-declaration.ts';
import type { IntType } from '../../ir/types.ts';
import type { CRC32, ONE_SOURCE, THREE_SOURCES, TWO_SOURCES } from '../encodings/data-processing-register.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';

interface ThreeSourceFields {
  readonly rm: number;
  readonly ra: number;
  readonly rn: number;
  readonly rd: number;
}

/** SMADDL, UMADDL and their subtracting forms. */
function long(operation: 'add' | 'sub', isSigned: boolean): (t: Translation, f: ThreeSourceFields) => void {
  return (t, f) => {
    const { ir } = t;
    const extend = (n: number): Value<'i64'> => (isSigned ? ir.toI64Signed(t.w(n)) : ir.toI64(t.w(n)));
    t.setReg(f.rd, ir[operation](t.x(f.ra), ir.mul(extend(f.rn), extend(f.rm))));
  };
}

/** The high 64 bits of the unsigned product, from four products of 32-bit halves. */
function unsignedHighProduct(ir: BlockBuilder, a: Value<'i64'>, b: Value<'i64'>): Value<'i64'> {
  const lowHalf = (value: Value<'i64'>): Value<'i64'> => ir.and(value, ir.i64(0xffff_ffff));
  const highHalf = (value: Value<'i64'>): Value<'i64'> => ir.shrU(value, 32);
  const [aLow, aHigh, bLow, bHigh] = [lowHalf(a), highHalf(a), lowHalf(b), highHalf(b)];
  const first = ir.add(ir.mul(aHigh, bLow), highHalf(ir.mul(aLow, bLow)));
  const second = ir.add(ir.mul(aLow, bHigh), lowHalf(first));
  return ir.add(ir.add(ir.mul(aHigh, bHigh), highHalf(first)), highHalf(second));
}

/** The high 64 bits of the signed product: the unsigned ones, less each factor where the other is negative. */
function signedHighProduct(ir: BlockBuilder, a: Value<'i64'>, b: Value<'i64'>): Value<'i64'> {
  const correction = ir.add(ir.and(ir.shrS(a, 63), b), ir.and(ir.shrS(b, 63), a));
  return ir.sub(unsignedHighProduct(ir, a, b), correction);
}

export const threeSources: Semantics<typeof THREE_SOURCES> = {
  MADD: (t, f) => t.setReg(f.rd, t.ir.add(t.reg(f.sf, f.ra), t.ir.mul(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm)))),
  MSUB: (t, f) => t.setReg(f.rd, t.ir.sub(t.reg(f.sf, f.ra), t.ir.mul(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm)))),
  SMADDL: long('add', true),
  SMSUBL: long('sub', true),
  UMADDL: long('add', false),
  UMSUBL: long('sub', false),
  SMULH: (t, f) => t.setReg(f.rd, signedHighProduct(t.ir, t.x(f.rn), t.x(f.rm))),
  UMULH: (t, f) => t.setReg(f.rd, unsignedHighProduct(t.ir, t.x(f.rn), t.x(f.rm))),
};

export const twoSources: Semantics<typeof TWO_SOURCES> = {
  UDIV: (t, f) => t.setReg(f.rd, t.ir.divU(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  SDIV: (t, f) => t.setReg(f.rd, t.ir.divS(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  LSLV: (t, f) => t.setReg(f.rd, t.ir.shl(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  LSRV: (t, f) => t.setReg(f.rd, t.ir.shrU(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  ASRV: (t, f) => t.setReg(f.rd, t.ir.shrS(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
  RORV: (t, f) => t.setReg(f.rd, t.ir.rotr(t.reg(f.sf, f.rn), t.reg(f.sf, f.rm))),
};

/** CRC-32 with polynomial 0x04c11db7: (checksum, data, bytes of data: 1, 2 or 4) → checksum. */
export const crc32 = pureHelper('a64.crc32', ['i32', 'i32', 'i32'], 'i32');
/** CRC-32C with polynomial 0x1edc6f41, likewise. */
export const crc32c = pureHelper('a64.crc32c', ['i32', 'i32', 'i32'], 'i32');

interface CrcFields {
  readonly rm: number;
  readonly rn: number;
  readonly rd: number;
}

function checksum(helper: typeof crc32, size: 1 | 2 | 4): (t: Translation, f: CrcFields) => void {
  return (t, f) => t.setReg(f.rd, t.ir.call(helper, t.w(f.rn), t.w(f.rm), t.ir.i32(size)));
}

/** Eight bytes are four and four. */
function checksum64(helper: typeof crc32): (t: Translation, f: CrcFields) => void {
  return (t, f) => {
    const four = t.ir.i32(4);
    const lower = t.ir.call(helper, t.w(f.rn), t.w(f.rm), four);
    t.setReg(f.rd, t.ir.call(helper, lower, t.ir.toI32(t.ir.shrU(t.x(f.rm), 32)), four));
  };
}

export const crc: Semantics<typeof CRC32> = {
  CRC32B: checksum(crc32, 1),
  CRC32H: checksum(crc32, 2),
  CRC32W: checksum(crc32, 4),
  CRC32X: checksum64(crc32),
  CRC32CB: checksum(crc32c, 1),
  CRC32CH: checksum(crc32c, 2),
  CRC32CW: checksum(crc32c, 4),
  CRC32CX: checksum64(crc32c),
};

/** Exchanges neighbouring groups of `bits` bits; `mask` has the low group of each pair. */
function exchange<T extends IntType>(ir: BlockBuilder, value: Value<T>, bits: number, mask: bigint): Value<T> {
  const low = ir.int(value.type, mask);
  return ir.or(ir.and(ir.shrU(value, bits), low), ir.shl(ir.and(value, low), bits));
}

const EVERY_BYTE = 0x0101_0101_0101_0101n;

/** Reverses the bytes of each 16-bit group. */
function reverse16<T extends IntType>(ir: BlockBuilder, value: Value<T>): Value<T> {
  return exchange(ir, value, 8, 0x00ff_00ff_00ff_00ffn);
}

function reverse32(ir: BlockBuilder, value: Value<'i32'>): Value<'i32'> {
  const odd = ir.and(ir.rotr(value, 8), ir.i32(0xff00_ff00));
  return ir.or(odd, ir.and(ir.rotl(value, 8), ir.i32(0x00ff_00ff)));
}

const REVERSED_BYTES = Uint8Array.from({ length: 16 }, (_, i) => i ^ 7);

/** Reverses the bytes through a vector register: one shuffle for eleven shifts and masks. */
function reverse64(ir: BlockBuilder, value: Value<'i64'>): Value<'i64'> {
  const vector = ir.op('i64x2.splat', value);
  return ir.lane('i64x2.extract_lane', 0, ir.shuffle(vector, vector, REVERSED_BYTES));
}

function reverseBytes(t: Translation, sf: number, rn: number): Value<IntType> {
  return sf ? reverse64(t.ir, t.x(rn)) : reverse32(t.ir, t.w(rn));
}

export const oneSource: Semantics<typeof ONE_SOURCE> = {
  RBIT: (t, f) => {
    let value = reverseBytes(t, f.sf, f.rn);
    value = exchange(t.ir, value, 4, 0x0fn * EVERY_BYTE);
    value = exchange(t.ir, value, 2, 0x33n * EVERY_BYTE);
    t.setReg(f.rd, exchange(t.ir, value, 1, 0x55n * EVERY_BYTE));
  },
  REV16: (t, f) => t.setReg(f.rd, reverse16(t.ir, t.reg(f.sf, f.rn))),
  'REV (32-bit)': (t, f) => t.setReg(f.rd, reverse32(t.ir, t.w(f.rn))),
  REV32: (t, f) => t.setReg(f.rd, t.ir.rotr(reverse64(t.ir, t.x(f.rn)), 32)),
  'REV (64-bit)': (t, f) => t.setReg(f.rd, reverse64(t.ir, t.x(f.rn))),
  CLZ: (t, f) => t.setReg(f.rd, t.ir.clz(t.reg(f.sf, f.rn))),
  CLS: (t, f) => {
    const value = t.reg(f.sf, f.rn);
    const changes = t.ir.xor(value, t.ir.shrS(value, 1));
    t.setReg(f.rd, t.ir.sub(t.ir.clz(changes), t.ir.int(value.type, 1)));
  },
};
