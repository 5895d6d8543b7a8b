/** `struct page` and the memory map; `include/asm-generic/memory_model.h`, `include/linux/mmzone.h`. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';

/** `vmemmap`: virtual address of the page structure of frame 0; undefined without SPARSEMEM_VMEMMAP. */
export function vmemmap(program: Program): bigint | undefined {
  if (program.architecture === 'x86_64') {
    const base = program.symbols.find('vmemmap_base');
    return base === undefined ? 0xffff_ea00_0000_0000n : program.memory.readU64(base);
  }
  return aarch64Vmemmap(program);
}

/**
 * arm64: VMEMMAP_START stands for the page of PAGE_OFFSET (`memstart_addr`); `arch/arm64/include/asm/pgtable.h`
 * `vmemmap = VMEMMAP_START - (memstart_addr >> PAGE_SHIFT)`, in pages.
 */
function aarch64Vmemmap(program: Program): bigint | undefined {
  const start = program.vmcoreinfo.number('VMEMMAP_START');
  const facts = program.aarch64?.facts;
  if (start === undefined || facts === undefined) return undefined;
  const pageSize = BigInt(program.space.pageSize);
  const memstart = BigInt.asIntN(64, facts.physOffset);
  return BigInt.asUintN(64, start - (memstart / pageSize) * BigInt(pageStructSize(program)));
}

/** sizeof(struct page). */
export function pageStructSize(program: Program): number {
  return program.types.findStruct('page')?.size ?? program.vmcoreinfo.sizeOf('page') ?? 64;
}

/** `pfn_to_page`. */
export function pageAddress(program: Program, pfn: number): bigint | undefined {
  const base = vmemmap(program);
  return base === undefined ? undefined : BigInt.asUintN(64, base + BigInt(pfn) * BigInt(pageStructSize(program)));
}

/** `page_to_pfn`; undefined when the address is of no page structure. */
export function pfnOfPage(program: Program, page: bigint): number | undefined {
  const base = vmemmap(program);
  if (base === undefined || page < base) return undefined;
  const size = BigInt(pageStructSize(program));
  const offset = page - base;
  const pfn = Number(offset / size);
  return offset % size === 0n && pfn < lastPfn(program) ? pfn : undefined;
}

/** Frames that can have a page structure: sections of 128 MiB and more are described whole. */
function lastPfn(program: Program): number {
  const SECTION = 2 ** 30 / program.space.pageSize;
  return Math.ceil(program.dump.memory.maxPfn / SECTION) * SECTION;
}

/** The page structure of a frame, when the dump has it. */
export function pageOf(program: Program, pfn: number): StructObject | undefined {
  const address = pageAddress(program, pfn);
  if (address === undefined) return undefined;
  try {
    const page = program.object('page', address);
    page.big('flags');
    return page;
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}
