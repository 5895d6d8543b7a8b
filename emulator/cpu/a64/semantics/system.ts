/** Arm ARM DDI 0487 "Branches, Exception Generating and System instructions": hints, barriers, PSTATE and system registers. */
import type { Value } from '../../ir/block.ts';
import type {
  BARRIERS,
  DC_ZVA,
  FP_CONTROL_REGISTERS,
  HINT,
  HINTS,
  PSTATE_FIELDS,
  PSTATE_FLAGS,
  PSTATE_REGISTERS,
  SYSTEM_INSTRUCTIONS,
  SYSTEM_REGISTERS,
} from '../encodings/system.ts';
import type { Semantics } from '../instruction.ts';
import { A64_STATE } from '../state.ts';
import {
  interruptsUnmasked,
  mrs,
  msr,
  msrAndResume,
  msrImmediate,
  sendEvent,
  sendEventLocal,
  sys,
  sysl,
  waitForEvent,
  waitForInterrupt,
  yieldTurn,
} from '../system/helpers.ts';
import { registerAccess } from '../system/register-access.ts';
import { registerKey } from '../system/register-key.ts';
import { isNoOperation } from '../system/system-instructions.ts';
import type { Translation } from '../translation.ts';

/** What an open exclusive monitor has for its address. */
const NO_ADDRESS = -1n;

export const hint: Semantics<typeof HINT> = { HINT: () => {} };

export const hints: Semantics<typeof HINTS> = {
  YIELD: t => {
    t.ir.call(yieldTurn);
    t.resume();
  },
  WFE: t => {
    t.ir.call(waitForEvent);
    t.resume();
  },
  WFI: t => {
    t.ir.call(waitForInterrupt);
    t.resume();
  },
  SEV: t => {
    t.ir.call(sendEvent);
  },
  SEVL: t => {
    t.ir.call(sendEventLocal);
  },
  // What it allows is checked where a block begins
  BTI: () => {},
};

/** One CPU runs at a time and sees memory in program order: data barriers have nothing to do. */
export const barriers: Semantics<typeof BARRIERS> = {
  CLREX: t => t.ir.set(A64_STATE.exclusiveAddress, t.ir.i64(NO_ADDRESS)),
  DSB: () => {},
  DMB: () => {},
  /** System registers take effect at once; code that was changed is looked up anew by an indirect jump. */
  ISB: t => t.indirect(t.pc(4)),
  SB: () => {},
};

interface RegisterFields {
  readonly op1: number;
  readonly crn: number;
  readonly crm: number;
  readonly op2: number;
  readonly rt: number;
}

/** Bits 21 to 0 of the instruction, as the helpers take them. */
function access(t: Translation, isRead: boolean, op0: number, f: RegisterFields): Value<'i32'> {
  return t.ir.i32((Number(isRead) << 21) | (registerKey(op0, f.op1, f.crn, f.crm, f.op2) << 5) | f.rt);
}

const OP0_PSTATE = 0;
const OP0_SYS = 1;

function readRegister(t: Translation, op0: number, f: RegisterFields): void {
  const how = registerAccess(registerKey(op0, f.op1, f.crn, f.crm, f.op2), t.mode, 'read');
  switch (how.kind) {
    case 'field':
      return t.setReg(f.rt, t.ir.get<'i32' | 'i64'>(how.field));
    case 'constant':
      return t.setReg(f.rt, t.ir.i64(how.value));
    case 'helper':
    case 'resume':
      // Reading a random number sets the flags
      t.flags.forget();
      return t.setReg(f.rt, t.ir.call(mrs, access(t, true, op0, f)));
  }
}

function writeRegister(t: Translation, op0: number, f: RegisterFields): void {
  const how = registerAccess(registerKey(op0, f.op1, f.crn, f.crm, f.op2), t.mode, 'write');
  const value = t.x(f.rt);
  if (how.kind === 'field') {
    if (how.field.type === 'i32') t.ir.set(how.field, t.ir.toI32(value));
    else t.ir.set(how.field, value);
  } else if (how.kind === 'resume') {
    t.ir.call(msrAndResume, access(t, false, op0, f), value);
    t.resume();
  } else {
    t.ir.call(msr, access(t, false, op0, f), value);
  }
}

const DAIF = { op1: 3, crn: 4, crm: 2, op2: 1 };
const DAIF_MASK = 0x3c0;
/** Bit number of PSTATE.F, the lowest of DAIF, in SPSR_ELx. */
const DAIF_SHIFT = 6;

/** Ends the block with a checkpoint, because an interrupt may be taken before the next instruction. */
function afterUnmasking(t: Translation): void {
  t.ir.call(interruptsUnmasked);
  t.indirect(t.pc(4));
}

export const systemRegisters: Semantics<typeof SYSTEM_REGISTERS> = {
  'MSR (register)': (t, f) => writeRegister(t, 2 + f.o0, f),
  MRS: (t, f) => readRegister(t, 2 + f.o0, f),
};

export const pstateRegisters: Semantics<typeof PSTATE_REGISTERS> = {
  'MSR NZCV': (t, f) => t.flags.setNzcv(t.w(f.rt)),
  'MRS NZCV': (t, f) => t.setReg(f.rt, t.flags.nzcv()),
  'MSR DAIF': (t, f) => {
    if (t.mode.exceptionLevel === 0) return writeRegister(t, 3, { ...DAIF, rt: f.rt });
    t.ir.set(A64_STATE.daif, t.ir.and(t.w(f.rt), t.ir.i32(DAIF_MASK)));
    afterUnmasking(t);
  },
  'MRS DAIF': (t, f) => {
    if (t.mode.exceptionLevel === 0) return readRegister(t, 3, { ...DAIF, rt: f.rt });
    t.setReg(f.rt, t.ir.get(A64_STATE.daif));
  },
  'MRS CurrentEL': (t, f) => {
    if (t.mode.exceptionLevel === 0) return t.undefined();
    t.setReg(f.rt, t.ir.i64(t.mode.exceptionLevel << 2));
  },
};

/** MSR (immediate) by a helper: op1, op2 and CRm say which field and what value. */
function pstateField(op1: number, op2: number): (t: Translation, f: { readonly crm: number }) => void {
  return (t, { crm }) => {
    const key = access(t, false, OP0_PSTATE, { op1, crn: 4, crm, op2, rt: 31 });
    t.ir.call(msrImmediate, key, t.ir.i32(crm));
    t.resume();
  };
}

export const pstateFields: Semantics<typeof PSTATE_FIELDS> = {
  'MSR UAO, #imm': pstateField(0, 3),
  'MSR PAN, #imm': pstateField(0, 4),
  'MSR SPSel, #imm': pstateField(0, 5),
  'MSR SSBS, #imm': pstateField(3, 1),
  'MSR DIT, #imm': pstateField(3, 2),
  'MSR DAIFSet, #imm': (t, f) => {
    if (t.mode.exceptionLevel === 0) return pstateField(3, 6)(t, f);
    t.ir.set(A64_STATE.daif, t.ir.or(t.ir.get(A64_STATE.daif), t.ir.i32(f.crm << DAIF_SHIFT)));
  },
  'MSR DAIFClr, #imm': (t, f) => {
    if (t.mode.exceptionLevel === 0) return pstateField(3, 7)(t, f);
    t.ir.set(A64_STATE.daif, t.ir.and(t.ir.get(A64_STATE.daif), t.ir.i32(~(f.crm << DAIF_SHIFT))));
    afterUnmasking(t);
  },
};

export const pstateFlags: Semantics<typeof PSTATE_FLAGS> = {
  CFINV: t => t.flags.setC(t.ir.eqz(t.flags.c())),
  XAFLAG: t => {
    const { ir, flags } = t;
    const [c, z] = [flags.c(), flags.z()];
    const [notC, notZ] = [ir.eqz(c), ir.eqz(z)];
    flags.setN(ir.and(notC, notZ));
    flags.setZ(ir.and(z, c));
    flags.setC(ir.or(c, z));
    flags.setV(ir.and(notC, z));
  },
  AXFLAG: t => {
    const { ir, flags } = t;
    const [c, z, v] = [flags.c(), flags.z(), flags.v()];
    flags.setN(ir.i32(0));
    flags.setZ(ir.or(z, v));
    flags.setC(ir.and(c, ir.eqz(v)));
    flags.setV(ir.i32(0));
  },
};

/** FPCR without trap enables: AHP, DN, FZ, RMode, and FZ16 with FEAT_FP16. */
const FPCR_MASK = 0x07c0_0000;
const FPCR_FZ16 = 1 << 19;
/** FPSR: QC, IDC, IXC, UFC, OFC, DZC, IOC. */
const FPSR_MASK = 0x0800_009f;

export const fpControlRegisters: Semantics<typeof FP_CONTROL_REGISTERS> = {
  'MSR FPCR': (t, f) => {
    const mask = t.features.has('FEAT_FP16') ? FPCR_MASK | FPCR_FZ16 : FPCR_MASK;
    t.ir.set(A64_STATE.FPCR, t.ir.and(t.w(f.rt), t.ir.i32(mask)));
  },
  'MRS FPCR': (t, f) => t.setReg(f.rt, t.ir.get(A64_STATE.FPCR)),
  'MSR FPSR': (t, f) => t.ir.set(A64_STATE.FPSR, t.ir.and(t.w(f.rt), t.ir.i32(FPSR_MASK))),
  'MRS FPSR': (t, f) => t.setReg(f.rt, t.ir.get(A64_STATE.FPSR)),
};

/** Bytes that DC ZVA clears: DCZID_EL0.BS is 4. */
export const ZVA_SIZE = 64;

const ZVA = { op1: 3, crn: 7, crm: 4, op2: 1 };

/** SYS by the helper, which raises what has to be raised; nothing where the instruction has no effect. */
function systemInstruction(t: Translation, f: RegisterFields): void {
  if (isNoOperation(registerKey(OP0_SYS, f.op1, f.crn, f.crm, f.op2), t.mode)) return;
  t.ir.call(sys, access(t, false, OP0_SYS, f), t.x(f.rt));
}

export const systemInstructions: Semantics<typeof SYSTEM_INSTRUCTIONS> = {
  SYS: systemInstruction,
  SYSL: (t, f) => t.setReg(f.rt, t.ir.call(sysl, access(t, true, OP0_SYS, f))),
};

export const dcZva: Semantics<typeof DC_ZVA> = {
  'DC ZVA': (t, f) => {
    const { ir } = t;
    // The helper raises the trap when SCTLR_EL1.DZE wants it, and does nothing else
    if (t.mode.cacheMaintenanceTrapped) systemInstruction(t, { ...ZVA, rt: f.rt });
    const start = ir.and(t.x(f.rt), ir.i64(-ZVA_SIZE));
    const zero = ir.v128(new Uint8Array(16));
    for (let at = 0; at < ZVA_SIZE; at += 16) ir.storeV128(ir.add(start, ir.i64(at)), zero);
  },
};
