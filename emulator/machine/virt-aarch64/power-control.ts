/** What PSCI does on this board. Source: Arm Power State Coordination Interface, DEN 0022. */
import type { A64Cpu } from '../../cpu/a64/cpu.ts';
import type { PsciHost } from '../../cpu/a64/system/interfaces.ts';
import type { StopReason } from '../machine.ts';

/** @param stop stops the machine */
export function createPsciHost(cpus: () => readonly A64Cpu[], stop: (reason: StopReason) => void): PsciHost {
  const find = (affinity: bigint): A64Cpu | undefined => cpus().find(cpu => cpu.affinity === affinity);
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
