/**
 * The generic timer's registers. The timer itself is a device of the board.
 *
 * Source: Arm ARM DDI 0487 "The Generic Timer in AArch64 state".
 */
import type { A64Cpu } from '../../cpu.ts';
import type { TimerRegisters } from '../interfaces.ts';
import type { GenericRegisterName } from '../register-key.ts';
import { type ComputedSpec, computed, EL0_R_EL1_W, EL0_RO, EL0_RW, EL1_RW, EL2_RW, registers, storage } from './row.ts';

/** CNTKCTL_EL1: what EL0 may reach. */
const CNTKCTL = { EL0PCTEN: 1n << 0n, EL0VCTEN: 1n << 1n, EL0VTEN: 1n << 8n, EL0PTEN: 1n << 9n } as const;
/** CNTHCTL_EL2 (without E2H): what EL1 and EL0 may reach of the physical timer. */
const CNTHCTL = { EL1PCTEN: 1n << 0n, EL1PCEN: 1n << 1n } as const;

/** Traps EL0 when none of these CNTKCTL_EL1 bits is set. */
function el0Needs(bits: bigint): ComputedSpec['trap'] {
  return cpu => cpu.exceptionLevel === 0 && (cpu.timer.readCNTKCTL() & bits) === 0n;
}

/** As `el0Needs`; below EL2 also the CNTHCTL_EL2 bit is needed. */
function physical(el0Bits: bigint, el2Bit: bigint): ComputedSpec['trap'] {
  const el0 = el0Needs(el0Bits)!;
  return (cpu, direction) => el0(cpu, direction) || (cpu.exceptionLevel < 2 && !allowedByEl2(cpu, el2Bit));
}

function allowedByEl2(cpu: A64Cpu, bit: bigint): boolean {
  return !cpu.configuration.hasEl2 || (cpu.read(HYPERVISOR_TIMER.CNTHCTL_EL2) & bit) !== 0n;
}

type Channel = (cpu: A64Cpu) => TimerRegisters;

/** CVAL, CTL and TVAL of a timer at `S3_op1_C14_CRm_*`. */
function channel(
  name: string,
  prefix: `S3_${number}_C14_C${number}`,
  of: Channel,
  permission: ComputedSpec['permission'],
  trap?: ComputedSpec['trap'],
) {
  const suffix = permission === EL2_RW ? 'EL2' : 'EL0';
  const options = trap === undefined ? {} : { trap };
  const at = (op2: number): GenericRegisterName => `${prefix}_${op2}` as GenericRegisterName;
  return {
    [`${name}_TVAL_${suffix}`]: computed(at(0), permission, {
      ...options,
      read: cpu => of(cpu).readTVAL(),
      write: (cpu, value) => of(cpu).writeTVAL(value),
    }),
    [`${name}_CTL_${suffix}`]: computed(at(1), permission, {
      ...options,
      read: cpu => of(cpu).readCTL(),
      write: (cpu, value) => of(cpu).writeCTL(value),
    }),
    [`${name}_CVAL_${suffix}`]: computed(at(2), permission, {
      ...options,
      read: cpu => of(cpu).readCVAL(),
      write: (cpu, value) => of(cpu).writeCVAL(value),
    }),
  };
}

export const HYPERVISOR_TIMER = registers({
  /** Reset value as QEMU's: EL1 may use the physical timer. */
  CNTHCTL_EL2: storage('S3_4_C14_C1_0', EL2_RW, { requires: 'EL2', reset: 3n }),
});

export const TIMER_REGISTERS = registers({
  CNTFRQ_EL0: computed('S3_3_C14_C0_0', EL0_R_EL1_W, {
    read: cpu => cpu.timer.readCNTFRQ(),
    trap: el0Needs(CNTKCTL.EL0PCTEN | CNTKCTL.EL0VCTEN)!,
  }),
  CNTPCT_EL0: computed('S3_3_C14_C0_1', EL0_RO, {
    read: cpu => cpu.timer.readCNTPCT(),
    trap: physical(CNTKCTL.EL0PCTEN, CNTHCTL.EL1PCTEN)!,
  }),
  CNTVCT_EL0: computed('S3_3_C14_C0_2', EL0_RO, {
    read: cpu => cpu.timer.readCNTVCT(),
    trap: el0Needs(CNTKCTL.EL0VCTEN)!,
  }),
  ...channel('CNTP', 'S3_3_C14_C2', cpu => cpu.timer.cntp, EL0_RW, physical(CNTKCTL.EL0PTEN, CNTHCTL.EL1PCEN)),
  ...channel('CNTV', 'S3_3_C14_C3', cpu => cpu.timer.cntv, EL0_RW, el0Needs(CNTKCTL.EL0VTEN)),
  ...channel('CNTHP', 'S3_4_C14_C2', cpu => cpu.timer.cnthp, EL2_RW),
  CNTKCTL_EL1: computed('S3_0_C14_C1_0', EL1_RW, {
    read: cpu => cpu.timer.readCNTKCTL(),
    write: (cpu, value) => cpu.timer.writeCNTKCTL(value),
  }),
  CNTVOFF_EL2: computed('S3_4_C14_C0_3', EL2_RW, {
    requires: 'EL2',
    read: cpu => cpu.timer.readCNTVOFF(),
    write: (cpu, value) => cpu.timer.writeCNTVOFF(value),
  }),
});
