/**
 * A package index cut down to what we ask it, as sorted lines: a look-up is a binary search, with nothing to parse at start.
 *
 * Sources: `deb-control(5)`; Debian wiki "DebianRepository/Format" title "Packages Indices".
 */
import { asBuffer } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import { compareVersions } from './version.ts';

/** The fields of a package that we use, as the index has them. */
export interface PackageFields {
  readonly name: string;
  readonly version: string;
  /** `Pre-Depends` and `Depends`, joined by a comma. */
  readonly depends: string;
  /** Path below the mirror's root. */
  readonly filename: string;
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
}

const NEWLINE = 0x0a;
const TAB = 0x09;

/** Turns the text of a Packages file into a table. Of a package with several versions the newest stays. */
export function buildPackageTable(packages: Uint8Array): Buffer {
  const newest = new Map<string, PackageFields>();
  for (const stanza of asBuffer(packages).toString('utf8').split('\n\n')) {
    const fields = readFields(stanza);
    if (fields === undefined) continue;
    const other = newest.get(fields.name);
    if (other === undefined || compareVersions(fields.version, other.version) > 0) newest.set(fields.name, fields);
  }
  const names = [...newest.keys()].sort();
  return Buffer.from(names.map(name => formatLine(newest.get(name)!)).join(''));
}

const FIELD = /^(Package|Version|Pre-Depends|Depends|Filename|Size|SHA256): (.*)$/gm;

function readFields(stanza: string): PackageFields | undefined {
  const found: Record<string, string> = {};
  for (const match of stanza.matchAll(FIELD)) found[match[1]!] = match[2]!;
  const { Package: name, Version: version, Filename: filename, Size: size, SHA256: sha256 } = found;
  if (name === undefined || version === undefined || filename === undefined || sha256 === undefined) return undefined;
  const depends = [found['Pre-Depends'], found['Depends']].filter(text => text !== undefined).join(', ');
  return { name, version, depends, filename, size: Number(size), sha256 };
}

function formatLine({ name, version, depends, filename, size, sha256 }: PackageFields): string {
  return `${[name, version, depends, filename, size, sha256].join('\t')}\n`;
}

/** Finds a package in a table. @throws FormatError when the table is damaged */
export function findInTable(table: Buffer, name: string): PackageFields | undefined {
  const key = Buffer.from(name);
  let [low, high] = [0, table.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const start = table.lastIndexOf(NEWLINE, middle - 1) + 1;
    const order = compareName(table, start, key);
    if (order === 0) return parseLine(table, start);
    if (order < 0) low = nextLine(table, middle);
    else high = middle === 0 ? 0 : start;
  }
  return undefined;
}

function nextLine(table: Buffer, at: number): number {
  const end = table.indexOf(NEWLINE, at);
  return end === -1 ? table.length : end + 1;
}

function compareName(table: Buffer, start: number, key: Buffer): number {
  const end = table.indexOf(TAB, start);
  return table.compare(key, 0, key.length, start, end === -1 ? table.length : end);
}

function parseLine(table: Buffer, start: number): PackageFields {
  const fields = table.toString('utf8', start, nextLine(table, start) - 1).split('\t');
  const [name, version, depends, filename, size, sha256] = fields;
  if (sha256?.length !== 64) throw new FormatError('damaged package table: delete it', { offset: start });
  return { name: name!, version: version!, depends: depends!, filename: filename!, size: Number(size), sha256 };
}
