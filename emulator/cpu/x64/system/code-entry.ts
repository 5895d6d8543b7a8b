/** Where far transfers end: a checked code segment and instruction pointer. Source: Intel SDM vol. 2 "JMP", "CALL", "RET". */
import type { X64Cpu } from '../cpu.ts';
import { ATTRIBUTE, type Descriptor } from './descriptors.ts';
import { type Fault, protectionFault } from './fault.ts';
import { loadCodeSegment } from './segment-loads.ts';

/** An instruction pointer beyond the limit of its segment, or not canonical in 64-bit code, is #GP(0). */
export function checkTarget(cpu: X64Cpu, { attributes, limit }: Descriptor, ip: bigint): Fault | undefined {
  const long = cpu.isLongMode && (attributes & ATTRIBUTE.L) !== 0;
  const valid = long ? cpu.paging.isCanonical(Number(BigInt.asIntN(32, ip >> 32n))) : ip <= BigInt(limit);
  return valid ? undefined : protectionFault();
}

/** Loads CS and the instruction pointer. */
export function enterCode(
  cpu: X64Cpu,
  selector: number,
  descriptor: Descriptor,
  ip: bigint,
  cpl: number,
): Fault | undefined {
  const failure = checkTarget(cpu, descriptor, ip) ?? loadCodeSegment(cpu, selector, descriptor, cpl);
  if (failure !== undefined) return failure;
  cpu.ip = ip;
  cpu.contextChanged();
  return undefined;
}
