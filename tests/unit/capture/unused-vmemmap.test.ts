import { expect, test } from 'vitest';

import { X86AddressSpace } from '../../../capture/addrxlat/x86_64.ts';
import { Vmcoreinfo } from '../../../capture/formats/vmcoreinfo.ts';
import { KernelMemory } from '../../../capture/kernel-memory.ts';
import type { DumpedKernel } from '../../../capture/open-kernel.ts';
import { PageBitmap } from '../../../capture/page-bitmap.ts';
import { excludeUnusedVmemmap } from '../../../capture/unused-vmemmap.ts';
import { writeU64 } from '../../../capture/formats/bytes.ts';

const PAGES = 1024;
const PAGE_SIZE = 4096;

/** FLATMEM: `mem_map` (page 20) points at 16 pages of structures, which the kernel image's mapping shows from page 64 on. */
function kernel(architecture: 'x86_64' | 'aarch64'): DumpedKernel {
  const page = (pfn: number): Uint8Array => {
    const bytes = new Uint8Array(PAGE_SIZE);
    const entries: Readonly<Record<number, readonly [number, number][]>> = {
      16: [[511, 17]],
      17: [[510, 18]],
      18: [[0, 19]],
      19: Array.from({ length: 512 }, (_, index) => [index, index]),
    };
    for (const [index, target] of entries[pfn] ?? []) writeU64(bytes, 8 * index, BigInt(target * PAGE_SIZE) + 3n);
    if (pfn === 20) writeU64(bytes, 0, 0xffff_ffff_8004_0000n);
    return bytes;
  };
  const source = { pageSize: PAGE_SIZE, maxPfn: PAGES, hasPage: (pfn: number) => pfn < PAGES, readPage: page };
  const facts = { physBase: 0n, topTable: 0xffff_ffff_8001_0000n, fiveLevels: false, encryptionMask: 0n };
  const memory = new KernelMemory(source, new X86AddressSpace(source, facts));
  const vmcoreinfo = new Vmcoreinfo('SIZE(page)=64\nSYMBOL(mem_map)=ffffffff80014000\n');
  return { architecture, memory, vmcoreinfo };
}

function all(): PageBitmap {
  const bitmap = new PageBitmap(PAGES);
  bitmap.addRange(0, PAGES);
  return bitmap;
}

// A page holds 64 structures: pages 128 to 255 are described by the third and fourth page of structures, 66 and 67.
test('leaves out whole pages of structures whose pages are all left out', () => {
  const dumped = all();
  dumped.removeRange(128, 256);
  dumped.removeRange(512, 576);
  dumped.removeRange(700, 900);
  dumped.add(800);
  expect(excludeUnusedVmemmap(kernel('x86_64'), all(), dumped)).toBe(2);
  expect([65, 66, 67, 68, 72].map(pfn => dumped.has(pfn))).toEqual([true, false, false, true, true]);
});

test('is for x86_64', () => {
  expect(() => excludeUnusedVmemmap(kernel('aarch64'), all(), all())).toThrow('-e: only x86_64');
});
