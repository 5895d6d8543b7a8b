/**
 * Exclusives, acquire and release, and atomics of Arm ARM DDI 0487 "Loads and Stores".
 *
 * CPUs run one at a time and switch between blocks only, so every instruction is atomic and ordered already. The exclusive monitor
 * is an address and the value seen there: a store succeeds when the address is the same and memory still has the value (a change
 * back and forth goes unnoticed, as in QEMU). A store that fails writes what is there, so that no branch is needed.
 */
import type { MemoryAccess, Value } from '../../ir/block.ts';
import type { AccessSize, IntType } from '../../ir/types.ts';
import type { ACQUIRE_RELEASE, EXCLUSIVES, LIMITED_ORDERING, LRCPC, LRCPC2, LSE } from '../encodings/atomics.ts';
import type { Semantics } from '../instruction.ts';
import { A64_STATE } from '../state.ts';
import type { Translation } from '../translation.ts';
import { accessSize, unscaledOffset } from './addressing.ts';
import { load, loadWord, signExtended, signExtension32, signExtension64, store } from './loads-stores.ts';

/** What the monitor has for its address when it is open. */
const NO_ADDRESS = -1n;

function aligned(size: AccessSize): Partial<MemoryAccess> {
  return { alignment: size };
}

/** A load that a store to the same place follows. */
function alignedForWrite(size: AccessSize): Partial<MemoryAccess> {
  return { alignment: size, forWrite: true };
}

interface SingleFields {
  readonly size: number;
  readonly rn: number;
  readonly rt: number;
}

function loadExclusive(t: Translation, f: SingleFields): void {
  const address = t.base(f.rn);
  const size = accessSize(f.size);
  const loaded = t.memory.load(address, size, aligned(size));
  t.ir.set(A64_STATE.exclusiveAddress, address);
  t.ir.set(A64_STATE.exclusiveLow, loaded);
  t.setReg(f.rt, loaded);
}

/** Closes a store-exclusive: the monitor opens, and rs becomes 0 for success. */
function finishExclusive(t: Translation, rs: number, stored: Value<'i32'>): void {
  t.ir.set(A64_STATE.exclusiveAddress, t.ir.i64(NO_ADDRESS));
  t.setReg(rs, t.ir.eqz(stored));
}

function storeExclusive(t: Translation, f: SingleFields & { readonly rs: number }): void {
  const { ir } = t;
  const address = t.base(f.rn);
  const size = accessSize(f.size);
  const old = t.memory.load(address, size, alignedForWrite(size));
  const isHeld = ir.eq(address, ir.get(A64_STATE.exclusiveAddress));
  const stored = ir.and(isHeld, ir.eq(old, ir.get(A64_STATE.exclusiveLow)));
  t.memory.store(address, ir.select(stored, t.x(f.rt), old), size, aligned(size));
  finishExclusive(t, f.rs, stored);
}

interface PairFields {
  readonly sz: number;
  readonly rn: number;
  readonly rt: number;
  readonly rt2: number;
}

function loadExclusivePair(t: Translation, f: PairFields): void {
  const address = t.base(f.rn);
  if (f.sz) {
    const { low, high } = load128(t, address, aligned(16));
    t.ir.set(A64_STATE.exclusiveLow, low);
    t.ir.set(A64_STATE.exclusiveHigh, high);
    t.setReg(f.rt, low);
    t.setReg(f.rt2, high);
  } else {
    const both = t.memory.load(address, 8, aligned(8));
    t.ir.set(A64_STATE.exclusiveLow, both);
    t.setReg(f.rt, t.ir.toI32(both));
    t.setReg(f.rt2, t.ir.shrU(both, 32));
  }
  t.ir.set(A64_STATE.exclusiveAddress, address);
}

function storeExclusivePair(t: Translation, f: PairFields & { readonly rs: number }): void {
  const { ir } = t;
  const address = t.base(f.rn);
  const isHeld = ir.eq(address, ir.get(A64_STATE.exclusiveAddress));
  let stored: Value<'i32'>;
  if (f.sz) {
    const { low, high } = load128(t, address, alignedForWrite(16));
    stored = ir.and(isHeld, equal128(t, low, high, ir.get(A64_STATE.exclusiveLow), ir.get(A64_STATE.exclusiveHigh)));
    store128(t, address, ir.select(stored, t.x(f.rt), low), ir.select(stored, t.x(f.rt2), high));
  } else {
    const old = t.memory.load(address, 8, alignedForWrite(8));
    stored = ir.and(isHeld, ir.eq(old, ir.get(A64_STATE.exclusiveLow)));
    t.memory.store(address, ir.select(stored, pairOfWords(t, f.rt, f.rt2), old), 8, aligned(8));
  }
  finishExclusive(t, f.rs, stored);
}

function pairOfWords(t: Translation, low: number, high: number): Value<'i64'> {
  return t.ir.or(t.ir.toI64(t.w(low)), t.ir.shl(t.x(high), 32));
}

function load128(t: Translation, address: Value<'i64'>, access: Partial<MemoryAccess>) {
  const both = t.memory.loadV128(address, access);
  return { low: t.ir.lane('i64x2.extract_lane', 0, both), high: t.ir.lane('i64x2.extract_lane', 1, both) };
}

function store128(t: Translation, address: Value<'i64'>, low: Value<'i64'>, high: Value<'i64'>): void {
  const both = t.ir.lane('i64x2.replace_lane', 1, t.ir.op('i64x2.splat', low), high);
  t.memory.storeV128(address, both, aligned(16));
}

function equal128(
  t: Translation,
  low: Value<'i64'>,
  high: Value<'i64'>,
  otherLow: Value<'i64'>,
  otherHigh: Value<'i64'>,
): Value<'i32'> {
  return t.ir.eqz(t.ir.or(t.ir.xor(low, otherLow), t.ir.xor(high, otherHigh)));
}

export const exclusives: Semantics<typeof EXCLUSIVES> = {
  STXR: storeExclusive,
  STLXR: storeExclusive,
  LDXR: loadExclusive,
  LDAXR: loadExclusive,
  STXP: storeExclusivePair,
  STLXP: storeExclusivePair,
  LDXP: loadExclusivePair,
  LDAXP: loadExclusivePair,
};

function orderedStore(t: Translation, f: SingleFields): void {
  const size = accessSize(f.size);
  t.memory.store(t.base(f.rn), t.x(f.rt), size, aligned(size));
}

function orderedLoad(t: Translation, f: SingleFields): void {
  const size = accessSize(f.size);
  t.setReg(f.rt, t.memory.load(t.base(f.rn), size, aligned(size)));
}

export const acquireRelease: Semantics<typeof ACQUIRE_RELEASE> = { STLR: orderedStore, LDAR: orderedLoad };
export const limitedOrdering: Semantics<typeof LIMITED_ORDERING> = { STLLR: orderedStore, LDLAR: orderedLoad };
export const lrcpc: Semantics<typeof LRCPC> = { LDAPR: orderedLoad };

export const lrcpc2: Semantics<typeof LRCPC2> = {
  STLUR: store(unscaledOffset),
  LDAPUR: load(unscaledOffset),
  'LDAPURSB/H (64-bit)': load(unscaledOffset, signExtension64),
  'LDAPURSB/H (32-bit)': load(unscaledOffset, signExtension32),
  LDAPURSW: loadWord(unscaledOffset),
};

interface AtomicFields extends SingleFields {
  readonly rs: number;
}

type Combine = (t: Translation, old: Value<IntType>, operand: Value<IntType>) => Value<IntType>;

/** LD<op>: rt = memory; memory = combine(memory, rs). */
function atomic(combine: Combine): (t: Translation, f: AtomicFields) => void {
  return (t, f) => {
    const address = t.base(f.rn);
    const size = accessSize(f.size);
    const operand = t.x(f.rs);
    const old = t.memory.load(address, size, alignedForWrite(size));
    t.memory.store(address, t.ir.toI64(combine(t, old, operand)), size, aligned(size));
    t.setReg(f.rt, old);
  };
}

/** Chooses memory or register by a comparison of both, extended from the access size. */
function choose(isSigned: boolean, comparison: 'gtS' | 'ltS' | 'gtU' | 'ltU') {
  return (t: Translation, f: AtomicFields): void => {
    const extend = (value: Value<'i64'>): Value<'i64'> => {
      if (f.size === 3) return value;
      return isSigned ? signExtended(t, value, f.size) : t.ir.and(value, t.ir.i64((1n << BigInt(8 << f.size)) - 1n));
    };
    atomic((_t, old, operand) => {
      const [a, b] = [old as Value<'i64'>, operand as Value<'i64'>];
      return t.ir.select(t.ir[comparison](extend(a), extend(b)), a, b);
    })(t, f);
  };
}

function compareAndSwap(t: Translation, f: AtomicFields): void {
  const { ir } = t;
  const address = t.base(f.rn);
  const size = accessSize(f.size);
  const mask = ir.i64(f.size === 3 ? -1 : (1n << BigInt(8 << f.size)) - 1n);
  const [expected, replacement] = [ir.and(t.x(f.rs), mask), t.x(f.rt)];
  const old = t.memory.load(address, size, alignedForWrite(size));
  t.memory.store(address, ir.select(ir.eq(old, expected), replacement, old), size, aligned(size));
  t.setReg(f.rs, old);
}

/** CASP works on pairs of registers that begin with an even one. */
function compareAndSwapPair(t: Translation, f: Omit<PairFields, 'rt2'> & { readonly rs: number }): void {
  if ((f.rs | f.rt) & 1) return t.undefined();
  const { ir } = t;
  const address = t.base(f.rn);
  if (f.sz) {
    const [newLow, newHigh] = [t.x(f.rt), t.x(f.rt + 1)];
    const { low, high } = load128(t, address, alignedForWrite(16));
    const isEqual = equal128(t, low, high, t.x(f.rs), t.x(f.rs + 1));
    store128(t, address, ir.select(isEqual, newLow, low), ir.select(isEqual, newHigh, high));
    t.setReg(f.rs, low);
    t.setReg(f.rs + 1, high);
  } else {
    const [expected, replacement] = [pairOfWords(t, f.rs, f.rs + 1), pairOfWords(t, f.rt, f.rt + 1)];
    const old = t.memory.load(address, 8, alignedForWrite(8));
    t.memory.store(address, ir.select(ir.eq(old, expected), replacement, old), 8, aligned(8));
    t.setReg(f.rs, ir.toI32(old));
    t.setReg(f.rs + 1, ir.shrU(old, 32));
  }
}

export const lse: Semantics<typeof LSE> = {
  CAS: compareAndSwap,
  CASP: compareAndSwapPair,
  LDADD: atomic((t, old, operand) => t.ir.add(old, operand)),
  LDCLR: atomic((t, old, operand) => t.ir.and(old, t.ir.not(operand))),
  LDEOR: atomic((t, old, operand) => t.ir.xor(old, operand)),
  LDSET: atomic((t, old, operand) => t.ir.or(old, operand)),
  LDSMAX: choose(true, 'gtS'),
  LDSMIN: choose(true, 'ltS'),
  LDUMAX: choose(false, 'gtU'),
  LDUMIN: choose(false, 'ltU'),
  SWP: atomic((_t, _old, operand) => operand),
};
