/** Time stamps in front of the guest's lines, as Ctrl-a t turns on in QEMU: wall time since then. */

const NEWLINE = 0x0a;

/** Puts stamps in while it is on. */
export class LineTimestamps {
  readonly #now: () => number;
  #since: number | undefined;
  #isLineStart = true;

  /** @param now wall time in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Turns stamps on or off; time begins anew. */
  toggle(): void {
    this.#since = this.#since === undefined ? this.#now() : undefined;
  }

  /** What to show of bytes that the guest has written. */
  apply(bytes: Uint8Array): Uint8Array {
    if (this.#since === undefined) {
      if (bytes.length > 0) this.#isLineStart = bytes.at(-1) === NEWLINE;
      return bytes;
    }
    const pieces: Uint8Array[] = [];
    for (let start = 0; start < bytes.length;) {
      if (this.#isLineStart) pieces.push(Buffer.from(this.#stamp(this.#since)));
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? bytes.length : newline + 1;
      pieces.push(bytes.subarray(start, end));
      this.#isLineStart = newline >= 0;
      start = end;
    }
    return Buffer.concat(pieces);
  }

  /** `[00:00:01.234] ` */
  #stamp(since: number): string {
    const ms = Math.floor(this.#now() - since);
    const seconds = Math.floor(ms / 1000);
    const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60]
      .map(part => String(Math.floor(part)).padStart(2, '0'))
      .join(':');
    return `[${clock}.${String(ms % 1000).padStart(3, '0')}] `;
  }
}
