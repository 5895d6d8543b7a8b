/**
 * Writes the flattened format, and turns a flattened stream into the file that it stands for (`-R`).
 *
 * Source: makedumpfile `IMPLEMENTATION` "The flattened format".
 */
import { readI64, readU64 } from './formats/bytes.ts';
import { FormatError } from './formats/errors.ts';
import {
  FLATTENED_SIGNATURE,
  MAKEDUMPFILE_DATA_HEADER,
  MAKEDUMPFILE_HEADER,
  isFlattened,
} from './formats/flattened.ts';
import type { DumpSink } from './output/dump-sink.ts';

const HEADER_SIZE = 4096;
const VERSION_FLAT_HEADER = 1n;
const TYPE_FLAT_HEADER = 1n;
const END_FLAG = -1n;

/** Takes the bytes of a stream in order. @throws NoSpaceError when they do not fit */
export type StreamWrite = (bytes: Uint8Array) => void;

/** Writes a dump as a stream of records. */
export class FlattenedSink implements DumpSink {
  readonly name: string;
  readonly isStream = true;
  bytesWritten = 0;
  readonly #write: StreamWrite;

  constructor(name: string, write: StreamWrite) {
    this.name = name;
    this.#write = write;
    const header = new Uint8Array(HEADER_SIZE);
    const start = { signature: FLATTENED_SIGNATURE, type: TYPE_FLAT_HEADER, version: VERSION_FLAT_HEADER };
    MAKEDUMPFILE_HEADER.write(header, 0, start, 'big');
    this.#emit(header);
  }

  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#emit(MAKEDUMPFILE_DATA_HEADER.build({ offset: BigInt(offset), buf_size: BigInt(bytes.length) }));
    this.#emit(bytes);
  }

  commit(): void {
    this.#emit(MAKEDUMPFILE_DATA_HEADER.build({ offset: END_FLAG, buf_size: END_FLAG }));
  }

  abort(): void {
    // The reader sees that the end record is missing.
  }

  #emit(bytes: Uint8Array): void {
    this.#write(bytes);
    this.bytesWritten += bytes.length;
  }
}

/** Writes a dump as a flattened file, which gets its name when the end record is in it. */
export class FlattenedFileSink implements DumpSink {
  readonly name: string;
  readonly isStream = true;
  readonly #file: DumpSink;
  readonly #flattened: FlattenedSink;
  #position = 0;

  /** @param file takes the records, in order */
  constructor(file: DumpSink) {
    this.name = file.name;
    this.#file = file;
    this.#flattened = new FlattenedSink(file.name, bytes => {
      this.#file.write(this.#position, bytes);
      this.#position += bytes.length;
    });
  }

  get bytesWritten(): number {
    return this.#flattened.bytesWritten;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#flattened.write(offset, bytes);
  }

  commit(): void {
    this.#flattened.commit();
    this.#file.commit();
  }

  abort(): void {
    this.#file.abort();
  }
}

/** Reads exactly so many bytes of a stream, fewer only at its end. */
export type StreamRead = (length: number) => Uint8Array;

const COPY_SIZE = 1 << 20;

/**
 * Writes the file that a flattened stream stands for.
 * @throws FormatError when the stream is damaged or ends before its end record
 */
export function rearrange(read: StreamRead, sink: DumpSink, name = 'standard input'): void {
  const start = read(HEADER_SIZE);
  if (start.length < HEADER_SIZE || !isFlattened(start))
    throw new FormatError("Can't get header of flattened format.", { file: name, offset: 0 });
  let position = HEADER_SIZE;
  for (;;) {
    const record = readRecordHeader(read, name, position);
    if (record === undefined) return;
    position += MAKEDUMPFILE_DATA_HEADER.size;
    for (let done = 0; done < record.size;) {
      const bytes = read(Math.min(COPY_SIZE, record.size - done));
      if (bytes.length === 0) throw cutShort(name, position);
      sink.write(record.offset + done, bytes);
      done += bytes.length;
      position += bytes.length;
    }
  }
}

/** Where a record's bytes go; undefined for the end record. */
function readRecordHeader(
  read: StreamRead,
  file: string,
  position: number,
): { offset: number; size: number } | undefined {
  const header = read(MAKEDUMPFILE_DATA_HEADER.size);
  if (header.length < MAKEDUMPFILE_DATA_HEADER.size) throw cutShort(file, position);
  const offset = readI64(header, 0, 'big');
  const size = readI64(header, 8, 'big');
  if (offset === END_FLAG && size === END_FLAG) return undefined;
  if (offset >= 0n && size > 0n && offset + size < 2n ** 53n) return { offset: Number(offset), size: Number(size) };
  throw new FormatError("Can't get valid end header of flattened format.", {
    file,
    offset: position,
    expected: 'a record below 2^53, or the end record',
    found: `offset 0x${readU64(header, 0, 'big').toString(16)}, size 0x${readU64(header, 8, 'big').toString(16)}`,
  });
}

function cutShort(file: string, offset: number): FormatError {
  return new FormatError('the flattened stream ends without its end record', { file, offset });
}
