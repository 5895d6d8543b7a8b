/**
 * Where the A64 registers live in a CPU state block.
 *
 * The condition flags are kept unpacked: N is the sign bit of `nf`, Z is set when `zf` is 0, C is `cf` (0 or 1), V is
 * the sign bit of `vf`. A comparison then costs no more than its subtraction, a carry and an overflow word.
 */
import { CPU_STATE } from '../execute/cpu-state.ts';
import { type StateField, StateLayout } from '../ir/state-field.ts';

const layout = new StateLayout(CPU_STATE.guest);

/** General registers X0 to X30. */
const x = layout.registers('x', 'i64', 31);

/** Fields of the A64 CPU state by name. */
export const A64_STATE = {
  x,
  /** The current stack pointer: SP_EL0 or SP_ELx, as PSTATE.SP selects; the others are parked in `sp_el`. */
  sp: layout.register('sp', 'i64'),
  nf: layout.register('nf', 'i64'),
  zf: layout.register('zf', 'i64'),
  cf: layout.register('cf', 'i32'),
  vf: layout.register('vf', 'i64'),
  /** Vector registers V0 to V31. */
  v: layout.registers('v', 'v128', 32),
  FPCR: layout.system('fpcr', 'i32'),
  FPSR: layout.system('fpsr', 'i32'),
  /** Stack pointers that are not current, by exception level (0 to 3). */
  sp_el: Array.from({ length: 4 }, (_, el) => layout.system(`sp_el${el}`, 'i64')) as readonly StateField<'i64'>[],
  /** Address of the exclusive monitor, or all ones when it is open; see semantics of the exclusives. */
  exclusiveAddress: layout.system('exclusive_address', 'i64'),
  exclusiveLow: layout.system('exclusive_low', 'i64'),
  exclusiveHigh: layout.system('exclusive_high', 'i64'),
  /** PSTATE.DAIF as four bits, D highest, at their place in SPSR_ELx (bits 9 to 6). */
  daif: layout.system('daif', 'i32'),
  /** PSTATE bits that are neither flags nor DAIF: EL, SP, PAN, UAO, DIT, SSBS at their place in SPSR_ELx. */
  pstate: layout.system('pstate', 'i32'),
  /** Where the last indirect branch went, on CPUs with FEAT_BTI; see `branch-target.ts`. */
  branchTarget: layout.system('branch_target', 'i64'),
} as const;

/** The layout itself; the system-register table adds the registers that are plain storage. */
export const A64_LAYOUT: StateLayout = layout;
