/** Pointer authentication. Source: Arm ARM DDI 0487 "Pointer authentication". Helpers compute; without FEAT_PAuth the hints are NOP. */
import type { Value } from '../../ir/block.ts';
import type { PAUTH, PAUTH_BRANCHES, PAUTH_HINTS, PAUTH_LOADS } from '../encodings/pauth.ts';
import { branchTypeOfBr, BTYPE } from '../branch-target.ts';
import type { Semantics } from '../instruction.ts';
import { exceptionReturn, pacAuthenticate, pacGeneric, pacSign, pacStrip } from '../system/helpers.ts';
import type { Translation } from '../translation.ts';
import { returnAddress } from './branches.ts';
import { signed } from './operands.ts';

/** Key numbers as the helpers take them. */
const KEY = { IA: 0, IB: 1, DA: 2, DB: 3 } as const;
const LR = 30;

type Helper = typeof pacSign;
type Modifier = (t: Translation) => Value<'i64'>;

const zero: Modifier = t => t.ir.i64(0);
const sp: Modifier = t => t.xOrSp(31);
const x16: Modifier = t => t.x(16);

/** Calls a helper with a key number; the slot spreads instruction and stack addresses. At EL2 the keys are disabled. */
function call(
  t: Translation,
  helper: Helper,
  key: number,
  pointer: Value<'i64'>,
  modifier: Value<'i64'>,
): Value<'i64'> {
  const { ir } = t;
  if (t.mode.exceptionLevel === 2) return pointer;
  const slot = ir.toI32(ir.xor(ir.shrU(pointer, 2), ir.shrU(modifier, 4)));
  return ir.call(helper, ir.i32(key), slot, pointer, modifier);
}

function convert(t: Translation, helper: Helper, key: number, register: number, modifier: Value<'i64'>): void {
  t.setReg(register, call(t, helper, key, t.x(register), modifier));
}

/** A form in hint space: a fixed register and modifier. */
function hint(helper: Helper, key: number, register: number, modifier: Modifier): (t: Translation) => void {
  return t => {
    if (t.features.has('FEAT_PAuth')) convert(t, helper, key, register, modifier(t));
  };
}

export const pauthHints: Semantics<typeof PAUTH_HINTS> = {
  XPACLRI: t => {
    if (t.features.has('FEAT_PAuth')) t.setReg(LR, t.ir.call(pacStrip, t.ir.i32(0), t.x(LR)));
  },
  PACIA1716: hint(pacSign, KEY.IA, 17, x16),
  PACIB1716: hint(pacSign, KEY.IB, 17, x16),
  AUTIA1716: hint(pacAuthenticate, KEY.IA, 17, x16),
  AUTIB1716: hint(pacAuthenticate, KEY.IB, 17, x16),
  PACIAZ: hint(pacSign, KEY.IA, LR, zero),
  PACIASP: hint(pacSign, KEY.IA, LR, sp),
  PACIBZ: hint(pacSign, KEY.IB, LR, zero),
  PACIBSP: hint(pacSign, KEY.IB, LR, sp),
  AUTIAZ: hint(pacAuthenticate, KEY.IA, LR, zero),
  AUTIASP: hint(pacAuthenticate, KEY.IA, LR, sp),
  AUTIBZ: hint(pacAuthenticate, KEY.IB, LR, zero),
  AUTIBSP: hint(pacAuthenticate, KEY.IB, LR, sp),
};

export const pauth: Semantics<typeof PAUTH> = {
  'PACIA/IB/DA/DB': (t, f) => convert(t, pacSign, f.key, f.rd, t.xOrSp(f.rn)),
  'AUTIA/IB/DA/DB': (t, f) => convert(t, pacAuthenticate, f.key, f.rd, t.xOrSp(f.rn)),
  'PACIZA/IZB/DZA/DZB': (t, f) => convert(t, pacSign, f.key, f.rd, zero(t)),
  'AUTIZA/IZB/DZA/DZB': (t, f) => convert(t, pacAuthenticate, f.key, f.rd, zero(t)),
  'XPACI/D': (t, f) => t.setReg(f.rd, t.ir.call(pacStrip, t.ir.i32(f.D), t.x(f.rd))),
  PACGA: (t, f) => t.setReg(f.rd, t.ir.call(pacGeneric, t.x(f.rn), t.xOrSp(f.rm))),
};

/** Authenticates register `rn` with instruction key A (0) or B (1). */
function authenticated(t: Translation, M: number, rn: number, modifier: Value<'i64'>): Value<'i64'> {
  return call(t, pacAuthenticate, M, t.x(rn), modifier);
}

interface BranchFields {
  readonly M: number;
  readonly rn: number;
}

function branch(t: Translation, f: BranchFields, modifier: Value<'i64'>): void {
  t.branchTo(authenticated(t, f.M, f.rn, modifier), branchTypeOfBr(f.rn, t.mode.guarded));
}

function branchWithLink(t: Translation, f: BranchFields, modifier: Value<'i64'>): void {
  const target = authenticated(t, f.M, f.rn, modifier);
  t.setReg(LR, t.pc(4));
  t.branchTo(target, BTYPE.BLR);
}

export const pauthBranches: Semantics<typeof PAUTH_BRANCHES> = {
  'BRAAZ/BZ': (t, f) => branch(t, f, zero(t)),
  'BLRAAZ/BZ': (t, f) => branchWithLink(t, f, zero(t)),
  'RETAA/AB': (t, f) => t.branchTo(authenticated(t, f.M, LR, sp(t)), BTYPE.NONE),
  'ERETAA/AB': (t, f) => {
    if (t.mode.exceptionLevel === 0) return t.undefined();
    t.ir.call(exceptionReturn, call(t, pacAuthenticate, f.M, returnAddress(t), sp(t)));
    t.resume();
  },
  'BRAA/AB': (t, f) => branch(t, f, t.xOrSp(f.rm)),
  'BLRAA/AB': (t, f) => branchWithLink(t, f, t.xOrSp(f.rm)),
};

export const pauthLoads: Semantics<typeof PAUTH_LOADS> = {
  'LDRAA/AB': (t, f) => {
    const { ir } = t;
    const pointer = call(t, pacAuthenticate, f.M ? KEY.DB : KEY.DA, t.xOrSp(f.rn), zero(t));
    const address = ir.add(pointer, ir.i64(signed((f.S << 9) | f.imm9, 10) * 8));
    t.setReg(f.rt, t.memory.load(address, 8));
    if (f.W) t.setRegOrSp(f.rn, address);
  },
};
