/** Damaged debug information: whatever bytes are wrong, only errors of the file come out, and nothing hangs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { DebugInfo } from '../../../../analyzer/debug-info/dwarf/debug-info.ts';
import { functionsAt, localsOf, parametersOf } from '../../../../analyzer/debug-info/dwarf/functions.ts';
import { locationEntries } from '../../../../analyzer/debug-info/dwarf/location-lists.ts';
import { definitionText, typeName } from '../../../../analyzer/types/declare.ts';
import type { ByteSource } from '../../../../capture/formats/byte-source.ts';
import { parseElf } from '../../../../capture/formats/elf.ts';
import type { ElfFile } from '../../../../capture/formats/elf.ts';
import { FormatError, UnimplementedError } from '../../../../capture/formats/errors.ts';
import { Random } from '../../../support/random.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/dwarf');
const RUNS = 400;

/** Bytes as a file. */
function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    name: 'damaged',
    size: bytes.length,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    [Symbol.dispose]: () => {},
  };
}

/** Everything that a session asks of a file. */
function useAll(elf: ElfFile): void {
  const info = new DebugInfo(elf, 0n, () => undefined);
  const node = info.find('node', 'struct');
  if (node !== undefined) definitionText(node);
  const fn = info.findFunction('leaf');
  if (fn !== undefined) typeName(fn);
  const variable = info.variable('counter', 0x40_3070n);
  if (variable !== undefined) typeName(variable.type);
  info.findEnumerator('BLUE');
  for (const address of [0x40_1000n, 0x40_1009n, 0x40_101en]) {
    info.lines.find(address);
    info.frames.find(address);
    for (const scope of functionsAt(info, address)) {
      for (const die of [...parametersOf(scope), ...localsOf(scope)]) locationEntries(die);
    }
  }
}

test.each(['sample-v4', 'sample-v5'])(`%s: ${RUNS} times some bytes wrong`, name => {
  const original = readFileSync(join(FOLDER, name));
  const sections = parseElf(sourceOf(original)).sections.filter(section => section.name.startsWith('.debug'));
  const start = Math.min(...sections.map(section => section.sh_offset));
  const end = Math.max(...sections.map(section => section.sh_offset + section.sh_size));
  const random = new Random(0x5eed);
  for (let run = 0; run < RUNS; run++) {
    const bytes = Buffer.from(original);
    for (let count = 1 + random.below(4); count > 0; count--)
      bytes[start + random.below(end - start)] = random.below(256);
    try {
      useAll(parseElf(sourceOf(bytes)));
    } catch (error) {
      const expected = error instanceof FormatError || error instanceof UnimplementedError;
      expect(expected, `run ${run}: ${error instanceof Error ? error.stack : String(error)}`).toBe(true);
    }
  }
});
