import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from 'vitest';

import { describeDump } from '../../../capture/dump-description.ts';
import { dumpGuestMemory } from '../../../capture/dump-guest-memory.ts';
import { asBuffer, writeU64 } from '../../../capture/formats/bytes.ts';
import { buildNote, parseNotes } from '../../../capture/formats/elf-notes.ts';
import { MemorySink } from '../../../capture/output/dump-sink.ts';
import { openDump } from '../../../capture/sources/dump-file.ts';
import { machineDump } from '../../../capture/sources/machine-memory.ts';
import { PAGE_SIZE, machineState, pageContents } from '../../support/synthetic-dump.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** x86_64's kernel image mapping: page i is at 0xffffffff80000000 + 4096 i. Tables are pages 16 to 19, the note is in page 20. */
const TABLES: Readonly<Record<number, readonly [index: number, paddr: number][]>> = {
  16: [[511, 17]],
  17: [[510, 18]],
  18: [[0, 19]],
  19: Array.from({ length: 80 }, (_, page) => [page, page]),
};
const TEXT = `OSRELEASE=6.1.0-test
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=ffffffff80010000
NUMBER(phys_base)=0
`;
const NOTE = buildNote({ name: 'VMCOREINFO', type: 0, descriptor: Buffer.from(TEXT) });

function page(pfn: number): Uint8Array {
  if (pfn > 20) return pageContents(pfn);
  const bytes = new Uint8Array(PAGE_SIZE);
  for (const [index, target] of TABLES[pfn] ?? []) writeU64(bytes, 8 * index, BigInt(target * PAGE_SIZE) + 3n);
  if (pfn === 20) bytes.set(NOTE, 64);
  return bytes;
}

const MACHINE = machineState({
  read: (paddr, length) =>
    Buffer.concat(Array.from({ length: length / PAGE_SIZE }, (_, index) => page(paddr / PAGE_SIZE + index))),
});

/** A dump whose own VMCOREINFO note has another name; the one in memory is whole. */
async function dumpWithoutNote(): Promise<string> {
  const sink = new MemorySink();
  await dumpGuestMemory(MACHINE, sink, { format: 'elf' });
  const bytes = asBuffer(sink.contents);
  bytes.write('X', bytes.indexOf('VMCOREINFO'));
  const path = join(folder, 'without');
  writeFileSync(path, bytes);
  return path;
}

test("finds a running kernel's VMCOREINFO by its own page tables", () => {
  expect(machineDump(MACHINE).vmcoreinfo?.text).toBe(TEXT);
});

test('finds it in the memory of a dump that has no note of it', async () => {
  using dump = openDump([await dumpWithoutNote()]);
  expect(dump.notes.map(({ name }) => name)).toEqual(['CORE', 'XMCOREINFO']);
  expect(dump.vmcoreinfo?.osRelease).toBe('6.1.0-test');
});

test('gives the note to what is made of such a dump', async () => {
  using dump = openDump([await dumpWithoutNote()]);
  const { notes, vmcoreinfo } = describeDump(dump, undefined);
  expect(parseNotes(notes).map(({ name }) => name)).toEqual(['CORE', 'XMCOREINFO', 'VMCOREINFO']);
  const { offset, size } = vmcoreinfo!;
  expect(asBuffer(notes.subarray(offset, offset + size)).toString()).toBe(TEXT);
});

test('-p shows what the kernel maps beside its direct map', async () => {
  const sink = new MemorySink();
  await dumpGuestMemory(MACHINE, sink, { format: 'elf', paging: true });
  const path = join(folder, 'mapped');
  writeFileSync(path, sink.contents);
  using dump = openDump([path]);
  const { segments } = dump.elfCore!.elf;
  const mapped = segments.filter(({ p_vaddr: vaddr }) => vaddr >= 0xffff_ffff_8000_0000n);
  // Pages 16 to 79 are there; those below are mapped, but no memory.
  expect(mapped.map(({ p_vaddr: vaddr, p_memsz: size }) => [vaddr, size])).toEqual([
    [0xffff_ffff_8001_0000n, 64 * PAGE_SIZE],
  ]);
  const plain = segments.find(({ p_type: type, p_paddr: paddr }) => type === 1 && paddr === BigInt(16 * PAGE_SIZE))!;
  expect(mapped[0]!.p_offset).toBe(plain.p_offset);
});
