import { describe, expect, test } from 'vitest';

import { dumpGuestMemory } from '../../../capture/dump-guest-memory.ts';
import { MemorySourceBytes } from '../../../capture/formats/byte-source.ts';
import { DiskDumpFile } from '../../../capture/formats/diskdump.ts';
import { ElfCore } from '../../../capture/formats/elf-core.ts';
import { AARCH64_REGISTERS, X86_64_REGISTERS, buildNote, parsePrstatus } from '../../../capture/formats/elf-notes.ts';
import { FaultError } from '../../../capture/formats/errors.ts';
import { MemorySink } from '../../../capture/output/dump-sink.ts';
import { machineDump } from '../../../capture/sources/machine-memory.ts';
import { PAGE_SIZE, machineState, pageContents } from '../../support/synthetic-dump.ts';

const VMCOREINFO = 'OSRELEASE=6.1.0-test\nPAGESIZE=4096\nNUMBER(phys_base)=0\n';
const NOTE = buildNote({ name: 'VMCOREINFO', type: 0, descriptor: Buffer.from(VMCOREINFO) });

/** A machine with a note at a place in page 20. */
function withNote() {
  const { read } = machineState();
  return machineState({
    read: (paddr, length) => {
      const bytes = read(paddr, length);
      const at = 20 * PAGE_SIZE + 64 - paddr;
      if (at >= 0 && at + NOTE.length <= length) bytes.set(NOTE, at);
      return bytes;
    },
    vmcoreinfoNote: { paddr: 20 * PAGE_SIZE + 64, size: NOTE.length },
  });
}

describe('machineDump', () => {
  test('has the pages of RAM and no others', () => {
    const { memory } = machineDump(machineState());
    expect(memory.maxPfn).toBe(400);
    expect(memory.hasPage(15)).toBe(false);
    expect(() => memory.readPage(90)).toThrow(FaultError);
    expect(Buffer.compare(memory.readPage(101), pageContents(101))).toBe(0);
    expect(memory.readPages?.(398, 50)).toHaveLength(2 * PAGE_SIZE);
  });

  test('leaves excluded memory out', () => {
    const excluded = [{ start: 200 * PAGE_SIZE, end: 300 * PAGE_SIZE }];
    const { memory } = machineDump(machineState({ excluded }));
    expect([199, 200, 299, 300].map(pfn => memory.hasPage(pfn))).toEqual([true, false, false, true]);
    expect(memory.readPages?.(150, 100)).toHaveLength(50 * PAGE_SIZE);
  });

  test.each([
    ['x86_64', X86_64_REGISTERS, 336],
    ['aarch64', AARCH64_REGISTERS, 392],
  ] as const)(
    'has the registers of each CPU in notes of the size of struct elf_prstatus on %s',
    (architecture, names, size) => {
      const registers = new Map(names.map((name, index) => [name, BigInt(index + 1)]));
      const { notes } = machineDump(
        machineState({
          architecture,
          cpus: [
            { pid: 1, registers },
            { pid: 2, registers },
          ],
        }),
      );
      expect(notes.map(({ name, descriptor }) => [name, descriptor.length])).toEqual([
        ['CORE', size],
        ['CORE', size],
      ]);
      expect(parsePrstatus(notes[1]!.descriptor, names)).toEqual({ pid: 2, registers });
    },
  );

  test('takes VMCOREINFO from where the guest announced it', () => {
    const { vmcoreinfo, notes } = machineDump(withNote());
    expect(vmcoreinfo?.osRelease).toBe('6.1.0-test');
    expect(notes.at(-1)?.name).toBe('VMCOREINFO');
  });

  test.each([
    { paddr: 20 * PAGE_SIZE, size: 100 },
    { paddr: 0, size: 2 ** 40 },
    { paddr: 0, size: 100 },
  ])('goes on without an announcement that leads nowhere: %o', note => {
    const { vmcoreinfo, warnings } = machineDump(machineState({ vmcoreinfoNote: note }));
    expect(vmcoreinfo).toBeUndefined();
    expect(warnings).toEqual([
      expect.stringMatching(/^the VMCOREINFO that the guest announced cannot be used: /),
      'no VMCOREINFO in the memory of the machine',
    ]);
  });

  test('does not take a text for a kernel whose tables do not map it', () => {
    const { vmcoreinfo, warnings } = machineDump({ ...withNote(), vmcoreinfoNote: undefined });
    expect(vmcoreinfo).toBeUndefined();
    expect(warnings).toEqual(['no VMCOREINFO in the memory of the machine']);
  });
});

describe('dumpGuestMemory', () => {
  test('writes ELF and kdump-compressed dumps of all memory', async () => {
    const elf = new MemorySink();
    await dumpGuestMemory(machineState(), elf, { format: 'elf' });
    const kdump = new MemorySink();
    await dumpGuestMemory(machineState(), kdump, { format: 'snappy' });
    const memories = [
      new ElfCore(new MemorySourceBytes('elf', elf.contents)),
      new DiskDumpFile(new MemorySourceBytes('kdump', kdump.contents)),
    ];
    for (const memory of memories) {
      expect(memory.hasPage(90)).toBe(false);
      for (const pfn of [16, 79, 100, 399]) expect(Buffer.compare(memory.readPage(pfn), pageContents(pfn))).toBe(0);
    }
  });

  test('says that it cannot filter without a kernel', async () => {
    await expect(dumpGuestMemory(machineState(), new MemorySink(), { format: 'lzo', level: 31 })).rejects.toThrow(
      'no VMCOREINFO in the memory of the machine',
    );
  });
});
