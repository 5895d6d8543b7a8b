/** Random instruction words from rows of the A64 instruction table. */
import type { Instruction } from '../../emulator/cpu/a64/instruction.ts';
import type { Random } from './random.ts';

/** A word that belongs to the row: fields and ignored bits are random, or as `fixed` has them by field name. */
export function randomWord(
  random: Random,
  { pattern }: Instruction,
  fixed: Readonly<Record<string, number>> = {},
): number {
  let word = (random.word() & ~pattern.mask) | pattern.value;
  for (const { name, shift, width } of pattern.fields) {
    const value = fixed[name];
    if (value === undefined) continue;
    const mask = (2 ** width - 1) << shift;
    word = (word & ~mask) | ((value << shift) & mask);
  }
  return word;
}
