/** What PSCI does on this board. Source: Arm Power State Coordination Interface, DEN 0022. */
import type { A64Cpu, PsciHost } from '../../cpu/a64/index.ts';
import type { StopReason } from '../machine.ts';

/** Aff3, Aff2, Aff1, Aff0 of MPIDR_EL1. */
const AFFINITY = 0xff_00ff_ffffn;

/** @param stop stops the machine */
export function createPsciHost(cpus: () => readonly A64Cpu[], stop: (reason: StopReason) => void): PsciHost {
  const find = (affinity: bigint): A64Cpu | undefined => cpus().find(cpu => (cpu.MPIDR_EL1 & AFFINITY) === affinity);
  return {
    cpuOn(affinity, entry, context, exceptionLevel) {
      const cpu = find(affinity);
      if (cpu === undefined) return 'invalid-parameters';
      if (cpu.idle !== 'off') return 'already-on';
      cpu.start(entry, [context, 0n, 0n, 0n], exceptionLevel);
      return 'success';
    },
    cpuIsOn: affinity => {
      const cpu = find(affinity);
      return cpu && cpu.idle !== 'off';
    },
    systemOff: () => stop({ kind: 'power-off' }),
    systemReset: () => stop({ kind: 'reset' }),
  };
}
