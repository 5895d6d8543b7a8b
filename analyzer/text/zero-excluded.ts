/** `--zero_excluded`: a dump in which pages that the dump level left out read as zeros. */
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { Dump } from '../../capture/sources/dump-file.ts';

/** The same dump, with that memory. Pages that never were in the machine still fault. */
export function zeroExcluded(dump: Dump): Dump {
  return Object.create(dump, { memory: { value: withZeros(dump.memory), enumerable: true } }) as Dump;
}

function withZeros(memory: MemorySource): MemorySource {
  const zeros = new Uint8Array(memory.pageSize);
  return {
    pageSize: memory.pageSize,
    maxPfn: memory.maxPfn,
    hasPage: pfn => memory.hasPage(pfn),
    readPage(pfn) {
      try {
        return memory.readPage(pfn);
      } catch (error) {
        if (error instanceof FaultError && error.reason === 'filtered out of the dump') return zeros;
        throw error;
      }
    },
  };
}
