/** The page views of `kmem`: free lists, page structures, page flags. */
import { UsageError } from '../../capture/formats/errors.ts';
import { pageFlagEntries } from '../linux/page-flags.ts';
import { memSections } from '../linux/mem-section.ts';
import { pageAddress, pageOf, pfnOfPage } from '../linux/page.ts';
import { zoneCounters } from '../linux/vmstat.ts';
import { freeLists, zones } from '../linux/zone.ts';
import type { FreeList, Zone } from '../linux/zone.ts';
import type { Program } from '../program.ts';
import { pageHeader, pageLine } from '../text/page-line.ts';
import { center, centerRight, hex, hex16, lines } from '../text/layout.ts';
import type { StructObject } from '../types/object.ts';
import { sizeOf, stripTypedefs } from '../types/types.ts';
import type { CType } from '../types/types.ts';
import type { Arguments } from './command.ts';
import type { View } from './view.ts';
import { noAddress, parseAddress } from './numbers.ts';
import type { Session } from './session.ts';

/** `kmem -f` and `-F`; with an address, the free block that its page is in. */
export function freeListsView(session: Session, args: Arguments, withPages: boolean): View {
  const { program } = session;
  const all = zones(program).map(zone => ({ zone, lists: zone.present === 0 ? [] : freeLists(program, zone) }));
  const [word] = args.positionals;
  if (word !== undefined) return freeBlockView(program, all, parseAddress(session, word, noAddress));
  const free = all.map(({ lists }) => sum(lists.map(pagesOf)));
  const expected = zoneCounters(program).find(({ name }) => name === 'NR_FREE_PAGES')?.value ?? 0;
  const found = sum(free);
  const blocks = all.map(
    ({ zone, lists }, index) => `${zoneText(program, zone, free[index]!)}${listsText(program, lists, withPages)}\n`,
  );
  return {
    data: {
      zones: all.map(({ zone, lists }, index) => ({
        node: zone.node,
        index: zone.index,
        name: zone.name,
        spanned: zone.spanned,
        free: free[index]!,
        lists: lists.map(({ blocks: pages, ...list }) => ({
          ...list,
          blocks: pages.length,
          ...(withPages ? { pages } : {}),
        })),
      })),
      nr_free_pages: expected,
      found,
    },
    text: `${blocks.join('')}nr_free_pages: ${expected}  ${found === expected ? '(verified)' : `(found ${found})`}\n`,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function pagesOf({ order, blocks }: FreeList): number {
  return blocks.length * 2 ** order;
}

type ZoneLists = readonly { readonly zone: Zone; readonly lists: readonly FreeList[] }[];

function freeBlockView(program: Program, all: ZoneLists, address: bigint): View {
  const pfn = pfnOfPage(program, address) ?? pfnOfAddress(program, address);
  const found = freeBlockIn(program, all, pfn, address);
  if (found === undefined) return { data: null, text: '' };
  return { data: found.place, text: found.text };
}

/** A block of free pages, as the lists of the page allocator have it. */
export interface FreeBlock {
  readonly place: {
    readonly zone: string;
    readonly order: number;
    readonly head: bigint;
    readonly block: bigint;
  };
  readonly node: number;
  readonly text: string;
}

/** The block of free pages that a frame lies in. @param address as it was given, for the text */
export function findFreeBlock(program: Program, pfn: number, address: bigint): FreeBlock | undefined {
  const around = zones(program).filter(
    ({ present, startPfn, spanned }) => present > 0 && pfn >= startPfn && pfn < startPfn + spanned,
  );
  return freeBlockIn(
    program,
    around.map(zone => ({ zone, lists: freeLists(program, zone) })),
    pfn,
    address,
  );
}

function freeBlockIn(program: Program, all: ZoneLists, pfn: number, address: bigint): FreeBlock | undefined {
  for (const { zone, lists } of all) {
    for (const list of lists) {
      const pages = 2 ** list.order;
      const first = list.blocks
        .map(page => ({ page, start: pfnOfPage(program, page) }))
        .find(({ start }) => start !== undefined && pfn >= start && pfn < start + pages);
      if (first === undefined) continue;
      const size = `${(program.space.pageSize / 1024) * pages}k`;
      const position = `${hex16(first.page)}  (${hex(address)} is ${ordinal(pfn - first.start! + 1)} of ${pages} pages)`;
      return {
        place: { zone: zone.name, order: list.order, head: list.head, block: first.page },
        node: zone.node,
        text: `${zoneText(program, zone, sum(lists.map(pagesOf)))}AREA    SIZE  FREE_AREA_STRUCT\n${areaCells(list.order, size, list.head)}  \n${position}\n`,
      };
    }
  }
  return undefined;
}

/** 1st, 2nd, 3rd, 4th, … 11th, … */
function ordinal(number: number): string {
  const teens = number % 100 >= 11 && number % 100 <= 13;
  const ending = teens ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th');
  return `${number}${ending}`;
}

function pfnOfAddress(program: Program, address: bigint): number {
  const paddr = address < 1n << 52n ? Number(address) : program.memory.translate(address);
  return paddr === undefined ? -1 : Math.floor(paddr / program.space.pageSize);
}

function zoneText(program: Program, zone: Zone, free: number): string {
  const isEmpty = zone.present === 0;
  const map = isEmpty ? center('0', 16) : hex16(pageAddress(program, zone.startPfn) ?? 0n);
  const start = isEmpty ? '0' : hex(zone.startPfn * program.space.pageSize);
  const first = zones(program).find(({ node, present }) => node === zone.node && present > 0)?.startPfn ?? 0;
  const cells = [
    `  ${String(zone.index).padEnd(3)} ${zone.name.padEnd(8)} ${String(isEmpty ? 0 : zone.spanned).padStart(7)}`,
    `${String(free).padStart(7)}  ${map}  ${center(start, 12)} ${centerRight(String(isEmpty ? 0 : zone.startPfn - first), 11)}`,
  ];
  return `ZONE  NAME        SIZE    FREE      MEM_MAP       START_PADDR  START_MAPNR\n${cells.join(' ')}\n`;
}

function areaCells(order: number, size: string, head: bigint): string {
  return `${String(order).padStart(3)} ${size.padStart(8)}  ${hex16(head)}`;
}

/** One head a zone; with pages one a list, because the pages stand between. */
function listsText(program: Program, lists: readonly FreeList[], withPages: boolean): string {
  const rows = lists.map(list => {
    const cells = areaCells(list.order, `${(program.space.pageSize / 1024) * 2 ** list.order}k`, list.head);
    return withPages
      ? `AREA    SIZE  FREE_AREA_STRUCT\n${cells}  \n${lines(list.blocks.map(hex16))}`
      : `${cells}  ${String(list.blocks.length).padStart(6)} ${String(pagesOf(list)).padStart(6)}\n`;
  });
  return lists.length === 0 || withPages
    ? rows.join('')
    : `AREA    SIZE  FREE_AREA_STRUCT  BLOCKS  PAGES\n${rows.join('')}`;
}

const MAX_PAGES = 100_000_000;

/** All page structures in order of frames. */
function* allPages(program: Program): Generator<StructObject> {
  let count = 0;
  for (const { start, end } of describedFrames(program)) {
    for (let pfn = start; pfn < end && count < MAX_PAGES; pfn++, count++) {
      const page = pageOf(program, pfn);
      if (page !== undefined) yield page;
    }
  }
}

/** Frames that have page structures: whole sections of sparse memory, else the zones. */
function describedFrames(program: Program): { readonly start: number; readonly end: number }[] {
  const sections = memSections(program);
  const bits = program.vmcoreinfo.number('SECTION_SIZE_BITS');
  if (sections.length === 0 || bits === undefined)
    return zones(program).map(({ startPfn, spanned }) => ({ start: startPfn, end: startPfn + spanned }));
  const length = 2 ** Number(bits) / program.space.pageSize;
  return sections.map(({ pfn }) => ({ start: pfn, end: pfn + length }));
}

function chosenPages(session: Session, words: readonly string[]): Iterable<StructObject> {
  if (words.length === 0) return allPages(session.program);
  return words.flatMap(word => {
    const { program } = session;
    const address = parseAddress(session, word, noAddress);
    const page = pageOf(program, pfnOfPage(program, address) ?? pfnOfAddress(program, address));
    return page === undefined ? [] : [page];
  });
}

/** `kmem -p`. */
export function pagesView(session: Session, args: Arguments): View {
  const { program } = session;
  const data: unknown[] = [];
  const out = [pageHeader(program)];
  for (const page of chosenPages(session, args.positionals)) {
    data.push({ page: page.address, flags: page.pointer('flags'), count: page.num('_refcount.counter') });
    out.push(pageLine(program, page));
  }
  return { data, text: data.length === 0 ? '' : out.join('') };
}

/** `kmem -m`. */
export function membersView(session: Session, args: Arguments): View {
  const { program } = session;
  const type = program.types.struct('page');
  const flags = type.place('flags')?.offset;
  const members = args.value('-m')!.split(',');
  const places = members.map(member => {
    const place = type.place(member);
    if (place === undefined) throw new UsageError(`invalid page struct member: ${member}`);
    return place;
  });
  const data: unknown[] = [];
  const out = [`      PAGE        ${members.join('  ')}\n`];
  for (const page of chosenPages(session, args.positionals)) {
    const values = places.map(({ offset, type: memberType }) =>
      memberText(session, page.address + BigInt(offset), memberType, offset === flags),
    );
    data.push({ page: page.address, values });
    out.push(`${hex16(page.address)}  ${values.map(value => `${value}  `).join('')}\n`);
  }
  return { data, text: out.join('') };
}

/** Pointers, structures and flags in hexadecimal, lists as their two links, integers in the session's base. */
function memberText({ program, settings }: Session, address: bigint, type: CType, isFlags: boolean): string {
  const bare = stripTypedefs(type);
  const isDecimal = bare.kind === 'int' && settings.radix === 10 && !isFlags;
  if (bare.kind === 'struct' && bare.name === 'list_head')
    return `${hex(program.memory.readU64(address))},${hex(program.memory.readU64(address + 8n))}`;
  const size = sizeOf(bare);
  if (size === 4) {
    const value = program.memory.readI32(address);
    return value < 0 || isDecimal ? String(value) : hex(value).padStart(8, '0');
  }
  const width = size === 1 || size === 2 ? size : 8;
  const value = program.memory.readUnsigned(address, width);
  return isDecimal ? String(value) : hex(value).padStart(2 * width, '0');
}

/** `kmem -g`. */
export function flagsView(session: Session, args: Arguments): View {
  const [word] = args.positionals;
  const all = pageFlagEntries(session.program);
  // no flags are no word of flags
  const value = word === undefined || word === '0' ? undefined : parseAddress(session, word, noAddress);
  const data = all.filter(({ bit }) => value === undefined || ((value >> BigInt(bit)) & 1n) === 1n);
  const indent = value === undefined ? '' : '  ';
  const width = Math.max(0, ...all.map(({ name }) => name.length)) + 1;
  const rows = data.map(
    ({ bit, name }) =>
      `${indent}${name.padEnd(width)}${String(bit).padStart(3)}  ${(1n << BigInt(bit)).toString(16).padStart(7, '0')}`,
  );
  const head = `${indent}${'PAGE-FLAG'.padEnd(width)}BIT  VALUE`;
  return { data, text: lines([...(value === undefined ? [] : [`FLAGS: ${hex(value)}`]), head, ...rows]) };
}
