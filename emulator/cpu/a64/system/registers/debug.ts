/**
 * Self-hosted debug registers.
 *
 * Source: Arm ARM DDI 0487 "The Debug Exception Model", "Debug registers". `self-hosted-debug.ts` is what they control. There is no external debugger: the OS lock only masks
 * debug exceptions, and the debug communication channel is empty.
 */
import type { GenericRegisterName } from '../register-key.ts';
import {
  computed,
  EL0_RO,
  EL0_RW,
  EL1_RO,
  EL1_RW,
  EL1_WO,
  LOW_WORD,
  registers,
  type RowOptions,
  storage,
  type StorageSpec,
  zero,
} from './row.ts';

/** ID_AA64DFR0_EL1.BRPs and WRPs of all models, plus one. */
export const BREAKPOINTS = 6;
export const WATCHPOINTS = 4;

function at(n: number, op2: number): GenericRegisterName {
  return `S2_0_C0_C${n}_${op2}`;
}

const written: StorageSpec['written'] = cpu => cpu.debugRegistersWritten();

function pairs(): Record<string, StorageSpec> {
  const rows: Record<string, StorageSpec> = {};
  for (let n = 0; n < BREAKPOINTS; n++) {
    rows[`DBGBVR${n}_EL1`] = storage(at(n, 4), EL1_RW, { written });
    rows[`DBGBCR${n}_EL1`] = storage(at(n, 5), EL1_RW, { mask: LOW_WORD, written });
  }
  for (let n = 0; n < WATCHPOINTS; n++) {
    rows[`DBGWVR${n}_EL1`] = storage(at(n, 6), EL1_RW, { written });
    rows[`DBGWCR${n}_EL1`] = storage(at(n, 7), EL1_RW, { mask: LOW_WORD, written });
  }
  return rows;
}

export const DEBUG_REGISTERS = registers({
  MDSCR_EL1: storage('S2_0_C0_C2_2', EL1_RW, { mask: LOW_WORD, written: cpu => cpu.contextChanged() }),
  /** OSLM says that the lock is implemented; OSLK is set out of reset. */
  OSLSR_EL1: storage('S2_0_C1_C1_4', EL1_RO, { reset: 0xan }),
  OSDLR_EL1: storage('S2_0_C1_C3_4', EL1_RW, { mask: 1n }),
});

/** OSLSR_EL1.OSLK. */
const OSLK = 2n;
/** MDSCR_EL1.TDCC: EL0 may not use the debug communication channel. */
const TDCC = 1n << 12n;

const CHANNEL: RowOptions = {
  trap: cpu => cpu.exceptionLevel === 0 && (cpu.read(DEBUG_REGISTERS.MDSCR_EL1) & TDCC) !== 0n,
};

export const DEBUG_VIEWS = registers({
  OSLAR_EL1: computed('S2_0_C1_C0_4', EL1_WO, {
    write: (cpu, value) => {
      const locked = (value & 1n) !== 0n;
      cpu.write(DEBUG_REGISTERS.OSLSR_EL1, DEBUG_REGISTERS.OSLSR_EL1.reset & (locked ? ~0n : ~OSLK));
      cpu.contextChanged();
    },
  }),
  MDCCINT_EL1: zero('S2_0_C0_C2_0', EL1_RW),
  MDCCSR_EL0: zero('S2_3_C0_C1_0', EL0_RO, CHANNEL),
  DBGDTR_EL0: zero('S2_3_C0_C4_0', EL0_RW, CHANNEL),
  DBGDTRRX_EL0: zero('S2_3_C0_C5_0', EL0_RW, CHANNEL),
  OSDTRRX_EL1: zero('S2_0_C0_C0_2', EL1_RW),
  OSDTRTX_EL1: zero('S2_0_C0_C3_2', EL1_RW),
  OSECCR_EL1: zero('S2_0_C0_C6_2', EL1_RW),
  MDRAR_EL1: zero('S2_0_C1_C0_0', EL1_RO),
  DBGPRCR_EL1: zero('S2_0_C1_C4_4', EL1_RW),
  DBGCLAIMSET_EL1: zero('S2_0_C7_C8_6', EL1_RW),
  DBGCLAIMCLR_EL1: zero('S2_0_C7_C9_6', EL1_RW),
  DBGAUTHSTATUS_EL1: zero('S2_0_C7_C14_6', EL1_RO),
});

export const BREAKPOINT_REGISTERS = registers(pairs());
