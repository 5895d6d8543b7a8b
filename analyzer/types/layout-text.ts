/** Structures with offsets, sizes and holes, as gdb's `ptype/o` lays them out. */
import { declare, declarator } from './declare.ts';
import { sizeOf, stripTypedefs } from './types.ts';
import type { CType, Member, StructType } from './types.ts';

const INDENT = '    ';
/** Columns in front of the definition. */
const MARGIN = ' '.repeat(27);
const MAX_DEPTH = 32;

/** The definition of a structure, offsets and sizes in front of its members. */
export function layoutText(type: StructType): string {
  const head = `/* offset      |    size */  type = ${type.kind} ${type.name === '' ? '' : `${type.name} `}{\n`;
  return `${head}${body(type, 1, 0)}${MARGIN}  }\n`;
}

function body(type: StructType, depth: number, base: number): string {
  const isUnion = type.kind === 'union';
  const out: string[] = [];
  let end = 0;
  for (const member of type.members) {
    if (!isUnion) out.push(hole(end, member.bitOffset));
    out.push(memberText(member, depth, base, isUnion));
    end = member.bitOffset + (member.bitSize ?? 8 * sizeOf(member.type));
  }
  if (!isUnion) out.push(padding(end, 8 * type.size));
  const pad = ' '.repeat(27 + 4 * depth);
  out.push(`\n${pad}/* total size (bytes): ${String(type.size).padStart(4)} */\n`);
  return out.join('');
}

/** gdb's `XXX` comments for what lies between two members. */
function hole(end: number, start: number): string {
  if (end === 0 || start <= end) return '';
  const bits = (8 - (end % 8)) % 8;
  const bytes = (start - end - bits) >> 3;
  const first = bits > 0 && start - end >= bits ? `/* XXX ${String(bits).padStart(2)}-bit hole       */\n` : '';
  const second = bytes > 0 ? `/* XXX ${String(bytes).padStart(2)}-byte hole      */\n` : '';
  return first + second;
}

function padding(end: number, size: number): string {
  if (end === 0 || size <= end) return '';
  const bytes = (size - end) >> 3;
  return bytes > 0 ? `/* XXX ${String(bytes).padStart(2)}-byte padding   */\n` : '';
}

function memberText(member: Member, depth: number, base: number, inUnion: boolean): string {
  const offset = base + (member.bitOffset >> 3);
  const size = sizeOf(member.type);
  const place = margin(member, offset, size, inUnion);
  const pad = INDENT.repeat(depth);
  const inner = nested(member.type);
  if (inner === undefined || depth >= MAX_DEPTH)
    return `${place}${pad}${declare(member.type, member.name)}${member.bitSize === undefined ? '' : ` : ${member.bitSize}`};\n`;
  const head = inner.name === '' ? inner.kind : `${inner.kind} ${inner.name}`;
  const closing = declarator(member.type, member.name, () => '}');
  return `${place}${pad}${head} {\n${body(inner, depth + 1, offset)}${MARGIN}${pad}${closing};\n`;
}

function margin(member: Member, offset: number, size: number, inUnion: boolean): string {
  const count = String(size).padStart(8);
  if (inUnion) return `/*              ${count} */`;
  if (member.bitSize === undefined) return `/* ${String(offset).padStart(6)}      |${count} */`;
  return `/* ${String(offset).padStart(6)}:${String(member.bitOffset & 7).padStart(2)}   |${count} */`;
}

/** A structure that is written out in place: not one behind a pointer. */
function nested(type: CType): StructType | undefined {
  const bare = type.kind === 'array' ? stripQualifiers(type.element) : stripQualifiers(type);
  return (bare.kind === 'struct' || bare.kind === 'union') && bare.members.length > 0 ? bare : undefined;
}

function stripQualifiers(type: CType): CType {
  return type.kind === 'qualified' ? stripTypedefs(type) : type;
}
