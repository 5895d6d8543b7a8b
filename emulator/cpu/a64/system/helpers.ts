/**
 * Declarations of the helpers that system instructions call. `helper-implementations.ts` has their bodies.
 *
 * All of them run with the state's PC at the instruction. Those "that resume" store the PC of the next instruction
 * themselves: the block ends behind them with `Translation.resume`.
 */
import { faultingHelper, stateHelper } from '../../ir/helper-declaration.ts';

/** MRS: (register key) → value. Checks traps that depend on control registers. */
export const readRegister = faultingHelper('a64.readRegister', ['i32'], 'i64');

/** MSR (register): (register key, value), for registers whose write has no effect on translation or mappings. */
export const writeRegister = faultingHelper('a64.writeRegister', ['i32', 'i64'], 'none');

/** MSR (register) that resumes: the write may change mode, mappings or what is pending. */
export const writeControlRegister = faultingHelper('a64.writeControlRegister', ['i32', 'i64'], 'none');

/** MSR (immediate) that resumes: (op1 << 3 | op2, CRm). */
export const writePstate = faultingHelper('a64.writePstate', ['i32', 'i32'], 'none');

/** SYS (IC, DC, AT, TLBI and unnamed ones): (register key, operand). */
export const systemInstruction = faultingHelper('a64.systemInstruction', ['i32', 'i64'], 'none');

/** SYS that resumes: AT faults nothing, but TLBI may take away the page under the code. */
export const systemInstructionAndResume = faultingHelper('a64.systemInstructionAndResume', ['i32', 'i64'], 'none');

/** ERET, ERETAA, ERETAB: (return address); resumes. */
export const exceptionReturn = faultingHelper('a64.exceptionReturn', ['i64'], 'none');

/** WFI and WFIT: may trap; resumes. */
export const waitForInterrupt = faultingHelper('a64.waitForInterrupt', [], 'none');

/** WFE and WFET: may trap; resumes. */
export const waitForEvent = faultingHelper('a64.waitForEvent', [], 'none');

/** SEV: sets the event register of every CPU. */
export const sendEvent = stateHelper('a64.sendEvent', [], 'none');

/** SEVL: sets the event register of this CPU. */
export const sendEventLocal = stateHelper('a64.sendEventLocal', [], 'none');

/** YIELD that resumes: ends this CPU's turn when there are others. */
export const yieldTurn = stateHelper('a64.yieldTurn', [], 'none');

/** Before each instruction while software step is active: raises the step exception when PSTATE.SS is 0, else clears it. */
export const softwareStep = faultingHelper('a64.softwareStep', [], 'none');
