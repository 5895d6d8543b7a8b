/** `kmem`: memory of the kernel, page by page and slab by slab. */
import { UsageError } from '../../capture/formats/errors.ts';
import { vmallocAreas } from '../linux/vmalloc.ts';
import { eventCounters, nodeCounters, zoneCounters } from '../linux/vmstat.ts';
import type { Counter } from '../linux/vmstat.ts';
import { zones } from '../linux/zone.ts';
import { hex, lines } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { identify } from './kmem-address.ts';
import { flagsView, freeListsView, membersView, pagesView } from './kmem-pages.ts';
import { slabsView } from './kmem-slab.ts';
import { hugePagesView, memoryUseView, nodesView } from './kmem-summary.ts';
import { vmallocHeader, vmallocRow } from './kmem-vmalloc.ts';
import { noAddress, parseAddress } from './numbers.ts';
import type { Session } from './session.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

/** `kmem`. */
export const kmem: Command<View> = {
  name: 'kmem',
  summary: 'kernel memory: use, pages, slabs, zones, vmalloc, an address',
  synopsis:
    '[-f|-F|-c|-C|-i[=shared]|-v|-V|-n|-z|-o|-h] [-p | -m member[,member]] [[-s|-S|-S=cpu(s)|-r] [slab] [-I slab[,slab]]] [-g [flags]] [[-P] address]',
  options: [
    { flag: '-i', help: 'use of memory' },
    { flag: '-i=shared', help: 'as -i, with the pages that are used more than once' },
    { flag: '-s', help: 'slab caches' },
    { flag: '-S', help: 'slab caches with all slabs and objects' },
    { flag: '-S=', takes: 'cpus', help: 'as -S, of these CPUs: 0,2-3 or all' },
    { flag: '-r', help: 'root caches with their children (memory control groups, before 5.9)' },
    { flag: '-I', takes: 'slab', help: 'leave out these caches' },
    { flag: '-f', help: 'free lists' },
    { flag: '-F', help: 'free lists with their pages' },
    { flag: '-v', help: 'vmalloc areas' },
    { flag: '-V', help: 'counters of zones, nodes and events' },
    { flag: '-n', help: 'nodes, their zones, and the sections of memory' },
    { flag: '-z', help: 'zones with their counters' },
    { flag: '-o', help: 'per-cpu offsets' },
    { flag: '-h', help: 'huge pages' },
    { flag: '-p', help: 'all page structures' },
    { flag: '-m', takes: 'members', help: 'these members of all page structures' },
    { flag: '-g', help: 'names of page flags, or of those in a word' },
    { flag: '-P', help: 'the address is physical' },
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
    const views = chosenViews(args);
    if (views.length > 0) return togetherOf(views.map(view => view(session, args)));
    if (args.positionals.length === 0) throw new SynopsisError('an option or an address is needed');
    const found = args.positionals.map(word =>
      identify(session, parseAddress(session, word, noAddress), args.has('-P')),
    );
    return { data: found.map(({ data }) => data), text: found.map(({ text }) => text).join('\n') };
  },
  ...VIEW_OUTPUT,
};

/** Options that go with others. */
const COMPANIONS = new Set(['-n', '-z']);
/** Options that take no address. */
const WITHOUT_ADDRESS = new Set(['-i', '-i=shared', '-V', '-C', '-F', '-z', '-n', '-o', '-h']);

/** @throws SynopsisError for options that exclude each other */
function chosenViews(args: Arguments): MakeView[] {
  const given = VIEWS.filter(([flag]) => args.has(flag));
  const chosen = args.has('-m') ? given.filter(([flag]) => flag !== '-p') : given;
  if (chosen.filter(([flag]) => !COMPANIONS.has(flag)).length > 1) throw new SynopsisError('only one flag allowed!');
  if (args.positionals.length > 0 && chosen.some(([flag]) => WITHOUT_ADDRESS.has(flag)))
    throw new SynopsisError('no address arguments allowed with this option');
  return chosen.map(([, view]) => view);
}

/** One view, or those of options that go together, one behind the other. */
function togetherOf(views: readonly View[]): View {
  const [only, ...more] = views;
  if (only !== undefined && more.length === 0) return only;
  return { data: views.map(({ data }) => data), text: views.map(({ text }) => text).join('') };
}

type MakeView = (session: Session, args: Arguments) => View;

const VIEWS: readonly (readonly [flag: string, view: MakeView])[] = [
  ['-c', notApplicable('-c')],
  ['-C', notApplicable('-C')],
  ['-i=shared', session => memoryUseView(session, true)],
  ['-i', session => memoryUseView(session, false)],
  ['-S=', slabsView],
  ['-S', slabsView],
  ['-s', slabsView],
  ['-r', slabsView],
  ['-F', (session, args) => freeListsView(session, args, true)],
  ['-f', (session, args) => freeListsView(session, args, false)],
  ['-v', vmallocView],
  ['-V', countersView],
  ['-n', nodesView],
  ['-z', zonesView],
  ['-o', offsetsView],
  ['-h', hugePagesView],
  ['-p', pagesView],
  ['-m', membersView],
  ['-g', flagsView],
];

function notApplicable(flag: string): MakeView {
  return () => {
    throw new UsageError(`${flag} option not supported or applicable on this architecture or kernel`);
  };
}

function vmallocView(session: Session, args: Arguments): View {
  const wanted = args.positionals.map(word => parseAddress(session, word, noAddress));
  const data = vmallocAreas(session.program)
    .filter(({ vmStruct }) => vmStruct !== 0n)
    .filter(({ start, end }) => wanted.length === 0 || wanted.some(address => address >= start && address < end))
    .map(({ area, vmStruct, start, end }) => ({ area: area.address, vmStruct, start, end }));
  return { data, text: vmallocHeader() + data.map(vmallocRow).join('') };
}

function counterLines(all: readonly Counter[], column = 0): string {
  const width = Math.max(column, ...all.map(({ name }) => name.length));
  return lines(all.map(({ name, value }) => `${name.padStart(width)}: ${value}`));
}

const STAT_COLUMN = 26;
const EVENT_COLUMN = 29;

function countersView(session: Session): View {
  const { program } = session;
  const sections = [
    { name: 'VM_ZONE_STAT', counters: zoneCounters(program), column: STAT_COLUMN },
    { name: 'VM_NODE_STAT', counters: nodeCounters(program), column: STAT_COLUMN },
    { name: 'VM_EVENT_STATES', counters: eventCounters(program), column: EVENT_COLUMN },
  ];
  return {
    data: sections.map(({ name, counters }) => ({ name, counters })),
    text: sections.map(({ name, counters, column }) => `  ${name}:\n${counterLines(counters, column)}`).join('\n'),
  };
}

function zonesView(session: Session): View {
  const { program } = session;
  const data = zones(program).map(({ struct, ...zone }) => ({
    ...zone,
    address: struct.address,
    watermarks: [0, 1, 2].map(index => struct.num(`_watermark[${index}]`)),
    counters: zone.present === 0 ? [] : zoneCounters(program, struct.addressOf('vm_stat')),
  }));
  const blocks = data.map(({ node, index, address, name, spanned, present, watermarks, counters }) => {
    const head = `NODE: ${node}  ZONE: ${index}  ADDR: ${hex(address)}  NAME: "${name}"\n`;
    if (present === 0) return `${head}  [unpopulated]\n`;
    const shown = present === spanned ? '' : `  PRESENT: ${present}`;
    return `${head}  SIZE: ${spanned}${shown}  MIN/LOW/HIGH: ${watermarks.join('/')}\n  VM_STAT:\n${counterLines(counters)}\n`;
  });
  return { data, text: blocks.join('\n') };
}

function offsetsView({ program }: Session): View {
  const data = program.percpuOffsets.map((offset, cpu) => ({ cpu, offset }));
  const rows = data.map(({ cpu, offset }) => `  CPU ${cpu}: ${hex(offset)}`);
  return { data, text: lines(['PER-CPU OFFSET VALUES:', ...rows]) };
}
