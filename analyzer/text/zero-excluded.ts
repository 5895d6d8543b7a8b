/** `--zero_excluded`: a dump in which pages read as zeros that the dump level left out, or that an incomplete dump lacks. */
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import { isOfIncompleteDump } from '../incomplete-dump.ts';
import type { Dump } from '../../capture/sources/dump-file.ts';

/** The same dump, with that memory. Pages that never were in the machine still fault. */
export function zeroExcluded(dump: Dump): Dump {
  return Object.create(dump, { memory: { value: withZeros(dump.memory), enumerable: true } }) as Dump;
}

const isExcluded = (reason: string): boolean => reason === 'filtered out of the dump' || isOfIncompleteDump(reason);

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
        if (error instanceof FaultError && isExcluded(error.reason)) return zeros;
        throw error;
      }
    },
  };
}
