/** `sbitmapq`: a scalable bitmap queue, as block devices use for tags; `lib/sbitmap.c`. */
import { UsageError } from '../../capture/formats/errors.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import type { Program } from '../program.ts';
import { hex } from '../text/layout.ts';
import type { StructObject } from '../types/object.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { parseShown, shownPlain, shownText } from './members.ts';
import type { Shown } from './members.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress } from './numbers.ts';
import type { Refusal } from './numbers.ts';
import type { Session } from './session.ts';

/** Four million bits: more than any queue has. */
const MAX_WORDS = 65_536;
const WORD_BITS = 64;
/** `SBQ_WAIT_QUEUES`; `include/linux/sbitmap.h`. */
const WAIT_QUEUES = 8;

interface Word {
  readonly word: bigint;
  readonly cleared: bigint;
  /** Bits of it that count. */
  readonly depth: number;
}

/** The array whose elements the bits stand for: `-s` and `-a`. */
interface Elements {
  readonly shown: Shown;
  readonly entries: readonly { readonly bit: number; readonly slot: bigint; readonly address: bigint }[];
}

interface SbitmapqData {
  readonly depth: number;
  readonly shift: number;
  readonly words: readonly Word[];
  readonly elements: Elements | undefined;
  readonly verbose: boolean;
  readonly radix: 10 | 16;
  /** Lines that tell the state, `name = value`. */
  readonly state: readonly string[];
  readonly plain: () => unknown;
}

const invalidArgument: Refusal = word => new UsageError(`invalid command argument: ${word}`);
const invalidArray: Refusal = word => new UsageError(`invalid -a option: ${word}`);

/** `sbitmapq`. */
export const sbitmapq: Command<SbitmapqData> = {
  name: 'sbitmapq',
  summary: 'a sbitmap_queue: size, use, bits, and what the set bits stand for',
  synopsis: '[-s struct[.member[,member]] -a address [-p] [-v]] [-x|-d] address',
  options: [
    { flag: '-s', takes: 'struct', help: 'the structure that each bit stands for' },
    { flag: '-a', takes: 'address', help: 'array of these structures, or of pointers to them' },
    { flag: '-p', help: 'the array holds pointers' },
    { flag: '-v', help: 'show the structures, or the members that -s names' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: `Without -s: the state of the queue and its bits, byte by byte. With -s and -a: where the elements of the set bits are.
A bit is set when it is in \`word\` and not in \`cleared\`.`,
  examples: [
    { line: 'sbitmapq ffff8e99d0dc8010', why: 'how many tags are taken' },
    { line: 'sbitmapq -s request.tag -a ffff8e99c9ae0210 -p -v ffff8e99d0dc8010', why: 'the requests that hold them' },
  ],
  run(session, args) {
    const address = parseQueue(session, args);
    const queue = session.program.object('sbitmap_queue', address);
    const words = wordsOf(session.program, queue);
    const elements = args.has('-s') ? elementsOf(session, args, words, queue.num('sb.shift')) : undefined;
    const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
    return {
      depth: queue.num('sb.depth'),
      shift: queue.num('sb.shift'),
      words,
      elements,
      verbose: args.has('-v'),
      radix,
      state: elements === undefined ? stateLines(session.program, queue) : [],
      plain: () =>
        elements?.entries.map(entry => ({ ...entry, contents: shownPlain(session, [elements.shown], entry.address) })),
    };
  },
  json: ({ depth, shift, words, plain }) => ({
    depth,
    shift,
    words: words.map(({ word, cleared }) => ({ word, cleared })),
    elements: plain(),
  }),
  text({ depth, shift, words, elements, verbose, radix, state }, session) {
    if (elements !== undefined) return elementsText(session, elements, verbose, radix);
    const head = [
      `depth = ${depth}`,
      `busy = ${weight(words.map(({ word }) => word)) - weight(words.map(({ cleared }) => cleared))}`,
      `cleared = ${weight(words.map(({ cleared }) => cleared))}`,
      `bits_per_word = ${2 ** shift}`,
      `map_nr = ${words.length}`,
    ];
    return `${[...head, ...state].join('\n')}\n\n${bitsText(words)}`;
  },
};

/** The queue's address. @throws SynopsisError for options that do not go together */
function parseQueue(session: Session, args: Arguments): bigint {
  const [word, second] = args.positionals;
  if (word === undefined) throw new SynopsisError('command argument is required');
  if (second !== undefined) throw new SynopsisError('too many arguments');
  const address = kernelAddress(session, word, invalidArgument);
  if (args.has('-s') && !args.has('-a')) throw new SynopsisError('-s option requires -a option');
  if (args.has('-a') && !args.has('-s')) throw new SynopsisError('-a option is used with -s option only');
  if (args.has('-p') && !args.has('-a')) throw new SynopsisError('-p option requires -a option');
  return address;
}

function kernelAddress(session: Session, word: string, refusal: Refusal): bigint {
  const address = parseAddress(session, word, refusal);
  if (address < FIRST_KERNEL_ADDRESS) throw new UsageError(`invalid kernel virtual address: ${word}`);
  return address;
}

function wordsOf(program: Program, queue: StructObject): Word[] {
  const { size } = program.types.struct('sbitmap_word');
  const map = queue.pointer('sb.map');
  const perWord = 2 ** queue.num('sb.shift');
  const depth = queue.num('sb.depth');
  return Array.from({ length: Math.min(MAX_WORDS, queue.num('sb.map_nr')) }, (_, index) => {
    const entry = program.object('sbitmap_word', map + BigInt(index * size));
    return {
      word: entry.pointer('word'),
      cleared: entry.has('cleared') ? entry.pointer('cleared') : 0n,
      // older kernels tell it of each word
      depth: Math.min(
        WORD_BITS,
        entry.has('depth') ? entry.num('depth') : Math.max(0, Math.min(perWord, depth - index * perWord)),
      ),
    };
  });
}

function weight(words: readonly bigint[]): number {
  return words.reduce((sum, word) => sum + word.toString(2).replaceAll('0', '').length, 0);
}

function stateLines(program: Program, queue: StructObject): string[] {
  const of = (member: string): string => (queue.has(`sb.${member}`) ? `sb.${member}` : member);
  const hints = queue.pointer(of('alloc_hint'));
  const perCpu = possibleCpus(program).map(cpu =>
    program.memory.readU32(BigInt.asUintN(64, hints + (program.percpuOffsets[cpu] ?? 0n))),
  );
  return [
    `alloc_hint = {${perCpu.join(', ')}}`,
    `wake_batch = ${queue.num('wake_batch')}`,
    `wake_index = ${queue.num('wake_index.counter')}`,
    ...(queue.has('ws_active') ? [`ws_active = ${queue.num('ws_active.counter')}`] : []),
    'ws = {',
    ...waitStates(program, queue),
    '}',
    `round_robin = ${queue.num(of('round_robin'))}`,
    ...(queue.has('min_shallow_depth') ? [`min_shallow_depth = ${queue.num('min_shallow_depth') >>> 0}`] : []),
  ];
}

/** Wait queues; kernels that count completions for all of them have no counter in each. */
function waitStates(program: Program, queue: StructObject): string[] {
  const { size } = program.types.struct('sbq_wait_state');
  const first = queue.pointer('ws');
  return Array.from({ length: WAIT_QUEUES }, (_, index) => {
    const state = program.object('sbq_wait_state', first + BigInt(index * size));
    const isActive = state.pointer('wait.head.next') !== state.pointer('wait.head.prev');
    const count = state.has('wait_cnt.counter') ? `.wait_cnt = ${state.num('wait_cnt.counter')}, ` : '';
    return `\t{ ${count}.wait = ${isActive ? 'active' : 'inactive'} },`;
  });
}

const LINE_BYTES = 16;

/** Set bits as bytes, the lowest bit first, two bytes a group. */
function bitsText(words: readonly Word[]): string {
  const bits = words.flatMap(({ word, cleared, depth }) =>
    Array.from({ length: depth }, (_, bit) => Number(((word & ~cleared) >> BigInt(bit)) & 1n)),
  );
  const bytes = Array.from({ length: Math.ceil(bits.length / 8) }, (_, index) =>
    bits.slice(8 * index, 8 * index + 8).reduce((byte, bit, place) => byte | (bit << place), 0),
  );
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const row = Buffer.from(bytes.slice(at, at + LINE_BYTES)).toString('hex');
    rows.push(`${at.toString(16).padStart(8, '0')}: ${(row.match(/.{1,4}/g) ?? []).join(' ')}\n`);
  }
  return rows.join('');
}

/** Where the element of each set bit is. */
function elementsOf(session: Session, args: Arguments, words: readonly Word[], shift: number): Elements {
  const array = kernelAddress(session, args.value('-a')!, invalidArray);
  const shown = parseShown(session, args.value('-s')!);
  const isPointers = args.has('-p');
  const size = isPointers ? 8 : shown.type.size;
  const bits = words.flatMap(({ word, cleared, depth }, index) =>
    Array.from({ length: depth }, (_, bit) => bit)
      .filter(bit => (((word & ~cleared) >> BigInt(bit)) & 1n) === 1n)
      .map(bit => index * 2 ** shift + bit),
  );
  const entries = bits.map(bit => {
    const slot = array + BigInt(bit * size);
    return { bit, slot, address: isPointers ? session.program.memory.readU64(slot) : slot };
  });
  return { shown, entries };
}

function elementsText(session: Session, { shown, entries }: Elements, verbose: boolean, radix: 10 | 16): string {
  return entries
    .map(({ bit, slot, address }) => {
      const place = `0x${hex(slot).padStart(8, '0')}`;
      return verbose ? `${bit} (${place}):\n${shownText(session, [shown], address, radix)}` : `${bit}: ${place}\n`;
    })
    .join('');
}
