/** `console.log` of a run: written as the guest writes, under its final name when the run is over. */
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';

import { discardTemporary, temporaryName } from '../../kernel-images/cache-folder.ts';

/** A log file. A host that cannot write is noticed once, and thrown by `finish`. */
export class ConsoleLog {
  readonly #path: string;
  readonly #temporary: string;
  readonly #fd: number;
  #error: unknown;

  constructor(path: string) {
    this.#path = path;
    this.#temporary = temporaryName(path);
    this.#fd = openSync(this.#temporary, 'w');
  }

  /** @returns whether the log is still whole */
  write(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) return false;
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done);
      return true;
    } catch (error) {
      this.#error = error;
      return false;
    }
  }

  /** Closes the log and gives it its name. @throws what the host said when it could not write */
  finish(): void {
    closeSync(this.#fd);
    if (this.#error === undefined) renameSync(this.#temporary, this.#path);
    discardTemporary(this.#temporary);
    if (this.#error !== undefined) throw this.#error;
  }
}
