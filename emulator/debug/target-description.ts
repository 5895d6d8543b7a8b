/**
 * Pieces of the XML by which gdb learns a machine's registers, and the form in which their values go over the wire.
 *
 * Source: "Debugging with GDB", appendix "Target Descriptions".
 */

/** A feature: registers under a name that gdb knows. */
export function feature(name: string, contents: readonly string[]): string {
  return `<feature name="${name}">\n${contents.join('\n')}\n</feature>`;
}

/** A register of so many bits. */
export function register(name: string, bits: number, attributes = ''): string {
  return `<reg name="${name}" bitsize="${bits}" ${attributes}/>`;
}

/** Little endian. */
export function bytes64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

/** Little endian. */
export function bytes32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}
