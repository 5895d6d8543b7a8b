/** The summaries of `kmem`: use of memory, nodes, huge pages. */
import { listForEachEntry } from '../linux/list.ts';
import { nodes, totalRamPages } from '../linux/mm.ts';
import { pageAddress } from '../linux/page.ts';
import { percpuCounterSum } from '../linux/percpu-counter.ts';
import { vmCounter } from '../linux/vmstat.ts';
import { zones } from '../linux/zone.ts';
import type { Program } from '../program.ts';
import { bytesText, center, hex, hex16 } from '../text/layout.ts';
import type { Session } from './session.ts';
import { swapAreas } from '../linux/swap.ts';

const MAX_INODES = 100_000;
const MAX_HSTATES = 16;

type Row = readonly [label: string, pages: number, share: string];

/** `kmem -i`. */
export function memoryUse(session: Session): string {
  const { program } = session;
  const total = totalRamPages(program);
  const free = vmCounter(program, 'NR_FREE_PAGES');
  const buffers = bufferPages(program);
  const cached = Math.max(0, vmCounter(program, 'NR_FILE_PAGES') - vmCounter(program, 'NR_SWAPCACHE') - buffers);
  const slab = slabPages(program);
  const memory: Row[] = [
    ['TOTAL MEM', total, '----'.padStart(13)],
    ['FREE', free, share(free, total, 'MEM')],
    ['USED', total - free, share(total - free, total, 'MEM')],
    ['BUFFERS', buffers, share(buffers, total, 'MEM')],
    ['CACHED', cached, share(cached, total, 'MEM')],
    ['SLAB', slab, share(slab, total, 'MEM')],
  ];
  const huge = hugeTotals(program);
  const swap = swapAreas(program);
  const swapTotal = swap.reduce((sum, { pages }) => sum + pages, 0);
  const swapUsed = swap.reduce((sum, { used }) => sum + used, 0);
  const limit = Math.floor(((total - huge.total) * overcommitRatio(program)) / 100) + swapTotal;
  const committed = committedPages(program);
  const blocks: Row[][] = [
    memory,
    [
      ['TOTAL HUGE', huge.total, '----'.padStart(13)],
      ['HUGE FREE', huge.free, share(huge.free, huge.total, 'HUGE')],
    ],
    [
      ['TOTAL SWAP', swapTotal, '----'.padStart(13)],
      ['SWAP USED', swapUsed, share(swapUsed, swapTotal, 'SWAP')],
      ['SWAP FREE', swapTotal - swapUsed, share(swapTotal - swapUsed, swapTotal, 'SWAP')],
    ],
    [
      ['COMMIT LIMIT', limit, '----'.padStart(13)],
      ['COMMITTED', committed, share(committed, limit, 'LIMIT')],
    ],
  ];
  const line = ([label, pages, text]: Row): string =>
    `${label.padStart(13)} ${String(pages).padStart(8)} ${(pages === 0 ? '0' : bytesText(pages * program.space.pageSize)).padStart(12)}${text}\n`;
  return `                 PAGES        TOTAL      PERCENTAGE\n${blocks.map(rows => rows.map(line).join('')).join('\n')}`;
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
  let pages = 0;
  for (const inode of listForEachEntry(
    program,
    program.object('super_block', superBlock).addressOf('s_inodes'),
    'inode',
    'i_sb_list',
    MAX_INODES,
  )) {
    pages += inode.follow('i_mapping')?.num('nrpages') ?? 0;
  }
  return pages;
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
export function hugePages(session: Session): string {
  const { program } = session;
  const rows = hstates(program).map(
    state =>
      `${hex16(state.address)} ${bytesText(state.pages * program.space.pageSize)
        .replace(' ', '')
        .padStart(6)} ${String(state.free).padStart(7)} ${String(state.total).padStart(7)}  ${state.name}\n`,
  );
  return `     HSTATE        SIZE    FREE   TOTAL  NAME\n${rows.join('')}`;
}

/** `kmem -n`. */
export function nodeTable(session: Session): string {
  const { program } = session;
  const all = zones(program);
  return nodes(program)
    .map(node => {
      const id = node.num('node_id');
      const start = node.num('node_start_pfn');
      const head = `NODE    SIZE      PGLIST_DATA       BOOTMEM_DATA       NODE_ZONES\n${String(id).padStart(3)} ${String(node.num('node_spanned_pages')).padStart(8)}  ${hex16(node.address)}  ${center('----', 16)}  ${all
        .filter(zone => zone.node === id)
        .map(zone => hex16(zone.struct.address))
        .join(`\n${' '.repeat(51)}`)}\n`;
      const map = `    MEM_MAP       START_PADDR  START_MAPNR\n${hex16(pageAddress(program, start) ?? 0n)}  ${center(hex(start * program.space.pageSize), 11)}  ${center('0', 11)}\n`;
      const rows = all
        .filter(zone => zone.node === id)
        .map(
          zone =>
            `${String(zone.index).padStart(3)}   ${zone.name.padEnd(8)} ${String(zone.spanned).padStart(8)}  ${hex16(pageAddress(program, zone.startPfn) ?? 0n)}  ${center(hex(zone.startPfn * program.space.pageSize), 12)}\n`,
        );
      return `${head}${map}\nZONE  NAME         SIZE       MEM_MAP      START_PADDR\n${rows.join('')}`;
    })
    .join('\n');
}
