/**
 * Finds a running kernel's VMCOREINFO in physical memory.
 *
 * The kernel keeps it as a finished ELF note (`vmcoreinfo_note`, Linux `kernel/vmcore_info.c`); a machine that offers
 * fw_cfg `etc/vmcoreinfo` is told its address, others have to look for it.
 */
import { asBuffer } from './formats/bytes.ts';
import { parseNotes } from './formats/elf-notes.ts';
import { FaultError, FormatError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';
import { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import { openKernel } from './open-kernel.ts';
import type { Architecture } from './sources/dump-file.ts';

/** Name and first line of the note. The name is padded to a multiple of four bytes. */
const START = Buffer.from('VMCOREINFO\0\0OSRELEASE=', 'latin1');
const NOTE_HEADER_SIZE = 12;
/** A note is at most a page of text, its header, and padding. */
const MAX_NOTE = 8192;
const SCAN_PAGES = 256;

/** Bytes of the note at a physical address, as fw_cfg gives it. @throws FaultError, FormatError when there is none */
export function vmcoreinfoAt(memory: MemorySource, paddr: number, size: number): Vmcoreinfo {
  if (size > 1024 * 1024)
    throw new FormatError('the VMCOREINFO that the guest announced is too large', { found: `${size}` });
  const note = parseNotes(readPhysical(memory, paddr, size)).find(({ name }) => name === 'VMCOREINFO');
  if (note !== undefined) return Vmcoreinfo.fromBytes(note.descriptor);
  throw new FormatError('no VMCOREINFO where the guest announced it', { offset: paddr });
}

/**
 * Looks through all of memory.
 * @returns undefined when no kernel is found whose own page tables map it
 */
export function findVmcoreinfo(memory: MemorySource, architecture: Architecture): Vmcoreinfo | undefined {
  for (const paddr of candidates(memory)) {
    const info = readCandidate(memory, paddr);
    if (info !== undefined && isUsable(memory, info, architecture)) return info;
  }
  return undefined;
}

/** Physical addresses at which the note's name stands. The note begins at a multiple of four. */
function* candidates(memory: MemorySource): Generator<number> {
  const { pageSize, maxPfn } = memory;
  if (memory.find !== undefined) {
    yield* memory.find(START);
    return;
  }
  for (let pfn = 0; pfn < maxPfn;) {
    if (!memory.hasPage(pfn)) {
      pfn++;
      continue;
    }
    const bytes = readSome(memory, pfn);
    for (let at = bytes.indexOf(START); at !== -1; at = bytes.indexOf(START, at + 4)) {
      if (at % 4 === 0) yield pfn * pageSize + at;
    }
    pfn += Math.max(1, bytes.length / pageSize);
  }
}

/** Some pages from one on; nothing where they are damaged. */
function readSome(memory: MemorySource, pfn: number): Buffer {
  try {
    return asBuffer(memory.readPages?.(pfn, SCAN_PAGES) ?? memory.readPage(pfn));
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return Buffer.alloc(0);
    throw error;
  }
}

function readCandidate(memory: MemorySource, paddr: number): Vmcoreinfo | undefined {
  try {
    return vmcoreinfoAt(memory, paddr - NOTE_HEADER_SIZE, MAX_NOTE);
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The text of an earlier boot, or a copy in some buffer, does not describe tables that map the kernel. */
function isUsable(memory: MemorySource, info: Vmcoreinfo, architecture: Architecture): boolean {
  const known = info.symbol('swapper_pg_dir');
  try {
    const kernel = openKernel(memory, info, architecture);
    return known !== undefined && kernel.memory.translate(known) === kernel.memory.space.root;
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return false;
    throw error;
  }
}

/** Copies physical memory; what lies behind the last page is left out. */
function readPhysical(memory: MemorySource, paddr: number, size: number): Uint8Array {
  const { pageSize } = memory;
  const pieces: Uint8Array[] = [];
  for (let done = 0; done < size;) {
    const pfn = Math.floor((paddr + done) / pageSize);
    if (done > 0 && !memory.hasPage(pfn)) break;
    const piece = memory.readPage(pfn).subarray(paddr + done - pfn * pageSize);
    pieces.push(piece.subarray(0, size - done));
    done += piece.length;
  }
  return Buffer.concat(pieces);
}
