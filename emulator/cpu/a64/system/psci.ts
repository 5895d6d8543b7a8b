/**
 * Power control by firmware calls.
 *
 * Source: PSCI, DEN 0022 "PSCI function prototypes", "Return error codes"; SMCCC, DEN 0028 "SMC and HVC calling convention".
 * As QEMU 7.2's `virt` answers: PSCI 1.1, and every other call (SMCCC_VERSION among them, which makes guests assume
 * SMCCC 1.0) is NOT_SUPPORTED.
 */
import type { A64Cpu } from '../cpu.ts';
import type { CpuOnResult } from './interfaces.ts';

const FUNCTION = {
  PSCI_VERSION: 0x8400_0000,
  CPU_SUSPEND_32: 0x8400_0001,
  CPU_SUSPEND_64: 0xc400_0001,
  CPU_OFF: 0x8400_0002,
  CPU_ON_32: 0x8400_0003,
  CPU_ON_64: 0xc400_0003,
  AFFINITY_INFO_32: 0x8400_0004,
  AFFINITY_INFO_64: 0xc400_0004,
  MIGRATE_INFO_TYPE: 0x8400_0006,
  SYSTEM_OFF: 0x8400_0008,
  SYSTEM_RESET: 0x8400_0009,
  PSCI_FEATURES: 0x8400_000a,
  SYSTEM_RESET2_32: 0x8400_0012,
  SYSTEM_RESET2_64: 0xc400_0012,
} as const;

const SUPPORTED: ReadonlySet<number> = new Set(Object.values(FUNCTION));

/** Return codes. */
const RESULT = {
  SUCCESS: 0n,
  NOT_SUPPORTED: -1n,
  INVALID_PARAMETERS: -2n,
  ALREADY_ON: -4n,
  ON_PENDING: -5n,
  INVALID_ADDRESS: -9n,
} as const;

const CPU_ON_RESULT: Readonly<Record<CpuOnResult, bigint>> = {
  success: RESULT.SUCCESS,
  'already-on': RESULT.ALREADY_ON,
  'on-pending': RESULT.ON_PENDING,
  'invalid-parameters': RESULT.INVALID_PARAMETERS,
  'invalid-address': RESULT.INVALID_ADDRESS,
};

const VERSION_1_1 = 0x1_0001n;
/** MIGRATE_INFO_TYPE: no trusted OS that would need migration. */
const TOS_NOT_PRESENT = 2n;
/** AFFINITY_INFO. */
const AFFINITY = { ON: 0n, OFF: 1n } as const;
/** Aff3, Aff2, Aff1, Aff0. */
const AFFINITY_MASK = 0xff_00ff_ffffn;
/** SMCCC: bit 30 of a function says that its arguments are 64 bits wide. */
const WIDE_ARGUMENTS = 1 << 30;

/** Serves the call in X0 to X3; the result goes to X0. The PC is already that of the next instruction. */
export function callPsci(cpu: A64Cpu): void {
  const id = Number(cpu.registers.x(0) & 0xffff_ffffn);
  const mask = (id & WIDE_ARGUMENTS) === 0 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
  const argument = (n: 1 | 2 | 3): bigint => cpu.registers.x(n) & mask;
  const result = serve(cpu, id, argument);
  if (result !== undefined) cpu.registers.setX(0, result);
}

/** @returns `undefined` when the call does not return */
function serve(cpu: A64Cpu, id: number, argument: (n: 1 | 2 | 3) => bigint): bigint | undefined {
  switch (id) {
    case FUNCTION.PSCI_VERSION:
      return VERSION_1_1;
    case FUNCTION.PSCI_FEATURES:
      return SUPPORTED.has(Number(argument(1))) ? RESULT.SUCCESS : RESULT.NOT_SUPPORTED;
    case FUNCTION.MIGRATE_INFO_TYPE:
      return TOS_NOT_PRESENT;
    case FUNCTION.CPU_ON_32:
    case FUNCTION.CPU_ON_64:
      return cpuOn(cpu, argument(1), argument(2), argument(3));
    case FUNCTION.AFFINITY_INFO_32:
    case FUNCTION.AFFINITY_INFO_64:
      return affinityInfo(cpu, argument(1), argument(2));
    case FUNCTION.CPU_SUSPEND_32:
    case FUNCTION.CPU_SUSPEND_64:
      cpu.waitForInterrupt();
      return RESULT.SUCCESS;
    default:
      return stop(cpu, id);
  }
}

function stop(cpu: A64Cpu, id: number): bigint | undefined {
  switch (id) {
    case FUNCTION.CPU_OFF:
      cpu.powerOff();
      return undefined;
    case FUNCTION.SYSTEM_OFF:
      cpu.psci.systemOff();
      return undefined;
    case FUNCTION.SYSTEM_RESET:
    case FUNCTION.SYSTEM_RESET2_32:
    case FUNCTION.SYSTEM_RESET2_64:
      cpu.psci.systemReset();
      return undefined;
    default:
      return RESULT.NOT_SUPPORTED;
  }
}

function cpuOn(cpu: A64Cpu, affinity: bigint, entry: bigint, context: bigint): bigint {
  const level = cpu.configuration.hasEl2 ? 2 : 1;
  return CPU_ON_RESULT[cpu.psci.cpuOn(affinity & AFFINITY_MASK, entry, context, level)];
}

/** Only whole CPUs (affinity level 0) have a state. */
function affinityInfo(cpu: A64Cpu, affinity: bigint, lowestLevel: bigint): bigint {
  if (lowestLevel !== 0n) return AFFINITY.ON;
  const isOn = cpu.psci.cpuIsOn(affinity & AFFINITY_MASK);
  if (isOn === undefined) return RESULT.INVALID_PARAMETERS;
  return isOn ? AFFINITY.ON : AFFINITY.OFF;
}
