/** Builds A64 instruction words from the encoding table, by name and fields: an assembler for tests. */
import { A64_INSTRUCTIONS } from '../../emulator/cpu/a64/instruction-set.ts';
import { assert } from '../../capture/formats/errors.ts';

const ROWS = new Map(A64_INSTRUCTIONS.map(row => [row.name, row]));

/** The word of an instruction; fields that are not given are 0. */
export function a64(name: string, fields: Readonly<Record<string, number>> = {}): number {
  const row = ROWS.get(name);
  assert(row !== undefined, `no instruction ${name}`);
  let word = row.pattern.value;
  for (const [field, value] of Object.entries(fields)) {
    const position = row.pattern.fields.find(candidate => candidate.name === field);
    assert(position !== undefined, `${name} has no field ${field}`);
    word |= (value & (2 ** position.width - 1)) << position.shift;
  }
  return word;
}
