/** Definitions of structures as `struct` and `whatis` show them: with offsets, with addresses, or of some members only. */
import { declare, definitionLines, definitionText } from '../types/declare.ts';
import type { StructType } from '../types/types.ts';

/** The definition and size, with offsets before the members if wanted; of some members only their declarations. */
export function definition(type: StructType, members: readonly string[], offsets: boolean, radix: Radix = 10): string {
  if (members.length > 0) return memberDefinitions(type, members, { radix });
  if (!offsets) return `${definitionText(type)}\n${sizeText(type, radix)}`;
  return `${offsetText(type, { radix })}${sizeText(type, radix)}`;
}

/** `SIZE: …`. */
export function sizeText({ size }: StructType, radix: Radix): string {
  return `SIZE: ${radix === 16 ? `0x${size.toString(16)}` : size}\n`;
}

type Radix = 10 | 16;

/** What stands in front of members: their offsets, or their addresses when the structure's own is known. */
interface Column {
  readonly radix: Radix;
  readonly base?: bigint;
}

/** Width of the column of offsets: room for the structure's size. */
function offsetWidth({ size }: StructType, radix: Radix): number {
  return size.toString(radix).length + (radix === 16 ? 6 : 4);
}

function placeColumn(type: StructType, offset: number, { radix, base }: Column): string {
  if (base !== undefined) return `[${(base + BigInt(offset)).toString(16)}]`.padStart(20);
  const text = radix === 16 ? `0x${offset.toString(16)}` : String(offset);
  return `[${text}]`.padStart(offsetWidth(type, radix));
}

/** Declarations of members, indented as they are nested, with their offsets or addresses. */
export function memberDefinitions(type: StructType, members: readonly string[], column: Column): string {
  const all = definitionLines(type);
  const lines = members.map(member => {
    const place = type.place(member)!;
    const own = all.find(line => line.member === member && line.offset === place.offset);
    const text = own === undefined ? `${declare(place.type, member.replace(/^.*\./, ''))};` : own.text;
    return `${placeColumn(type, place.offset, column)} ${'    '.repeat(own?.depth ?? 0)}${text}\n`;
  });
  return `${type.kind} ${type.name} {\n${lines.join('')}}\n`;
}

/** The definition with an offset, or with an address, before each member. */
export function offsetText(type: StructType, column: Column): string {
  const blank = ' '.repeat(offsetWidth(type, column.radix));
  const lines = definitionLines(type).map(line => {
    const place = line.offset === undefined ? blank : placeColumn(type, line.offset, column);
    return `${place} ${'    '.repeat(line.depth)}${line.text}\n`;
  });
  return `${type.kind} ${type.name} {\n${lines.join('')}}\n`;
}
