/**
 * Where a kernel keeps what its `struct page` says, from VMCOREINFO.
 *
 * Source: `Documentation/admin-guide/kdump/vmcoreinfo.rst` (Linux v6.12); makedumpfile's `makedumpfile.8` for what the
 * dump levels mean. Kernels differ by the presence of lines, never by version.
 * Not modelled: big-endian kernels; page flags above bit 31 (no filter needs one).
 */
import { FormatError } from './formats/errors.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';

/** How a kernel stores order and kind of a compound page; each reads the second `struct page` of the compound. */
export type CompoundLayout =
  /** Since Linux v6.9 (commit d99e3140a4d3): the head's page type says hugetlb, the order is in flags of page 1. */
  | { readonly kind: 'page type'; readonly hugetlb: number }
  /** Linux v6.6 to v6.8: bit PG_hugetlb and the order are in flags of page 1. */
  | { readonly kind: 'flag'; readonly hugetlbMask: number }
  /** Linux v4.4 to v6.5: a byte for the order and one for the number of the destructor, in page 1. */
  | {
      readonly kind: 'destructor';
      readonly order: number;
      readonly destructor: number | undefined;
      readonly hugetlb: number | undefined;
    }
  /** Before Linux v4.4: `page[1].lru` holds the destructor's address and the order. */
  | {
      readonly kind: 'destructor address';
      readonly order: number;
      readonly destructor: number;
      readonly hugetlb: bigint;
    }
  | { readonly kind: 'unknown' };

/** Offsets and constants of one kernel. Offsets are in bytes, masks apply to the low 32 bits of `flags`. */
export interface PageLayout {
  /** Bytes of a `struct page`. */
  readonly size: number;
  readonly flags: number;
  readonly mapping: number;
  readonly mapcount: number | undefined;
  readonly private: number | undefined;
  readonly compoundHead: number | undefined;
  /** Offset of `lru`, for free lists; only list layouts need it. */
  readonly lru: number | undefined;
  readonly lruMask: number;
  readonly privateMask: number;
  readonly swapCacheMask: number;
  /** 0 before Linux v4.10, where PG_swapcache meant what it says. */
  readonly swapBackedMask: number;
  /** 0 when slab pages are known by type (since Linux v6.10), or not at all. */
  readonly slabMask: number;
  readonly hwpoisonMask: number;
  readonly headMask: number;
  /** Values of `_mapcount` (`page_type`) as signed 32-bit integers. */
  readonly slabType: number | undefined;
  readonly buddyType: number | undefined;
  readonly offlineType: number | undefined;
  readonly unacceptedType: number | undefined;
  /** Orders of the buddy allocator: valid ones are below. */
  readonly freeAreas: number | undefined;
  readonly compound: CompoundLayout;
}

/**
 * Reads the layout.
 * @throws FormatError when a line is missing without which nothing can be told apart
 */
export function pageLayout(info: Vmcoreinfo): PageLayout {
  checkOffsets(info);
  const type = (name: string): number | undefined => signed32(info.number(`${name}_MAPCOUNT_VALUE`));
  const flag = (name: string): number => flagMask(info.number(name));
  return {
    size: pageSizeLine(info),
    flags: need(info.offsetOf('page.flags'), 'OFFSET(page.flags)'),
    mapping: need(info.offsetOf('page.mapping'), 'OFFSET(page.mapping)'),
    mapcount: info.offsetOf('page._mapcount'),
    private: info.offsetOf('page.private'),
    compoundHead: info.offsetOf('page.compound_head') ?? info.offsetOf('page.compound_info'),
    lru: info.offsetOf('page.lru'),
    lruMask: needFlag(flag('PG_lru'), 'NUMBER(PG_lru)'),
    privateMask: needFlag(flag('PG_private'), 'NUMBER(PG_private)'),
    swapCacheMask: flag('PG_swapcache'),
    swapBackedMask: flag('PG_swapbacked'),
    slabMask: flag('PG_slab'),
    hwpoisonMask: flag('PG_hwpoison'),
    headMask: Number((info.number('PG_head_mask') ?? 0n) & 0xffff_ffffn) | 0,
    slabType: type('PAGE_SLAB'),
    buddyType: type('PAGE_BUDDY'),
    offlineType: type('PAGE_OFFLINE'),
    unacceptedType: type('PAGE_UNACCEPTED'),
    freeAreas: info.lengthOf('zone.free_area'),
    compound: compoundLayout(info),
  };
}

const PAGE_MEMBERS =
  'flags mapping _mapcount private compound_head compound_info compound_order compound_dtor lru'.split(' ');

/** Members must lie inside the structure: they are read without further checks, a million times. */
function checkOffsets(info: Vmcoreinfo): void {
  const size = pageSizeLine(info);
  for (const member of PAGE_MEMBERS) {
    const offset = info.offsetOf(`page.${member}`) ?? 0;
    if (offset >= 0 && offset + 4 <= size) continue;
    throw new FormatError(`impossible OFFSET(page.${member}) in VMCOREINFO`, {
      expected: `0 to ${size - 4}`,
      found: `${offset}`,
    });
  }
}

function pageSizeLine(info: Vmcoreinfo): number {
  const size = need(info.sizeOf('page'), 'SIZE(page)');
  if (size >= 32 && size <= 1024 && size % 8 === 0) return size;
  throw new FormatError('impossible SIZE(page) in VMCOREINFO', {
    expected: 'a multiple of 8 from 32 to 1024',
    found: `${size}`,
  });
}

function compoundLayout(info: Vmcoreinfo): CompoundLayout {
  const hugetlbType = signed32(info.number('PAGE_HUGETLB_MAPCOUNT_VALUE'));
  if (hugetlbType !== undefined) return { kind: 'page type', hugetlb: hugetlbType };
  const hugetlbMask = flagMask(info.number('PG_hugetlb'));
  if (hugetlbMask !== 0) return { kind: 'flag', hugetlbMask };
  const hugetlb = info.number('HUGETLB_PAGE_DTOR');
  const size = info.sizeOf('page') ?? 0;
  const order = inSecondPage(info, 'folio._folio_order', size) ?? info.offsetOf('page.compound_order');
  const destructor = inSecondPage(info, 'folio._folio_dtor', size) ?? info.offsetOf('page.compound_dtor');
  if (order !== undefined)
    return { kind: 'destructor', order, destructor, hugetlb: hugetlb === undefined ? undefined : Number(hugetlb) };
  const freeHugePage = info.symbol('free_huge_page');
  const lru = info.offsetOf('page.lru');
  if (freeHugePage === undefined || lru === undefined) return { kind: 'unknown' };
  const previous = info.offsetOf('list_head.prev') ?? 8;
  return { kind: 'destructor address', order: lru + previous, destructor: lru, hugetlb: freeHugePage };
}

/** Folio members count from the first `struct page`. */
function inSecondPage(info: Vmcoreinfo, member: string, size: number): number | undefined {
  const offset = info.offsetOf(member);
  return offset === undefined ? undefined : offset - size;
}

/** The mask of a flag of which VMCOREINFO gives the bit number; 0 when it does not. */
function flagMask(bit: bigint | undefined): number {
  return bit === undefined || bit >= 32n ? 0 : 1 << Number(bit);
}

function signed32(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(BigInt.asIntN(32, value));
}

function needFlag(mask: number, line: string): number {
  return need(mask === 0 ? undefined : mask, line);
}

function need<T>(value: T | undefined, line: string): T {
  if (value !== undefined) return value;
  throw new FormatError('VMCOREINFO lacks a line', { expected: line, found: 'nothing' });
}
