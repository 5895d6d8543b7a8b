/**
 * Meaning of the loads and stores of one vector register or a pair, of 1 to 16 bytes each.
 *
 * Source: Arm ARM DDI 0487 "Loads and Stores". Not modelled: big-endian data (SCTLR_ELx.EE).
 */
import type { Value } from '../../ir/block.ts';
import type { SIMD_LOAD_STORE } from '../encodings/simd-load-store.ts';
import type { Semantics } from '../instruction.ts';
import type { Translation } from '../translation.ts';
import {
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
import { loadVector, storeVector } from './simd-memory.ts';

interface SingleFields {
  readonly size: number;
  readonly opc: number;
  readonly rn: number;
  readonly rt: number;
}

/** log2 of the bytes: opc<1>:size; more than 4 does not exist. */
const scaleOf = ({ opc, size }: SingleFields): number => (opc << 2) | size;

function load<F>(mode: Addressing<F>) {
  return (t: Translation, fields: F & SingleFields): void => {
    const scale = scaleOf(fields);
    const at = scale > 4 ? undefined : mode(t, fields, scale);
    if (!at) return t.undefined();
    t.setV(fields.rt, loadVector(t, at.address, 0, scale));
    writeBack(t, fields.rn, at);
  };
}

function store<F>(mode: Addressing<F>) {
  return (t: Translation, fields: F & SingleFields): void => {
    const scale = scaleOf(fields);
    const at = scale > 4 ? undefined : mode(t, fields, scale);
    if (!at) return t.undefined();
    storeVector(t, at.address, 0, scale, t.v(fields.rt));
    writeBack(t, fields.rn, at);
  };
}

interface PairFields {
  readonly opc: number;
  readonly imm7: number;
  readonly rt2: number;
  readonly rn: number;
  readonly rt: number;
}

/** Transfers both registers of a pair at the address. */
type TransferPair = (t: Translation, address: Value<'i64'>, scale: number, fields: PairFields) => void;

const loadBoth: TransferPair = (t, address, scale, { rt, rt2 }) => {
  const low = loadVector(t, address, 0, scale);
  const high = loadVector(t, address, 1 << scale, scale);
  t.setV(rt, low);
  t.setV(rt2, high);
};

const storeBoth: TransferPair = (t, address, scale, { rt, rt2 }) => {
  storeVector(t, address, 0, scale, t.v(rt));
  storeVector(t, address, 1 << scale, scale, t.v(rt2));
};

function pair(transfer: TransferPair, mode: Addressing<PairFields>) {
  return (t: Translation, fields: PairFields): void => {
    const scale = 2 + fields.opc;
    const at = fields.opc === 3 ? undefined : mode(t, fields, scale);
    if (!at) return t.undefined();
    transfer(t, at.address, scale, fields);
    writeBack(t, fields.rn, at);
  };
}

export const loadStoreSemantics: Semantics<typeof SIMD_LOAD_STORE> = {
  'STR (immediate, SIMD&FP, unsigned offset)': store(unsignedOffset),
  'STR (immediate, SIMD&FP, post-index)': store(postIndex),
  'STR (immediate, SIMD&FP, pre-index)': store(preIndex),
  'STR (register, SIMD&FP)': store(registerOffset),
  'STUR (SIMD&FP)': store(unscaledOffset),
  'LDR (immediate, SIMD&FP, unsigned offset)': load(unsignedOffset),
  'LDR (immediate, SIMD&FP, post-index)': load(postIndex),
  'LDR (immediate, SIMD&FP, pre-index)': load(preIndex),
  'LDR (register, SIMD&FP)': load(registerOffset),
  'LDUR (SIMD&FP)': load(unscaledOffset),
  'LDR (literal, SIMD&FP)': (t, { opc, imm19, rt }) => {
    if (opc === 3) return t.undefined();
    t.setV(rt, loadVector(t, t.pc(signed(imm19, 19) * 4), 0, 2 + opc));
  },
  // The non-temporal forms differ in a hint alone.
  'STNP (SIMD&FP)': pair(storeBoth, pairOffset),
  'STP (SIMD&FP, post-index)': pair(storeBoth, pairPostIndex),
  'STP (SIMD&FP, signed offset)': pair(storeBoth, pairOffset),
  'STP (SIMD&FP, pre-index)': pair(storeBoth, pairPreIndex),
  'LDNP (SIMD&FP)': pair(loadBoth, pairOffset),
  'LDP (SIMD&FP, post-index)': pair(loadBoth, pairPostIndex),
  'LDP (SIMD&FP, signed offset)': pair(loadBoth, pairOffset),
  'LDP (SIMD&FP, pre-index)': pair(loadBoth, pairPreIndex),
};
