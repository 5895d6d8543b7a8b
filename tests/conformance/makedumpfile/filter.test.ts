/** The page filter against what makedumpfile dumps of the reference dumps, bit by bit. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { filterSource, openSource } from '../../../capture/create-dump.ts';
import type { SourceDump } from '../../../capture/create-dump.ts';
import { formatRecord, readLog, showsCallers } from '../../../capture/dmesg.ts';
import { findVmcoreinfo } from '../../../capture/find-vmcoreinfo.ts';
import { excludeFreeLists } from '../../../capture/free-lists.ts';
import { findPageArrays } from '../../../capture/page-array.ts';
import { pageLayout } from '../../../capture/page-layout.ts';
import { excludeUnusedVmemmap } from '../../../capture/unused-vmemmap.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';
import { DUMPED_PAGES, WITHOUT_VMEMMAP } from './reference-bitmaps.ts';

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter(line => !/^CRASHTIME|^$/.test(line));
}

describe.each(['x86_64-6.1', 'aarch64-6.1'] as const)('%s', name => {
  const folder = findDumpFolder(name);
  let source: SourceDump;

  beforeAll(() => {
    if (folder !== undefined) source = openSource([join(folder, 'vmcore')]);
  });
  afterAll(() => source?.[Symbol.dispose]());

  test.skipIf(folder === undefined).each(Array.from({ length: 32 }, (_, level) => level))(
    'dumps the pages that makedumpfile dumps at level %i',
    level => {
      const { dumped } = filterSource(source, level);
      const digest = createHash('sha256').update(dumped.bytes).digest('hex').slice(0, 16);
      expect(digest).toBe(DUMPED_PAGES[name][level >> 1]);
    },
  );

  test.skipIf(folder === undefined)('extracts the log that makedumpfile extracts', () => {
    const log = readLog(source.kernel!)
      .map(record => formatRecord(record, false))
      .join('');
    expect(showsCallers(source.kernel!.vmcoreinfo)).toBe(false);
    expect(log).toBe(readFileSync(join(folder!, 'dmesg.txt'), 'latin1'));
  });

  test.skipIf(folder === undefined)('finds VMCOREINFO in memory as the notes have it', () => {
    const found = findVmcoreinfo(source.dump.memory, source.description.architecture);
    // The crash time is the note's alone: the kernel adds it while it crashes.
    expect(lines(found?.text)).toEqual(lines(source.dump.vmcoreinfo?.text));
  });
});

test.skipIf(findDumpFolder('x86_64-6.1') === undefined)(
  'finds through the free lists the pages that page structures call free',
  () => {
    using source = openSource([join(findDumpFolder('x86_64-6.1')!, 'vmcore')]);
    const { memory, vmcoreinfo } = source.kernel!;
    const byStructure = filterSource(source, 16);
    const dumped = source.pages.available.clone();
    const layout = pageLayout(vmcoreinfo);
    const arrays = findPageArrays(memory, vmcoreinfo, dumped.maxPfn);
    const counts = { free: 0 };
    expect(excludeFreeLists({ memory, vmcoreinfo, dumped }, layout, arrays, counts)).toEqual([]);
    expect(counts.free).toBe(byStructure.counts.free);
    expect(Buffer.compare(dumped.bytes, byStructure.dumped.bytes)).toBe(0);
  },
);

// Pages 0x15e00 to 0x15fff hold the structures of 0x18000 to 0x1ffff, the last 2 MiB of them: see unused-vmemmap.ts.
test.skipIf(findDumpFolder('x86_64-6.1') === undefined)(
  'leaves out the page structures that makedumpfile -e leaves out, and those of the last section',
  () => {
    using source = openSource([join(findDumpFolder('x86_64-6.1')!, 'vmcore')]);
    const { dumped } = filterSource(source, 31);
    const before = dumped.clone();
    expect(excludeUnusedVmemmap(source.kernel!, source.pages.exists, dumped)).toBe(1252);
    const LAST = { start: 0x15e00, end: 0x16000 };
    expect(before.count(LAST.start, LAST.end) - dumped.count(LAST.start, LAST.end)).toBe(94);
    for (let pfn = LAST.start; pfn < LAST.end; pfn++) if (before.has(pfn)) dumped.add(pfn);
    expect(createHash('sha256').update(dumped.bytes).digest('hex').slice(0, 16)).toBe(WITHOUT_VMEMMAP);
  },
);

describe('dumps that makedumpfile filtered inside the crashed machine', () => {
  const aarch64 = findDumpFolder('aarch64-6.1');
  const va52 = findDumpFolder('aarch64-6.12-va52');

  test.skipIf(aarch64 === undefined)('are what filtering from outside gives', () => {
    using full = openSource([join(aarch64!, 'vmcore')]);
    using filtered = openSource([join(aarch64!, 'vmcore.d31')]);
    expect(Buffer.compare(filterSource(full, 31).dumped.bytes, filtered.pages.available.bytes)).toBe(0);
  });

  test.skipIf(va52 === undefined)('give the log that makedumpfile extracts, with the callers of its records', () => {
    using source = openSource([join(va52!, 'vmcore.d31')]);
    const { vmcoreinfo } = source.kernel!;
    const log = readLog(source.kernel!)
      .map(record => formatRecord(record, showsCallers(vmcoreinfo)))
      .join('');
    expect(log).toBe(readFileSync(join(va52!, 'dmesg.txt'), 'latin1'));
  });

  test.skipIf(va52 === undefined)('have nothing left to filter with 52-bit addresses and five levels', () => {
    using source = openSource([join(va52!, 'vmcore.d31')]);
    const { dumped, counts, warnings } = filterSource(source, 31);
    expect(warnings).toEqual([]);
    expect(Buffer.compare(dumped.bytes, source.pages.available.bytes)).toBe(0);
    expect(Object.values(counts)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
