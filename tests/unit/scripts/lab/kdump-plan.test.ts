import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { readKdumpPlan } from '../../../../scripts/lab/kdump-plan.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function plan(text: string) {
  const path = join(folder, 'kdump.conf');
  writeFileSync(path, text);
  return readKdumpPlan(path, '/dev/vda');
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
    ['nfs server:/export', 'kdump.conf: nfs server:/export: the lab'],
    ['ssh user@host', 'kdump.conf: ssh user@host: the lab'],
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

describe('hooks', () => {
  test('are found beside the configuration, under the names that it gives them', () => {
    writeFileSync(join(folder, 'pre.sh'), '#!/bin/bash\ntrue\n');
    writeFileSync(join(folder, 'post.sh'), '#!/bin/sh\ntrue\n');
    const { settings, hooks } = plan('kdump_pre /etc/kdump/pre.sh\nkdump_post post.sh');
    expect(settings).toMatchObject({ pre: '/etc/kdump/pre.sh', post: '/post.sh' });
    expect(hooks.map(({ path, mode }) => [path, mode])).toEqual([
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
