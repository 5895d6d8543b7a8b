/** What programs may ask about segments. Source: Intel SDM vol. 2 "LAR", "LSL", "VERR/VERW". */
import type { X64Cpu } from '../cpu.ts';
import { ATTRIBUTE, isCode, systemType } from './descriptors.ts';
import { fault, VECTOR } from './fault.ts';
import { visibleDescriptor } from './segment-loads.ts';

const NOT_ACCESSIBLE = 1n << 63n;
/** System descriptors that LAR and LSL show, outside of long mode and in it. */
const QUERY_TYPES = {
  legacy: [
    [1, 2, 3, 4, 5, 9, 11, 12],
    [1, 2, 3, 9, 11],
  ],
  long: [
    [2, 9, 11, 12],
    [2, 9, 11],
  ],
} as const;

/** LAR (0) or LSL (1). @returns the value, with bit 63 set when the selector is not accessible */
export function segmentQuery(cpu: X64Cpu, which: number, selector: number): bigint {
  if (!cpu.isProtected || cpu.isVm86) {
    cpu.raise(fault(VECTOR.UD));
    return 0n;
  }
  const descriptor = visibleDescriptor(cpu, selector & 0xffff);
  if (descriptor === undefined) return NOT_ACCESSIBLE;
  if ('vector' in descriptor) {
    cpu.raise(descriptor);
    return 0n;
  }
  const isSystem = (descriptor.attributes & ATTRIBUTE.S) === 0;
  const types: readonly number[] = QUERY_TYPES[cpu.isLongMode ? 'long' : 'legacy'][which as 0 | 1];
  if (isSystem && !types.includes(systemType(descriptor))) return NOT_ACCESSIBLE;
  return BigInt(which === 0 ? descriptor.attributes : descriptor.limit);
}

/** VERR (0) or VERW (1). @returns 1 when the access is allowed */
export function segmentVerify(cpu: X64Cpu, which: number, selector: number): number {
  if (!cpu.isProtected || cpu.isVm86) {
    cpu.raise(fault(VECTOR.UD));
    return 0;
  }
  const descriptor = visibleDescriptor(cpu, selector & 0xffff);
  if (descriptor === undefined) return 0;
  if ('vector' in descriptor) {
    cpu.raise(descriptor);
    return 0;
  }
  const { attributes } = descriptor;
  if ((attributes & ATTRIBUTE.S) === 0) return 0;
  const rw = (attributes & ATTRIBUTE.RW) !== 0;
  if (which === 0) return !isCode(descriptor) || rw ? 1 : 0;
  return !isCode(descriptor) && rw ? 1 : 0;
}
