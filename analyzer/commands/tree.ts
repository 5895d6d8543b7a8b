/** `tree`: radix trees, XArrays, red-black trees, maple trees. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { mapleEntriesBelow, mapleForEach } from '../linux/maple-tree.ts';
import type { MapleEntry } from '../linux/maple-tree.ts';
import { rbInorder, rbPreorder } from '../linux/rbtree.ts';
import { xaEntriesBelow, xaForEach } from '../linux/xarray.ts';
import type { XarrayEntry } from '../linux/xarray.ts';
import type { Program } from '../program.ts';
import { hex } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { optionOffset, shownOf, shownPlain, shownText } from './members.ts';
import type { Shown } from './members.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress } from './numbers.ts';
import type { Refusal } from './numbers.ts';
import type { Session } from './session.ts';
import { mapleDump } from './tree-maple.ts';

const MAX_ENTRIES = 10_000_000;

interface TreeEntry {
  readonly address: bigint;
  /** With `-p`: the line under the entry. */
  readonly position: string | undefined;
}

interface TreeData {
  readonly kind: string;
  readonly entries: readonly TreeEntry[];
  readonly shown: readonly Shown[];
  readonly radix: 10 | 16;
  readonly problem: string | undefined;
  /** With `-v`. */
  readonly dump: string | undefined;
  /** The entries with what is to be shown of each, as plain data. */
  readonly plain: () => readonly unknown[];
}

/** `tree`. */
export const tree: Command<TreeData> = {
  name: 'tree',
  summary: 'the entries of a tree',
  synopsis:
    '-t [radix|xarray|rbtree|maple] [-r offset][-[s|S] struct[.member[,member]]][-x|-d][-o offset][-l][-p][-N] start',
  options: [
    { flag: '-t', takes: 'type', help: 'ra(dix), x(array), rb(tree) or m(aple)' },
    { flag: '-r', takes: 'offset', help: 'of the root in the structure at start' },
    { flag: '-o', takes: 'offset', help: 'of the node in the structures (rbtree)' },
    { flag: '-s', takes: 'struct', help: 'show a structure, or members of it, of each entry' },
    { flag: '-S', takes: 'struct', help: 'as -s' },
    { flag: '-l', help: 'in order of keys (rbtree)' },
    { flag: '-p', help: 'the position of each entry in the tree' },
    { flag: '-N', help: 'start is a node, not a root' },
    { flag: '-v', help: 'the nodes with all that is in them (maple)' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description:
    'Start is the address, or the symbol, of the root. A red-black tree is listed node, left, right; the others by index.',
  examples: [
    { line: 'tree -t rbtree -o vmap_area.rb_node vmap_area_root', why: 'vmalloc areas' },
    { line: 'tree -t xarray -r address_space.i_pages ffff325bc306d9e8', why: 'pages of a file' },
    { line: 'tree -t maple ffff325bca9c61c0', why: "a process's mappings" },
  ],
  run(session, args) {
    const [startText, second] = args.positionals;
    if (second !== undefined) throw new SynopsisError('too many arguments entered');
    if (startText === undefined) throw new SynopsisError('no start address given');
    const kind = kindOf(args.value('-t') ?? 'rbtree');
    refuseOptions(kind, args);
    const rootOffset = args.has('-r') ? optionOffset(session, '-r', args.value('-r')!) : 0n;
    const address = parseAddress(session, startText, invalidStart);
    if (address < FIRST_KERNEL_ADDRESS) throw invalidStart(startText);
    const start = address + rootOffset;
    const { entries, problem } = collect(session, kind, start, args);
    const radix = radixOf(session, args);
    const dump = args.has('-v')
      ? mapleDump(session.program, session.program.object('maple_tree', start), radix)
      : undefined;
    const shown = shownOf(session, args);
    const plain = (): readonly unknown[] =>
      entries.map(entry => ({ ...entry, contents: shownPlain(session, shown, entry.address) }));
    return { kind, entries, problem, shown, radix, plain, dump };
  },
  json: ({ kind, entries, problem, shown, plain }) => ({
    kind,
    entries: shown.length === 0 ? entries : plain(),
    problem,
  }),
  text(data, session) {
    if (data.dump !== undefined) return data.dump;
    const line = ({ address, position }: TreeEntry): string => {
      // crash prints the entries of a maple tree in the session's base.
      const number = data.kind === 'maple' && data.radix === 10 ? String(address) : hex(address);
      const place = position === undefined ? '' : `  ${position}\n`;
      return `${number}\n${place}${shownText(session, data.shown, address, data.radix)}`;
    };
    const body = data.entries.map(line).join('');
    return data.problem === undefined ? body : `${body}tree: ${data.problem}\n`;
  },
};

const invalidStart: Refusal = word => new UsageError(`invalid start argument: ${word}`);

/** What each kind is called where an option does not fit it, and which do not. */
const REFUSED: Readonly<Record<string, readonly [name: string, flags: readonly string[]]>> = {
  radix: ['radix trees', ['-l', '-o', '-v']],
  xarray: ['Xarrays', ['-l', '-o', '-v']],
  rbtree: ['rbtrees', ['-v']],
  maple: ['maple trees', ['-l', '-o']],
};

function refuseOptions(kind: string, args: Arguments): void {
  const [name, flags] = REFUSED[kind]!;
  const refused = flags.find(flag => args.has(flag));
  if (refused !== undefined) throw new UsageError(`${refused} option is not applicable to ${name}`);
}

function radixOf({ settings }: Session, args: Arguments): 10 | 16 {
  return args.has('-x') ? 16 : args.has('-d') ? 10 : settings.radix;
}

const KINDS = { ra: 'radix', x: 'xarray', rb: 'rbtree', m: 'maple' } as const;

/** The kind that the beginning of a name tells. */
function kindOf(text: string): string {
  const known = Object.entries(KINDS).find(([start]) => text.startsWith(start));
  if (known === undefined) throw new SynopsisError(`invalid tree type: ${text}`);
  return known[1];
}

function collect(
  session: Session,
  kind: string,
  start: bigint,
  args: Arguments,
): { entries: TreeEntry[]; problem: string | undefined } {
  const entries: TreeEntry[] = [];
  try {
    for (const entry of entriesOf(session, kind, start, args)) {
      entries.push(entry);
      if (entries.length >= MAX_ENTRIES) return { entries, problem: 'the tree has too many entries' };
    }
    return { entries, problem: undefined };
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return { entries, problem: error.message };
  }
}

function* entriesOf(session: Session, kind: string, start: bigint, args: Arguments): Generator<TreeEntry> {
  const { program } = session;
  const position = args.has('-p');
  if (kind === 'rbtree') {
    yield* rbEntries(session, start, args, position);
    return;
  }
  const isNode = args.has('-N');
  const radix = radixOf(session, args);
  if (kind === 'maple') {
    let index = 0;
    for (const { pointer, path } of mapleEntries(program, start, isNode)) {
      const place = path.length === 0 ? '/0' : `root/${path.join('/')}`;
      yield {
        address: pointer,
        position: position ? `index: ${(++index).toString(radix)}  position: ${place}` : undefined,
      };
    }
    return;
  }
  for (const { pointer, index, path } of xarrayEntries(program, start, isNode)) {
    const place = path.length === 0 ? 'direct/0' : `root/${path.join('/')}`;
    yield { address: pointer, position: position ? `index: ${index.toString(radix)}  position: ${place}` : undefined };
  }
}

function mapleEntries(program: Program, start: bigint, isNode: boolean): Iterable<MapleEntry> {
  return isNode ? mapleEntriesBelow(program, start) : mapleForEach(program, program.object('maple_tree', start));
}

function xarrayEntries(program: Program, start: bigint, isNode: boolean): Iterable<XarrayEntry> {
  // `xa_mk_internal`: the address alone will do
  if (isNode) return xaEntriesBelow(program, (start & 3n) === 0n ? start | 2n : start);
  const struct = program.types.findStruct('xarray') === undefined ? 'radix_tree_root' : 'xarray';
  return xaForEach(program, program.object(struct, start));
}

function* rbEntries(session: Session, start: bigint, args: Arguments, position: boolean): Generator<TreeEntry> {
  const { program } = session;
  const offset = args.has('-o') ? optionOffset(session, '-o', args.value('-o')!) : 0n;
  const root = args.has('-N') ? start : program.memory.readU64(start);
  const nodes = args.has('-l') ? rbInorder(program, root) : rbPreorder(program, root);
  for (const node of nodes) {
    const steps = Array.from(node.path, step => `/${step}`).join('');
    yield { address: node.address - offset, position: position ? `position: root${steps}` : undefined };
  }
}
