/**
 * The registers of the performance monitors; `performance-monitor.ts` is what counts.
 *
 * Source: Arm ARM DDI 0487 "Performance Monitors registers".
 */
import { CYCLE_COUNTER, type PerformanceMonitor } from '../performance-monitor.ts';
import type { GenericRegisterName } from '../register-key.ts';
import {
  type ComputedSpec,
  computed,
  EL0_RO,
  EL0_RW,
  EL0_WO,
  EL1_RW,
  type Permission,
  registers,
  type RowOptions,
  storage,
  zero,
} from './row.ts';

const PMUSERENR = { EN: 1n, SW: 2n, CR: 4n, ER: 8n } as const;
/** PMCEID0_EL0: event 0x11, CPU_CYCLES. */
const CPU_CYCLES = 1n << 0x11n;
/** PMCR_EL0.IMP is MIDR_EL1.Implementer at the same place. */
const IMPLEMENTER = 0xff00_0000n;

/** Traps EL0 unless one of these PMUSERENR_EL0 bits is set. */
function el0Needs(bits: bigint): RowOptions {
  return { trap: cpu => cpu.exceptionLevel === 0 && (cpu.read(USER_ENABLE.PMUSERENR_EL0) & bits) === 0n };
}

const ENABLED = el0Needs(PMUSERENR.EN);

const USER_ENABLE = registers({
  PMUSERENR_EL0: storage('S3_3_C9_C14_0', { read: 0, write: 1 }, { mask: 0xfn }),
});

type BitRegister = 'enabled' | 'interruptsEnabled' | 'overflowed';

/** A register whose writes set, or clear, bits of the monitors. */
function bits(
  encoding: GenericRegisterName,
  permission: Permission,
  name: BitRegister,
  action: 'set' | 'clear',
): ComputedSpec {
  const apply = (monitor: PerformanceMonitor, value: bigint): void => {
    const changed = value & CYCLE_COUNTER;
    monitor[name] = action === 'set' ? monitor[name] | changed : monitor[name] & ~changed;
  };
  return computed(encoding, permission, {
    ...ENABLED,
    read: cpu => cpu.performance[name],
    write: (cpu, value) => apply(cpu.performance, value),
  });
}

export const PERFORMANCE_REGISTERS = registers({
  PMCR_EL0: computed('S3_3_C9_C12_0', EL0_RW, {
    ...ENABLED,
    read: cpu => (cpu.configuration.model.MIDR_EL1 & IMPLEMENTER) | cpu.performance.control,
    write: (cpu, value) => cpu.performance.writeControl(value),
  }),
  PMCNTENSET_EL0: bits('S3_3_C9_C12_1', EL0_RW, 'enabled', 'set'),
  PMCNTENCLR_EL0: bits('S3_3_C9_C12_2', EL0_RW, 'enabled', 'clear'),
  PMOVSCLR_EL0: bits('S3_3_C9_C12_3', EL0_RW, 'overflowed', 'clear'),
  PMOVSSET_EL0: bits('S3_3_C9_C14_3', EL0_RW, 'overflowed', 'set'),
  PMINTENSET_EL1: bits('S3_0_C9_C14_1', EL1_RW, 'interruptsEnabled', 'set'),
  PMINTENCLR_EL1: bits('S3_0_C9_C14_2', EL1_RW, 'interruptsEnabled', 'clear'),
  PMSWINC_EL0: zero('S3_3_C9_C12_4', EL0_WO, el0Needs(PMUSERENR.EN | PMUSERENR.SW)),
  PMSELR_EL0: storage('S3_3_C9_C12_5', EL0_RW, { mask: 0x1fn, ...el0Needs(PMUSERENR.EN | PMUSERENR.ER) }),
  PMCEID0_EL0: computed('S3_3_C9_C12_6', EL0_RO, { ...ENABLED, read: () => CPU_CYCLES }),
  PMCEID1_EL0: zero('S3_3_C9_C12_7', EL0_RO, ENABLED),
  PMCCNTR_EL0: computed('S3_3_C9_C13_0', EL0_RW, {
    ...el0Needs(PMUSERENR.EN | PMUSERENR.CR),
    read: cpu => cpu.performance.cycleCounter,
    write: (cpu, value) => (cpu.performance.cycleCounter = value),
  }),
  PMXEVTYPER_EL0: zero('S3_3_C9_C13_1', EL0_RW, ENABLED),
  PMXEVCNTR_EL0: zero('S3_3_C9_C13_2', EL0_RW, el0Needs(PMUSERENR.EN | PMUSERENR.ER)),
  PMCCFILTR_EL0: storage('S3_3_C14_C15_7', EL0_RW, { mask: 0xf800_0000n, ...ENABLED }),
});

export const PERFORMANCE_ACCESS = USER_ENABLE;
