import { describe, expect, test } from 'vitest';
import { smbios } from '../../../../../emulator/machine/pc-x86_64/smbios.ts';
import { isInstalled, qtest } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-x86_64';
const MEMORY = 512 * 2 ** 20;
/** CPUID.1:EAX of qemu64. */
const SIGNATURE = 0x0006_0fb1;

/** Structures of a table: the formatted part, and the strings. */
function structures(table: Uint8Array): { bytes: number[]; strings: string[] }[] {
  const found: { bytes: number[]; strings: string[] }[] = [];
  for (let at = 0; at < table.length;) {
    const length = table[at + 1]!;
    const bytes = [...table.subarray(at, at + length)];
    at += length;
    let text = '';
    while (table[at] !== 0 || table[at + 1] !== 0) text += String.fromCharCode(table[at++]!);
    at += 2;
    found.push({ bytes, strings: text.split('\0').filter(string => string !== '') });
  }
  return found;
}

function ours() {
  const { paddr, bytes } = smbios({ cpuCount: 2, memoryBytes: MEMORY, cpuSignature: SIGNATURE });
  const view = Buffer.from(bytes);
  return { view, table: bytes.subarray(view.readUInt32LE(0x18) - paddr) };
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((a, b) => (a + b) & 0xff, 0);
}

describe('SMBIOS', () => {
  test('the entry point has right checksums, lengths and counts', () => {
    const { view, table } = ours();
    expect([view.toString('latin1', 0, 4), view.toString('latin1', 16, 21)]).toEqual(['_SM_', '_DMI_']);
    expect([sum(view.subarray(0, 31)), sum(view.subarray(16, 31))]).toEqual([0, 0]);
    expect(view.readUInt16LE(0x16)).toBe(table.length);
    expect(view.readUInt16LE(0x1c)).toBe(structures(table).length);
  });

  test.skipIf(!isInstalled(QEMU))('structures are those that QEMU gives to its firmware', async () => {
    const options = ['-M', 'q35', '-m', '512', '-smp', '2'];
    const directory = await readFwCfg(options, 0x19, 4 + 64 * 40);
    const entries = Array.from({ length: directory.readUInt32BE(0) }, (_, i) =>
      directory.subarray(4 + 64 * i, 68 + 64 * i),
    );
    const entry = entries.find(bytes => bytes.toString('latin1', 8).startsWith('etc/smbios/smbios-tables\0'))!;
    const theirs = structures(await readFwCfg(options, entry.readUInt16BE(4), entry.readUInt32BE(0)));
    // type 0 tells of SeaBIOS, which adds it itself
    const [bios, ...rest] = structures(ours().table);
    expect(bios!.bytes[0]).toBe(0);
    expect(rest).toEqual(theirs);
  });
});

/** Reads a fw_cfg entry through its ports. */
async function readFwCfg(options: readonly string[], key: number, length: number): Promise<Buffer> {
  const reads = Array.from({ length }, () => 'inb 0x511');
  const answers = await qtest(QEMU, options, [`outw 0x510 0x${key.toString(16)}`, ...reads]);
  return Buffer.from(answers.slice(1).map(Number));
}
