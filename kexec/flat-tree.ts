/**
 * Edits a device tree blob in place, byte for byte as libfdt does: kexec-tools and the kernel both use it, and the order of
 * properties and strings in what they load follows from it.
 *
 * Source: Devicetree Specification v0.4 "Flattened Devicetree (DTB) Format"; libfdt's rules: a new property goes in front of the others
 * of its node, its name behind the other strings unless it is the end of one; a deleted property's name stays.
 * The result is packed: header, reservations, structure, strings, nothing between or behind.
 */
import { alignUp, asBuffer, cString, readU32, readU64, writeU32, writeU64 } from '../capture/formats/bytes.ts';
import { FormatError } from '../capture/formats/errors.ts';
import { cells, parseFdt } from '../capture/formats/fdt.ts';

/** Offsets in `struct fdt_header`. */
const HEADER = {
  totalsize: 4,
  off_dt_struct: 8,
  off_dt_strings: 12,
  off_mem_rsvmap: 16,
  version: 20,
  size_dt_strings: 32,
  size_dt_struct: 36,
  size: 40,
} as const;
const VERSION = 17;
const RESERVATION_SIZE = 16;

/** Structure block tokens. */
const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_NOP = 4;
const PROPERTY_HEADER = 12;

interface Reservation {
  readonly paddr: number;
  readonly size: number;
}

/** A property's place in the structure block. */
interface PropertyPlace {
  /** Of its FDT_PROP token. */
  readonly at: number;
  /** Bytes of its value. */
  readonly length: number;
}

/** A blob taken apart. */
export class FlatTree {
  readonly #header: Uint8Array;
  #reservations: Reservation[];
  #structure: Uint8Array;
  #strings: Uint8Array;

  /** @throws FormatError when the blob is damaged */
  constructor(blob: Uint8Array, file?: string) {
    this.#reservations = [...parseFdt(blob, file).reservations];
    const word = (at: number) => readU32(blob, at, 'big');
    if (word(HEADER.version) < VERSION)
      throw new FormatError('device trees before version 17 cannot be edited', { file, offset: HEADER.version });
    this.#header = blob.slice(0, HEADER.size);
    this.#structure = slice(blob, word(HEADER.off_dt_struct), word(HEADER.size_dt_struct));
    this.#strings = slice(blob, word(HEADER.off_dt_strings), word(HEADER.size_dt_strings));
  }

  /** The packed blob. */
  build(): Uint8Array {
    const reservationsSize = (this.#reservations.length + 1) * RESERVATION_SIZE;
    const structureAt = HEADER.size + reservationsSize;
    const stringsAt = structureAt + this.#structure.length;
    const blob = new Uint8Array(stringsAt + this.#strings.length);
    blob.set(this.#header);
    writeU32(blob, HEADER.totalsize, blob.length, 'big');
    writeU32(blob, HEADER.off_mem_rsvmap, HEADER.size, 'big');
    writeU32(blob, HEADER.off_dt_struct, structureAt, 'big');
    writeU32(blob, HEADER.size_dt_struct, this.#structure.length, 'big');
    writeU32(blob, HEADER.off_dt_strings, stringsAt, 'big');
    writeU32(blob, HEADER.size_dt_strings, this.#strings.length, 'big');
    for (const [i, { paddr, size }] of this.#reservations.entries()) {
      writeU64(blob, HEADER.size + i * RESERVATION_SIZE, BigInt(paddr), 'big');
      writeU64(blob, HEADER.size + i * RESERVATION_SIZE + 8, BigInt(size), 'big');
    }
    blob.set(this.#structure, structureAt);
    blob.set(this.#strings, stringsAt);
    return blob;
  }

  /** A property of the root (`''`) or of one of its children (`'chosen'`). */
  property(node: string, name: string): Uint8Array | undefined {
    const place = this.#findProperty(node, name);
    if (place === undefined) return undefined;
    const start = place.at + PROPERTY_HEADER;
    return this.#structure.slice(start, start + place.length);
  }

  /** Sets a property; a missing node is made behind the root's properties. */
  setProperty(node: string, name: string, value: Uint8Array): void {
    const place = this.#findProperty(node, name);
    if (place !== undefined) {
      const start = place.at + PROPERTY_HEADER;
      this.#splice(start, alignUp(place.length, 4), this.#paddedAt(start, value));
      writeU32(this.#structure, place.at + 4, value.length, 'big');
      return;
    }
    const nameAt = this.#stringOffset(name);
    const at = this.#propertiesOf(node) ?? this.#addNode(node);
    const padded = this.#paddedAt(at + PROPERTY_HEADER, value);
    this.#splice(at, 0, Buffer.concat([cells(FDT_PROP, value.length, nameAt), padded]));
  }

  /** Takes a property away, if it is there. */
  deleteProperty(node: string, name: string): void {
    const place = this.#findProperty(node, name);
    if (place !== undefined) this.#splice(place.at, PROPERTY_HEADER + alignUp(place.length, 4), new Uint8Array(0));
  }

  addReservation(paddr: number, size: number): void {
    this.#reservations.push({ paddr, size });
  }

  /** Takes away the first reservation of exactly this range. @returns whether there was one */
  deleteReservation(paddr: number, size: number): boolean {
    const at = this.#reservations.findIndex(entry => entry.paddr === paddr && entry.size === size);
    if (at >= 0) this.#reservations.splice(at, 1);
    return at >= 0;
  }

  get reservations(): readonly Reservation[] {
    return this.#reservations;
  }

  #token(at: number): number {
    return readU32(this.#structure, at, 'big');
  }

  /** Offset of the token behind the one at `at`. The blob was parsed as a whole before: every token is sound. */
  #next(at: number): number {
    switch (this.#token(at)) {
      case FDT_BEGIN_NODE:
        return alignUp(this.#structure.indexOf(0, at + 4) + 1, 4);
      case FDT_PROP:
        return at + PROPERTY_HEADER + alignUp(this.#token(at + 4), 4);
      default:
        return at + 4;
    }
  }

  /** Offset at which the properties of a node begin. */
  #propertiesOf(node: string): number | undefined {
    let depth = 0;
    for (let at = 0; at < this.#structure.length; at = this.#next(at)) {
      const token = this.#token(at);
      if (token === FDT_BEGIN_NODE) {
        depth++;
        if (depth === (node === '' ? 1 : 2) && cString(this.#structure, at + 4) === node) return this.#next(at);
      } else if (token === FDT_END_NODE) depth--;
    }
    return undefined;
  }

  #findProperty(node: string, name: string): PropertyPlace | undefined {
    const start = this.#propertiesOf(node);
    if (start === undefined) return undefined;
    for (let at = start; this.#token(at) === FDT_PROP || this.#token(at) === FDT_NOP; at = this.#next(at)) {
      if (this.#token(at) === FDT_NOP) continue;
      if (cString(this.#strings, this.#token(at + 8)) === name) return { at, length: this.#token(at + 4) };
    }
    return undefined;
  }

  /** Makes a child of the root. @returns where its properties begin */
  #addNode(name: string): number {
    let at = this.#propertiesOf('')!;
    while (this.#token(at) === FDT_PROP || this.#token(at) === FDT_NOP) at = this.#next(at);
    const begin = Buffer.concat([cells(FDT_BEGIN_NODE), padded(terminated(name))]);
    this.#splice(at, 0, Buffer.concat([begin, cells(FDT_END_NODE)]));
    return at + begin.length;
  }

  #stringOffset(name: string): number {
    const wanted = terminated(name);
    const known = asBuffer(this.#strings).indexOf(wanted);
    if (known >= 0) return known;
    const offset = this.#strings.length;
    this.#strings = Buffer.concat([this.#strings, wanted]);
    return offset;
  }

  /** libfdt moves what follows and writes the value: the bytes that pad it are those that stood there before. */
  #paddedAt(at: number, value: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(alignUp(value.length, 4));
    bytes.set(this.#structure.subarray(at, at + bytes.length));
    bytes.set(value);
    return bytes;
  }

  #splice(at: number, length: number, replacement: Uint8Array): void {
    const { length: end } = this.#structure;
    this.#structure = Buffer.concat([
      this.#structure.subarray(0, at),
      replacement,
      this.#structure.subarray(at + length, end),
    ]);
  }
}

/** Tells the blob's size by its header. */
export function flatTreeSize(blob: Uint8Array): number {
  return readU32(blob, HEADER.totalsize, 'big');
}

/** A 64-bit value of a property, or of a 32-bit one. */
export function propertyNumber(value: Uint8Array): number {
  return value.length >= 8 ? Number(readU64(value, 0, 'big')) : readU32(value, 0, 'big');
}

function slice(blob: Uint8Array, offset: number, size: number): Uint8Array {
  if (offset + size > blob.length)
    throw new FormatError('a block of the device tree lies outside of it', { offset, found: `${size} bytes` });
  return blob.slice(offset, offset + size);
}

function terminated(text: string): Uint8Array {
  return Buffer.from(`${text}\0`, 'latin1');
}

function padded(value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(alignUp(value.length, 4));
  bytes.set(value);
  return bytes;
}
