/** `rd`: memory. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { FileSource } from '../../capture/formats/byte-source.ts';
import { readUnsigned } from '../../capture/formats/bytes.ts';
import { userReader } from '../linux/user-memory.ts';
import { physicalReader } from '../memory-reader.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { writeHostFile } from '../text/host-file.ts';
import { hex, hex16, printable } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { invalidInput, parseAddress, parseNumber } from './numbers.ts';
import { faultText, NamedFault } from './faults.ts';
import { readOr } from '../gaps.ts';
import type { Session } from './session.ts';
import { nameOf } from './stack-words.ts';

interface RdData {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly size: 1 | 2 | 4 | 8;
  readonly format: 'hex' | 'unsigned' | 'signed' | 'text' | 'symbols' | 'slab' | 'slab-addresses';
  readonly ascii: boolean;
  readonly physical: boolean;
  readonly bigEndian: boolean;
  /** Why the memory ends early, if it does. */
  readonly fault: string | undefined;
  /** Name of the file written with `-r`. */
  readonly written: string | undefined;
}

const DEFAULT_TEXT_LIMIT = 4096;
const TEXT_WIDTH = 60;
const MAX_COUNT = 64 * 2 ** 20;
const PAGE_SIZE = 4096;

/** `rd`. */
export const rd: Command<RdData> = {
  name: 'rd',
  summary: 'memory, in several formats',
  synopsis: '[-adDsSupxmfNR][-8|-16|-32|-64][-o offs][-e addr][-r file] [address|symbol] [count]',
  options: [
    { flag: '-p', help: 'the address is physical' },
    { flag: '-u', help: 'the address is of the current task' },
    { flag: '-d', help: 'signed decimal' },
    { flag: '-D', help: 'unsigned decimal' },
    { flag: '-s', help: 'symbols where they fit' },
    { flag: '-S', help: 'symbols and slab cache names; twice: with addresses' },
    { flag: '-x', help: 'no text at the right' },
    { flag: '-8', help: 'bytes' },
    { flag: '-16', help: '16-bit units' },
    { flag: '-32', help: '32-bit units' },
    { flag: '-64', help: '64-bit units (default)' },
    { flag: '-a', help: 'text' },
    { flag: '-N', help: 'big endian, for 16- and 32-bit units' },
    { flag: '-R', help: 'the units up to the address, it included' },
    { flag: '-m', help: 'machine addresses: of Xen dumps only' },
    { flag: '-f', help: 'the address is an offset in the dump file' },
    { flag: '-o', takes: 'offset', help: 'start this far behind the address' },
    { flag: '-e', takes: 'address', help: 'end before this address' },
    { flag: '-r', takes: 'file', help: 'write the bytes to a file' },
  ],
  description: 'Reads `count` units (default 1). The address is hexadecimal, a symbol, or a sum of these.',
  examples: [
    { line: 'rd -a linux_banner', why: 'a string' },
    { line: 'rd -p 40000000 16', why: 'physical memory' },
    { line: 'rd -SS ffff800008028000 64', why: 'a stack with names' },
  ],
  run(session, args) {
    const request = parseRequest(session, args);
    const { bytes, fault } = readUpTo(request);
    if (bytes.length === 0 && request.length > 0 && fault !== undefined) throw fault;
    const written = args.value('-r');
    if (written !== undefined) writeTo(written, bytes);
    return { ...request, bytes, fault: fault === undefined ? undefined : faultText(fault, 'rd'), written };
  },
  text(data, session) {
    const { written, bytes } = data;
    if (written !== undefined)
      return `${bytes.length} bytes copied from 0x${data.address.toString(16)} to ${written}\n`;
    const text = data.format === 'text' ? textLines(data) : unitLines(data, session);
    return data.fault === undefined ? text : `${text}rd: ${data.fault}\n`;
  },
};

interface Request extends Omit<RdData, 'bytes' | 'fault' | 'written'> {
  readonly reader: MemoryReader;
  readonly length: number;
  /** What is read, for messages: `64-bit KVADDR`. */
  readonly what: string;
}

/** Kind of memory as crash names it. */
function kindOf(args: Arguments, address: bigint): string {
  if (args.has('-f')) return 'FILEADDR';
  if (args.has('-p')) return 'PHYSADDR';
  return args.has('-u') || address < FIRST_KERNEL_ADDRESS ? 'UVADDR' : 'KVADDR';
}

function parseRequest(session: Session, args: Arguments): Request {
  if (args.has('-m')) throw new UsageError('-m option only applies to xen architecture');
  const { word, countWord } = parsePlace(args);
  const size = sizeOfUnit(args);
  const base = parseAddress(session, word) + (args.has('-o') ? parseNumber(args.value('-o')!) : 0n);
  const reader = readerOf(session, args, base);
  const reverse = args.has('-R');
  const length = lengthOf(session, args, reader, base, size, countWord);
  if (length === 0 && !args.has('-a')) throw new UsageError(`invalid count request: ${countWord ?? 0}`);
  if (length > MAX_COUNT) throw new UsageError(`more than ${MAX_COUNT} bytes`);
  const address = reverse ? base - BigInt(length - size) : base;
  const ascii = !['-x', '-d', '-D', '-s', '-S'].some(flag => args.has(flag));
  const physical = args.has('-p') || args.has('-f');
  const what = args.has('-a') ? 'ascii' : `${8 * size}-bit ${kindOf(args, base)}`;
  return { reader, what, address, length, size, physical, bigEndian: args.has('-N'), format: formatOf(args), ascii };
}

/** The address and the count; of several counts the last one counts. */
function parsePlace({ positionals }: Arguments): { readonly word: string; readonly countWord: string | undefined } {
  const option = positionals.find(word => word.startsWith('-'));
  if (option !== undefined) throw new SynopsisError(`invalid option -- '${option.slice(1)}'`);
  const [word, ...counts] = positionals;
  if (word === undefined) throw new SynopsisError('no address given');
  return { word, countWord: counts.at(-1) };
}

function sizeOfUnit(args: Arguments): RdData['size'] {
  if (args.has('-8')) return 1;
  if (args.has('-16')) return 2;
  return args.has('-32') ? 4 : 8;
}

/** Of the file, not of the memory in it. */
export function fileReader(path: string): MemoryReader {
  const source = new FileSource(path);
  const lastPage = Math.ceil(source.size / PAGE_SIZE);
  return physicalReader({
    pageSize: PAGE_SIZE,
    maxPfn: lastPage,
    hasPage: pfn => pfn < lastPage,
    readPage(pfn) {
      if (pfn >= lastPage) throw new FaultError(pfn * PAGE_SIZE, 'beyond the end of the file');
      const page = new Uint8Array(PAGE_SIZE);
      page.set(source.read(pfn * PAGE_SIZE, Math.min(PAGE_SIZE, source.size - pfn * PAGE_SIZE)));
      return page;
    },
  });
}

/** Addresses below the kernel's are of the current task. */
function readerOf(session: Session, args: Arguments, address: bigint): MemoryReader {
  if (args.has('-f')) return fileReader(session.program.dump.path);
  if (args.has('-p')) return session.program.physical;
  if (args.has('-u') && address >= FIRST_KERNEL_ADDRESS)
    throw new UsageError(`invalid user virtual address: ${hex(address)}  type: "${8 * sizeOfUnit(args)}-bit UVADDR"`);
  return args.has('-u') || address < FIRST_KERNEL_ADDRESS ? currentUser(session) : session.program.memory;
}

/** Bytes to read; text without a count ends at its NUL. The count of text and of -r is one of bytes. */
function lengthOf(
  session: Session,
  args: Arguments,
  reader: MemoryReader,
  base: bigint,
  size: number,
  countWord: string | undefined,
): number {
  const isText = args.has('-a') || args.has('-r');
  if (args.has('-a') && countWord === undefined && !args.has('-e')) return textLength(reader, base);
  return countOf(session, args, countWord, base, isText ? 1 : size) * (isText ? 1 : size);
}

function countOf(session: Session, args: Arguments, word: string | undefined, start: bigint, size: number): number {
  if (args.has('-e'))
    return Math.max(0, Number((parseAddress(session, args.value('-e')!, invalidInput) - start) / BigInt(size)));
  return word === undefined ? 1 : Number(/^\d+$/.test(word) ? BigInt(word) : parseNumber(word));
}

function currentUser(session: Session): MemoryReader {
  const { mm } = session.current;
  if (mm === undefined) throw new UsageError(`task ${session.current.pid} has no user memory`);
  return userReader(session.program, mm);
}

function formatOf(args: Arguments): RdData['format'] {
  if (args.has('-a')) return 'text';
  if (args.has('-d')) return 'signed';
  if (args.has('-D')) return 'unsigned';
  if (args.count('-S') > 1) return 'slab-addresses';
  if (args.has('-S')) return 'slab';
  return args.has('-s') ? 'symbols' : 'hex';
}

function textLength(reader: MemoryReader, address: bigint): number {
  const [text = ''] = /^[ -~]*/.exec(reader.readString(address, DEFAULT_TEXT_LIMIT)) ?? [];
  return text.length;
}

function readUpTo({ reader, address, length, physical, what }: Request): {
  readonly bytes: Uint8Array;
  readonly fault: FaultError | undefined;
} {
  const bytes = reader.readAvailable(address, length);
  if (bytes.length === length) return { bytes, fault: undefined };
  const first = address + BigInt(bytes.length);
  const fault = readOr(
    () => void reader.readU8(first),
    ({ reason }) => new NamedFault({ address: physical ? Number(first) : first, reason }, what),
  );
  return { bytes, fault: fault ?? undefined };
}

function writeTo(file: string, bytes: Uint8Array): void {
  try {
    writeHostFile(file, bytes);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`cannot open output file: ${file}`, { cause: error });
    throw error;
  }
}

/** Below are user and physical addresses: they stand without leading zeros. */
const FIRST_KERNEL_ADDRESS = 1n << 56n;

function lineAddress(data: RdData, offset: number): string {
  const address = data.address + BigInt(offset);
  return address < FIRST_KERNEL_ADDRESS ? hex(address).padStart(16) : hex16(address);
}

function textLines(data: RdData): string {
  const out: string[] = [];
  for (let at = 0; at < data.bytes.length; at += TEXT_WIDTH) {
    out.push(`${lineAddress(data, at)}:  ${printable(data.bytes.subarray(at, at + TEXT_WIDTH))}\n`);
  }
  return out.join('');
}

const LINE_BYTES = 16;

/** Memory as `rd` shows it by default. @param size bytes of a unit */
export function hexLines(session: Session, address: bigint, bytes: Uint8Array, size: RdData['size']): string {
  return unitLines({ ...PLAIN, address, bytes, size }, session);
}

const PLAIN = {
  physical: false,
  bigEndian: false,
  format: 'hex',
  ascii: true,
  fault: undefined,
  written: undefined,
} as const;

function unitLines(data: RdData, session: Session): string {
  const out: string[] = [];
  for (let at = 0; at < data.bytes.length; at += LINE_BYTES) {
    const line = data.bytes.subarray(at, at + LINE_BYTES);
    const cells = Array.from({ length: Math.floor(line.length / data.size) }, (_, unit) =>
      cell(data, session, line, unit),
    );
    const width = (LINE_BYTES / data.size) * (2 * data.size + 1);
    const body = cells.map(text => `${text} `).join('');
    out.push(`${lineAddress(data, at)}:  ${data.ascii ? `${body.padEnd(width)}  ${printable(line)}` : body}\n`);
  }
  return out.join('');
}

/** Widths of signed and unsigned decimals by size of the unit. */
const DECIMAL_WIDTH = { signed: { 1: 3, 2: 5, 4: 12, 8: 15 }, unsigned: { 1: 3, 2: 5, 4: 12, 8: 20 } } as const;

function cell(data: RdData, session: Session, line: Uint8Array, unit: number): string {
  const { size, format } = data;
  const raw = unitValue(data, line, unit);
  const digits = raw.toString(16).padStart(2 * size, '0');
  if (format === 'unsigned') return String(raw).padStart(DECIMAL_WIDTH.unsigned[size]);
  if (format === 'signed') return String(BigInt.asIntN(8 * size, raw)).padStart(DECIMAL_WIDTH.signed[size]);
  if (size !== 8 || format === 'hex') return digits;
  if (format === 'symbols') return session.program.symbols.format(raw)?.padEnd(16) ?? digits;
  return nameOf(session, raw, format === 'slab-addresses') ?? digits;
}

function unitValue({ size, bigEndian }: RdData, line: Uint8Array, unit: number): bigint {
  if (!bigEndian || size === 8 || size === 1) return readUnsigned(line, unit * size, size);
  return readUnsigned(line.slice(unit * size, (unit + 1) * size).reverse(), 0, size);
}
