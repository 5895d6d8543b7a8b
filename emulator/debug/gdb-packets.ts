/**
 * Packets of gdb's remote protocol on a byte stream.
 *
 * Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol", section "Overview": `$data#checksum`, acknowledged by `+`,
 * `}` escapes the next byte, 0x03 outside a packet interrupts.
 */

/** What a stream brings. */
export type GdbInput =
  | { readonly kind: 'packet'; readonly data: Buffer }
  /** A packet with a wrong checksum: it is to be sent again. */
  | { readonly kind: 'damaged' }
  /** The other side has not understood our last packet. */
  | { readonly kind: 'resend' }
  | { readonly kind: 'interrupt' };

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const ESCAPE_XOR = 0x20;
const STAR = 0x2a;
const MINUS = 0x2d;
const INTERRUPT = 0x03;
/** Bytes of a packet that we take; what is larger is dropped. */
export const LARGEST_PACKET = 0x4000;

/** Cuts a stream of bytes into packets. */
export class GdbPacketReader {
  #packet: number[] | undefined;
  #checksum: number[] | undefined;

  /** Takes bytes as they come. @returns what they completed */
  push(bytes: Uint8Array): GdbInput[] {
    return [...bytes].flatMap(byte => this.#take(byte) ?? []);
  }

  #take(byte: number): GdbInput | undefined {
    if (this.#packet === undefined) return this.#outside(byte);
    if (this.#checksum !== undefined) return this.#takeChecksum(byte);
    if (byte === HASH) this.#checksum = [];
    else if (this.#packet.length < LARGEST_PACKET) this.#packet.push(byte);
    return undefined;
  }

  #outside(byte: number): GdbInput | undefined {
    if (byte === DOLLAR) this.#packet = [];
    else if (byte === MINUS) return { kind: 'resend' };
    else if (byte === INTERRUPT) return { kind: 'interrupt' };
    return undefined;
  }

  #takeChecksum(byte: number): GdbInput | undefined {
    const digits = this.#checksum!;
    digits.push(byte);
    if (digits.length < 2) return undefined;
    const packet = this.#packet!;
    this.#packet = undefined;
    this.#checksum = undefined;
    const expected = Number.parseInt(String.fromCharCode(...digits), 16);
    return checksum(packet) === expected ? { kind: 'packet', data: unescape(packet) } : { kind: 'damaged' };
  }
}

/** Puts data into a packet. */
export function framePacket(data: Uint8Array): Buffer {
  if (!data.some(needsEscape)) return framed(data);
  const escaped = [...data].flatMap(byte => (needsEscape(byte) ? [ESCAPE, byte ^ ESCAPE_XOR] : [byte]));
  return framed(Uint8Array.from(escaped));
}

function framed(data: Uint8Array): Buffer {
  const sum = checksum(data).toString(16).padStart(2, '0');
  return Buffer.concat([Buffer.from('$'), data, Buffer.from(`#${sum}`)]);
}

function needsEscape(byte: number): boolean {
  return byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === STAR;
}

function checksum(bytes: Iterable<number>): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) & 0xff;
  return sum;
}

function unescape(packet: readonly number[]): Buffer {
  const bytes: number[] = [];
  for (let i = 0; i < packet.length; i++) {
    const byte = packet[i]!;
    bytes.push(byte === ESCAPE ? (packet[++i] ?? 0) ^ ESCAPE_XOR : byte);
  }
  return Buffer.from(bytes);
}
