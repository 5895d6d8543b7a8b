/** Collects console bytes and hands them on line by line, because a listener call a byte is slow. */
export class ConsoleBuffer {
  readonly #take: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(4096);
  #length = 0;

  constructor(take: (bytes: Uint8Array) => void) {
    this.#take = take;
  }

  write(byte: number): void {
    this.#bytes[this.#length++] = byte;
    if (byte === 0x0a || this.#length === this.#bytes.length) this.flush();
  }

  /** Hands on what there is of an unfinished line. */
  flush(): void {
    if (this.#length === 0) return;
    this.#take(this.#bytes.slice(0, this.#length));
    this.#length = 0;
  }
}
