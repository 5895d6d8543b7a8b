/** The summaries of `kmem`: use of memory, nodes, huge pages. */
import { mapPresent } from '../gaps.ts';
import { listForEachEntry } from '../linux/list.ts';
import { nodes, totalRamPages } from '../linux/mm.ts';
import { memSections, memoryBlocks } from '../linux/mem-section.ts';
import type { MemSection, MemoryBlock } from '../linux/mem-section.ts';
import { pageAddress, pageOf } from '../linux/page.ts';
import { pageFlagEntries } from '../linux/page-flags.ts';
import { percpuCounterSum } from '../linux/percpu-counter.ts';
import { vmCounter } from '../linux/vmstat.ts';
import { zones } from '../linux/zone.ts';
import type { Zone } from '../linux/zone.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { bytesText, center, centerRight, hex, hex16, lines } from '../text/layout.ts';
import type { View } from './view.ts';
import type { Session } from './session.ts';
import { swapAreas } from '../linux/swap.ts';

const MAX_INODES = 100_000;
const MAX_HSTATES = 16;

interface Row {
  readonly label: string;
  readonly pages: number;
  /** What the percentage is of; undefined for the total itself. */
  readonly of: readonly [name: string, pages: number] | undefined;
}

/** `kmem -i`. @param withShared count the pages that are used more than once, page by page */
export function memoryUseView({ program }: Session, withShared: boolean): View {
  const total = totalRamPages(program);
  const free = vmCounter(program, 'NR_FREE_PAGES');
  const buffers = bufferPages(program);
  const cached = Math.max(0, vmCounter(program, 'NR_FILE_PAGES') - vmCounter(program, 'NR_SWAPCACHE') - buffers);
  const memory = shares('MEM', total, [
    ['FREE', free],
    ['USED', total - free],
    ...(withShared ? [['SHARED', sharedPages(program)] as const] : []),
    ['BUFFERS', buffers],
    ['CACHED', cached],
    ['SLAB', slabPages(program)],
  ]);
  const huge = hugeTotals(program);
  const swap = swapAreas(program);
  const swapTotal = swap.reduce((sum, { pages }) => sum + pages, 0);
  const swapUsed = swap.reduce((sum, { used }) => sum + used, 0);
  const limit = Math.floor(((total - huge.total) * overcommitRatio(program)) / 100) + swapTotal;
  const blocks: Row[][] = [
    memory,
    shares('HUGE', huge.total, [['HUGE FREE', huge.free]]),
    shares('SWAP', swapTotal, [
      ['SWAP USED', swapUsed],
      ['SWAP FREE', swapTotal - swapUsed],
    ]),
    [
      { label: 'COMMIT LIMIT', pages: limit, of: undefined },
      { label: 'COMMITTED', pages: committedPages(program), of: ['LIMIT', limit] },
    ],
  ];
  const { pageSize } = program.space;
  const text = blocks.map(rows => rows.map(row => rowText(row, pageSize)).join('')).join('\n');
  return {
    data: blocks.flat().map(({ label, pages }) => ({ label, pages, bytes: pages * pageSize })),
    text: `                 PAGES        TOTAL      PERCENTAGE\n${text}`,
  };
}

function shares(name: string, total: number, rows: readonly (readonly [label: string, pages: number])[]): Row[] {
  return [
    { label: `TOTAL ${name}`, pages: total, of: undefined },
    ...rows.map(([label, pages]) => ({ label, pages, of: [name, total] as const })),
  ];
}

function rowText({ label, pages, of }: Row, pageSize: number): string {
  const size = pages === 0 ? '0' : bytesText(pages * pageSize);
  const part = of === undefined ? '----'.padStart(13) : share(pages, of[1], of[0]);
  return `${label.padStart(13)} ${String(pages).padStart(8)} ${size.padStart(12)}${part}\n`;
}

/** Pages with more than one user, without those that the kernel reserves. */
function sharedPages(program: Program): number {
  const reserved = pageFlagEntries(program).find(({ name }) => name === 'PG_reserved')?.bit;
  const isReserved = (page: StructObject): boolean =>
    reserved !== undefined && ((page.pointer('flags') >> BigInt(reserved)) & 1n) === 1n;
  let count = 0;
  for (const zone of zones(program)) {
    // a damaged zone spans more than there is
    const end = Math.min(zone.startPfn + zone.spanned, program.dump.memory.maxPfn);
    for (let pfn = zone.startPfn; pfn < end; pfn++) {
      const page = pageOf(program, pfn);
      if (page !== undefined && !isReserved(page) && page.num('_refcount.counter') > 1) count++;
    }
  }
  return count;
}

/** Share of a total, in whole percent. */
function share(pages: number, of: number, name: string): string {
  const percent = of === 0 ? 0 : Math.floor((pages * 100) / of);
  return `${`${percent}%`.padStart(6)} of TOTAL ${name}`;
}

/** `nr_blockdev_pages`: cached pages of block devices. */
function bufferPages(program: Program): number {
  const variable = program.symbols.find('blockdev_superblock');
  if (variable === undefined) return 0;
  const superBlock = program.memory.readU64(variable);
  if (superBlock === 0n) return 0;
  const head = program.object('super_block', superBlock).addressOf('s_inodes');
  const inodes = listForEachEntry(program, head, 'inode', 'i_sb_list', MAX_INODES);
  const pages = mapPresent(program, 'BUFFERS', inodes, inode => inode.follow('i_mapping')?.num('nrpages') ?? 0);
  return pages.reduce((sum, count) => sum + count, 0);
}

/** In pages since 5.9 per node and in bytes on some versions: the names tell (`_B`). */
function slabPages(program: Program): number {
  const inBytes = program.types.enumerator('node_stat_item', 'NR_SLAB_RECLAIMABLE_B') !== undefined;
  const suffix = inBytes ? '_B' : '';
  return vmCounter(program, `NR_SLAB_RECLAIMABLE${suffix}`) + vmCounter(program, `NR_SLAB_UNRECLAIMABLE${suffix}`);
}

function overcommitRatio(program: Program): number {
  const DEFAULT_RATIO = 50;
  const address = program.symbols.find('sysctl_overcommit_ratio');
  return address === undefined ? DEFAULT_RATIO : program.memory.readI32(address);
}

function committedPages(program: Program): number {
  const counter = program.findGlobal('percpu_counter', 'vm_committed_as');
  return counter === undefined ? 0 : counter.has('count') ? counter.num('count') : percpuCounterSum(program, counter);
}

interface Hstate {
  readonly address: bigint;
  readonly pages: number;
  readonly free: number;
  readonly total: number;
  readonly name: string;
}

function hstates(program: Program): Hstate[] {
  const table = program.symbols.find('hstates');
  const count = program.symbols.find('hugetlb_max_hstate');
  if (table === undefined || count === undefined) return [];
  const { size } = program.types.struct('hstate');
  const length = Math.min(MAX_HSTATES, program.memory.readI32(count));
  return Array.from({ length }, (_, index) => {
    const state = program.object('hstate', table + BigInt(index * size));
    return {
      address: state.address,
      pages: 2 ** state.num('order'),
      free: state.num('free_huge_pages'),
      total: state.num('nr_huge_pages'),
      name: state.string('name'),
    };
  });
}

function hugeTotals(program: Program): { total: number; free: number } {
  const all = hstates(program);
  return {
    total: all.reduce((sum, { total, pages }) => sum + total * pages, 0),
    free: all.reduce((sum, { free, pages }) => sum + free * pages, 0),
  };
}

/** `kmem -h`. */
export function hugePagesView({ program }: Session): View {
  const data = hstates(program);
  const rows = data.map(({ address, pages, free, total, name }) => {
    const size = bytesText(pages * program.space.pageSize).replace(' ', '');
    return `${hex16(address)} ${size.padStart(6)} ${String(free).padStart(7)} ${String(total).padStart(7)}  ${name}`;
  });
  return { data, text: lines(['     HSTATE        SIZE    FREE   TOTAL  NAME', ...rows]) };
}

interface ZoneRow {
  readonly index: number;
  readonly name: string;
  readonly spanned: number;
  readonly address: bigint;
  readonly map: bigint;
  readonly startPfn: number;
}

interface NodeRow {
  readonly node: number;
  readonly spanned: number;
  readonly address: bigint;
  readonly map: bigint;
  readonly startPfn: number;
  readonly zones: readonly ZoneRow[];
}

/** `kmem -n`: nodes with their zones, then sections and memory blocks. */
export function nodesView({ program }: Session): View {
  const all = zones(program);
  const nodeRows = nodes(program).map(node => {
    const id = node.num('node_id');
    const startPfn = node.num('node_start_pfn');
    return {
      node: id,
      spanned: node.num('node_spanned_pages'),
      address: node.address,
      map: pageAddress(program, startPfn) ?? 0n,
      startPfn,
      zones: all.filter(zone => zone.node === id).map(zone => zoneRow(program, zone)),
    };
  });
  const [sections, blocks] = [memSections(program), memoryBlocks(program)];
  const text = nodeRows.map(row => nodeText(row, program.space.pageSize)).join('\n');
  // crash: x86_64 has a variable with the size of a block, old kernels a member with its end
  const hasEnds = program.architecture === 'x86_64' || program.types.has('memory_block', 'end_section_nr');
  const tail = sectionsText(sections) + blocksText(blocks, hasEnds);
  return { data: { nodes: nodeRows, sections, blocks }, text: text + tail };
}

function zoneRow(program: Program, { index, name, spanned, struct, startPfn }: Zone): ZoneRow {
  const map = spanned === 0 ? 0n : (pageAddress(program, startPfn) ?? 0n);
  return { index, name, spanned, address: struct.address, map, startPfn: spanned === 0 ? 0 : startPfn };
}

function nodeText(row: NodeRow, pageSize: number): string {
  const addresses = row.zones.map(({ address }) => hex16(address)).join(`\n${' '.repeat(52)}`);
  const cells = [
    centerRight(String(row.node), 4),
    centerRight(String(row.spanned), 8),
    hex16(row.address),
    center('----', 16),
  ];
  const paddr = center(hex(row.startPfn * pageSize), 16);
  const rows = row.zones.map(
    ({ index, name, spanned, map, startPfn }) =>
      `${String(index).padStart(3)}   ${name.padEnd(8)} ${String(spanned).padStart(8)}  ${(map === 0n ? '0' : hex(map)).padStart(16)} ${hex(startPfn * pageSize).padStart(12)} ${String(startPfn).padStart(12)}`,
  );
  return lines([
    'NODE    SIZE      PGLIST_DATA       BOOTMEM_DATA       NODE_ZONES   ',
    `${cells.join('  ')}  ${addresses}`,
    '    MEM_MAP          START_PADDR    START_MAPNR',
    `${hex16(row.map)}  ${paddr}  ${centerRight(String(row.startPfn), 11)}`,
    '',
    'ZONE  NAME         SIZE       MEM_MAP      START_PADDR  START_MAPNR',
    ...rows,
    '',
    '-------------------------------------------------------------------',
  ]);
}

function sectionsText(sections: readonly MemSection[]): string {
  if (sections.length === 0) return '';
  const rows = sections.map(
    ({ number, address, codedMap, map, state, pfn }) =>
      `${String(number).padStart(2)}  ${hex16(address)}  ${hex16(codedMap)}  ${hex16(map)}  ${state.padEnd(4)}  ${String(pfn).padEnd(16)}`,
  );
  return `\n${lines(['NR      SECTION        CODED_MEM_MAP        MEM_MAP       STATE PFN', ...rows])}`;
}

/** @param hasEnds where a kernel tells how large blocks are */
function blocksText(blocks: readonly MemoryBlock[], hasEnds: boolean): string {
  if (blocks.length === 0) return '';
  const rows = blocks.map(
    ({ address, name, start, last, node, state, startSection }) =>
      ` ${hex16(address)}   ${name.padEnd(10)}${hasEnds ? `${hex(start).padStart(9)} - ${hex(last).padStart(8)}` : `${hex(start).padStart(14)}      `}  ${String(node).padEnd(5)}${state.padEnd(8)}${String(startSection).padEnd(12)}`,
  );
  const head = `   MEM_BLOCK        NAME        PHYSICAL ${hasEnds ? 'RANGE' : 'START'}     NODE  STATE   START_SECTION_NO`;
  return `\n${lines([head, ...rows])}`;
}
