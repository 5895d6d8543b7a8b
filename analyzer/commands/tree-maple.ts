/** `tree -t maple -v`: a maple tree node by node, as the kernel's `mt_dump` shows it. */
import { MAPLE_TYPE, mapleWalk, slotsOf } from '../linux/maple-tree.ts';
import type { MapleNode } from '../linux/maple-tree.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { hex, lines } from '../text/layout.ts';

/** The lines of a tree. @param radix of ranges and entries @throws FaultError */
export function mapleDump(program: Program, tree: StructObject, radix: 10 | 16): string {
  const root = tree.pointer('ma_root');
  const flags = tree.pointer('ma_flags');
  const number = (value: bigint): string => value.toString(radix);
  const range = (first: bigint, last: bigint): string =>
    first === last ? number(first) : `${number(first)}-${number(last)}`;
  const rows: string[] = [];
  for (const item of mapleWalk(program, root)) {
    const where = range(item.first, item.last);
    if ('node' in item) rows.push(`${'  '.repeat(item.depth)}${where}: ${nodeText(program, item)}`);
    else rows.push(`${'  '.repeat(item.path.length)}${where}: ${radix === 16 ? '0x' : ''}${number(item.pointer)}`);
  }
  const head = `maple_tree(${hex(tree.address)}) flags ${hex(flags).toUpperCase()}, height ${heightOf(flags)} root 0x${hex(root)}\n\n`;
  return head + lines(rows);
}

/** `MT_FLAGS_HEIGHT_MASK`, `MT_FLAGS_HEIGHT_OFFSET`. */
function heightOf(flags: bigint): bigint {
  return (flags >> 2n) & 0x1fn;
}

function nodeText(program: Program, { node, type, depth }: MapleNode): string {
  const parent = program.memory.readU64(node);
  return `node 0x${hex(node)} depth ${depth} type ${type} parent 0x${hex(parent)} contents: ${contentsText(program, node, type)}`;
}

/** Gaps and their marks of an `arange` node, then slots and pivots in turn. */
function contentsText(program: Program, node: bigint, type: number): string {
  const slots = slotsOf(program, node, type);
  const pairs = slots.map(({ slot, pivot, isLast }) => (isLast ? pointerText(slot) : `${pointerText(slot)} ${pivot}`));
  if (type !== MAPLE_TYPE.ARANGE_64) return pairs.join(' ');
  const arange = program.object('maple_arange_64', node);
  const gaps = Array.from({ length: arange.lengthOf('gap') }, (_, index) => `${arange.pointer(`gap[${index}]`)} `);
  const marks = ['meta.end', 'meta.gap'].map(path => hex(arange.num(path)).padStart(2, '0').toUpperCase());
  return `${gaps.join('')}| ${marks.join(' ')}| ${pairs.join(' ')}`;
}

function pointerText(value: bigint): string {
  return value === 0n ? '(nil)' : `0x${hex(value)}`;
}
