import { describe, expect, test } from 'vitest';

import { physicalReader } from '../../../../analyzer/memory-reader.ts';
import { Kallsyms } from '../../../../analyzer/symbols/kallsyms.ts';
import type { KallsymsLocation } from '../../../../analyzer/symbols/kallsyms.ts';
import { lastAtOrBelow } from '../../../../analyzer/symbols/symbol-table.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';
import { SparseMemory } from '../../../support/sparse-memory.ts';

const NAMES = 0x1_0000;
const NUM_SYMS = 0x2_0000;
const TOKENS = 0x3_0000;
const INDEX = 0x4_0000;
const OFFSETS = 0x5_0000;
const BASE = 0x6_0000;

const LOCATION: KallsymsLocation = {
  names: BigInt(NAMES),
  numSyms: BigInt(NUM_SYMS),
  tokenTable: BigInt(TOKENS),
  tokenIndex: BigInt(INDEX),
  offsets: BigInt(OFFSETS),
  relativeBase: BigInt(BASE),
};

/**
 * Tables as scripts/kallsyms.c lays them out: each character is its own token, but 1 stands for "sched" and 2 for "Ts".
 * A name is its length and its tokens; lengths from 128 on take two bytes.
 */
function tablesOf(names: readonly (readonly number[])[], offsets: readonly number[], base: bigint): SparseMemory {
  const memory = new SparseMemory();
  const tokens = Array.from({ length: 256 }, (_, token) =>
    token === 1 ? 'sched' : token === 2 ? 'Ts' : token > 0x20 && token < 0x7f ? String.fromCharCode(token) : '',
  );
  let at = 0;
  for (const [token, text] of tokens.entries()) {
    memory.writeBytes(INDEX + 2 * token, Uint8Array.of(at & 0xff, at >> 8));
    memory.writeBytes(TOKENS + at, Buffer.from(`${text}\0`, 'latin1'));
    at += text.length + 1;
  }
  const bytes = names.flatMap(name => [
    ...(name.length < 128 ? [name.length] : [(name.length & 0x7f) | 0x80, name.length >> 7]),
    ...name,
  ]);
  memory.writeBytes(NAMES, Uint8Array.from(bytes));
  memory.writeU32(NUM_SYMS, names.length);
  for (const [index, offset] of offsets.entries()) memory.writeU32(OFFSETS + 4 * index, offset);
  memory.writeU64(BASE, base);
  return memory;
}

const text = (name: string): number[] => [...Buffer.from(name, 'latin1')];

describe('Kallsyms', () => {
  const base = 0xffff_8000_0801_0000n;
  const names = [text('T_stext'), [2, ...text('tart_kernel')], [0x54, 1, ...text('ule')], text('dinit_task')];
  const table = new Kallsyms(physicalReader(tablesOf(names, [0, 0x100, 0x200, 0x9000], base)), LOCATION);

  test('expands tokens; the first character is the type', () => {
    expect([0, 1, 2, 3].map(index => table.at(index))).toMatchObject([
      { name: '_stext', type: 'T', address: base },
      { name: 'start_kernel', type: 'T', address: base + 0x100n },
      { name: 'schedule', type: 'T', address: base + 0x200n },
      { name: 'init_task', type: 'd', address: base + 0x9000n },
    ]);
  });

  test('finds names, and none that it does not have', () => {
    expect(table.indexOf('schedule')).toBe(2);
    expect(table.indexOf('schedul')).toBe(-1);
  });

  test('finds the symbol below an address', () => {
    expect(lastAtOrBelow(table, base + 0x1ffn)).toBe(1);
    expect(lastAtOrBelow(table, base - 1n)).toBe(-1);
  });

  test('reads names of 128 characters and more', () => {
    const long = `T${'x'.repeat(300)}`;
    const one = new Kallsyms(physicalReader(tablesOf([text(long), text('Tend')], [0, 4], base)), LOCATION);
    expect(one.at(0).name).toHaveLength(300);
    expect(one.at(1).name).toBe('end');
  });

  test('takes non-negative offsets as absolute when negative ones are there (KALLSYMS_ABSOLUTE_PERCPU)', () => {
    const kernel = 0xffff_ffff_8100_0000n;
    const percpu = new Kallsyms(
      physicalReader(
        tablesOf(
          [text('Acpu_info'), text('T_text'), text('Tnext')],
          [0x1f00, -1, -0x101].map(v => v >>> 0),
          kernel,
        ),
      ),
      LOCATION,
    );
    expect([0, 1, 2].map(index => percpu.addressAt(index))).toEqual([0x1f00n, kernel, kernel + 0x100n]);
  });

  test('says that the names are damaged', () => {
    const memory = tablesOf([text('Ta'), []], [0, 1], base);
    expect(() => new Kallsyms(physicalReader(memory), LOCATION)).toThrow(FormatError);
  });
});
