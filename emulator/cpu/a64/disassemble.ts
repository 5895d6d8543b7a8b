/** Names A64 instructions for traces and messages: the manual's name of the encoding and its fields, not assembler syntax. */
import type { Decoder } from './decode.ts';
import { extractFields } from './encodings/pattern.ts';

/** One line, as `ADD (immediate) sf=1 sh=0 imm12=16 rn=31 rd=0`; unallocated words are `.word 0x…`. @param word 32 bits */
export function describeInstruction(decoder: Decoder, word: number): string {
  const instruction = decoder.decode(word);
  if (instruction === undefined) return `.word 0x${(word >>> 0).toString(16).padStart(8, '0')}`;
  const fields = Object.entries(extractFields(instruction.pattern, word));
  return [instruction.name, ...fields.map(([name, value]) => `${name}=${value}`)].join(' ');
}
