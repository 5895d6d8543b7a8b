/** How register dumps write numbers and lines. */

/** 16 digits. */
export function hex64(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

/** 8 digits. */
export function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}

/** 4 digits. */
export function hex16(value: number): string {
  return (value & 0xffff).toString(16).padStart(4, '0');
}

/** So many items a line. */
export function grouped(items: readonly string[], perLine: number): string[] {
  const lines: string[] = [];
  for (let i = 0; i < items.length; i += perLine) lines.push(items.slice(i, i + perLine).join(' '));
  return lines;
}
