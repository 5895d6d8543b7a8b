import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../../capture/formats/errors.ts';
import { parseBootOptions, splitProperties } from '../../../../scripts/commands/boot-options.ts';

const MIB = 2 ** 20;

function parse(...args: string[]) {
  return parseBootOptions(['-kernel', 'Image', ...args]);
}

describe("the tutorial's command line", () => {
  const append = 'console=ttyAMA0 root=/dev/vda rw crashkernel=128M nr_cpus=2';
  const line =
    '-machine virt -M virt,gic_version=3 -cpu cortex-a57 -nographic -smp 2 -m 512 -kernel Image -hda rootfs.img -append';
  const args = [...line.split(' '), append];

  test.each(['gic_version', 'gic-version'])('is understood with %s', spelling => {
    const options = parseBootOptions(args.map(arg => arg.replace('gic_version', spelling)));
    expect(options).toMatchObject({
      architecture: 'aarch64',
      machine: { type: 'virt', properties: { 'gic-version': '3' } },
      cpu: 'cortex-a57',
      cpus: 2,
      memorySize: 512 * MIB,
      kernel: 'Image',
      append: 'console=ttyAMA0 root=/dev/vda rw crashkernel=128M nr_cpus=2',
      serial: { kind: 'terminal', withMonitor: true },
      reboot: true,
    });
    expect(options.disks).toEqual([
      { id: 'hd0', file: 'rootfs.img', readOnly: false, snapshot: false, bus: 'pci', serial: undefined },
    ]);
  });
});

describe('disks', () => {
  test.each([
    ['virtio-blk-device', 'mmio'],
    ['virtio-blk-pci', 'pci'],
  ])('attaches a drive to %s', (device, bus) => {
    const { disks } = parse(
      '-drive',
      'file=a,,b.img,format=raw,if=none,id=d0,readonly=on',
      '-device',
      `${device},drive=d0,serial=S1`,
    );
    expect(disks).toEqual([{ id: 'd0', file: 'a,b.img', readOnly: true, snapshot: false, bus, serial: 'S1' }]);
  });

  test('may come after their device', () => {
    expect(parse('-device', 'virtio-blk-pci,drive=d0', '-drive', 'if=none,id=d0,file=x').disks).toHaveLength(1);
  });

  test('are all kept as they are with -snapshot', () => {
    expect(parse('-hda', 'a', '-hdb', 'b', '-snapshot').disks.map(disk => disk.snapshot)).toEqual([true, true]);
  });
});

describe('numbers and switches', () => {
  test.each([
    [['-m', '512'], { memorySize: 512 * MIB }],
    [['-m', 'size=1G'], { memorySize: 1024 * MIB }],
    [['-m', '768M'], { memorySize: 768 * MIB }],
    [['-smp', 'cpus=4,sockets=1'], { cpus: 4 }],
    [['--no-reboot'], { reboot: false }],
    [['-s', '-S'], { gdbPort: 1234, startPaused: true }],
    [['-gdb', 'tcp::9000'], { gdbPort: 9000 }],
    [['-d', 'int,unimp', '-D', 'log'], { trace: ['int', 'unimp'], traceFile: 'log' }],
    [['-serial', 'file:/tmp/x'], { serial: { kind: 'file', path: '/tmp/x' } }],
    [['-serial', 'none'], { serial: { kind: 'none' } }],
    [['-monitor', 'none'], { serial: { kind: 'terminal', withMonitor: false } }],
    [['-device', 'virtio-rng-pci'], { devices: [{ type: 'virtio-rng-pci', properties: {} }] }],
    [['-chardev', 'file,id=c,path=x'], { characterDevices: { c: { kind: 'file', path: 'x' } } }],
    [['-M', 'q35'], { architecture: 'x86_64' }],
    [[], { architecture: undefined, cpus: 1, memorySize: 128 * MIB }],
  ] as const)('%j', (args, expected) => {
    expect(parse(...args)).toMatchObject(expected);
  });
});

describe('what cannot be', () => {
  test.each([
    [['-frobnicate'], /-frobnicate: unknown option/],
    [['file.img'], /file\.img: unknown option/],
    [['-m'], /-m: a value is missing/],
    [['-m', 'lots'], /lots: not a size/],
    [['-m', '64G'], /1M to 3G/],
    [['-smp', '0'], /1 to 8 CPUs/],
    [['-smp', '2,chips=3'], /unknown property chips/],
    [['-M', 'raspi4b'], /machine raspi4b: there are virt/],
    [['-device', 'e1000'], /e1000: unknown device; there are virtio-blk-device/],
    [['-device', 'virtio-blk-device'], /drive= is missing/],
    [['-device', 'virtio-blk-device,drive=x'], /no free -drive with id=x/],
    [['-drive', 'format=raw'], /file= is missing/],
    [['-drive', 'file=x,format=qcow2'], /only raw images/],
    [['-drive', 'file=x,if=scsi'], /if=scsi/],
    [['-drive', 'file=x,colour=red'], /unknown property colour/],
    [['-chardev', 'stdio'], /id= is missing/],
    [['-serial', 'pty'], /-serial pty/],
    [['-display', 'gtk'], /no graphics/],
    [['-nic', 'user'], /-nic user: not supported/],
    [['-accel', 'kvm'], /always emulated/],
  ] as const)('%j is refused by name', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });

  test('a command line without a kernel asks for one', () => {
    expect(() => parseBootOptions(['-m', '512'])).toThrow(/-kernel/);
  });
});

test('splitProperties keeps doubled commas and reads flags as on', () => {
  expect(splitProperties('virt,secure,a_b=c,,d', 'type')).toEqual({
    type: 'virt',
    properties: { secure: 'on', 'a-b': 'c,d' },
  });
});
