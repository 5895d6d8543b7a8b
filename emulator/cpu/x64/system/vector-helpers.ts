/** Declarations of what vector and floating-point instructions call. */
import { faultingHelper, pureHelper, stateHelper } from '../../ir/helper-declaration.ts';

/** FXSAVE: (address, 1 for the 64-bit form). */
export const fxsave = faultingHelper('x64.fxsave', ['i64', 'i32'], 'none');
export const fxrstor = faultingHelper('x64.fxrstor', ['i64', 'i32'], 'none');
/** XSAVE, XSAVEOPT: components by EDX:EAX and XCR0. */
export const xsave = faultingHelper('x64.xsave', ['i64', 'i32'], 'none');
export const xrstor = faultingHelper('x64.xrstor', ['i64', 'i32'], 'none');
/** LDMXCSR: #GP for reserved bits. */
export const loadMxcsr = faultingHelper('x64.loadMxcsr', ['i32'], 'none');
/** PHMINPOSUW: (low half, high half) → the least word, its position above it. */
export const minimumPosition = pureHelper('x64.minimumPosition', ['i64', 'i64'], 'i64');
/** An x87 operation: (form of `x87-form.ts`, low 64 bits of a memory operand, high 16 bits or a condition) → low 64 bits of a result. */
export const x87 = faultingHelper('x64.x87', ['i32', 'i64', 'i32'], 'i64');
/** FLDENV (0), FRSTOR (1), FNSTENV (2), FNSAVE (3): (which, address, operand size). */
export const x87Environment = faultingHelper('x64.x87Environment', ['i32', 'i64', 'i32'], 'none');
/** Masked moves and gathers: (form of `vector-memory-form.ts`, linear address). Load writes the register, but not what VEX clears above it. */
export const vectorMemory = faultingHelper('x64.vectorMemory', ['i32', 'i64'], 'none');
/** A floating-point operation on the fields `vectorA`, `vectorB`, `vectorC` into `vectorResult`: (form of `sse-form.ts`) → flags of comparisons. */
export const sseFloat = faultingHelper('x64.sseFloat', ['i32'], 'i32');
/**
 * An operation on the fields `vectorA`, `vectorB` into `vectorResult`: (number in `VECTOR_OPERATIONS`, immediate) → index and flags of
 * string comparisons: the index in bits 7 to 0, CF, ZF, SF and OF at their places in EFLAGS above, shifted left by 8.
 */
export const vectorOperation = stateHelper('x64.vectorOperation', ['i32', 'i32'], 'i32');
