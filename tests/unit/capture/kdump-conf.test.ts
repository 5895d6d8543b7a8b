import { describe, expect, test } from 'vitest';

import { FormatError } from '../../../capture/formats/errors.ts';
import { parseKdumpConf } from '../../../capture/kdump-conf.ts';

describe('parseKdumpConf', () => {
  test('has the defaults of kdump.conf(5)', () => {
    expect(parseKdumpConf('# nothing\n\n')).toMatchObject({
      target: { kind: 'root' },
      path: '/var/crash',
      coreCollector: 'makedumpfile -l --message-level 7 -d 31',
      failureAction: 'reboot',
      finalAction: 'reboot',
      autoResetCrashkernel: true,
    });
  });

  test.each([
    ['raw /dev/vg/lv_kdump', { kind: 'raw', device: '/dev/vg/lv_kdump' }],
    ['ext4 UUID=03138356-5e61-4ab3-b58e-27507ac41937', { kind: 'filesystem', type: 'ext4' }],
    ['xfs LABEL=/boot', { kind: 'filesystem', type: 'xfs', device: 'LABEL=/boot' }],
    ['virtiofs myfs', { kind: 'filesystem', type: 'virtiofs', device: 'myfs' }],
    ['nfs my.server.com:/export/tmp', { kind: 'nfs', export: 'my.server.com:/export/tmp' }],
    ['nfs [2001:db8::1:2:3:4]:/export/tmp', { kind: 'nfs' }],
    ['ssh user@my.server.com', { kind: 'ssh', key: '/root/.ssh/kdump_id_rsa' }],
    ['ssh user@my.server.com\nsshkey /root/.ssh/key', { kind: 'ssh', key: '/root/.ssh/key' }],
  ])('reads the target %j', (text, target) => {
    expect(parseKdumpConf(text).target).toMatchObject(target);
  });

  test('reads hooks, lists and actions, and drops comments', () => {
    const conf = parseKdumpConf(`path /crash # on the target
core_collector makedumpfile -c -d 11
extra_bins /sbin/lvs /sbin/vgs
extra_bins /bin/ip
kdump_pre /var/crash/pre.sh
failure_action dump_to_rootfs
final_action poweroff
auto_reset_crashkernel no
fence_kdump_nodes node1`);
    expect(conf).toMatchObject({
      path: '/crash',
      coreCollector: 'makedumpfile -c -d 11',
      extraBins: ['/sbin/lvs', '/sbin/vgs', '/bin/ip'],
      kdumpPre: '/var/crash/pre.sh',
      kdumpPost: undefined,
      failureAction: 'dump_to_rootfs',
      finalAction: 'poweroff',
      autoResetCrashkernel: false,
      unused: ['fence_kdump_nodes node1'],
    });
  });

  test("takes a command in quotes, as the manual's examples have it", () => {
    expect(parseKdumpConf('core_collector "cp --sparse=always"').coreCollector).toBe('cp --sparse=always');
    expect(parseKdumpConf('raw /dev/vda\ncore_collector "cat"').coreCollector).toBe('cat');
  });

  test('takes default for failure_action, with a warning', () => {
    expect(parseKdumpConf('default shell')).toMatchObject({
      failureAction: 'shell',
      warnings: ['default is the old name of failure_action'],
    });
  });

  test.each([
    ['ext4 /dev/vda1\nraw /dev/vdb', 'line 2: raw: the dump has a target already, ext4'],
    ['pathh /x', 'line 1: pathh is no directive'],
    ['\nnet user@host', 'line 2: net is no longer a directive'],
    ['path', 'line 1: path needs a value'],
    ['path /a\npath /b', 'line 2: path is given twice'],
    ['failure_action explode', 'line 1: failure_action is one of reboot, halt'],
    ['final_action shell', 'line 1: final_action is one of reboot, halt, poweroff'],
    ['default shell\nfailure_action halt', 'line 1: default is the old name'],
    ['sshkey /root/key', 'line 1: sshkey without ssh'],
    ['ssh nobody', 'line 1: nobody is no USER@HOST'],
    ['nfs server', 'line 1: server is no HOST:/EXPORT'],
    ['ext4 vda1', 'line 1: vda1 is no device'],
    ['force_rebuild yes', 'line 1: force_rebuild is one of 0, 1'],
    ['override_resettable 2', 'line 1: override_resettable is one of 0, 1'],
    ['force_rebuild 1\nforce_no_rebuild 1', 'line 2: force_rebuild and force_no_rebuild cannot both be 1'],
    ['ssh a@b\ncore_collector makedumpfile -l -d 31', 'needs makedumpfile -F'],
  ])('refuses %j', (text, message) => {
    expect(() => parseKdumpConf(text)).toThrow(FormatError);
    expect(() => parseKdumpConf(text)).toThrow(message);
  });
});
