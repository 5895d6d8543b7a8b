/**
 * The debugger's side of gdb's remote protocol: packets on a byte stream.
 *
 * Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol", section "Overview": `$data#checksum`, acknowledged by `+`
 * until the stub agrees to go without; `}` escapes the next byte; `*` repeats the byte before it.
 */

/** Stops a machine that runs. */
export const INTERRUPT = Uint8Array.of(0x03);
export const ACKNOWLEDGE = Buffer.from('+');

const DOLLAR = 0x24;
const HASH = 0x23;
const STAR = 0x2a;
const ESCAPE = 0x7d;
const ESCAPE_XOR = 0x20;
const CHECKSUM_DIGITS = 2;
/** What a count of repetitions begins at: a printable character is a count and 29. */
const RUN_LENGTH_BASE = 29;

function isSpecial(byte: number): boolean {
  return byte === DOLLAR || byte === HASH || byte === STAR || byte === ESCAPE;
}

/** Puts bytes into a packet. */
export function framePacket(bytes: Uint8Array): Buffer {
  const data = Uint8Array.from([...bytes].flatMap(byte => (isSpecial(byte) ? [ESCAPE, byte ^ ESCAPE_XOR] : [byte])));
  return Buffer.concat([Buffer.from('$'), data, Buffer.from(`#${checksum(data).toString(16).padStart(2, '0')}`)]);
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum + byte) & 0xff;
  return sum;
}

/** Cuts what a stub sends into the contents of packets. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Takes bytes as they come. @returns the packets that they complete; undefined for one that is damaged */
  push(bytes: Uint8Array): (Buffer | undefined)[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const packets: (Buffer | undefined)[] = [];
    for (;;) {
      const start = this.#rest.indexOf(DOLLAR);
      const end = this.#rest.indexOf(HASH, start);
      if (start === -1 || end === -1 || end + CHECKSUM_DIGITS >= this.#rest.length) return packets;
      const data = this.#rest.subarray(start + 1, end);
      const sum = Number.parseInt(this.#rest.toString('latin1', end + 1, end + 1 + CHECKSUM_DIGITS), 16);
      packets.push(sum === checksum(data) ? expand(data) : undefined);
      this.#rest = this.#rest.subarray(end + 1 + CHECKSUM_DIGITS);
    }
  }
}

/** Undoes escapes and repetitions. */
function expand(data: Buffer): Buffer {
  if (!data.includes(ESCAPE) && !data.includes(STAR)) return data;
  const bytes: number[] = [];
  for (let at = 0; at < data.length; at++) {
    const byte = data[at]!;
    if (byte === ESCAPE) bytes.push((data[++at] ?? 0) ^ ESCAPE_XOR);
    else if (byte === STAR) bytes.push(...repetitions(bytes.at(-1), data[++at]));
    else bytes.push(byte);
  }
  return Buffer.from(bytes);
}

function repetitions(byte = 0, count = RUN_LENGTH_BASE): number[] {
  return Array.from({ length: Math.max(0, count - RUN_LENGTH_BASE) }, () => byte);
}
