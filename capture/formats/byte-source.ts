/** Random-access bytes: a file, a part of one, or a flattened file seen as the file it stands for. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

import { FormatError, UsageError } from './errors.ts';

/** Bytes with a name and a size that can be read at any offset. */
export interface ByteSource extends Disposable {
  /** Path or name, for messages. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes at `offset`.
   * @throws FormatError when the source ends before
   */
  read(offset: number, length: number): Uint8Array;
  /**
   * Fills an array with the bytes at `offset`. Present where that saves a copy.
   * @throws FormatError when the source ends before
   */
  readInto?(offset: number, target: Uint8Array): void;
}

/** A file on the host, opened for reading. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #fd: number;
  #open = true;

  constructor(path: string) {
    this.name = path;
    this.#fd = openForReading(path);
    const status = fstatSync(this.#fd);
    if (status.isDirectory()) {
      closeSync(this.#fd);
      throw new UsageError(`${path}: is a directory`);
    }
    this.size = status.size;
  }

  read(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    const bytes = Buffer.allocUnsafe(length);
    this.readInto(offset, bytes);
    return bytes;
  }

  readInto(offset: number, target: Uint8Array): void {
    const { length } = target;
    checkRange(this, offset, length);
    let done = 0;
    while (done < length) {
      const count = readSync(this.#fd, target, done, length - done, offset + done);
      if (count === 0) throw cutShort(this, offset, length, done);
      done += count;
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}

function openForReading(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const reason = { ENOENT: 'no such file', EACCES: 'permission denied', EISDIR: 'is a directory' }[code] ?? code;
    throw new UsageError(`${path}: ${reason}`, { cause: error });
  }
}

/** Bytes in memory as a source. */
export class MemorySourceBytes implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  read(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}

const READ_AHEAD = 65_536;

/** Reads small pieces that follow each other in large ones. Others cost a read each. */
export class ReadAhead {
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;
  /** Where the last piece ended. */
  #end = -1;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /**
   * Reads exactly `length` bytes at `offset`.
   * @returns bytes that callers do not write to
   * @throws FormatError when the source ends before
   */
  read(offset: number, length: number): Uint8Array {
    const follows = offset === this.#end;
    this.#end = offset + length;
    if (offset < this.#start || this.#end > this.#start + this.#window.length) {
      if (!follows) return this.#source.read(offset, length);
      this.#window = this.#source.read(offset, Math.max(length, Math.min(READ_AHEAD, this.#source.size - offset)));
      this.#start = offset;
    }
    return this.#window.subarray(offset - this.#start, this.#end - this.#start);
  }
}

/** Checks that a range lies inside a source. @throws FormatError */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw cutShort(source, offset, length, Math.max(0, Math.min(length, source.size - offset)));
  }
}

function cutShort(source: ByteSource, offset: number, length: number, available: number): FormatError {
  return new FormatError('the file ends too early', {
    file: source.name,
    offset,
    expected: `${length} bytes`,
    found: `${available}`,
  });
}
