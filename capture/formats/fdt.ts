/**
 * Flattened device trees (DTB): reader and writer.
 *
 * Source: Devicetree Specification v0.4 "Flattened Devicetree (DTB) Format". All integers are big endian.
 * Modelled: version 17 written, versions 16 and 17 read; memory reservations; boot CPU. Not modelled: overlays' fixups
 * (they are ordinary nodes), versions before 16.
 */
import { alignUp, cString, readU32, readU64, writeU32, writeU64 } from './bytes.ts';
import { FormatError } from './errors.ts';
import { struct, u32 } from './struct.ts';

/** A property: a name and bytes whose meaning its binding gives. */
export interface FdtProperty {
  readonly name: string;
  readonly value: Uint8Array;
}

/** A node; the root's name is empty. Order is kept. */
export interface FdtNode {
  readonly name: string;
  readonly properties: FdtProperty[];
  readonly children: FdtNode[];
}

/** Physical memory that the tree reserves. */
export interface FdtReservation {
  readonly paddr: number;
  readonly size: number;
}

/** A whole tree. */
export interface Fdt {
  readonly root: FdtNode;
  readonly reservations: readonly FdtReservation[];
  readonly bootCpu: number;
}

const HEADER = struct(
  'fdt_header',
  {
    magic: u32,
    totalsize: u32,
    off_dt_struct: u32,
    off_dt_strings: u32,
    off_mem_rsvmap: u32,
    version: u32,
    last_comp_version: u32,
    boot_cpuid_phys: u32,
    size_dt_strings: u32,
    size_dt_struct: u32,
  },
  { order: 'big' },
);
const MAGIC = 0xd00d_feed;
const VERSION = 17;
const LAST_COMPATIBLE = 16;
/** Nodes of a sound tree nest a few levels deep. */
const MAX_DEPTH = 64;

/** Structure block tokens. */
const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_NOP = 4;
const FDT_END = 9;

/**
 * Reads a device tree.
 * @throws FormatError where the tree is damaged
 */
export function parseFdt(bytes: Uint8Array, file?: string): Fdt {
  return new Reader(bytes, file).read();
}

/**
 * Writes a device tree.
 * @param totalSize size of the blob; zero bytes fill up what the tree does not need (default: no more than it needs)
 */
export function writeFdt(fdt: Fdt, totalSize = 0): Uint8Array {
  const strings = new StringTable();
  const structure = buildStructure(fdt.root, strings);
  const reservationsAt = alignUp(HEADER.size, 8);
  const structureAt = reservationsAt + (fdt.reservations.length + 1) * 16;
  const stringsAt = structureAt + structure.length;
  const blob = new Uint8Array(Math.max(totalSize, alignUp(stringsAt + strings.bytes.length, 8)));
  const header = HEADER.build({
    magic: MAGIC,
    totalsize: blob.length,
    off_dt_struct: structureAt,
    off_dt_strings: stringsAt,
    off_mem_rsvmap: reservationsAt,
    version: VERSION,
    last_comp_version: LAST_COMPATIBLE,
    boot_cpuid_phys: fdt.bootCpu,
    size_dt_strings: strings.bytes.length,
    size_dt_struct: structure.length,
  });
  blob.set(header);
  for (const [i, { paddr, size }] of fdt.reservations.entries()) {
    writeU64(blob, reservationsAt + i * 16, BigInt(paddr), 'big');
    writeU64(blob, reservationsAt + i * 16 + 8, BigInt(size), 'big');
  }
  blob.set(structure, structureAt);
  blob.set(strings.bytes, stringsAt);
  return blob;
}

/** A node with its properties as `[name, value]` pairs. */
export function fdtNode(
  name: string,
  properties: readonly (readonly [string, Uint8Array])[],
  children: readonly FdtNode[] = [],
): FdtNode {
  return { name, properties: properties.map(([key, value]) => ({ name: key, value })), children: [...children] };
}

/** A property value of 32-bit cells. */
export function cells(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  for (const [i, value] of values.entries()) writeU32(bytes, i * 4, value, 'big');
  return bytes;
}

/** A property value of 64-bit numbers, two cells each. */
export function cells64(...values: readonly (bigint | number)[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  for (const [i, value] of values.entries()) writeU64(bytes, i * 8, BigInt(value), 'big');
  return bytes;
}

/** A property value of NUL-terminated strings. */
export function strings(...values: readonly string[]): Uint8Array {
  return new Uint8Array(Buffer.from(values.map(value => `${value}\0`).join(''), 'latin1'));
}

/** A property without a value: its presence is the meaning. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** The node at an absolute path such as `/chosen` or `/cpus/cpu@0`, if there is one. */
export function findNode(root: FdtNode, path: string): FdtNode | undefined {
  let node: FdtNode | undefined = root;
  for (const name of path.split('/').filter(part => part !== ''))
    node = node?.children.find(child => child.name === name);
  return node;
}

/** The value of a property, if the node has it. */
export function findProperty(node: FdtNode, name: string): Uint8Array | undefined {
  return node.properties.find(property => property.name === name)?.value;
}

/** Sets a property's value; a new property goes to the end. */
export function setProperty(node: FdtNode, name: string, value: Uint8Array): void {
  const at = node.properties.findIndex(property => property.name === name);
  if (at < 0) node.properties.push({ name, value });
  else node.properties[at] = { name, value };
}

/** Takes a property away, if the node has it. */
export function deleteProperty(node: FdtNode, name: string): void {
  const at = node.properties.findIndex(property => property.name === name);
  if (at >= 0) node.properties.splice(at, 1);
}

/** The strings of a NUL-separated property value. */
export function propertyStrings(value: Uint8Array): string[] {
  const text = Buffer.from(value).toString('latin1');
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

/** The 32-bit cells of a property value; bytes beyond the last whole cell are left out. */
export function propertyCells(value: Uint8Array): number[] {
  return Array.from({ length: value.length >>> 2 }, (_, i) => readU32(value, i * 4, 'big'));
}

/** Collects property names, each once. */
class StringTable {
  private readonly offsets = new Map<string, number>();
  private text = '';

  get bytes(): Uint8Array {
    return Buffer.from(this.text, 'latin1');
  }

  offsetOf(name: string): number {
    const known = this.offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.text.length;
    this.offsets.set(name, offset);
    this.text += `${name}\0`;
    return offset;
  }
}

function buildStructure(root: FdtNode, names: StringTable): Uint8Array {
  const parts: Uint8Array[] = [];
  const emit = (node: FdtNode): void => {
    parts.push(cells(FDT_BEGIN_NODE), padded(strings(node.name)));
    for (const { name, value } of node.properties)
      parts.push(cells(FDT_PROP, value.length, names.offsetOf(name)), padded(value));
    for (const child of node.children) emit(child);
    parts.push(cells(FDT_END_NODE));
  };
  emit(root);
  parts.push(cells(FDT_END));
  return Buffer.concat(parts);
}

function padded(value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(alignUp(value.length, 4));
  bytes.set(value);
  return bytes;
}

/** Walks the structure block of an untrusted blob. */
class Reader {
  private readonly bytes: Uint8Array;
  private readonly file: string | undefined;
  private readonly header: ReturnType<typeof HEADER.parse>;
  private readonly structureEnd: number;
  private position: number;

  constructor(bytes: Uint8Array, file: string | undefined) {
    this.file = file;
    this.bytes = bytes;
    this.header = HEADER.parse(bytes, 0, file === undefined ? {} : { file });
    const { magic, totalsize, version, last_comp_version, off_dt_struct, size_dt_struct } = this.header;
    if (magic !== MAGIC) this.fail('not a device tree', 0, hex(MAGIC), hex(magic));
    if (totalsize > bytes.length) this.fail('device tree is cut off', 4, `${totalsize} bytes`, `${bytes.length}`);
    if (version < LAST_COMPATIBLE || last_comp_version > VERSION)
      this.fail('device tree version is not supported', 20, `${LAST_COMPATIBLE} to ${VERSION}`, String(version));
    this.structureEnd = version >= VERSION ? Math.min(off_dt_struct + size_dt_struct, totalsize) : totalsize;
    this.position = off_dt_struct;
  }

  read(): Fdt {
    const reservations = this.readReservations();
    this.expectToken(FDT_BEGIN_NODE, 'a root node');
    const root = this.readNode(0);
    this.expectToken(FDT_END, 'the end of the structure block');
    return { root, reservations, bootCpu: this.header.boot_cpuid_phys };
  }

  private readReservations(): FdtReservation[] {
    const found: FdtReservation[] = [];
    for (let at = this.header.off_mem_rsvmap; ; at += 16) {
      if (at + 16 > this.header.totalsize) this.fail('memory reservations have no end', at);
      const paddr = Number(readU64(this.bytes, at, 'big'));
      const size = Number(readU64(this.bytes, at + 8, 'big'));
      if (paddr === 0 && size === 0) return found;
      found.push({ paddr, size });
    }
  }

  /** Reads from behind FDT_BEGIN_NODE to FDT_END_NODE, both included. */
  private readNode(depth: number): FdtNode {
    if (depth > MAX_DEPTH) this.fail(`nodes nest deeper than ${MAX_DEPTH} levels`, this.position);
    const name = this.readName();
    const node: FdtNode = { name, properties: [], children: [] };
    for (;;) {
      const at = this.position;
      const token = this.readToken();
      if (token === FDT_END_NODE) return node;
      if (token === FDT_PROP) node.properties.push(this.readProperty());
      else if (token === FDT_BEGIN_NODE) node.children.push(this.readNode(depth + 1));
      else this.fail('unexpected token', at, 'a property, a node or the end of one', hex(token));
    }
  }

  private readName(): string {
    const end = this.bytes.indexOf(0, this.position);
    if (end < 0 || end >= this.structureEnd) this.fail('a node name has no end', this.position);
    const name = cString(this.bytes, this.position);
    this.position = alignUp(end + 1, 4);
    return name;
  }

  private readProperty(): FdtProperty {
    const at = this.position;
    const length = this.readCell();
    const nameAt = this.header.off_dt_strings + this.readCell();
    if (length > this.structureEnd - this.position)
      this.fail(
        'a property is longer than the rest of the tree',
        at,
        `at most ${this.structureEnd - this.position}`,
        `${length}`,
      );
    if (nameAt >= this.header.totalsize || this.bytes.indexOf(0, nameAt) < 0)
      this.fail('a property name lies outside the tree', at + 4);
    const value = this.bytes.slice(this.position, this.position + length);
    this.position = alignUp(this.position + length, 4);
    return { name: cString(this.bytes, nameAt), value };
  }

  private expectToken(expected: number, what: string): void {
    const at = this.position;
    const token = this.readToken();
    if (token !== expected) this.fail(`${what} is missing`, at, hex(expected), hex(token));
  }

  private readToken(): number {
    let token = this.readCell();
    while (token === FDT_NOP) token = this.readCell();
    return token;
  }

  private readCell(): number {
    if (this.position + 4 > this.structureEnd) this.fail('the structure block ends too early', this.position);
    const cell = readU32(this.bytes, this.position, 'big');
    this.position += 4;
    return cell;
  }

  private fail(message: string, offset: number, expected?: string, found?: string): never {
    throw new FormatError(message, { file: this.file, offset, expected, found });
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
