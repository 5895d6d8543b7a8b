/** kdump-lab kexec on x86_64: what it plans of a log, and the folder that stands for the kernel's two images. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeU16, writeU32 } from '../../../../capture/formats/bytes.ts';
import { UnimplementedError } from '../../../../capture/formats/errors.ts';
import { runKexec } from '../../../../scripts/commands/kexec.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-kexec-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LOG = join(import.meta.dirname, '../../../fixtures/kexec/debian12-amd64-kexec-p-c-d.log');
const KERNEL = join(folder, 'vmlinuz');
const OUT = join(folder, 'out');
const MIB = 2 ** 20;

/** Sizes are those of the kernel in the log. */
function bzImage(): Uint8Array {
  const bytes = new Uint8Array(0xd8_77c0);
  bytes[0x1f1] = 39;
  writeU16(bytes, 0x1fe, 0xaa55);
  writeU16(bytes, 0x200, 0x6aeb);
  writeU32(bytes, 0x202, 0x5372_6448);
  writeU16(bytes, 0x206, 0x020f);
  bytes[0x211] = 1;
  writeU32(bytes, 0x230, 2 * MIB);
  bytes[0x234] = 1;
  writeU16(bytes, 0x236, 0x7f);
  writeU32(bytes, 0x260, 0x337_8000);
  return bytes;
}

let printed: string[] = [];
beforeEach(() => {
  printed = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
});

async function kexec(...args: string[]): Promise<string> {
  await runKexec(['--debug-log', LOG, ...args, KERNEL]);
  return printed.join('\n');
}

describe('on x86_64', () => {
  writeFileSync(KERNEL, bzImage());
  writeFileSync(join(folder, 'initrd'), new Uint8Array(0x5d_ee00));
  const words = 'console=ttyS0 irqpoll nr_cpus=1 reset_devices cryptomgr.notests';

  test('places segments where kexec placed them', async () => {
    const text = await kexec('-p', '-c', '-d', '--initrd', join(folder, 'initrd'), '--append', words);
    const logged = readFileSync(LOG, 'latin1');
    for (const field of ['bufsz', 'mem ', 'memsz']) {
      const lines = (from: string): string[] => from.split('\n').filter(line => line.includes(`].${field}`));
      expect(lines(text)).toEqual(lines(logged));
    }
    expect(text).toContain('Loaded 64bit kernel at 0x1aa00000');
  });

  test('takes -s, -i and -l, too', async () => {
    expect(await kexec('-p', '-s')).toContain('type:1');
    expect(await kexec('-l', '--map')).toContain('kernel');
  });

  test.each<[args: string[], expected: RegExp]>([
    [['-p', '--reuseinitrd', '--cmdline', '/dev/null'], /current boot didn't retain the initrd/],
    [['-p', '--arch', 'mips'], /must be aarch64 or x86_64/],
    [['-p', '--reuse-cmdline'], /Failed to read \/proc\/cmdline/],
    [['-p', '--mem-max', 'much'], /Bad option value in --mem-max=much/],
    [['-p', '--mem-max', '0x17000000'], /Could not find a free area of memory/],
  ])('refuses %j', async (args, expected) => {
    await expect(kexec(...args)).rejects.toThrow(expected);
  });

  test.each<[args: string[], expected: RegExp]>([
    [['-e'], /--exec: it acts on the running system/],
    [['-pf'], /--force: it acts on/],
    [['--serial', 'ttyS0'], /--serial: the purgatory has no console/],
    [['--load-preserve-context', '--mem-max=0x1000000'], /--load-preserve-context: coming back/],
    [['-p', '--args-elf'], /--args-elf: only the 64-bit entry/],
  ])('refuses %j of kexec(8) by name', async (args, expected) => {
    await expect(kexec(...args)).rejects.toThrow(UnimplementedError);
    await expect(kexec(...args)).rejects.toThrow(expected);
  });

  test.each<[args: string[], expected: RegExp]>([
    [['--bogus'], /Unknown option '--bogus'/],
    [['-p', '-t', 'Image'], /Unsupported kernel type Image/],
    [['-p', '-t', 'elf-x86_64'], /Wrong file type elf-x86_64, file matches type bzImage64/],
    [['-p', '--mem-min', '09'], /Bad option value in --mem-min=09/],
  ])("refuses %j in kexec's words", async (args, expected) => {
    await expect(kexec(...args)).rejects.toThrow(expected);
  });

  test('takes the last of -c, -s and -a, numbers as strtoul does, and the type that it is', async () => {
    expect(await kexec('-p', '-s', '-c', '-t', 'bzImage64')).toContain('kexec_load: entry');
    expect(await kexec('-p', '-c', '-s', '-xy')).toContain('type:1');
    expect(await kexec('-p', '--mem-min', '02600000000')).toContain('kexec_load: entry');
    await expect(kexec('-p', '--mem-min', '03600000000')).rejects.toThrow('Could not find a free area');
  });

  test('--print-ckr-size and --version', async () => {
    expect(await kexec('--print-ckr-size')).toBe(String(128 * MIB));
    printed = [];
    expect(await kexec('-v')).toBe('kexec-tools 2.0.25');
  });

  test('--reuse-cmdline leaves out what belongs to the first kernel', async () => {
    const cmdline = join(folder, 'cmdline');
    writeFileSync(cmdline, 'BOOT_IMAGE=/vmlinuz root=/dev/vda crashkernel=128M quiet\n');
    const text = await kexec('-p', '-d', '--cmdline', cmdline, '--reuse-cmdline', '--append', 'nr_cpus=1');
    expect(text).toMatch(/^root=\/dev\/vda quiet nr_cpus=1 acpi_rsdp=0xf59e0 elfcorehdr=\d+K$/m);
  });

  test('-a goes on with kexec_load where the kernel has no kexec_file_load', async () => {
    const kallsyms = join(folder, 'kallsyms');
    writeFileSync(kallsyms, 'ffffffff81000000 T _text\nffffffff81000100 T panic\nffffffff84000000 B _end\n');
    expect(await kexec('-p', '-a', '--kallsyms', kallsyms)).toContain('kexec_load: entry');
    await expect(kexec('-p', '-s', '--kallsyms', kallsyms)).rejects.toThrow('syscall kexec_file_load not available.');
  });
});

test('-S and -u know an image for a panic from one for a reboot', async () => {
  const status = (...args: string[]) => runKexec([...args, '-S', '--out', OUT]);
  expect([await status(), await status('-l')]).toEqual([0, 0]);
  await kexec('-p', '--out', OUT);
  expect([await status(), await status('-p'), await status('-l')]).toEqual([1, 1, 0]);
  await kexec('-l', '--out', OUT);
  expect(await status('-l')).toBe(1);
  await runKexec(['-u', '-p', '--out', OUT]);
  expect([await status(), await status('-l')]).toEqual([0, 1]);
  await runKexec(['-u', '--out', OUT]);
  expect(readdirSync(OUT)).toEqual([]);
});
