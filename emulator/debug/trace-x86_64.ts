/** What traces ask of an x86_64 CPU. */
import type { X64Cpu } from '../cpu/x64/index.ts';
import { dumpX64Registers } from './gdb-x86_64.ts';
import type { TraceView } from './trace.ts';

const PAGE_FAULT = 14;

/** Vector and error code of what was delivered last; with a page fault also CR2. */
export function x64TraceView(cpu: X64Cpu): TraceView {
  return {
    cpu,
    level: () => `CPL${cpu.cpl}`,
    dump: () => dumpX64Registers(cpu),
    syndrome: () => {
      const { vector, errorCode } = cpu.lastDelivered;
      return {
        vector: BigInt(vector),
        ...(errorCode !== undefined && { error: BigInt(errorCode) }),
        ...(vector === PAGE_FAULT && { CR2: cpu.registers.cr2 }),
      };
    },
  };
}
