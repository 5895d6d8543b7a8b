/** `kmem`: memory of the kernel, page by page and slab by slab. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { vmallocAreas } from '../linux/vmalloc.ts';
import { eventCounters, nodeCounters, zoneCounters } from '../linux/vmstat.ts';
import type { Counter } from '../linux/vmstat.ts';
import { pageFlags } from '../linux/page-flags.ts';
import { pageAddress, pageOf, pfnOfPage } from '../linux/page.ts';
import { kmemCaches, slabOfAddress } from '../linux/slab.ts';
import { zones, freeLists } from '../linux/zone.ts';
import type { Zone } from '../linux/zone.ts';
import { pageHeader, pageLine } from '../text/page-line.ts';
import { center, centerRight, hex, hex16 } from '../text/layout.ts';
import type { Arguments, Command } from './command.ts';
import { hugePages, memoryUse, nodeTable } from './kmem-summary.ts';
import { cacheRow, slabHeader, slabListing } from './kmem-slab.ts';
import { parseAddress } from './numbers.ts';
import type { Session } from './session.ts';
import { taskHeader } from './select-tasks.ts';
import { taskStack } from '../unwind/stacks.ts';

interface KmemData {
  readonly text: string;
}

/** `kmem`. */
export const kmem: Command<KmemData> = {
  name: 'kmem',
  summary: 'kernel memory: use, pages, slabs, zones, vmalloc, an address',
  synopsis:
    '[-f|-F|-c|-C|-i|-v|-V|-n|-z|-o|-h] [-p | -m member[,member]] [[-s|-S|-S=cpu|-r] [slab] [-I slab[,slab]]] [-g [flags]] [address]',
  options: [
    { flag: '-i', help: 'use of memory' },
    { flag: '-s', help: 'slab caches' },
    { flag: '-S', help: 'slab caches with all slabs and objects' },
    { flag: '-r', help: 'root caches with their children (memory control groups)' },
    { flag: '-I', takes: 'slab', help: 'leave out these caches' },
    { flag: '-f', help: 'free lists' },
    { flag: '-F', help: 'free lists with their pages' },
    { flag: '-v', help: 'vmalloc areas' },
    { flag: '-V', help: 'counters of zones, nodes and events' },
    { flag: '-n', help: 'nodes and their zones' },
    { flag: '-z', help: 'zones with their counters' },
    { flag: '-o', help: 'per-cpu offsets' },
    { flag: '-h', help: 'huge pages' },
    { flag: '-p', help: 'all page structures' },
    { flag: '-m', takes: 'members', help: 'these members of all page structures' },
    { flag: '-g', help: 'names of page flags, or of those in a word' },
    { flag: '-c', help: 'the page hash (kernels before 2.6)' },
    { flag: '-C', help: 'the page hash with pages (kernels before 2.6)' },
  ],
  description: 'With an address: what it is in — a task, a slab object, a vmalloc area, a page, a symbol.',
  examples: [
    { line: 'kmem -i', why: 'is memory short' },
    { line: 'kmem -s | sort -nrk 5 | head', why: 'who holds most slabs' },
    { line: 'kmem ffff325bc2216180', why: 'what is at an address' },
  ],
  run(session, args) {
    const view = VIEWS.find(([flag]) => args.has(flag));
    if (view !== undefined) return { text: view[1](session, args) };
    if (args.positionals.length === 0) throw new UsageError('an option or an address is needed');
    return { text: args.positionals.map(word => identify(session, parseAddress(session, word))).join('\n') };
  },
  text: data => data.text,
};

type View = (session: Session, args: Arguments) => string;

const VIEWS: readonly (readonly [flag: string, view: View])[] = [
  ['-c', notApplicable('-c')],
  ['-C', notApplicable('-C')],
  ['-i', session => memoryUse(session)],
  ['-S', (session, args) => slabs(session, args, true)],
  ['-s', (session, args) => slabs(session, args, false)],
  ['-r', (session, args) => slabs(session, args, false)],
  ['-F', session => freePages(session, true)],
  ['-f', session => freePages(session, false)],
  ['-v', session => vmallocText(session)],
  ['-V', session => countersText(session)],
  ['-n', session => nodeTable(session)],
  ['-z', session => zonesText(session)],
  ['-o', session => offsetsText(session)],
  ['-h', session => hugePages(session)],
  ['-p', (session, args) => pagesText(session, args.positionals)],
  ['-m', (session, args) => membersText(session, args.value('-m')!.split(','))],
  ['-g', (session, args) => flagsText(session, args.positionals[0])],
];

function notApplicable(flag: string): View {
  return () => {
    throw new UsageError(`${flag} option not supported or applicable on this architecture or kernel`);
  };
}

function slabs(session: Session, args: Arguments, full: boolean): string {
  const { program } = session;
  const excluded = args.values('-I').flatMap(text => text.split(','));
  const wanted = args.positionals;
  const caches = kmemCaches(program).filter(cache => {
    const name = cache.stringAt('name', 128);
    if (excluded.includes(name)) return false;
    return wanted.length === 0 || wanted.includes(name) || wanted.includes(hex(cache.address));
  });
  if (wanted.length > 0 && caches.length === 0) return addressSlabs(session, wanted);
  const blocks = caches.map(cache =>
    tolerant(() => (full ? `${slabHeader()}${slabListing(program, cache)}` : cacheRow(program, cache)), cache.address),
  );
  return full ? blocks.join('\n') : `${slabHeader()}${blocks.join('')}`;
}

function tolerant(read: () => string, address: bigint): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `${hex16(address)}  (${error.message})\n`;
  }
}

function addressSlabs(session: Session, words: readonly string[]): string {
  return words
    .map(word => {
      if (!/^(?:0x)?[\da-f]+$/i.test(word)) throw new UsageError(`no slab cache of that name: ${word}`);
      const text = slabText(session, parseAddress(session, word));
      if (text === undefined) throw new UsageError(`not in a slab: ${word}`);
      return text;
    })
    .join('\n');
}

/** The object that an address lies in. */
function slabText(session: Session, address: bigint): string | undefined {
  const { program } = session;
  const found = slabOfAddress(program, address);
  if (found === undefined) return undefined;
  return `${slabHeader()}${cacheRow(program, found.cache)}${slabListing(program, found.cache, { slab: found.slab, address })}`;
}

function vmallocText(session: Session): string {
  const rows = vmallocAreas(session.program)
    .filter(({ vmStruct }) => vmStruct !== 0n)
    .map(
      ({ area, vmStruct, start, end }) =>
        `${hex16(area.address)}  ${hex16(vmStruct)}  ${hex16(start)} - ${hex16(end)}  ${String(end - start).padStart(7)}\n`,
    );
  return `   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE\n${rows.join('')}`;
}

function counterLines(all: readonly Counter[], column = 0): string {
  const width = Math.max(column, ...all.map(({ name }) => name.length));
  return all.map(({ name, value }) => `${name.padStart(width)}: ${value}\n`).join('');
}

const STAT_COLUMN = 26;
const EVENT_COLUMN = 29;

function countersText(session: Session): string {
  const { program } = session;
  const sections: readonly (readonly [string, readonly Counter[]])[] = [
    ['VM_ZONE_STAT', zoneCounters(program)],
    ['VM_NODE_STAT', nodeCounters(program)],
    ['VM_EVENT_STATES', eventCounters(program)],
  ];
  return sections
    .map(
      ([title, all]) => `  ${title}:\n${counterLines(all, title === 'VM_EVENT_STATES' ? EVENT_COLUMN : STAT_COLUMN)}`,
    )
    .join('\n');
}

function zonesText(session: Session): string {
  const { program } = session;
  return zones(program)
    .map(zone => {
      const { struct } = zone;
      const head = `NODE: ${zone.node}  ZONE: ${zone.index}  ADDR: ${hex(struct.address)}  NAME: "${zone.name}"\n`;
      if (zone.present === 0) return `${head}  [unpopulated]\n`;
      const present = zone.present === zone.spanned ? '' : `  PRESENT: ${zone.present}`;
      const marks = [0, 1, 2].map(index => struct.num(`_watermark[${index}]`)).join('/');
      const stat = zoneCounters(program, struct.addressOf('vm_stat'));
      return `${head}  SIZE: ${zone.spanned}${present}  MIN/LOW/HIGH: ${marks}\n  VM_STAT:\n${counterLines(stat)}\n`;
    })
    .join('\n');
}

function offsetsText(session: Session): string {
  const rows = session.program.percpuOffsets.map((offset, cpu) => `  CPU ${cpu}: ${hex(offset)}\n`);
  return `PER-CPU OFFSET VALUES:\n${rows.join('')}`;
}

function zoneHeader(program: Session['program'], zone: Zone, free: number): string {
  const empty = zone.present === 0;
  const map = empty ? center('0', 16) : hex16(pageAddress(program, zone.startPfn) ?? 0n);
  const start = empty ? '0' : hex(zone.startPfn * program.space.pageSize);
  const index = empty
    ? 0
    : zone.startPfn - (zones(program).find(({ node, present }) => node === zone.node && present > 0)?.startPfn ?? 0);
  return `ZONE  NAME        SIZE    FREE      MEM_MAP       START_PADDR  START_MAPNR\n  ${String(zone.index).padEnd(3)} ${zone.name.padEnd(8)} ${String(empty ? 0 : zone.spanned).padStart(7)} ${String(free).padStart(7)}  ${map}  ${center(start, 12)} ${centerRight(String(index), 11)}\n`;
}

function freePages(session: Session, withPages: boolean): string {
  const { program } = session;
  let total = 0;
  const blocks = zones(program).map(zone => {
    const lists = zone.present === 0 ? [] : freeLists(program, zone);
    const free = lists.reduce((sum, { order, blocks: all }) => sum + all.length * 2 ** order, 0);
    total += free;
    return `${zoneHeader(program, zone, free)}${lists.map(list => freeListText(session, list, withPages)).join('')}\n`;
  });
  const expected = zoneCounters(program).find(({ name }) => name === 'NR_FREE_PAGES')?.value;
  return `${blocks.join('')}nr_free_pages: ${expected ?? 0}  ${total === expected ? '(verified)' : `(found ${total})`}\n`;
}

function freeListText(session: Session, list: ReturnType<typeof freeLists>[number], withPages: boolean): string {
  const size = `${(session.program.space.pageSize / 1024) * 2 ** list.order}k`;
  const counts = withPages
    ? ''
    : `${String(list.blocks.length).padStart(8)} ${String(list.blocks.length * 2 ** list.order).padStart(6)}`;
  const head = `AREA    SIZE  FREE_AREA_STRUCT${withPages ? '' : '  BLOCKS  PAGES'}\n${String(list.order).padStart(3)} ${size.padStart(8)}  ${hex16(list.head)}  ${counts}\n`;
  return withPages ? head + list.blocks.map(block => `${hex16(block)}\n`).join('') : head;
}

const MAX_PAGES = 100_000_000;

function pagesText(session: Session, words: readonly string[]): string {
  const { program } = session;
  if (words.length > 0) return words.map(word => pageBlock(session, parseAddress(session, word))).join('');
  const out = [pageHeader(program)];
  for (const zone of zones(program)) {
    const end = Math.min(zone.startPfn + zone.spanned, zone.startPfn + MAX_PAGES);
    for (let pfn = zone.startPfn; pfn < end; pfn++) {
      const page = pageOf(program, pfn);
      if (page !== undefined) out.push(pageLine(program, page));
    }
  }
  return out.join('');
}

function pageBlock(session: Session, address: bigint): string {
  const { program } = session;
  const pfn = pfnOfPage(program, address) ?? Number(address / BigInt(program.space.pageSize));
  const page = pageOf(program, pfn);
  if (page === undefined) throw new UsageError(`no page: ${hex(address)}`);
  return pageHeader(program) + pageLine(program, page);
}

function membersText(session: Session, members: readonly string[]): string {
  const { program } = session;
  const type = program.types.struct('page');
  for (const member of members)
    if (type.place(member) === undefined) throw new UsageError(`struct page has no member named ${member}`);
  const out = [`      PAGE        ${members.join('  ')}\n`];
  for (const zone of zones(program)) {
    for (let pfn = zone.startPfn; pfn < zone.startPfn + zone.spanned; pfn++) {
      const page = pageOf(program, pfn);
      if (page !== undefined)
        out.push(`${hex16(page.address)}  ${members.map(member => hex(page.pointer(member))).join('  ')}\n`);
    }
  }
  return out.join('');
}

function flagsText(session: Session, word: string | undefined): string {
  const flags = pageFlags(session.program);
  const value = word === undefined ? undefined : parseAddress(session, word);
  const rows = flags
    .filter(([bit]) => value === undefined || ((value >> BigInt(bit)) & 1n) === 1n)
    .map(
      ([bit, name]) =>
        `PG_${name.padEnd(20)} ${String(bit).padStart(3)}  ${(1n << BigInt(bit)).toString(16).padStart(16, '0')}\n`,
    );
  return `${value === undefined ? '' : `FLAGS: ${hex(value)}\n`}PAGE-FLAG               BIT  VALUE\n${rows.join('')}`;
}

function identify(session: Session, address: bigint): string {
  const { program } = session;
  const found: string[] = [];
  const symbol = program.symbols.format(address);
  if (symbol !== undefined) found.push(`${hex(address)} (${program.symbols.lookup(address)!.symbol.type}) ${symbol}\n`);
  for (const task of session.tasks.all) {
    const stack = taskStack(program, task);
    if (address >= stack.start && address < stack.end) found.push(`${taskHeader(task)}  [kernel stack]\n`);
    else if (address === task.address) found.push(`${taskHeader(task)}\n`);
  }
  const slab = slabText(session, address);
  if (slab !== undefined) found.push(slab);
  const area = vmallocAreas(program).find(({ start, end }) => address >= start && address < end);
  if (area !== undefined)
    found.push(
      `   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE\n${hex16(area.area.address)}  ${hex16(area.vmStruct)}  ${hex16(area.start)} - ${hex16(area.end)}  ${String(area.end - area.start).padStart(7)}\n`,
    );
  const pfn = pfnOfPage(program, address) ?? pfnOf(session, address);
  const page = pfn === undefined ? undefined : pageOf(program, pfn);
  if (page !== undefined) found.push(pageHeader(program) + pageLine(program, page));
  if (found.length === 0) throw new UsageError(`address is of nothing known: ${hex(address)}`);
  return found.join('\n');
}

function pfnOf(session: Session, address: bigint): number | undefined {
  const { program } = session;
  const paddr = address < 1n << 52n ? Number(address) : program.memory.translate(address);
  return paddr === undefined ? undefined : Math.floor(paddr / program.space.pageSize);
}
