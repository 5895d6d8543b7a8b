/** A raw disk image in a host file. Reads and writes go straight to the file; holes of a sparse file read as zeros. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { ImageError } from '../../../capture/formats/errors.ts';
import type { BlockBackend } from './backend.ts';

const SECTOR = 512;
const ZEROES = new Uint8Array(1 << 16);

/** Keeps the file open until disposed of. */
export class FileBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  error: Error | undefined;
  private readonly path: string;
  private readonly fd: number;

  /** @throws ImageError when the file cannot be opened or is not a whole number of sectors */
  constructor(path: string, readOnly: boolean) {
    this.path = path;
    this.readOnly = readOnly;
    try {
      this.fd = openSync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
    } catch (cause) {
      throw new ImageError(`cannot open the disk image: ${describe(cause)}`, { file: path, cause });
    }
    this.sizeBytes = fstatSync(this.fd).size;
    if (this.sizeBytes === 0 || this.sizeBytes % SECTOR !== 0) {
      closeSync(this.fd);
      throw new ImageError(
        `the disk image has ${this.sizeBytes} bytes, which is not a positive multiple of ${SECTOR}`,
        {
          file: path,
        },
      );
    }
  }

  read(offset: number, target: Uint8Array): boolean {
    return this.attempt('read', () => {
      for (let done = 0; done < target.length;) {
        const count = readSync(this.fd, target, done, target.length - done, offset + done);
        if (count === 0) throw new Error('the file became shorter');
        done += count;
      }
    });
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return this.attempt('write', () => {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.fd, bytes, done, bytes.length - done, offset + done);
      }
    });
  }

  flush(): boolean {
    return this.readOnly || this.attempt('flush', () => fsyncSync(this.fd));
  }

  writeZeroes(offset: number, length: number): boolean {
    for (let done = 0; done < length; done += ZEROES.length) {
      const count = Math.min(ZEROES.length, length - done);
      if (!this.write(offset + done, ZEROES.subarray(0, count))) return false;
    }
    return true;
  }

  /** A host file is not rolled back. */
  save(): null {
    return null;
  }

  restore(): void {
    // Nothing was saved.
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }

  private attempt(what: string, action: () => void): boolean {
    try {
      action();
      return true;
    } catch (cause) {
      this.error ??= new ImageError(`cannot ${what} the disk image: ${describe(cause)}`, { file: this.path, cause });
      return false;
    }
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
