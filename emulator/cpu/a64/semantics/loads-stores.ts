/** Arm ARM DDI 0487 "Loads and Stores" on general registers, except exclusives and atomics. */
import type { MemoryAccess, Value } from '../../ir/block.ts';
import type {
  LITERAL,
  PAIRS,
  POST_INDEX,
  PRE_INDEX,
  REGISTER_OFFSET,
  UNPRIVILEGED,
  UNSCALED_OFFSET,
  UNSIGNED_OFFSET,
} from '../encodings/loads-stores.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import {
  accessSize,
  type Addressing,
  pairOffset,
  pairPostIndex,
  pairPreIndex,
  postIndex,
  preIndex,
  registerOffset,
  unscaledOffset,
  unsignedOffset,
  writeBack,
} from './addressing.ts';
import { signed } from './operands.ts';

type Access = Partial<MemoryAccess>;

interface Transfer {
  readonly rn: number;
  readonly rt: number;
}
interface SizedTransfer extends Transfer {
  /** Log2 of the access size. */
  readonly size: number;
}

/** Sign-extends a loaded value of `8 << scale` bits (scale 0 to 2) to 64 bits. */
export function signExtended(t: Translation, loaded: Value<'i64'>, scale: number): Value<'i64'> {
  return t.ir.signExtend(loaded, (8 << scale) as 8 | 16 | 32);
}

/** How a loaded value (zero-extended) becomes the register's. */
export type Extension = (t: Translation, loaded: Value<'i64'>, scale: number) => Value<'i32' | 'i64'>;

export const zeroExtension: Extension = (_t, loaded) => loaded;
export const signExtension64: Extension = signExtended;
export const signExtension32: Extension = (t, loaded, scale) => t.ir.toI32(signExtended(t, loaded, scale));

/** Store of a register's low bytes. */
export function store<F>(mode: Addressing<F>, access: Access = {}): (t: Translation, f: F & SizedTransfer) => void {
  return (t, f) => {
    const at = mode(t, f, f.size);
    if (!at) return t.undefined();
    t.memory.store(at.address, t.x(f.rt), accessSize(f.size), access);
    writeBack(t, f.rn, at);
  };
}

function loadSized<F>(
  t: Translation,
  f: F & Transfer,
  scale: number,
  mode: Addressing<F>,
  extension: Extension,
  access: Access,
): void {
  const at = mode(t, f, scale);
  if (!at) return t.undefined();
  const loaded = t.memory.load(at.address, accessSize(scale), access);
  t.setReg(f.rt, extension(t, loaded, scale));
  writeBack(t, f.rn, at);
}

/** Load into a register. */
export function load<F>(
  mode: Addressing<F>,
  extension: Extension = zeroExtension,
  access: Access = {},
): (t: Translation, f: F & SizedTransfer) => void {
  return (t, f) => loadSized(t, f, f.size, mode, extension, access);
}

/** Load of a word, sign-extended to 64 bits. */
export function loadWord<F>(mode: Addressing<F>, access: Access = {}): (t: Translation, f: F & Transfer) => void {
  return (t, f) => loadSized(t, f, 2, mode, signExtension64, access);
}

const prefetch = (): void => {};

export const unsignedOffsets: Semantics<typeof UNSIGNED_OFFSET> = {
  'STR (unsigned offset)': store(unsignedOffset),
  'LDR (unsigned offset)': load(unsignedOffset),
  'LDRSB/H (unsigned offset, 64-bit)': load(unsignedOffset, signExtension64),
  'LDRSB/H (unsigned offset, 32-bit)': load(unsignedOffset, signExtension32),
  'LDRSW (unsigned offset)': loadWord(unsignedOffset),
  'PRFM (unsigned offset)': prefetch,
};

export const unscaledOffsets: Semantics<typeof UNSCALED_OFFSET> = {
  STUR: store(unscaledOffset),
  LDUR: load(unscaledOffset),
  'LDURSB/H (64-bit)': load(unscaledOffset, signExtension64),
  'LDURSB/H (32-bit)': load(unscaledOffset, signExtension32),
  LDURSW: loadWord(unscaledOffset),
  PRFUM: prefetch,
};

export const postIndexed: Semantics<typeof POST_INDEX> = {
  'STR (post-index)': store(postIndex),
  'LDR (post-index)': load(postIndex),
  'LDRSB/H (post-index, 64-bit)': load(postIndex, signExtension64),
  'LDRSB/H (post-index, 32-bit)': load(postIndex, signExtension32),
  'LDRSW (post-index)': loadWord(postIndex),
};

export const preIndexed: Semantics<typeof PRE_INDEX> = {
  'STR (pre-index)': store(preIndex),
  'LDR (pre-index)': load(preIndex),
  'LDRSB/H (pre-index, 64-bit)': load(preIndex, signExtension64),
  'LDRSB/H (pre-index, 32-bit)': load(preIndex, signExtension32),
  'LDRSW (pre-index)': loadWord(preIndex),
};

const UNPRIVILEGED_ACCESS: Access = { regime: 'unprivileged' };

export const unprivileged: Semantics<typeof UNPRIVILEGED> = {
  STTR: store(unscaledOffset, UNPRIVILEGED_ACCESS),
  LDTR: load(unscaledOffset, zeroExtension, UNPRIVILEGED_ACCESS),
  'LDTRSB/H (64-bit)': load(unscaledOffset, signExtension64, UNPRIVILEGED_ACCESS),
  'LDTRSB/H (32-bit)': load(unscaledOffset, signExtension32, UNPRIVILEGED_ACCESS),
  LDTRSW: loadWord(unscaledOffset, UNPRIVILEGED_ACCESS),
};

export const registerOffsets: Semantics<typeof REGISTER_OFFSET> = {
  'STR (register)': store(registerOffset),
  'LDR (register)': load(registerOffset),
  'LDRSB/H (register, 64-bit)': load(registerOffset, signExtension64),
  'LDRSB/H (register, 32-bit)': load(registerOffset, signExtension32),
  'LDRSW (register)': loadWord(registerOffset),
  'PRFM (register)': (t, f) => {
    if (!registerOffset(t, f, 3)) t.undefined();
  },
};

export const literal: Semantics<typeof LITERAL> = {
  'LDR (literal)': (t, f) => t.setReg(f.rt, t.memory.load(t.pc(signed(f.imm19, 19) * 4), f.sf ? 8 : 4)),
  'LDRSW (literal)': (t, f) => {
    t.setReg(f.rt, signExtended(t, t.memory.load(t.pc(signed(f.imm19, 19) * 4), 4), 2));
  },
  'PRFM (literal)': prefetch,
};

interface PairTransfer extends Transfer {
  readonly rt2: number;
}

/** Two registers as one access of twice the size: one translation of the address. */
export function storePairAt(t: Translation, address: Value<'i64'>, sf: number, rt: number, rt2: number): void {
  const { ir } = t;
  if (sf) {
    const both = ir.lane('i64x2.replace_lane', 1, ir.op('i64x2.splat', t.x(rt)), t.x(rt2));
    t.memory.storeV128(address, both, {}, 8);
  } else {
    t.memory.store(address, ir.or(ir.toI64(t.w(rt)), ir.shl(t.x(rt2), 32)), 8, {}, 4);
  }
}

function storePair<F>(mode: Addressing<F>): (t: Translation, f: F & PairTransfer & { readonly sf: number }) => void {
  return (t, f) => {
    const at = mode(t, f, 2 + f.sf);
    if (!at) return t.undefined();
    storePairAt(t, at.address, f.sf, f.rt, f.rt2);
    writeBack(t, f.rn, at);
  };
}

function loadPair<F>(mode: Addressing<F>): (t: Translation, f: F & PairTransfer & { readonly sf: number }) => void {
  return (t, f) => {
    const { ir } = t;
    const at = mode(t, f, 2 + f.sf);
    if (!at) return t.undefined();
    if (f.sf) {
      const both = t.memory.loadV128(at.address, {}, 8);
      t.setReg(f.rt, ir.lane('i64x2.extract_lane', 0, both));
      t.setReg(f.rt2, ir.lane('i64x2.extract_lane', 1, both));
    } else {
      const both = t.memory.load(at.address, 8, {}, 4);
      t.setReg(f.rt, ir.toI32(both));
      t.setReg(f.rt2, ir.shrU(both, 32));
    }
    writeBack(t, f.rn, at);
  };
}

function loadPairOfWords<F>(mode: Addressing<F>): (t: Translation, f: F & PairTransfer) => void {
  return (t, f) => {
    const at = mode(t, f, 2);
    if (!at) return t.undefined();
    const both = t.memory.load(at.address, 8, {}, 4);
    t.setReg(f.rt, signExtended(t, both, 2));
    t.setReg(f.rt2, t.ir.shrS(both, 32));
    writeBack(t, f.rn, at);
  };
}

export const pairs: Semantics<typeof PAIRS> = {
  STNP: storePair(pairOffset),
  LDNP: loadPair(pairOffset),
  'STP (post-index)': storePair(pairPostIndex),
  'LDP (post-index)': loadPair(pairPostIndex),
  'STP (signed offset)': storePair(pairOffset),
  'LDP (signed offset)': loadPair(pairOffset),
  'STP (pre-index)': storePair(pairPreIndex),
  'LDP (pre-index)': loadPair(pairPreIndex),
  'LDPSW (post-index)': loadPairOfWords(pairPostIndex),
  'LDPSW (signed offset)': loadPairOfWords(pairOffset),
  'LDPSW (pre-index)': loadPairOfWords(pairPreIndex),
};
