/**
 * Arm ARM DDI 0487 "Branches, Exception Generating and System instructions": branches and exception generation.
 *
 * Not modelled: halting debug. A tag that TCR_ELx.TBI ignores is taken from the target of a branch when that is fetched.
 */
import type { Value } from '../../ir/block.ts';
import { branchTypeOfBr, BTYPE } from '../branch-target.ts';
import type { BRANCHES, EXCEPTION_GENERATION } from '../encodings/branches.ts';
import type { Semantics } from '../instruction.ts';
import { exceptionReturn, hypervisorCall, secureMonitorCall, supervisorCall } from '../system/helpers.ts';
import { EXCEPTION_REGISTERS } from '../system/registers/control.ts';
import { HYPERVISOR_REGISTERS } from '../system/registers/hypervisor.ts';
import { EC, type Translation } from '../translation.ts';
import { signed } from './operands.ts';

/** The bit that TBZ tests, in place: 0 or not 0 (as 0 or 1 when it is in the high word). */
function testedBit(
  t: Translation,
  f: { readonly b5: number; readonly b40: number; readonly rt: number },
): Value<'i32'> {
  if (f.b5 === 0) return t.ir.and(t.w(f.rt), t.ir.i32(1 << f.b40));
  return t.ir.ne(t.ir.and(t.x(f.rt), t.ir.i64(1n << BigInt(32 + f.b40))), t.ir.i64(0));
}

/** ELR_ELx of the present level, which is not EL0. */
export function returnAddress(t: Translation): Value<'i64'> {
  const register = t.mode.exceptionLevel === 2 ? HYPERVISOR_REGISTERS.ELR_EL2 : EXCEPTION_REGISTERS.ELR_EL1;
  return t.ir.get(register.field);
}

export const branches: Semantics<typeof BRANCHES> = {
  'B.cond': (t, f) => {
    const distance = signed(f.imm19, 19) * 4;
    if (f.cond >= 14) t.jump(distance);
    else t.branch(t.flags.condition(f.cond), distance);
  },
  B: (t, f) => t.jump(signed(f.imm26, 26) * 4),
  BL: (t, f) => {
    t.setReg(30, t.pc(4));
    t.jump(signed(f.imm26, 26) * 4);
  },
  CBZ: (t, f) => t.branch(t.ir.eqz(t.reg(f.sf, f.rt)), signed(f.imm19, 19) * 4),
  CBNZ: (t, f) => {
    const value = t.reg(f.sf, f.rt);
    t.branch(t.ir.ne(value, t.ir.int(value.type, 0)), signed(f.imm19, 19) * 4);
  },
  TBZ: (t, f) => t.branch(t.ir.eqz(testedBit(t, f)), signed(f.imm14, 14) * 4),
  TBNZ: (t, f) => t.branch(testedBit(t, f), signed(f.imm14, 14) * 4),
  BR: (t, f) => t.branchTo(t.x(f.rn), branchTypeOfBr(f.rn, t.mode.guarded)),
  BLR: (t, f) => {
    const target = t.x(f.rn);
    t.setReg(30, t.pc(4));
    t.branchTo(target, BTYPE.BLR);
  },
  RET: (t, f) => t.branchTo(t.x(f.rn), BTYPE.NONE),
  ERET: t => {
    if (t.mode.exceptionLevel === 0) return t.undefined();
    t.ir.call(exceptionReturn, returnAddress(t));
    t.resume();
  },
};

export const exceptionGeneration: Semantics<typeof EXCEPTION_GENERATION> = {
  SVC: (t, f) => {
    t.ir.call(supervisorCall, t.ir.i32(f.imm16));
    t.resume();
  },
  HVC: (t, f) => {
    if (t.mode.exceptionLevel === 0) return t.undefined();
    t.ir.call(hypervisorCall, t.ir.i32(f.imm16));
    t.resume();
  },
  SMC: (t, f) => {
    if (t.mode.exceptionLevel === 0) return t.undefined();
    t.ir.call(secureMonitorCall, t.ir.i32(f.imm16));
    t.resume();
  },
  BRK: (t, f) => t.raise(EC.BRK64, f.imm16),
  // Halting debug is not modelled: HLT is UNDEFINED then
  HLT: t => t.undefined(),
};
