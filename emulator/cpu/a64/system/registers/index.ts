/** The system-register table: every register that the CPUs have, by key and by name. */
import type { A64Configuration } from '../../models.ts';
import {
  EXCEPTION_REGISTERS,
  LIMITED_ORDERING_REGISTERS,
  POINTER_AUTHENTICATION_REGISTERS,
  PROCESS_STATE_REGISTERS,
  RANDOM_REGISTERS,
  THREAD_REGISTERS,
  TRANSLATION_REGISTERS,
} from './control.ts';
import { BREAKPOINT_REGISTERS, DEBUG_REGISTERS, DEBUG_VIEWS } from './debug.ts';
import { GIC_REGISTERS, VIRTUAL_GIC_REGISTERS } from './gic.ts';
import { HYPERVISOR_REGISTERS, HYPERVISOR_VIEWS } from './hypervisor.ts';
import { IDENTIFICATION_REGISTERS, RESERVED_ID_REGISTERS } from './identification.ts';
import { PERFORMANCE_ACCESS, PERFORMANCE_REGISTERS } from './performance.ts';
import type { SystemRegister } from './row.ts';
import { HYPERVISOR_TIMER, TIMER_REGISTERS } from './timer.ts';

/** Every row, whatever the CPU model. */
export const SYSTEM_REGISTERS: readonly SystemRegister[] = (
  [
    IDENTIFICATION_REGISTERS,
    TRANSLATION_REGISTERS,
    EXCEPTION_REGISTERS,
    PROCESS_STATE_REGISTERS,
    THREAD_REGISTERS,
    TIMER_REGISTERS,
    GIC_REGISTERS,
    VIRTUAL_GIC_REGISTERS,
    DEBUG_REGISTERS,
    DEBUG_VIEWS,
    BREAKPOINT_REGISTERS,
    PERFORMANCE_ACCESS,
    PERFORMANCE_REGISTERS,
    POINTER_AUTHENTICATION_REGISTERS,
    RANDOM_REGISTERS,
    LIMITED_ORDERING_REGISTERS,
    HYPERVISOR_TIMER,
    HYPERVISOR_REGISTERS,
    HYPERVISOR_VIEWS,
    RESERVED_ID_REGISTERS,
  ] as readonly Readonly<Record<string, SystemRegister>>[]
).flatMap(group => Object.values(group));

const BY_KEY: ReadonlyMap<number, SystemRegister> = new Map(SYSTEM_REGISTERS.map(row => [row.key, row]));
const BY_NAME: ReadonlyMap<string, SystemRegister> = new Map(SYSTEM_REGISTERS.map(row => [row.name, row]));

/** The register with this key, whether or not a given CPU has it. */
export function findRegister(key: number): SystemRegister | undefined {
  return BY_KEY.get(key);
}

/** The register of this name as the manual spells it. */
export function findRegisterByName(name: string): SystemRegister | undefined {
  return BY_NAME.get(name);
}

/** Whether a CPU of this configuration has the register. */
export function isImplemented({ requires }: SystemRegister, configuration: A64Configuration): boolean {
  if (requires === undefined) return true;
  if (requires === 'EL2') return configuration.hasEl2;
  if (requires === 'GICv3') return configuration.hasGicv3;
  return configuration.model.features.has(requires);
}
