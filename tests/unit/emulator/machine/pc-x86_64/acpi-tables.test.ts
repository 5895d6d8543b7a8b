import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AcpiConfig, buildAcpiTables } from '../../../../../emulator/machine/pc-x86_64/acpi-tables.ts';
import { isInstalled, qtest } from '../../../../support/qtest.ts';

const IASL = 'iasl';
const QEMU = 'qemu-system-x86_64';
const MEMORY = 512 * 1024 * 1024;
const Q35: AcpiConfig = { board: 'q35', cpuCount: 2, memoryBytes: MEMORY, virtioDevices: 0 };
const MICROVM: AcpiConfig = { board: 'microvm', cpuCount: 2, memoryBytes: MEMORY, virtioDevices: 1 };

/** Reads a fw_cfg entry through its ports. */
async function readFwCfg(options: readonly string[], key: number, length: number): Promise<Buffer> {
  const reads = Array.from({ length }, () => 'inb 0x511');
  const answers = await qtest(QEMU, options, [`outw 0x510 0x${key.toString(16)}`, ...reads]);
  return Buffer.from(answers.slice(1).map(Number));
}

/** The tables that QEMU gives to firmware, by signature. Pointers between them are not filled in yet. */
async function qemuTables(options: readonly string[]): Promise<Map<string, Buffer>> {
  const directory = await readFwCfg(options, 0x19, 4 + 64 * 24);
  const entries = Array.from({ length: directory.readUInt32BE(0) }, (_, i) =>
    directory.subarray(4 + 64 * i, 68 + 64 * i),
  );
  const entry = entries.find(bytes => bytes.toString('latin1', 8).startsWith('etc/acpi/tables\0'))!;
  const blob = await readFwCfg(options, entry.readUInt16BE(4), Math.min(entry.readUInt32BE(0), 0x2400));
  const tables = new Map<string, Buffer>();
  for (let at = 0; at + 36 <= blob.length;) {
    const length = blob.readUInt32LE(at + 4);
    if (!/^[A-Z]{4}$/.test(blob.toString('latin1', at, at + 4)) || length === 0) break;
    tables.set(blob.toString('latin1', at, at + 4), blob.subarray(at, at + length));
    at += length;
  }
  return tables;
}

/** Disassembles a table. `complaints` has what iasl says against it. */
function disassemble(bytes: Uint8Array): { source: string; complaints: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-acpi-'));
  try {
    writeFileSync(join(folder, 'table.aml'), bytes);
    const { stdout, stderr } = spawnSync(IASL, ['-d', 'table.aml'], { cwd: folder, encoding: 'latin1' });
    const source = readFileSync(join(folder, 'table.dsl'), 'latin1');
    const lines = `${stdout}${stderr}${source}`.split('\n');
    return { source, complaints: lines.filter(line => /error|warning|invalid|incorrect|terminates/i.test(line)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Each `Device` of a disassembled DSDT with its ids and resources, white space and comments out. */
function devices(source: string): Map<string, string> {
  const found = new Map<string, string>();
  const text = source.replaceAll(/\/\/.*$|\/\*.*?\*\//gm, '').replaceAll(/\s+/g, '');
  for (const match of text.matchAll(/Device\(([\\\w.]+)\)\{/g)) {
    let depth = 1;
    let end = match.index + match[0].length;
    for (; depth > 0; end++) depth += text[end] === '{' ? 1 : text[end] === '}' ? -1 : 0;
    found.set(match[1]!, text.slice(match.index + match[0].length, end - 1));
  }
  return found;
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((a, b) => (a + b) & 0xff, 0);
}

/** Bytes of q35's FACP that may differ from what QEMU gives to firmware. */
function mayDiffer(i: number): boolean {
  const isSmiPort = i >= 48 && i < 54;
  const isTable = (i >= 36 && i < 44) || (i >= 140 && i < 148);
  const isPort = (i >= 56 && i < 84) || [152, 153, 176, 177, 212, 213, 224, 225].includes(i); // firmware adds the base
  return i === 9 || isSmiPort || isTable || isPort;
}

describe('ACPI tables', () => {
  test.each([Q35, MICROVM])('of $board: root pointer → table → all others, with right checksums', config => {
    const { rsdp, segments } = buildAcpiTables(config);
    const [pointer, body] = segments;
    expect([rsdp, pointer!.paddr, sum(pointer!.bytes)]).toEqual([0xf_59e0, 0xf_59e0, 0]);
    const view = Buffer.from(body!.bytes);
    const wide = config.board === 'microvm';
    const root = wide
      ? Number(Buffer.from(pointer!.bytes).readBigUInt64LE(24))
      : Buffer.from(pointer!.bytes).readUInt32LE(16);
    const at = (address: number): Buffer => {
      const offset = address - body!.paddr;
      return view.subarray(offset, offset + view.readUInt32LE(offset + 4));
    };
    const list = at(root).subarray(36);
    const step = wide ? 8 : 4;
    const found = Array.from({ length: list.length / step }, (_, i) => at(list.readUInt32LE(i * step)));
    const dsdt = at(found[0]!.readUInt32LE(wide ? 140 : 40));
    for (const table of [at(root), ...found, dsdt]) expect(sum(table)).toBe(0);
    expect([...found, dsdt].map(table => table.toString('latin1', 0, 4))).toEqual(
      wide ? ['FACP', 'APIC', 'DSDT'] : ['FACP', 'APIC', 'HPET', 'MCFG', 'WAET', 'DSDT'],
    );
  });

  test.skipIf(!isInstalled(IASL, '-v')).each([Q35, MICROVM])(
    `of $board are read by ${IASL} without complaint`,
    config => {
      for (const [signature, bytes] of buildAcpiTables(config).tables) {
        // iasl wants revision 5's later fields, which QEMU leaves out, too.
        if (signature === 'FACP' && config.board === 'microvm') continue;
        const { source, complaints } = disassemble(bytes);
        expect([source.includes(signature), complaints]).toEqual([true, []]);
      }
    },
  );
});

describe.skipIf(!isInstalled(QEMU))(`ACPI tables beside ${QEMU}`, () => {
  test('APIC, HPET and WAET of q35 are the same bytes', async () => {
    const theirs = await qemuTables(['-M', 'q35', '-smp', '2', '-m', '512', '-serial', 'null']);
    const { tables } = buildAcpiTables(Q35);
    for (const signature of ['APIC', 'HPET', 'WAET']) {
      const [ours, qemus] = [Buffer.from(tables.get(signature)!), Buffer.from(theirs.get(signature)!)];
      qemus[9] = ours[9]!; // firmware fills in the checksum
      expect(ours.toString('hex')).toBe(qemus.toString('hex'));
    }
  });

  test('FACP of q35 differs in addresses and in the SMI port only', async () => {
    const theirs = (await qemuTables(['-M', 'q35', '-smp', '2', '-m', '512', '-serial', 'null'])).get('FACP')!;
    const ours = Buffer.from(buildAcpiTables(Q35).tables.get('FACP')!);
    expect(ours.length).toBe(theirs.length);
    const different = [...ours.keys()].filter(i => ours[i] !== theirs[i]);
    expect(different.filter(i => !mayDiffer(i))).toEqual([]);
  });

  test('APIC and FACP of microvm are the same but for the DSDT’s address', async () => {
    const options = ['-M', 'microvm,acpi=on', '-smp', '2', '-m', '512', '-device', 'virtio-rng-device'];
    const theirs = await qemuTables(options);
    const { tables } = buildAcpiTables(MICROVM);
    for (const signature of ['APIC', 'FACP']) {
      const [ours, qemus] = [Buffer.from(tables.get(signature)!), Buffer.from(theirs.get(signature)!)];
      qemus[9] = ours[9]!;
      if (signature === 'FACP') ours.copy(qemus, 140, 140, 148);
      expect(ours.toString('hex')).toBe(qemus.toString('hex'));
    }
  });

  test.skipIf(!isInstalled(IASL, '-v'))('the DSDT of microvm describes the same devices', async () => {
    const options = [
      '-M',
      'microvm,acpi=on',
      '-smp',
      '2',
      '-m',
      '512',
      '-serial',
      'null',
      '-device',
      'virtio-rng-device',
    ];
    const theirs = devices(disassemble((await qemuTables(options)).get('DSDT')!).source);
    const ours = devices(disassemble(buildAcpiTables(MICROVM).tables.get('DSDT')!).source);
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs));
  });

  test.skipIf(!isInstalled(IASL, '-v'))('the DSDT of q35 describes legacy devices as QEMU’s does', async () => {
    const theirs = devices(
      disassemble((await qemuTables(['-M', 'q35', '-m', '512', '-serial', 'null'])).get('DSDT')!).source,
    );
    const ours = devices(disassemble(buildAcpiTables(Q35).tables.get('DSDT')!).source);
    for (const name of ['COM1', 'RTC', 'KBD', 'FWCF']) expect(ours.get(name)).toBe(theirs.get(name));
  });
});
