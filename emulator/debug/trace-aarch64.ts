/** What traces ask of an arm64 CPU. */
import type { A64Cpu } from '../cpu/a64/index.ts';
import { dumpA64Registers } from './gdb-aarch64.ts';
import type { TraceView } from './trace.ts';

/** ESR_ELx and FAR_ELx of the level that took a synchronous exception; interrupts have no syndrome. */
export function a64TraceView(cpu: A64Cpu): TraceView {
  return {
    cpu,
    level: () => `EL${cpu.exceptionLevel}`,
    dump: () => dumpA64Registers(cpu),
    onUnimplemented: tell => (cpu.unimplemented = tell),
    syndrome: what => {
      if (what === 'interrupt') return undefined;
      const level = cpu.exceptionLevel;
      const registers = new Map(cpu.systemRegisters());
      return { ESR: registers.get(`ESR_EL${level}`) ?? 0n, FAR: registers.get(`FAR_EL${level}`) ?? 0n };
    },
  };
}
