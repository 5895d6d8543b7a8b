/**
 * Where a dump is written: a file that gets its name only when it is complete, a stream, or nowhere.
 *
 * A dump is written out of order (descriptors lie before the data they describe), so a sink takes offsets.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { getSystemErrorMessage } from 'node:util';

import { UsageError } from '../formats/errors.ts';

/** Says that the disk is full or the limit on the dump's size is reached. */
export class NoSpaceError extends Error {
  /** Bytes of the write that failed which are in the file all the same. */
  readonly written: number;

  constructor(message: string, written: number) {
    super(message);
    this.name = 'NoSpaceError';
    this.written = written;
  }
}

/** A destination of a dump. */
export interface DumpSink {
  /** Path or name, for messages. */
  readonly name: string;
  /** What was written cannot be corrected later: the reader may have consumed it. */
  readonly isStream: boolean;
  /** Bytes given to `write` so far. */
  readonly bytesWritten: number;
  /**
   * Writes bytes at an offset.
   * @throws NoSpaceError when they do not fit; some of them may have been written
   */
  write(offset: number, bytes: Uint8Array): void;
  /** Makes everything durable and gives the dump its name. */
  commit(): void;
  /** Drops everything written. Does nothing after `commit`. */
  abort(): void;
}

/** A file under a temporary name beside its final one. */
export class FileSink implements DumpSink {
  readonly name: string;
  readonly isStream = false;
  bytesWritten = 0;
  readonly #temporary: string;
  readonly #limit: number;
  #fd: number | undefined;

  /**
   * @param limit greatest size of the file in bytes
   * @throws UsageError when the file cannot be created
   */
  constructor(path: string, limit = Number.POSITIVE_INFINITY) {
    this.name = path;
    this.#limit = limit;
    // A device or a pipe has no second name to be written under.
    this.#temporary = isSpecialFile(path) ? path : `${path}.${process.pid}.incomplete`;
    this.#fd = openForWriting(this.#temporary, path);
  }

  write(offset: number, bytes: Uint8Array): void {
    const room = Math.min(bytes.length, Math.max(0, this.#limit - offset));
    let done = 0;
    while (done < room) {
      const count = this.#writeSome(bytes, done, room - done, offset + done);
      if (count === undefined) throw this.#noSpace('No space left on device', done);
      done += count;
      this.bytesWritten += count;
    }
    if (done < bytes.length) throw this.#noSpace(`Size limit(${this.#limit}) reached.`, done);
  }

  commit(): void {
    if (this.#fd === undefined) return;
    const isSpecial = this.#temporary === this.name;
    if (!isSpecial) fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = undefined;
    if (isSpecial) return;
    renameSync(this.#temporary, this.name);
    syncDirectory(dirname(this.name));
  }

  abort(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    if (this.#temporary !== this.name) unlinkSync(this.#temporary);
  }

  /** @returns the number of bytes written; undefined when the disk is full */
  #writeSome(bytes: Uint8Array, start: number, length: number, position: number): number | undefined {
    try {
      return writeSync(this.#fd!, bytes, start, length, this.#temporary === this.name ? null : position);
    } catch (error) {
      if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errorCode(error))) return undefined;
      throw error;
    }
  }

  #noSpace(reason: string, written: number): NoSpaceError {
    return new NoSpaceError(`Can't write the dump file(${this.name}). ${reason}`, written);
  }
}

/** @param name of the file to be, for the message */
function openForWriting(path: string, name: string): number {
  try {
    const fd = openSync(path, 'w', 0o600);
    if (!isSpecialFile(path)) ftruncateSync(fd);
    return fd;
  } catch (error) {
    throw new UsageError(`Can't open the dump file(${name}). ${describeHostError(error)}`, { cause: error });
  }
}

/** What the host says, as strerror(3) has it: `No such file or directory`. */
export function describeHostError(error: unknown): string {
  const number = error instanceof Error && 'errno' in error ? Number(error.errno) : Number.NaN;
  if (!Number.isInteger(number)) return String(error);
  const text = getSystemErrorMessage(number);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function isSpecialFile(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status !== undefined && !status.isFile() && !status.isDirectory();
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** Counts what would be written: `--dry-run`. */
export class NullSink implements DumpSink {
  readonly name: string;
  readonly isStream = false;
  bytesWritten = 0;
  readonly #limit: number;

  constructor(name: string, limit = Number.POSITIVE_INFINITY) {
    this.name = name;
    this.#limit = limit;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > this.#limit)
      throw new NoSpaceError(`Can't write the dump file(${this.name}). Size limit(${this.#limit}) reached.`, 0);
    this.bytesWritten += bytes.length;
  }

  commit(): void {
    // Nothing was written.
  }

  abort(): void {
    // Nothing was written.
  }
}

/** Keeps a dump in memory: for tests and for small dumps that are read at once. */
export class MemorySink implements DumpSink {
  readonly name = 'memory';
  readonly isStream = false;
  bytesWritten = 0;
  #bytes = new Uint8Array(65_536);
  #size = 0;
  #committed = false;

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, offset);
    this.#size = Math.max(this.#size, end);
    this.bytesWritten += bytes.length;
  }

  /** The file that was written. */
  get contents(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  commit(): void {
    this.#committed = true;
  }

  abort(): void {
    if (!this.#committed) this.#size = 0;
  }
}
