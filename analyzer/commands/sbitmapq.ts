/** `sbitmapq`: a scalable bitmap queue, as block devices use for tags. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { StructObject } from '../types/object.ts';
import { hex } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { shownOf, shownText } from './members.ts';
import type { Shown } from './members.ts';
import { parseAddress, parseHex } from './numbers.ts';
import type { Refusal } from './numbers.ts';

const MAX_WORDS = 1_000_000;

interface SbitmapqData {
  readonly queue: StructObject;
  readonly depth: number;
  readonly shift: number;
  readonly words: readonly { readonly word: bigint; readonly cleared: bigint }[];
  readonly shown: readonly Shown[];
  readonly array: bigint | undefined;
}

const invalidArgument: Refusal = word => new UsageError(`invalid command argument: ${word}`);

/** `sbitmapq`. */
export const sbitmapq: Command<SbitmapqData> = {
  name: 'sbitmapq',
  summary: 'a sbitmap_queue: size, use, bits, and what the set bits stand for',
  synopsis: '[-s struct[.member[,member]] -a address [-p]] [-v] [-x|-d] address',
  options: [
    { flag: '-s', takes: 'struct', help: 'show a structure for each set bit' },
    { flag: '-a', takes: 'address', help: 'array of these structures, or of pointers to them' },
    { flag: '-p', help: 'the array holds pointers' },
    { flag: '-v', help: 'all bits' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Source: lib/sbitmap.c. A bit is in use when it is set in `word` and not in `cleared`.',
  examples: [{ line: 'sbitmapq ffff8e99d0dc8010', why: 'which tags are taken' }],
  run(session, args) {
    const [word] = args.positionals;
    if (word === undefined) throw new SynopsisError('no address given');
    const queue = session.program.object('sbitmap_queue', parseAddress(session, word, invalidArgument));
    const depth = queue.num('sb.depth');
    const count = Math.min(MAX_WORDS, queue.num('sb.map_nr'));
    const map = queue.pointer('sb.map');
    const { size } = session.program.types.struct('sbitmap_word');
    const words = Array.from({ length: count }, (_, index) => {
      const entry = session.program.object('sbitmap_word', map + BigInt(index * size));
      return { word: entry.pointer('word'), cleared: entry.pointer('cleared') };
    });
    const array = args.has('-a') ? parseHex(args.value('-a')!) : undefined;
    return { queue, depth, shift: queue.num('sb.shift'), words, shown: shownOf(session, args), array };
  },
  text({ queue, depth, shift, words, shown, array }, session) {
    const perWord = 2 ** shift;
    const used = bitsInUse(words, depth, perWord);
    const rows: (readonly [string, string | number])[] = [
      ['depth', depth],
      ['busy', used.length],
      ['cleared', words.reduce((sum, { cleared }) => sum + popcount(cleared), 0)],
      ['bits_per_word', perWord],
      ['map_nr', words.length],
      ['alloc_hint', queue.has('sb.alloc_hint') ? hex(queue.pointer('sb.alloc_hint')) : '-'],
      ['wake_batch', queue.num('wake_batch')],
      ['wake_index', queue.num('wake_index.counter')],
      ['ws_active', queue.num('ws_active.counter')],
    ];
    const head = rows.map(([label, value]) => `${label} = ${value}\n`).join('');
    if (array === undefined || shown.length === 0) return `${head}\nbits in use: ${used.join(' ')}\n`;
    const entries = used.map(bit => {
      const address = array + BigInt(bit * shown[0]!.type.size);
      return `${bit}: ${hex(address)}\n${shownText(session, shown, address, session.settings.radix)}`;
    });
    return head + entries.join('');
  },
};

function bitsInUse(words: SbitmapqData['words'], depth: number, perWord: number): number[] {
  const bits: number[] = [];
  for (const [index, { word, cleared }] of words.entries()) {
    const busy = word & ~cleared;
    for (let bit = 0; bit < perWord && index * perWord + bit < depth; bit++)
      if (((busy >> BigInt(bit)) & 1n) === 1n) bits.push(index * perWord + bit);
  }
  return bits;
}

function popcount(value: bigint): number {
  return value.toString(2).replaceAll('0', '').length;
}
