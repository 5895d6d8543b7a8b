import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { userNetworkDefaults } from '../../../../emulator/index.ts';
import { readKdumpPlan } from '../../../../scripts/lab/kdump-plan.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function plan(text: string) {
  const path = join(folder, 'kdump.conf');
  writeFileSync(path, text);
  return readKdumpPlan(path, '/dev/vda', userNetworkDefaults());
}

describe('a target', () => {
  test.each([
    ['', { kind: 'ext4' }, '/dev/vda'],
    ['ext4 /dev/vda', { kind: 'ext4' }, '/dev/vda'],
    ['ext4 LABEL=dumps', { kind: 'ext4', label: 'dumps' }, 'LABEL=dumps'],
    [
      'ext4 UUID=03138356-5e61-4ab3-b58e-27507ac41937',
      { kind: 'ext4', uuid: '03138356-5e61-4ab3-b58e-27507ac41937' },
      'UUID=03138356-5e61-4ab3-b58e-27507ac41937',
    ],
    ['raw /dev/vda', { kind: 'raw' }, '/dev/vda'],
  ])('%j makes the disk %j', (text, disk, device) => {
    expect(plan(text)).toMatchObject({ disk, settings: { device } });
  });

  test.each([
    ['nfs [2001:db8::1]:/export', 'no IPv6'],
    ['nfs localhost:/export', 'that is the guest itself; its name for this host is 10.0.2.2'],
    ['ssh user@127.0.0.1', 'that is the guest itself; its name for this host is 10.0.2.2'],
    ['ssh user@host\nsshkey /no/such/key', 'sshkey /no/such/key: no such file on this host, nor key beside'],
    ['xfs /dev/vda', 'kdump.conf: xfs /dev/vda: the lab'],
    ['virtiofs share', 'kdump.conf: virtiofs share: the lab'],
    ['ext4 /dev/sdb1', "kdump.conf: ext4 /dev/sdb1: the lab's disk is /dev/vda"],
    ['raw /dev/mapper/x', "kdump.conf: raw /dev/mapper/x: the lab's disk is /dev/vda"],
    ['ext4 UUID=1234', 'not a UUID'],
    ['ext4 LABEL=much-too-long-a-name', '16 bytes at most'],
    ['kdump_pre /no/such/script', 'no such file on this host'],
  ])('%j is refused', (text, message) => {
    expect(() => plan(text)).toThrow(message);
  });
});

describe('a target behind the network', () => {
  const NETWORK = { address: '10.0.2.15', mask: '255.255.255.0', router: '10.0.2.2' };

  test('is reached by ssh, with the key and the servers that are known', () => {
    writeFileSync(join(folder, 'kdump_id_rsa'), 'key');
    writeFileSync(join(folder, 'known_hosts'), 'server key');
    writeFileSync(join(folder, 'ssh_config'), 'Port 2222');
    const { settings, files, programs, networkModules, notes } = plan('ssh kdump@server\nsshkey /none/kdump_id_rsa');
    expect(settings).toMatchObject({
      target: 'ssh',
      network: {
        ...NETWORK,
        remote: 'kdump@server',
        sshOptions: '-i /none/kdump_id_rsa -o BatchMode=yes -o StrictHostKeyChecking=yes',
      },
    });
    const modes = Object.fromEntries(files.map(({ path, mode }) => [path, mode]));
    expect(modes).toMatchObject({
      '/none/kdump_id_rsa': 0o600,
      '/root/.ssh/known_hosts': 0o600,
      '/etc/passwd': 0o644,
      '/etc/ssh/ssh_config': 0o644,
    });
    expect(programs).toEqual([{ package: 'openssh-client', path: '/bin/ssh' }]);
    expect(networkModules).toEqual(['virtio_net']);
    expect(notes).toEqual([]);
  });

  test('is trusted, with a note, when nothing is known of it', () => {
    writeFileSync(join(folder, 'key'), 'key');
    const { settings, notes, programs } = plan('ssh kdump@server\nsshkey key\ncore_collector scp');
    expect(settings.network?.sshOptions).toBe('-i /key -o BatchMode=yes -o StrictHostKeyChecking=accept-new');
    expect(notes).toMatchObject([{ text: expect.stringContaining('whatever server answers is trusted') }]);
    expect(programs.map(({ path }) => path)).toEqual(['/bin/ssh', '/bin/scp']);
  });

  test('is mounted by NFS', () => {
    const { settings, programs } = plan('nfs 10.0.2.2:/export\npath /crash');
    expect(settings).toMatchObject({
      target: 'nfs',
      path: '/crash',
      network: { ...NETWORK, remote: '10.0.2.2:/export' },
    });
    expect(programs).toEqual([{ package: 'nfs-common', path: '/sbin/mount.nfs' }]);
  });
});

describe('hooks', () => {
  test('are found beside the configuration, under the names that it gives them', () => {
    writeFileSync(join(folder, 'pre.sh'), '#!/bin/bash\ntrue\n');
    writeFileSync(join(folder, 'post.sh'), '#!/bin/sh\ntrue\n');
    const { settings, files } = plan('kdump_pre /etc/kdump/pre.sh\nkdump_post post.sh');
    expect(settings).toMatchObject({ pre: '/etc/kdump/pre.sh', post: '/post.sh' });
    expect(files.map(({ path, mode }) => [path, mode])).toEqual([
      ['/etc/kdump/pre.sh', 0o755],
      ['/post.sh', 0o755],
    ]);
  });

  test('a lone kdump_post is no kdump_pre', () => {
    writeFileSync(join(folder, 'post.sh'), '#!/bin/sh\n');
    expect(plan('kdump_post post.sh').settings).toMatchObject({ pre: '', post: '/post.sh' });
  });

  test.each([
    ['#!/usr/bin/python3\n', 'no /usr/bin/python3'],
    ['\x7fELF', 'not a script'],
  ])('what the initramfs cannot run is refused: %j', (contents, message) => {
    writeFileSync(join(folder, 'pre.sh'), contents);
    expect(() => plan('kdump_pre pre.sh')).toThrow(message);
  });
});

test('directives without effect are told', () => {
  expect(plan('dracut_args --omit x\nfence_kdump_nodes n1').notes.map(({ text }) => text)).toEqual([
    expect.stringContaining('dracut_args --omit x: without effect in the lab'),
    expect.stringContaining('fence_kdump_nodes n1: without effect in the lab'),
  ]);
});
