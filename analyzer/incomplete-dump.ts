/** Dumps that were not written to their end: the disk was full, or the tool was stopped; makedumpfile marks them (flag 8). */
import type { KernelAddressSpace } from '../capture/addrxlat/page-walk.ts';
import type { FaultError } from '../capture/formats/errors.ts';
import type { MemorySource } from '../capture/formats/memory-source.ts';
import { readOr } from './gaps.ts';

/** Tells whether a fault's reason is that the dump was not written to its end. */
export function isOfIncompleteDump(reason: string): boolean {
  return reason.startsWith('the dump is incomplete') || reason.endsWith('the dump is cut short');
}

/** What is said when such a dump is opened. */
export function incompleteText(path: string): string {
  return `${path} is incomplete: commands may fail or show less than there was; --zero_excluded reads what is missing as zeros`;
}

/** Page tables of an incomplete dump may be lost: of the direct map, arithmetic tells as much. */
export function withDirectMap(memory: MemorySource, space: KernelAddressSpace): Pick<KernelAddressSpace, 'translate'> {
  const arithmetic = (vaddr: bigint): number | undefined => {
    const paddr = Number(vaddr - space.directMap(0));
    return paddr >= 0 && paddr < memory.maxPfn * memory.pageSize ? paddr : undefined;
  };
  return {
    translate(vaddr) {
      let fault: FaultError | undefined;
      const walked = readOr(
        () => space.translate(vaddr),
        found => void (fault = found),
      );
      const paddr = walked ?? arithmetic(vaddr);
      if (paddr === undefined && fault !== undefined) throw fault;
      return paddr;
    },
  };
}
