/**
 * Declarations of the system behaviour that translated A64 code calls. The implementations act on the CPU that runs now.
 *
 * A helper "continues" when it stores the address of the next instruction as the CPU's PC (or raises an exception instead): the block
 * ends behind it with the terminal `resume`.
 */
import { faultingHelper, stateHelper, systemHelper } from '../../ir/helper-declaration.ts';

// System registers. `access` is bits 21 to 0 of the instruction word: L (1 reads), op0, op1, CRn, CRm, op2, Rt; see `accessKey`.
// Each raises the exception that the architecture demands when the access is not allowed.

/** MRS: (access) → value. */
export const mrs = faultingHelper('a64.mrs', ['i32'], 'i64');
/** MSR (register): (access, value). What it changes takes effect without leaving the block (interrupts: `requestAttention`). */
export const msr = faultingHelper('a64.msr', ['i32', 'i64'], 'none');
/** MSR (register) of a register on which translation or mappings depend: (access, value); continues. */
export const msrAndResume = faultingHelper('a64.msrAndResume', ['i32', 'i64'], 'none');
/** MSR (immediate) of a PSTATE field other than DAIF at EL1 and above: (access, CRm); continues. */
export const msrImmediate = faultingHelper('a64.msrImmediate', ['i32', 'i32'], 'none');
/** SYS: DC, IC, AT, TLBI and their like, except DC ZVA: (access, value of Xt). */
export const sys = faultingHelper('a64.sys', ['i32', 'i64'], 'none');
/** SYSL: (access) → value. */
export const sysl = faultingHelper('a64.sysl', ['i32'], 'i64');

/** PSTATE.DAIF has fewer bits set than before: looks for interrupts that may be taken now (`requestAttention`). */
export const interruptsUnmasked = stateHelper('a64.interruptsUnmasked', [], 'none');

// Exceptions. The preferred return address of the calls is the next instruction; they count as retired when they do not trap.

/** SVC #imm; continues at the exception vector. */
export const supervisorCall = faultingHelper('a64.supervisorCall', ['i32'], 'none');
/** HVC #imm: PSCI, where the board says so; continues. */
export const hypervisorCall = faultingHelper('a64.hypervisorCall', ['i32'], 'none');
/** SMC #imm: PSCI, where the board says so; continues. */
export const secureMonitorCall = faultingHelper('a64.secureMonitorCall', ['i32'], 'none');
/** ERET to an address: restores PSTATE and PC, opens the exclusive monitor; continues. */
export const exceptionReturn = faultingHelper('a64.exceptionReturn', ['i64'], 'none');

// At the target of a branch. `branchType`: PSTATE.BTYPE, which the exception saves

/** Raises a synchronous exception: (ESR_ELx.EC, ESR_ELx.ISS, branchType). */
export const raiseAtBranchTarget = faultingHelper('a64.raiseAtBranchTarget', ['i32', 'i32', 'i32'], 'none');
/** PACIASP or PACIBSP in a guarded page: (branchType); raises the Branch Target exception where SCTLR_ELx.BT wants it. */
export const checkSigningLandingPad = faultingHelper('a64.checkSigningLandingPad', ['i32'], 'none');

// Debug exceptions: (branchType)

/** Before each instruction while `A64Mode.stepping`: raises the software step exception when PSTATE.SS is 0, else clears it. */
export const softwareStep = faultingHelper('a64.softwareStep', ['i32'], 'none');
/** Before each instruction while `A64Mode.breakpoints`: raises the Breakpoint exception when one matches. */
export const checkBreakpoints = faultingHelper('a64.checkBreakpoints', ['i32'], 'none');

// Waiting

/** WFI: may trap, else waits for an interrupt; continues. */
export const waitForInterrupt = faultingHelper('a64.waitForInterrupt', [], 'none');
/** WFE: may trap, else waits for an event (or consumes one), and ends the CPU's turn; continues. */
export const waitForEvent = faultingHelper('a64.waitForEvent', [], 'none');
/** YIELD: ends the CPU's turn; continues. */
export const yieldTurn = stateHelper('a64.yield', [], 'none');
/** SEV: signals all CPUs. */
export const sendEvent = stateHelper('a64.sendEvent', [], 'none');
/** SEVL: signals this CPU. */
export const sendEventLocal = stateHelper('a64.sendEventLocal', [], 'none');

// Pointer authentication (`pauth.ts` has the computation). `key`: 0 IA, 1 IB, 2 DA, 3 DB; `slot`: any hash of pointer and modifier.
// They return the pointer unchanged where SCTLR_EL1 has the key disabled.

/** PAC*: (key, slot, pointer, modifier) → signed pointer. */
export const pacSign = systemHelper('a64.pacSign', ['i32', 'i32', 'i64', 'i64'], 'i64');
/** AUT*: (key, slot, pointer, modifier) → pointer, made invalid when the signature is wrong. */
export const pacAuthenticate = systemHelper('a64.pacAuthenticate', ['i32', 'i32', 'i64', 'i64'], 'i64');
/** XPACI (0), XPACD (1): (is data, pointer) → pointer without signature. */
export const pacStrip = systemHelper('a64.pacStrip', ['i32', 'i64'], 'i64');
/** PACGA: (value, modifier) → code in the high 32 bits. */
export const pacGeneric = systemHelper('a64.pacGeneric', ['i64', 'i64'], 'i64');

/** The register-key (`register-key.ts`) that an `access` names. */
export function accessKey(access: number): number {
  return (access >>> 5) & 0xffff;
}
