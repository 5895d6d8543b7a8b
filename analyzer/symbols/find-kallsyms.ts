/**
 * Finds the kallsyms tables: by VMCOREINFO's symbols (since v6.0, commit 5fd8fea935a1), or by searching the kernel image.
 *
 * The search rests on `kallsyms_token_table`: 256 NUL-terminated strings of which those of the digits are the digits
 * themselves; `scripts/kallsyms.c` keeps unused single characters as tokens. The other tables stand in a fixed order
 * around it: names, [num_syms], markers, [seqs_of_names], token_table, token_index, and since v6.4 offsets and
 * relative_base behind, before that in front (commit 404bad70fcf7 "scripts/kallsyms: change the output order").
 */
import { START_KERNEL_MAP } from '../../capture/addrxlat/x86_64.ts';
import type { KernelAddressSpace } from '../../capture/addrxlat/page-walk.ts';
import { asBuffer, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import type { Vmcoreinfo } from '../../capture/formats/vmcoreinfo.ts';
import type { MemoryReader } from '../memory-reader.ts';
import type { KallsymsLocation } from './kallsyms.ts';

const DIGITS = Buffer.from(Array.from({ length: 10 }, (_, digit) => `${digit}\0`).join(''), 'latin1');
const IMAGE_LIMIT = 96 * 2 ** 20;
const CHUNK = 2 ** 20;
/** Farther apart than this the tables never stand. */
const NAMES_LIMIT = 16 * 2 ** 20;
const TOKENS = 256;

/** @throws FormatError when the kernel has no kallsyms or the dump lacks it */
export function locateKallsyms(memory: MemoryReader, info: Vmcoreinfo, space: KernelAddressSpace): KallsymsLocation {
  const location = fromVmcoreinfo(info) ?? bySearch(memory, imageStart(info, space));
  if (location === undefined) {
    throw new FormatError('no symbol table: the dump holds no kallsyms that can be found', {
      expected: 'kallsyms in the kernel image, or a vmlinux on the command line',
    });
  }
  return location;
}

function fromVmcoreinfo(info: Vmcoreinfo): KallsymsLocation | undefined {
  const names = info.symbol('kallsyms_names');
  const numSyms = info.symbol('kallsyms_num_syms');
  const tokenTable = info.symbol('kallsyms_token_table');
  const tokenIndex = info.symbol('kallsyms_token_index');
  const offsets = info.symbol('kallsyms_offsets') ?? info.symbol('kallsyms_addresses');
  if (!names || !numSyms || !tokenTable || !tokenIndex || !offsets) return undefined;
  const withoutBase = info.symbol('kallsyms_offsets') === undefined ? undefined : 'own place';
  const relativeBase = info.symbol('kallsyms_relative_base') ?? withoutBase;
  return { names, numSyms, tokenTable, tokenIndex, offsets, relativeBase };
}

function imageStart(info: Vmcoreinfo, space: KernelAddressSpace): bigint {
  const text = info.symbol('_stext');
  if (text !== undefined) return text & ~0xffffn;
  return space.architecture === 'x86_64'
    ? START_KERNEL_MAP + 0x100_0000n + (info.kernelOffset ?? 0n)
    : space.pageOffset;
}

function bySearch(memory: MemoryReader, start: bigint): KallsymsLocation | undefined {
  for (let done = 0; done < IMAGE_LIMIT; done += CHUNK) {
    const bytes = asBuffer(memory.readAvailable(start + BigInt(done), CHUNK + DIGITS.length));
    for (let at = bytes.indexOf(DIGITS); at !== -1; at = bytes.indexOf(DIGITS, at + 1)) {
      const location = aroundDigits(memory, start + BigInt(done + at));
      if (location !== undefined) return location;
    }
    if (bytes.length < CHUNK) return undefined;
  }
  return undefined;
}

/** Reads outwards from the digits' tokens: '0' is token 48. */
function aroundDigits(memory: MemoryReader, digits: bigint): KallsymsLocation | undefined {
  const tokenTable = tableStart(memory, digits);
  if (tokenTable === undefined) return undefined;
  const after = memory.readAvailable(tokenTable, 8192);
  const tokenIndex = tokenTable + BigInt(indexOffset(after) ?? -1);
  if (tokenIndex < tokenTable) return undefined;
  return namesBefore(memory, tokenTable, tokenIndex);
}

/** Walks back over 48 strings. */
function tableStart(memory: MemoryReader, digits: bigint): bigint | undefined {
  const LENGTH = 2048;
  const before = memory.readAvailable(digits - BigInt(LENGTH), LENGTH);
  if (before.length < LENGTH) return undefined;
  let strings = 0;
  for (let at = LENGTH - 2; at >= 0; at--) {
    if (before[at] !== 0) continue;
    strings++;
    if (strings === 48) return digits - BigInt(LENGTH - at - 1);
  }
  return undefined;
}

/** Offset of `kallsyms_token_index`, aligned behind 256 strings; its entries must be their offsets. */
function indexOffset(table: Uint8Array): number | undefined {
  const starts: number[] = [];
  let at = 0;
  while (starts.length < TOKENS && at < table.length) {
    starts.push(at);
    const end = table.indexOf(0, at);
    if (end === -1) return undefined;
    at = end + 1;
  }
  for (let offset = at; offset < at + 16 && offset + 2 * TOKENS <= table.length; offset++) {
    if (starts.every((start, token) => readU16(table, offset + 2 * token) === start)) return offset;
  }
  return undefined;
}

/** Searches backwards for a count whose names end where markers begin, then for the offsets on either side. */
function namesBefore(memory: MemoryReader, tokenTable: bigint, tokenIndex: bigint): KallsymsLocation | undefined {
  const window = memory.readAvailable(tokenTable - BigInt(NAMES_LIMIT), NAMES_LIMIT);
  const bytes = window.length === NAMES_LIMIT ? window : readBackwards(memory, tokenTable);
  const base = tokenTable - BigInt(bytes.length);
  for (let at = bytes.length & ~7; at >= 8; at -= 8) {
    const count = readU32(bytes, at - 8);
    if (count < 1000 || count > 4_000_000 || readU32(bytes, at - 4) !== 0) continue;
    if (!namesFit(bytes, at, count)) continue;
    const numSyms = base + BigInt(at - 8);
    const offsets = offsetsNear(memory, bytes, at - 8, numSyms, count, tokenIndex);
    if (offsets !== undefined) return { names: base + BigInt(at), numSyms, tokenTable, tokenIndex, ...offsets };
  }
  return undefined;
}

/** The part of the window that can be read, counted back from its end. */
function readBackwards(memory: MemoryReader, end: bigint): Uint8Array {
  for (let length = NAMES_LIMIT; length >= 0x1_0000; length >>= 1) {
    const bytes = memory.readAvailable(end - BigInt(length), length);
    if (bytes.length === length) return bytes;
  }
  return new Uint8Array(0);
}

/** Walks `count` names; they must end inside the window and be followed by markers, the first of which is zero. */
function namesFit(bytes: Uint8Array, start: number, count: number): boolean {
  let at = start;
  for (let index = 0; index < count; index++) {
    const length = bytes[at] ?? 0;
    if (length === 0) return false;
    at += 1 + ((length & 0x80) === 0 ? length : 1 + ((length & 0x7f) | ((bytes[at + 1] ?? 0) << 7)));
    if (at >= bytes.length) return false;
  }
  const markers = Math.ceil(at / 8) * 8;
  return markers + 8 <= bytes.length && readU32(bytes, markers) === 0;
}

function offsetsNear(
  memory: MemoryReader,
  bytes: Uint8Array,
  numSymsAt: number,
  numSyms: bigint,
  count: number,
  tokenIndex: bigint,
): Pick<KallsymsLocation, 'offsets' | 'relativeBase'> | undefined {
  const before = readU64(bytes, numSymsAt - 8);
  const second = readU64(bytes, numSymsAt - 16);
  // Offsets and relative_base in front: the word before num_syms is the base, the one before it are two offsets.
  if (isKernelAddress(before) && !isKernelAddress(second)) {
    const size = BigInt(Math.ceil((4 * count) / 8) * 8);
    return { offsets: numSyms - 8n - size, relativeBase: numSyms - 8n };
  }
  if (isKernelAddress(before)) return { offsets: numSyms - BigInt(8 * count), relativeBase: undefined };
  const offsets = tokenIndex + BigInt(2 * TOKENS);
  const relativeBase = offsets + BigInt(Math.ceil((4 * count) / 8) * 8);
  return isKernelAddress(memory.readU64(relativeBase)) ? { offsets, relativeBase } : undefined;
}

function isKernelAddress(value: bigint): boolean {
  return value >= 0xffff_0000_0000_0000n;
}
