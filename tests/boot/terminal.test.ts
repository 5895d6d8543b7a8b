/**
 * `kdump-lab boot` as people use it: a root file system on a disk, a terminal with a person at it. The terminal is that of script(1).
 */
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { FileBackend } from '../../emulator/index.ts';
import { makeExt4 } from '../../kernel-images/ext4/make.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { A64, tinyImage, writeKernel } from '../support/tiny-kernels.ts';
import { type GuestBoot, guestWithScript, runGuest } from '../support/guest-boot.ts';
import { hasScript, TerminalSession } from '../support/terminal-session.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/kdump-lab', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-terminal-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DISK_MODULES = ['virtio_pci', 'virtio_mmio', 'virtio_blk', 'ext4'];
/** Puts busybox and an init onto the empty disk. */
const INSTALL = [
  'mount -t ext4 /dev/vda /mnt && mkdir -p /mnt/bin /mnt/sbin /mnt/proc /mnt/sys /mnt/dev && cp /bin/busybox /mnt/bin/',
  'for applet in sh mount ls echo cat poweroff setsid cttyhack stty; do ln -s busybox /mnt/bin/$applet; done',
  "printf '#!/bin/sh\\nmount -t proc proc /proc; mount -t sysfs sys /sys\\necho root file system is up\\nwhile :; do setsid cttyhack sh; done\\n' > /mnt/sbin/init",
  'busybox chmod 755 /mnt/sbin/init; umount /mnt && echo installed',
].join('\n');
/** Debian's kernels have their disk drivers in modules: they need an initramfs to come to their root. */
const SWITCH_ROOT =
  'mount -t ext4 -o rw /dev/vda /mnt && mount --move /dev /mnt/dev && exec switch_root /mnt /sbin/init';

/** The files of an architecture's guest, made once. */
async function install(architecture: Architecture): Promise<void> {
  const choice = { architecture, flavour: 'cloud' } as const;
  const disk = join(folder, `${architecture}.img`);
  makeExt4(disk, 64 * 2 ** 20);
  using backend = new FileBackend(disk, false);
  const run = await runGuest(await guestWithScript(INSTALL, DISK_MODULES, choice), {
    drives: [{ backend, bus: 'pci' }],
  });
  expect(run.console).toContain('installed\n');
  const boot: GuestBoot = await guestWithScript(SWITCH_ROOT, DISK_MODULES, choice);
  writeFileSync(join(folder, `${architecture}.initrd`), boot.initrd);
  spawnSync('cp', [boot.kernelFile, join(folder, `${architecture}.kernel`)]);
}

let session: TerminalSession | undefined;
afterEach(() => session?.kill());

function open(command: string): TerminalSession {
  session = new TerminalSession(command, folder);
  return session;
}

/** The tutorials' line, with the initramfs that Debian's kernels need. */
const LINES: Readonly<Record<Architecture, string>> = {
  aarch64: `${PROGRAM} boot -machine virt -M virt,gic_version=3 -cpu cortex-a57 -nographic -smp 2 -m 512 -kernel aarch64.kernel -hda aarch64.img -initrd aarch64.initrd -append "console=ttyAMA0 root=/dev/vda rw crashkernel=128M nr_cpus=2 cryptomgr.notests loglevel=4"`,
  x86_64: `${PROGRAM} boot -M q35 -cpu max -nographic -smp 2 -m 512 -kernel x86_64.kernel -drive file=x86_64.img,format=raw,if=virtio -initrd x86_64.initrd -append "console=ttyS0 root=/dev/vda rw crashkernel=128M cryptomgr.notests loglevel=4"`,
};

describe.skipIf(!hasScript).each(['aarch64', 'x86_64'] as const)('%s (needs script(1))', architecture => {
  beforeAll(async () => install(architecture));

  test('the tutorials’ command line comes to a shell, takes what is typed, and ends', async () => {
    const terminal = open(LINES[architecture]);
    await terminal.waitFor(/root file system is up[^]*# /);
    terminal.type('echo $((6*7)) $(cat /proc/mounts | grep -c "/dev/vda / ext4")\r');
    await terminal.waitFor(/\n42 1\n/);
    // In the guest Ctrl-c interrupts a program. A shell of its own says that it has the terminal.
    terminal.type("sh -c 'echo g$((1))o; exec cat'\r");
    await terminal.waitFor(/\ng1o\n/);
    terminal.type('\u0003');
    await terminal.waitFor(/\^C\n[^]*# /);
    terminal.type('echo still $((7*7))\r');
    await terminal.waitFor(/still 49\n/);
    terminal.type('\u0001h');
    await terminal.waitFor(/C-a x {4}end the machine/);
    terminal.type('\u0001cinfo status\r');
    await terminal.waitFor(/VM status: running\n[^]*\(kdump-lab\) /);
    terminal.type('stop\rinfo status\rinfo registers\r');
    await terminal.waitFor(/VM status: paused[^]*CPU#0\n[^]*\(kdump-lab\) /);
    terminal.type('savevm here\rcont\r\u0001c');
    terminal.type('\recho $((8*8)) > /after; cat /after\r');
    await terminal.waitFor(/\n64\n/);
    // arm64 ends by the keyboard, x86_64 by itself.
    terminal.type(architecture === 'aarch64' ? '\u0001x' : 'poweroff -f\r');
    expect(await terminal.status()).toBe(0);
  });
});

describe.skipIf(!hasScript)('the terminal is as it was (needs script(1))', () => {
  const kernel = (name: string, ...code: number[]): string => writeKernel(join(folder, name), tinyImage(code));
  const boot = `${PROGRAM} boot -M virt -cpu cortex-a57 -m 16`;

  test('after a guest that powers off', async () => {
    expect(await open(`${boot} -kernel ${kernel('off', ...A64.systemOff)}`).status()).toBe(0);
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('after %s', async signal => {
    const hello = kernel('hello', A64.UART, ...A64.PUT_H, A64.SPIN);
    const terminal = open(`sh -c 'echo $$; exec ${boot} -kernel ${hello}'`);
    const pid = Number((await terminal.waitFor(/(\d+)\nh/))[1]);
    process.kill(pid, signal);
    await terminal.waitFor(/kdump-lab: interrupted/);
    expect(await terminal.status()).toBe(130);
  });

  test('after Ctrl-c, when the serial port has the terminal for itself', async () => {
    const terminal = open(`${boot} -kernel ${kernel('spin', A64.UART, ...A64.PUT_H, A64.SPIN)} -serial stdio`);
    await terminal.waitFor(/\nh/);
    terminal.type('\u0001x\u0003');
    expect(await terminal.status()).toBe(0);
  });

  test('after it was stopped and went on', async () => {
    const terminal = open(`sh -c 'echo $$; exec ${boot} -kernel ${kernel('spin', A64.UART, ...A64.PUT_H, A64.SPIN)}'`);
    const pid = Number((await terminal.waitFor(/(\d+)\nh/))[1]);
    process.kill(pid, 'SIGSTOP');
    process.kill(pid, 'SIGCONT');
    terminal.type('\u0001cinfo status\r');
    await terminal.waitFor(/VM status: running/);
    terminal.type('\u0001x');
    expect(await terminal.status()).toBe(0);
  });
});

test.skipIf(!hasScript)('bad input leaves the terminal as it was (needs script(1))', async () => {
  const disk = openSync(join(folder, 'odd.img'), 'w');
  ftruncateSync(disk, 1000);
  closeSync(disk);
  expect(await open(`${PROGRAM} boot -kernel /etc/passwd -hda odd.img`).status()).toBe(1);
});
