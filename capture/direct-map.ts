/** Where a kernel maps all physical memory, when nothing but VMCOREINFO tells. */
import { X86AddressSpace } from './addrxlat/x86_64.ts';
import { FaultError } from './formats/errors.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { DumpedKernel } from './open-kernel.ts';

/** KASLR moves the direct map of x86_64 by multiples of a PUD. */
const PUD_SIZE = 1n << 30n;

/**
 * Virtual address of physical address 0 in the direct map; undefined when it cannot be told.
 *
 * x86_64 randomises it and VMCOREINFO does not have it, but the root table of memory sections lies in the direct map:
 * its virtual address less its physical one is the base.
 */
export function directMapBase({ memory, vmcoreinfo }: DumpedKernel): bigint | undefined {
  const { space } = memory;
  if (!(space instanceof X86AddressSpace)) return space.directMap(0);
  const known = vmcoreinfo.symbol('mem_section');
  const paddr = known === undefined ? undefined : translateIfPresent(memory, known);
  if (known === undefined || paddr === undefined) return undefined;
  const base = known - BigInt(paddr);
  return base % PUD_SIZE === 0n && base >= 1n << 63n ? base : undefined;
}

function translateIfPresent(memory: KernelMemory, vaddr: bigint): number | undefined {
  try {
    return memory.translate(vaddr);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}
