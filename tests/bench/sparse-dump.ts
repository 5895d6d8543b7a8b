/** A dump made large: the same pages, in a machine of any size. For comparing how the size of memory counts. */
import { ftruncateSync, openSync, closeSync, writeSync } from 'node:fs';

import { ELF64_EHDR, ELF64_PHDR, ELFCLASS64, ELFDATA2LSB, ELF_MAGIC, EM, ET, PT } from '../../capture/formats/elf.ts';
import { buildNote } from '../../capture/formats/elf-notes.ts';
import { openDump } from '../../capture/sources/dump-file.ts';

/**
 * Writes an ELF vmcore whose one segment begins where the dump's memory begins and is `size` bytes long; what the dump
 * lacks is a hole in the file.
 */
export function writeSparseDump(dumpPath: string, path: string, size: number): void {
  using dump = openDump([dumpPath]);
  const { memory } = dump;
  let first = 0;
  while (first < memory.maxPfn && !memory.hasPage(first)) first++;
  const notes = Buffer.concat([
    dump.noteBytes,
    buildNote({ name: 'VMCOREINFO', type: 0, descriptor: Buffer.from(dump.vmcoreinfo?.text ?? '', 'latin1') }),
  ]);
  const notesAt = ELF64_EHDR.size + 2 * ELF64_PHDR.size;
  const start = Math.ceil((notesAt + notes.length) / memory.pageSize) * memory.pageSize;
  const file = openSync(path, 'w');
  ftruncateSync(file, start + size);
  const machine = dump.architecture === 'aarch64' ? EM.AARCH64 : EM.X86_64;
  writeSync(file, elfHeader(machine, 2));
  writeSync(
    file,
    ELF64_PHDR.build({ p_type: PT.NOTE, p_offset: notesAt, p_filesz: notes.length, p_memsz: notes.length }),
  );
  const paddr = first * memory.pageSize;
  writeSync(
    file,
    ELF64_PHDR.build({ p_type: PT.LOAD, p_offset: start, p_paddr: BigInt(paddr), p_filesz: size, p_memsz: size }),
  );
  writeSync(file, notes);
  for (let pfn = first; pfn < memory.maxPfn; pfn++) {
    if (memory.hasPage(pfn))
      writeSync(file, memory.readPage(pfn), 0, memory.pageSize, start + (pfn - first) * memory.pageSize);
  }
  closeSync(file);
}

/** The header of a vmcore. */
export function elfHeader(machine: number, programHeaders: number): Uint8Array {
  return ELF64_EHDR.build({
    magic: ELF_MAGIC,
    ei_class: ELFCLASS64,
    ei_data: ELFDATA2LSB,
    ei_version: 1,
    e_type: ET.CORE,
    e_machine: machine,
    e_version: 1,
    e_phoff: ELF64_EHDR.size,
    e_ehsize: ELF64_EHDR.size,
    e_phentsize: ELF64_PHDR.size,
    e_phnum: programHeaders,
  });
}
