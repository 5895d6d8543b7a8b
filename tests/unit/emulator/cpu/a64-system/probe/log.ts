/** The log that probe.s writes. */

/** Physical address and size of the log. */
export const LOG = 0x4020_0000;
export const LOG_SIZE = 0x4_0000;

const END = 0x600d_600dn;
/** Marks a record of an exception: vector, ESR, FAR, ELR and SPSR follow; otherwise one value. */
const EXCEPTION = 1n << 63n;

/** The records as lines. */
export function readLog(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const lines = [];
  let offset = 0;
  const next = (): bigint => {
    offset += 8;
    return view.getBigUint64(offset - 8, true);
  };
  for (let head = next(); head !== END && head !== 0n; head = next()) {
    const count = (head & EXCEPTION) === 0n ? 1 : 5;
    const values = [head & ~EXCEPTION, ...Array.from({ length: count }, next)];
    lines.push(values.map(value => value.toString(16)).join(' '));
  }
  return lines;
}
