/** A cursor over DWARF's encodings; DWARF 5 section 7 "Data Representation". Little endian only. */
import { cString, readSize64, readU16, readU32, readU8 } from '../../../capture/formats/bytes.ts';
import { FormatError } from '../../../capture/formats/errors.ts';

/** Beyond it a LEB128 number has more than 64 bits, padding included. */
const MAX_SHIFT = 77n;

/** Reads forward over bytes. Beyond the end it throws FormatError. */
export class Cursor {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = Math.min(end, bytes.length);
  }

  get atEnd(): boolean {
    return this.offset >= this.end;
  }

  #take(size: number): number {
    const at = this.offset;
    if (size < 0 || at + size > this.end)
      throw new FormatError('DWARF data ends too early', { offset: at, expected: `${size} bytes` });
    this.offset = at + size;
    return at;
  }

  skip(size: number): void {
    this.#take(size);
  }

  u8(): number {
    return readU8(this.bytes, this.#take(1));
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    return readU16(this.bytes, this.#take(2));
  }

  u32(): number {
    return readU32(this.bytes, this.#take(4));
  }

  /** Exact below 2^53. */
  u64(): number {
    return readSize64(this.bytes, this.#take(8));
  }

  /** An address of 8 bytes. */
  address(): bigint {
    const low = this.u32();
    return BigInt(low) | (BigInt(this.u32()) << 32n);
  }

  /** Unsigned LEB128; exact below 2^53. */
  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** Signed LEB128; exact below 2^53. */
  sleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale;
    }
  }

  /** Unsigned LEB128 of up to 64 bits. */
  bigUleb(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (shift > MAX_SHIFT) throw this.#tooLong();
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  }

  /** Signed LEB128 of up to 64 bits. */
  bigSleb(): bigint {
    let value = 0n;
    for (let shift = 7n; ; shift += 7n) {
      if (shift > MAX_SHIFT) throw this.#tooLong();
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << (shift - 7n);
      if (byte < 0x80) return BigInt.asIntN(Number(shift), value);
    }
  }

  #tooLong(): FormatError {
    return new FormatError('a LEB128 number is too long', { offset: this.offset, expected: 'at most 10 bytes' });
  }

  /** A string up to its NUL. */
  string(): string {
    const end = this.bytes.indexOf(0, this.offset);
    const text = cString(this.bytes, this.offset, this.end - this.offset);
    this.offset = end === -1 ? this.end : end + 1;
    return text;
  }

  /** Initial length: `[size, bytes of an offset]`; DWARF 5 section 7.4 "32-Bit and 64-Bit DWARF Formats". */
  initialLength(): { length: number; offsetSize: 4 | 8 } {
    const length = this.u32();
    return length === 0xffff_ffff ? { length: this.u64(), offsetSize: 8 } : { length, offsetSize: 4 };
  }

  /** An offset into another section. */
  sectionOffset(offsetSize: 4 | 8): number {
    return offsetSize === 8 ? this.u64() : this.u32();
  }
}
