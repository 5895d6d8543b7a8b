import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { buildInitramfs, type InitramfsParts } from '../../../../kernel-images/initramfs/build.ts';
import { packCpio } from '../../../../kernel-images/initramfs/cpio.ts';
import { addFile, addSymlink, createFileTree } from '../../../../kernel-images/initramfs/file-tree.ts';
import { formatSettings, shellQuote, type GuestSettings } from '../../../../kernel-images/initramfs/settings.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'initramfs-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** GNU cpio is the judge. */
function unpack(archive: Buffer): void {
  execFileSync('cpio', ['-idm', '--quiet', '--no-absolute-filenames'], {
    cwd: folder,
    input: archive,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

const SETTINGS: GuestSettings = {
  disk: '/dev/vda',
  modules: ['virtio', 'virtio_blk'],
  users: true,
  repairKallsyms: true,
  loadsCaptureKernel: true,
  kexecOptions: '-p -c',
  captureCommandLine: 'console=ttyAMA0 nr_cpus=1',
  panic: 'echo c > /proc/sysrq-trigger',
  collector: 'makedumpfile -l -d 31',
  collectorNote: '',
};

const PARTS: InitramfsParts = {
  programs: {
    busybox: { files: [{ path: '/bin/busybox', bytes: Buffer.from('busybox') }], versions: {} },
    kexec: {
      files: [
        { path: '/sbin/kexec', bytes: Buffer.from('kexec') },
        { path: '/lib/x/libc.so.6', bytes: Buffer.from('libc') },
      ],
      versions: {},
    },
    makedumpfile: {
      files: [
        { path: '/bin/makedumpfile', bytes: Buffer.from('mdf') },
        { path: '/lib/x/libc.so.6', bytes: Buffer.from('libc') },
      ],
      versions: {},
    },
    collector: undefined,
    network: [],
  },
  modules: [{ name: 'virtio', bytes: Buffer.from('module') }],
  settings: SETTINGS,
  captureKernel: Buffer.alloc(10_001, 'K'),
};

describe('packCpio', () => {
  test('writes files, folders, links and modes that cpio reads', () => {
    const tree = createFileTree();
    addFile(tree, '/init', '#!/bin/sh\n', 0o755);
    addFile(tree, '/etc/deep/file', Buffer.alloc(4097, 'x'));
    addFile(tree, '/empty', '');
    addSymlink(tree, '/bin/sh', 'busybox');
    unpack(packCpio(tree));
    expect(lstatSync(join(folder, 'init')).mode & 0o7777).toBe(0o755);
    expect(readFileSync(join(folder, 'etc/deep/file'), 'latin1')).toBe('x'.repeat(4097));
    expect(readFileSync(join(folder, 'empty'))).toHaveLength(0);
    expect(readlinkSync(join(folder, 'bin/sh'))).toBe('busybox');
  });

  test('fills whole 512-byte blocks, so that archives can follow one another', () => {
    const tree = createFileTree();
    addFile(tree, '/a', 'a');
    expect(packCpio(tree).length % 512).toBe(0);
  });
});

describe('buildInitramfs', () => {
  test('gives the capture kernel no kernel and no kexec, and the production kernel all', () => {
    const { capture, production } = buildInitramfs(PARTS);
    unpack(capture);
    expect(existsSync(join(folder, 'init'))).toBe(true);
    expect(existsSync(join(folder, 'sbin/kexec'))).toBe(false);
    expect(existsSync(join(folder, 'boot/kernel'))).toBe(false);
    unpack(production.subarray(capture.length));
    expect(readFileSync(join(folder, 'boot/kernel')).equals(Buffer.alloc(10_001, 'K'))).toBe(true);
    expect(readFileSync(join(folder, 'boot/capture.cpio')).equals(capture)).toBe(true);
    expect(production.subarray(0, capture.length).equals(capture)).toBe(true);
  });

  test('does not pack a shared library twice', () => {
    const { production } = buildInitramfs(PARTS);
    // Once in the shared archive, and once in the copy of it that the capture kernel gets.
    expect(production.toString('latin1').split('libc.so.6')).toHaveLength(3);
  });

  test('has a collector in place of the one of busybox', () => {
    const collector = { files: [{ path: '/bin/cp', bytes: Buffer.from('coreutils') }], versions: {} };
    unpack(buildInitramfs({ ...PARTS, programs: { ...PARTS.programs, collector } }).capture);
    expect(readFileSync(join(folder, 'bin/cp'), 'latin1')).toBe('coreutils');
    expect(readlinkSync(join(folder, 'bin/cat'))).toBe('busybox');
  });

  test('gives the same bytes each time', () => {
    expect(buildInitramfs(PARTS).production.equals(buildInitramfs(PARTS).production)).toBe(true);
  });
});

describe('settings', () => {
  test('arrive in a shell as they were, quotes and all', () => {
    const panic = `echo 'it''s' "$HOME" \\ ; true # $(date)`;
    writeFileSync(join(folder, 'conf'), formatSettings({ ...SETTINGS, panic }));
    const run = spawnSync('sh', ['-c', `. ${join(folder, 'conf')}; printf '%s|%s|%s' "$PANIC" "$MODULES" "$USERS"`], {
      encoding: 'utf8',
    });
    expect(run.stdout).toBe(`${panic}|virtio virtio_blk|yes`);
  });

  test('shellQuote survives a newline', () => {
    expect(spawnSync('sh', ['-c', `printf %s ${shellQuote("a\nb'c")}`], { encoding: 'utf8' }).stdout).toBe("a\nb'c");
  });
});

describe('init.sh', () => {
  const script = readFileSync(new URL('../../../../kernel-images/initramfs/init.sh', import.meta.url), 'utf8');

  test('is a shell script without syntax errors', () => {
    expect(spawnSync('sh', ['-n'], { input: script }).status).toBe(0);
  });

  test('works out the three symbols from _stext and /proc/iomem', () => {
    // Addresses of a real 6.1 arm64 kernel with KASLR.
    const kallsyms = 'ffffd2a3ee610000 T _stext\nffffd2a3ee610000 T __irqentry_text_start\n';
    const iomem =
      '09000000-09000fff : pl011@9000000\n40000000-5fffffff : System RAM\n  40210000-4117ffff : Kernel code\n  41180000-4157ffff : reserved\n';
    writeFileSync(join(folder, 'kallsyms'), kallsyms);
    writeFileSync(join(folder, 'iomem'), iomem);
    const body = /repair_kallsyms\(\) \{[^]*?\n\}/.exec(script)![0];
    const local = body.replaceAll('/proc/', `${folder}/`).replaceAll('/tmp/kallsyms', `${folder}/result`);
    // bash has printf and 64-bit arithmetic like busybox's ash.
    const run = spawnSync('bash', ['-c', `note() { :; }; mount() { :; }; ${local}; repair_kallsyms`], {
      encoding: 'utf8',
    });
    expect(run.stderr).toBe('');
    expect(readFileSync(join(folder, 'result'), 'utf8')).toBe(
      'ffffd2a3ee600000 T _text\nffffd2a3ee610000 T _stext\nffffd2a3ef580000 T __init_begin\n',
    );
  });

  test('leaves kallsyms alone when it has _text', () => {
    writeFileSync(join(folder, 'kallsyms'), 'ffff800008000000 T _text\nffff800008010000 T _stext\n');
    writeFileSync(join(folder, 'iomem'), '');
    const body = /repair_kallsyms\(\) \{[^]*?\n\}/.exec(script)![0];
    const local = body.replaceAll('/proc/', `${folder}/`).replaceAll('/tmp/kallsyms', `${folder}/result`);
    spawnSync('bash', ['-c', `note() { :; }; mount() { :; }; ${local}; repair_kallsyms`]);
    expect(existsSync(join(folder, 'result'))).toBe(false);
  });
});
