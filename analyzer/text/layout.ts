/** Small pieces of the text that commands print. */

/** Hexadecimal of 16 digits, as addresses stand in tables. */
export function hex16(value: bigint): string {
  return BigInt.asUintN(64, value).toString(16).padStart(16, '0');
}

/** Hexadecimal without leading zeros and prefix. */
export function hex(value: bigint | number): string {
  return typeof value === 'bigint' ? BigInt.asUintN(64, value).toString(16) : value.toString(16);
}

/** Centres text in a column; an odd space goes to the right. */
export function center(text: string, width: number): string {
  const left = Math.max(0, Math.floor((width - text.length) / 2));
  return `${' '.repeat(left)}${text}`.padEnd(width);
}

/** Centres text in a column; an odd space goes to the left. */
export function centerRight(text: string, width: number): string {
  return center(text, width - ((width - text.length) % 2 === 0 ? 0 : 1)).padStart(width);
}

/** A positive number with one digit behind the point as `%.1f` of C has it: a half goes to the even digit. */
export function fixed1(value: number): string {
  // of the numbers that lie in the middle exactly, JavaScript rounds 0.25 otherwise, and 0.75 not
  return (value % 1 === 0.25 ? value - 0.05 : value).toFixed(1);
}

/** Bytes as `512 MB`, `1.5 GB`: whole numbers lose their fraction. */
export function bytesText(bytes: number): string {
  const units: readonly [string, number][] = [
    ['TB', 2 ** 40],
    ['GB', 2 ** 30],
    ['MB', 2 ** 20],
    ['KB', 2 ** 10],
  ];
  const [unit, size] = units.find(([, size]) => bytes >= size) ?? ['bytes', 1];
  const text = fixed1(bytes / size);
  return `${text.endsWith('.0') ? text.slice(0, -2) : text} ${unit}`;
}

/** Printable ASCII of bytes, everything else as a dot. */
export function printable(bytes: Uint8Array): string {
  return Array.from(bytes, byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
}

/** Joins lines and ends the last. */
export function lines(items: readonly string[]): string {
  return items.length === 0 ? '' : `${items.join('\n')}\n`;
}
