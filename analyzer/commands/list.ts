/** `list`: linked lists. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { hex } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { optionOffset, shownOf, shownPlain, shownText } from './members.ts';
import type { Shown } from './members.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress, parseHex } from './numbers.ts';
import type { Refusal } from './numbers.ts';
import { faultText } from './faults.ts';
import type { Session } from './session.ts';

const MAX_ENTRIES = 10_000_000;

interface ListData {
  readonly addresses: readonly bigint[];
  readonly shown: readonly Shown[];
  /** How far into the structures the entries' addresses are: what `-l` says. */
  readonly inside: bigint;
  readonly radix: 10 | 16;
  /** Why the walk ended early. */
  readonly problem: string | undefined;
  /** The entries with what is to be shown of each, as plain data. */
  readonly plain: () => readonly unknown[];
}

/** `list`. */
export const list: Command<ListData> = {
  name: 'list',
  summary: 'the entries of a linked list',
  synopsis: '[[-o] offset][-e end][-[s|S] struct[.member[,member]] [-l offset]][-x|-d][-r|-B][-h [-O offset]|-H] start',
  options: [
    { flag: '-o', takes: 'offset', help: 'of the link in the structure: a number or struct.member' },
    { flag: '-e', takes: 'end', help: 'stop at this address' },
    { flag: '-s', takes: 'struct', help: 'show a structure, or members of it, of each entry' },
    { flag: '-S', takes: 'struct', help: 'as -s' },
    { flag: '-l', takes: 'offset', help: 'with -s: the entries are list_heads at this offset of the structures' },
    { flag: '-O', takes: 'offset', help: 'with -h: of the list_head in the first structure, which is another kind' },
    { flag: '-h', help: 'start is a structure that is linked itself, by a list_head' },
    { flag: '-H', help: 'start is a list_head outside the structures' },
    { flag: '-r', help: 'follow prev instead of next' },
    { flag: '-B', help: "find loops with Brent's algorithm: no memory for what was seen" },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description:
    'Follows a pointer from structure to structure until it returns to the start, is NULL, or reaches the end given.',
  examples: [
    { line: 'list task_struct.tasks -s task_struct.pid,comm -h init_task', why: 'all processes' },
    { line: 'list -H modules module.list -s module.name', why: 'all modules' },
  ],
  run(session, args) {
    if (args.has('-l') && !args.has('-s') && !args.has('-S'))
      throw new SynopsisError('-l option can only be used with -s or -S option');
    if (args.has('-h') && args.has('-H')) throw new UsageError('list start already entered');
    const walk = parseWalk(session, args);
    const { addresses, problem } = follow(session, walk);
    const shown = shownOf(session, args);
    const inside = args.has('-l') ? optionOffset(session, '-l', args.value('-l')!) : 0n;
    const plain = (): readonly unknown[] =>
      addresses.map(address => ({ address, contents: shownPlain(session, shown, address - inside) }));
    return {
      addresses,
      problem,
      shown,
      inside,
      plain,
      radix: args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix,
    };
  },
  json: ({ addresses, problem, shown, plain }) => ({
    entries: shown.length === 0 ? addresses.map(address => ({ address })) : plain(),
    problem,
  }),
  text(data, session) {
    if (data.addresses.length === 0 && data.problem === undefined) return '(empty)\n';
    const body = data.addresses
      .map(address => `${hex(address)}\n${shownText(session, data.shown, address - data.inside, data.radix)}`)
      .join('');
    const gap = data.problem?.startsWith('invalid list entry') === true ? '\n' : '';
    return data.problem === undefined ? body : `${body}${gap}list: ${data.problem}\n`;
  },
};

interface ListWalk {
  /** First structure, or the first link with `headed`. */
  readonly start: bigint;
  readonly offset: bigint;
  /** The pointers point to the links inside the structures, not to the structures. */
  readonly headed: boolean;
  /** Start is a head outside the structures: it is no entry. */
  readonly external: boolean;
  readonly end: bigint | undefined;
  readonly reverse: boolean;
}

function parseWalk(session: Session, args: Arguments): ListWalk {
  const words = [...args.positionals];
  const offsetText = args.value('-o') ?? (args.has('-l') ? undefined : takeOffset(session, words));
  const offset = offsetText === undefined ? 0n : optionOffset(session, args.has('-o') ? '-o' : undefined, offsetText);
  const address = startAddress(session, words);
  const headed = args.has('-h') || args.has('-H');
  return {
    start: address + (args.has('-O') ? optionOffset(session, '-O', args.value('-O')!) : 0n),
    offset,
    headed,
    external: args.has('-H') || args.has('-O'),
    end: args.has('-e') ? parseHex(args.value('-e')!) : undefined,
    reverse: args.has('-r'),
  };
}

/** The one word that is left when the offset is gone. */
function startAddress(session: Session, [word, second, third]: readonly string[]): bigint {
  if (word === undefined) throw new SynopsisError('starting address required');
  if (third !== undefined) throw new SynopsisError('too many arguments');
  const address = parseAddress(session, word, invalidArgument);
  if (second !== undefined) {
    parseAddress(session, second, invalidArgument);
    throw new UsageError('list start already entered');
  }
  if (address < FIRST_KERNEL_ADDRESS) throw new UsageError(`invalid kernel virtual address: ${hex(address)}`);
  return address;
}

const invalidArgument: Refusal = word => new UsageError(`invalid argument: ${word}`);

/** Of two words one is the offset: a `struct.member`, or the smaller number. */
function takeOffset(session: Session, words: string[]): string | undefined {
  if (words.length < 2) return undefined;
  const index = words.findIndex(
    word =>
      word.includes('.') ||
      (/^(?:0x)?[\da-f]+$/i.test(word) &&
        session.program.symbols.find(word) === undefined &&
        parseHex(word) < 0x1_0000n),
  );
  return index === -1 ? undefined : words.splice(index, 1)[0];
}

function follow(session: Session, walk: ListWalk): { addresses: bigint[]; problem: string | undefined } {
  const addresses: bigint[] = [];
  try {
    return { addresses, problem: collect(session, walk, addresses) };
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return { addresses, problem: faultText(error, 'list') };
  }
}

/** Walks until the end; returns what is wrong with the list, if anything. */
function collect({ program: { memory } }: Session, walk: ListWalk, addresses: bigint[]): string | undefined {
  const PREV = 8n;
  const direction = walk.reverse ? PREV : 0n;
  const seen = new Set<bigint>();
  const head = walk.external ? walk.start : walk.start + walk.offset;
  let at = walk.external ? memory.readU64(head + direction) - walk.offset : walk.start;
  while (addresses.length < MAX_ENTRIES && !isEnd(walk, at, head)) {
    if (seen.has(at)) return at === walk.start ? undefined : `duplicate list entry: ${hex(at)}`;
    seen.add(at);
    addresses.push(BigInt.asUintN(64, at));
    const next = memory.readU64(BigInt.asUintN(64, at + walk.offset + direction));
    // a list with a head is a ring
    if (next === 0n) return walk.headed ? 'invalid list entry: 0' : undefined;
    at = walk.headed ? next - walk.offset : next;
  }
  return undefined;
}

function isEnd(walk: ListWalk, at: bigint, head: bigint): boolean {
  // what a link holds is compared, as in crash: of an embedded list_head that is its own address
  return (
    at === 0n || at + (walk.headed ? walk.offset : 0n) === walk.end || (walk.external && at + walk.offset === head)
  );
}
