/**
 * makedumpfile's flattened format (`-F`): a dump as a stream of (offset, size, bytes) records.
 *
 * Source: makedumpfile(8) `-F`, `-R`; its `IMPLEMENTATION` "The flattened format". All integers big endian; the header
 * occupies 4096 bytes; a record with offset and size −1 ends the stream.
 */
import { readI64, readU64 } from './bytes.ts';
import { checkRange } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { FormatError } from './errors.ts';
import { ascii, i64, struct, u64 } from './struct.ts';

export const FLATTENED_SIGNATURE = 'makedumpfile';
const HEADER_SIZE = 4096;
const RECORD_HEADER_SIZE = 16;
const TYPE_FLAT_HEADER = 1n;

export const MAKEDUMPFILE_HEADER = struct(
  'makedumpfile_header',
  { signature: ascii(16), type: u64, version: u64 },
  { order: 'big' },
);

/** Heads each record; both -1 in the record that ends the stream. */
export const MAKEDUMPFILE_DATA_HEADER = struct(
  'makedumpfile_data_header',
  { offset: i64, buf_size: i64 },
  { order: 'big' },
);

interface Record {
  /** Offset in the file that the stream stands for. */
  readonly offset: number;
  readonly size: number;
  /** Offset of the bytes in the stream. */
  readonly position: number;
}

/** Tells whether the bytes begin as a flattened file does. */
export function isFlattened(bytes: Uint8Array): boolean {
  if (bytes.length < MAKEDUMPFILE_HEADER.size) return false;
  const header = MAKEDUMPFILE_HEADER.parse(bytes);
  return header.signature === FLATTENED_SIGNATURE && header.type === TYPE_FLAT_HEADER;
}

/** A flattened file seen as the file that `makedumpfile -R` would make of it. */
export class FlattenedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  /** False when the stream ends without its end record: the dump was cut off. */
  readonly complete: boolean;
  readonly #stream: ByteSource;
  /** Sorted by offset; later records of the stream win over earlier ones that start at the same offset. */
  readonly #records: readonly Record[];

  /** @throws FormatError when a record header is impossible */
  constructor(stream: ByteSource) {
    this.name = stream.name;
    this.#stream = stream;
    const { records, complete } = scanRecords(stream);
    this.#records = records.sort((a, b) => a.offset - b.offset || a.position - b.position);
    this.complete = complete;
    this.size = records.reduce((end, record) => Math.max(end, record.offset + record.size), 0);
  }

  read(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    for (let index = this.#firstAt(offset); index < this.#records.length; index++) {
      const record = this.#records[index]!;
      if (record.offset >= offset + length) break;
      const from = Math.max(offset, record.offset);
      const to = Math.min(offset + length, record.offset + record.size);
      if (from < to) bytes.set(this.#stream.read(record.position + from - record.offset, to - from), from - offset);
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  /** Index of the first record that can hold a byte at or after `offset`. */
  #firstAt(offset: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#records[middle]!.offset <= offset) low = middle + 1;
      else high = middle;
    }
    while (low > 0 && this.#records[low - 1]!.offset + this.#records[low - 1]!.size > offset) low--;
    return Math.max(0, low - 1);
  }
}

function scanRecords(stream: ByteSource): { records: Record[]; complete: boolean } {
  const records: Record[] = [];
  let position = HEADER_SIZE;
  while (position + RECORD_HEADER_SIZE <= stream.size) {
    const header = stream.read(position, RECORD_HEADER_SIZE);
    if (readI64(header, 0, 'big') === -1n) return { records, complete: true };
    const offset = Number(readU64(header, 0, 'big'));
    const size = Number(readU64(header, 8, 'big'));
    if (offset + size >= 2 ** 53) {
      throw new FormatError('impossible record of the flattened format', {
        file: stream.name,
        offset: position,
        expected: 'an offset and a size below 2^53',
        found: `0x${offset.toString(16)} and 0x${size.toString(16)}`,
      });
    }
    position += RECORD_HEADER_SIZE;
    records.push({ offset, size: Math.min(size, stream.size - position), position });
    position += size;
  }
  return { records, complete: false };
}
