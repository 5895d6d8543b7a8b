/** A growing byte buffer with the binary format's number encodings (LEB128). */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** A view of what was written so far; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
  }

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** @param value an integer from 0 to 2^32 - 1 */
  unsigned(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  /** @param value an i32 as a signed number */
  signed32(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }

  /** @param value an i64, signed or unsigned */
  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest < -0x4000_0000n || rest > 0x3fff_ffffn) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.signed32(Number(rest));
  }

  /** A name, ASCII only, with its length before it. */
  name(text: string): void {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  #grow(atLeast: number): void {
    const bytes = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + atLeast));
    bytes.set(this.bytes);
    this.#bytes = bytes;
  }
}

/** Writers to use again: a region takes about ten, and their buffers were a tenth of the time of a boot. */
const pool: ByteWriter[] = [];

/** An empty writer, to be given back with `releaseWriter`. */
export function takeWriter(): ByteWriter {
  return pool.pop() ?? new ByteWriter();
}

export function releaseWriter(writer: ByteWriter): void {
  writer.clear();
  pool.push(writer);
}
