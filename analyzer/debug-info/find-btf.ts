/** Finds vmlinux's BTF in the dump: by its symbols, or by its header in the read-only data behind kallsyms. */
import { asBuffer } from '../../capture/formats/bytes.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { MemoryReader } from '../memory-reader.ts';
import type { Kallsyms } from '../symbols/kallsyms.ts';
import type { SymbolSet } from '../symbols/symbol-set.ts';
import { BTF_HEADER, BTF_MAGIC, btfSize } from './btf.ts';

/** magic, version 1, flags 0, hdr_len 24. */
const SIGNATURE = asBuffer(BTF_HEADER.build({ magic: BTF_MAGIC, version: 1, flags: 0, hdr_len: 24 })).subarray(0, 8);
/** RO_DATA puts `__ksymtab`, its strings, notes and then BTF behind `.rodata`, whose last part is kallsyms. */
const SEARCH_LENGTH = 4 * 2 ** 20;
const CHUNK = 0x4_0000;

/** Returns the whole blob, or undefined when the kernel has none or the dump lacks it. */
export function findKernelBtf(
  memory: MemoryReader,
  symbols: SymbolSet,
  kallsyms: Kallsyms | undefined,
): Uint8Array | undefined {
  const start =
    symbols.findInKernel('__start_BTF') ??
    (kallsyms === undefined ? undefined : search(memory, kallsyms.location.tokenIndex));
  if (start === undefined) return undefined;
  const size = btfSize(memory.readAvailable(start, BTF_HEADER.size));
  if (size === undefined) return undefined;
  try {
    return memory.readBytes(start, size);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

function search(memory: MemoryReader, from: bigint): bigint | undefined {
  for (let done = 0; done < SEARCH_LENGTH; done += CHUNK) {
    const bytes = asBuffer(memory.readAvailable(from + BigInt(done), CHUNK + SIGNATURE.length));
    for (let at = bytes.indexOf(SIGNATURE); at !== -1; at = bytes.indexOf(SIGNATURE, at + 1)) {
      const start = from + BigInt(done + at);
      if (btfSize(memory.readAvailable(start, BTF_HEADER.size)) !== undefined) return start;
    }
    if (bytes.length < CHUNK) return undefined;
  }
  return undefined;
}
