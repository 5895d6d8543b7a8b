import { describe, expect, test } from 'vitest';
import { type A64Mode, modeKey, modeOfKey } from '../../../../../emulator/cpu/a64/mode.ts';
import { A64_STATE } from '../../../../../emulator/cpu/a64/state.ts';
import { PerformanceMonitor } from '../../../../../emulator/cpu/a64/system/performance-monitor.ts';
import { registerAccess } from '../../../../../emulator/cpu/a64/system/register-access.ts';
import { type GenericRegisterName, keyOf } from '../../../../../emulator/cpu/a64/system/register-key.ts';

const EL1: A64Mode = {
  exceptionLevel: 1,
  simdTrapped: false,
  stepping: false,
  guarded: false,
  cacheMaintenanceTrapped: false,
  handlerStack: true,
  breakpoints: false,
  alignmentChecked: false,
  stackChecked: false,
};
const EL0: A64Mode = { ...EL1, exceptionLevel: 0, handlerStack: false };

describe('the access to a register', () => {
  test.each<readonly [string, GenericRegisterName, A64Mode, 'read' | 'write', string]>([
    ['TPIDR_EL1 is storage at EL1', 'S3_0_C13_C0_4', EL1, 'read', 'field'],
    ['TPIDR_EL1 is checked at EL0', 'S3_0_C13_C0_4', EL0, 'read', 'helper'],
    ['TPIDR_EL0 is storage at EL0', 'S3_3_C13_C0_2', EL0, 'write', 'field'],
    ['TPIDRRO_EL0 is read at EL0', 'S3_3_C13_C0_3', EL0, 'read', 'field'],
    ['TPIDRRO_EL0 is not written at EL0', 'S3_3_C13_C0_3', EL0, 'write', 'helper'],
    ['TTBR0_EL1 is read in place', 'S3_0_C2_C0_0', EL1, 'read', 'field'],
    ['a write to TTBR0_EL1 ends the block', 'S3_0_C2_C0_0', EL1, 'write', 'resume'],
    ['ESR_EL1 is storage', 'S3_0_C5_C2_0', EL1, 'write', 'field'],
    ['DCZID_EL0 is a constant', 'S3_3_C0_C0_7', EL0, 'read', 'constant'],
    ['DCZID_EL0 shows DZE', 'S3_3_C0_C0_7', { ...EL0, cacheMaintenanceTrapped: true }, 'read', 'helper'],
    ['CTR_EL0 may trap at EL0', 'S3_3_C0_C0_1', EL0, 'read', 'helper'],
    ['an unknown register is for the helper to refuse', 'S3_3_C15_C15_7', EL1, 'read', 'helper'],
  ])('%s', (_, name, mode, direction, kind) => {
    expect(registerAccess(keyOf(name), mode, direction).kind).toBe(kind);
  });

  test('SP_EL0 is the parked stack pointer while SP_EL1 is in use', () => {
    const key = keyOf('S3_0_C4_C1_0');
    expect(registerAccess(key, EL1, 'read')).toEqual({ kind: 'field', field: A64_STATE.sp_el[0] });
    expect(registerAccess(key, { ...EL1, handlerStack: false }, 'read').kind).toBe('helper');
  });
});

test('mode keys are below 512 and give the mode back', () => {
  for (let key = 0; key < 512; key++) {
    if ((key & 3) === 3) continue;
    expect(modeKey(modeOfKey(key))).toBe(key);
  }
});

describe('the cycle counter', () => {
  /** PMCR_EL0.E and C; PMCNTENSET_EL0.C. */
  const E = 1n;
  const C = 4n;
  const CYCLES = 1n << 31n;
  test('counts instructions while enabled by PMCR_EL0.E and its own bit', () => {
    let retired = 100n;
    const monitor = new PerformanceMonitor(() => retired);
    monitor.writeControl(E);
    retired = 200n;
    expect(monitor.cycleCounter).toBe(0n);
    monitor.enabled = CYCLES;
    retired = 250n;
    expect(monitor.cycleCounter).toBe(50n);
    monitor.writeControl(0n);
    retired = 300n;
    expect(monitor.cycleCounter).toBe(50n);
    monitor.writeControl(E);
    monitor.cycleCounter = 1000n;
    retired = 301n;
    expect(monitor.cycleCounter).toBe(1001n);
    monitor.writeControl(E | C);
    expect(monitor.cycleCounter).toBe(0n);
  });
});
