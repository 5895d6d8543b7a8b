/**
 * The compressors of dump pages.
 *
 * Sources: RFC 1950 (zlib); `Documentation/staging/lzo.rst` (Linux v6.12) "LZO stream format as understood by Linux's
 * LZO decompressor"; the Snappy "format_description.txt"; RFC 8878 (Zstandard).
 * Not modelled: LZO's bitstream version 1 (run length of zeros): the kernel's own lzo-rle for zram has it, liblzo2, and so dump tools,
 * neither write nor read it.
 */
import { constants, createInflate, createZstdDecompress, inflateSync, zstdDecompressSync } from 'node:zlib';

import { FormatError } from './errors.ts';
import { type BlockTransform, nativeTransform } from './native-zlib.ts';

/** Name of a compressor as dump tools use it. */
export type Compressor = 'zlib' | 'lzo' | 'snappy' | 'zstd';

/**
 * Expands one page.
 * @param output is as long as the page, and filled
 * @throws FormatError when the input is damaged or gives another size
 */
export function decompress(compressor: Compressor, input: Uint8Array, output: Uint8Array): void {
  const size = EXPANDERS[compressor](input, output);
  if (size === output.length) return;
  throw new FormatError(`${compressor} data has the wrong size`, {
    expected: `${output.length} bytes`,
    found: `${size}`,
  });
}

const EXPANDERS: Readonly<Record<Compressor, (input: Uint8Array, output: Uint8Array) => number>> = {
  lzo: lzo1xDecompress,
  snappy: snappyDecompress,
  zlib: (input, output) => inContext('zlib', input, output) ?? inOneCall('zlib', inflateSync, input, output),
  zstd: (input, output) => inContext('zstd', input, output) ?? inOneCall('zstd', zstdDecompressSync, input, output),
};

/** Made when they are needed for the first time. */
const contexts = new Map<'zlib' | 'zstd', BlockTransform | undefined>();

function inContext(compressor: 'zlib' | 'zstd', input: Uint8Array, output: Uint8Array): number | undefined {
  if (!contexts.has(compressor)) {
    const context =
      compressor === 'zlib'
        ? nativeTransform(createInflate(), constants.Z_FINISH)
        : nativeTransform(createZstdDecompress(), constants.ZSTD_e_end);
    contexts.set(compressor, context);
  }
  return contexts.get(compressor)?.(input, output);
}

/** What both one-shot calls of `node:zlib` take. */
interface OneCallOptions {
  readonly maxOutputLength: number;
  readonly chunkSize: number;
}

/** Tells what is wrong with a page that the context does not expand. */
function inOneCall(
  compressor: Compressor,
  expand: (input: Uint8Array, options: OneCallOptions) => Uint8Array,
  input: Uint8Array,
  output: Uint8Array,
): number {
  const { length } = output;
  const bytes = guarded(compressor, () => expand(input, { maxOutputLength: length, chunkSize: length }));
  output.set(bytes);
  return bytes.length;
}

function guarded(compressor: Compressor, run: () => Uint8Array): Uint8Array {
  try {
    return run();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError(`damaged ${compressor} data: ${reason}`, { cause });
  }
}

/** Input cursor and bounded output of the byte-oriented decompressors. */
class Expansion {
  readonly output: Uint8Array;
  readonly #input: Uint8Array;
  readonly #name: string;
  position = 0;
  length = 0;

  constructor(name: string, input: Uint8Array, output: Uint8Array) {
    this.#name = name;
    this.#input = input;
    this.output = output;
  }

  get atEnd(): boolean {
    return this.position >= this.#input.length;
  }

  byte(): number {
    const value = this.#input[this.position++];
    if (value === undefined) throw this.damaged('ends too early');
    return value;
  }

  /** A little-endian integer of `size` bytes. */
  integer(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value += this.byte() * 2 ** (8 * i);
    return value;
  }

  literals(count: number): void {
    const end = this.position + count;
    if (end > this.#input.length) throw this.damaged('ends inside a literal');
    if (this.length + count > this.output.length) throw this.damaged('expands beyond the page');
    this.output.set(this.#input.subarray(this.position, end), this.length);
    this.position = end;
    this.length += count;
  }

  /** Repeats `count` bytes from `distance` back; the ranges may overlap. */
  match(distance: number, count: number): void {
    const { output } = this;
    if (distance <= 0 || distance > this.length) throw this.damaged('refers to before its start');
    if (this.length + count > output.length) throw this.damaged('expands beyond the page');
    for (let i = 0; i < count; i++) output[this.length + i] = output[this.length + i - distance]!;
    this.length += count;
  }

  damaged(how: string): FormatError {
    return new FormatError(`damaged ${this.#name} data: ${how}`, { offset: this.position });
  }
}

/** Expands a raw LZO1X stream and returns the number of bytes. */
export function lzo1xDecompress(input: Uint8Array, output: Uint8Array): number {
  const io = new Expansion('lzo', input, output);
  let state = lzoFirst(io);
  for (;;) {
    const op = io.byte();
    if (op < 16 && state === 0) {
      io.literals(lzoRun(io, op, 15) + 3);
      state = 4;
      continue;
    }
    const next = lzoMatch(io, op, state);
    if (next === undefined) return io.length;
    state = next;
    io.literals(state);
  }
}

/** The first byte: above 17 it is a literal run of its own kind. Returns the number of literals, at most 4, that preceded. */
function lzoFirst(io: Expansion): number {
  const first = io.byte();
  if (first <= 17) {
    io.position--;
    return 0;
  }
  const count = first - 17;
  io.literals(count);
  return Math.min(count, 4);
}

/** Copies one match and returns the number of literals that follow it, or undefined at the end mark. */
function lzoMatch(io: Expansion, op: number, state: number): number | undefined {
  if (op >= 64) {
    io.match((io.byte() << 3) + ((op >> 2) & 7) + 1, (op >> 5) + 1);
    return op & 3;
  }
  if (op >= 32) {
    const count = lzoRun(io, op & 31, 31) + 2;
    const word = io.integer(2);
    io.match((word >> 2) + 1, count);
    return word & 3;
  }
  if (op >= 16) {
    const count = lzoRun(io, op & 7, 7) + 2;
    const word = io.integer(2);
    const distance = ((op & 8) << 11) + (word >> 2);
    if (distance === 0) return undefined;
    io.match(distance + 16_384, count);
    return word & 3;
  }
  const distance = (io.byte() << 2) + (op >> 2);
  if (state === 4) io.match(distance + 2049, 3);
  else io.match(distance + 1, 2);
  return op & 3;
}

/** A length of which zero means "more bytes follow", each zero byte standing for 255. */
function lzoRun(io: Expansion, value: number, base: number): number {
  if (value !== 0) return value;
  let count = base;
  for (;;) {
    const next = io.byte();
    if (next !== 0) return count + next;
    count += 255;
  }
}

/** Expands a Snappy block (without the framing format) and returns the number of bytes. */
export function snappyDecompress(input: Uint8Array, output: Uint8Array): number {
  const announced = snappyLength(input);
  if (announced.value > output.length) throw new FormatError(`damaged snappy data: announces ${announced.value} bytes`);
  const io = new Expansion('snappy', input, output.subarray(0, announced.value));
  io.position = announced.next;
  while (!io.atEnd) snappyElement(io);
  return io.length;
}

function snappyLength(input: Uint8Array): { value: number; next: number } {
  let value = 0;
  for (let index = 0; index < 5; index++) {
    const byte = input[index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: index + 1 };
  }
  throw new FormatError('damaged snappy data: the length does not end');
}

function snappyElement(io: Expansion): void {
  const tag = io.byte();
  const upper = tag >> 2;
  switch (tag & 3) {
    case 0:
      io.literals((upper < 60 ? upper : io.integer(upper - 59)) + 1);
      return;
    case 1:
      io.match(((tag >> 5) << 8) + io.byte(), (upper & 7) + 4);
      return;
    case 2:
      io.match(io.integer(2), upper + 1);
      return;
    default:
      io.match(io.integer(4), upper + 1);
  }
}
