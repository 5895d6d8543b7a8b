import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../../capture/formats/errors.ts';
import { DEVICE_TYPES, parseBootOptions, splitProperties } from '../../../../scripts/commands/boot-options.ts';

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
      serial: { kind: 'terminal', mux: true, withMonitor: true },
      actions: { reboot: 'reset', shutdown: 'poweroff', panic: 'shutdown' },
    });
    expect(options.disks).toEqual([
      {
        id: 'hd0',
        file: 'rootfs.img',
        readOnly: false,
        snapshot: false,
        bus: undefined,
        serial: undefined,
        wantsIde: true,
      },
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
    expect(disks).toEqual([
      { id: 'd0', file: 'a,b.img', readOnly: true, snapshot: false, bus, serial: 'S1', wantsIde: false },
    ]);
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
    [['--no-reboot'], { actions: { reboot: 'shutdown' } }],
    [['-no-shutdown'], { actions: { shutdown: 'pause' } }],
    [['-action', 'panic=none,reboot=shutdown'], { actions: { panic: 'none', reboot: 'shutdown' } }],
    [['-smp', 'sockets=1,cores=2,threads=2'], { cpus: 4 }],
    [
      ['-M', 'q35,accel=tcg', '-machine', 'hpet=off'],
      { machine: { type: 'q35', properties: { accel: 'tcg', hpet: 'off' } } },
    ],
    [['-M', 'pc-q35-7.2'], { architecture: 'x86_64', machine: { type: 'q35' } }],
    [['-machine', 'virt-8.0,gic-version=3'], { architecture: 'aarch64', machine: { type: 'virt' } }],
    [['--arch', 'amd64'], { architecture: 'x86_64' }],
    [['-rtc', 'base=2024-02-29T12:00:00,clock=vm'], { epochSeconds: 1_709_208_000 }],
    [['-rtc', 'base=2024-02-29'], { epochSeconds: 1_709_164_800 }],
    [['-fw_cfg', 'name=opt/a,string=hello'], { firmwareFiles: [{ name: 'opt/a', source: { text: 'hello' } }] }],
    [['-fw_cfg', 'opt/a,file=x'], { firmwareFiles: [{ name: 'opt/a', source: { file: 'x' } }] }],
    [['-echr', '0x14'], { escapeKey: 0x14 }],
    [['-monitor', 'stdio', '-serial', 'file:x'], { monitor: 'terminal', serial: { kind: 'file', path: 'x' } }],
    [['-monitor', 'stdio'], { monitor: 'terminal', serial: { kind: 'terminal', mux: true } }],
    [['-serial', 'stdio'], { monitor: 'none', serial: { kind: 'terminal', mux: false } }],
    [['-serial', 'mon:stdio'], { monitor: 'beside-serial', serial: { kind: 'terminal', mux: true } }],
    [
      ['-chardev', 'stdio,id=c,mux=on', '-serial', 'chardev:c', '-mon', 'chardev=c,mode=readline'],
      { monitor: 'beside-serial', serial: { kind: 'terminal', mux: true } },
    ],
    [['-serial', 'stdio', '-serial', 'none'], { serial: { kind: 'terminal' } }],
    [['-gdb', 'tcp:127.0.0.1:9001,server=on'], { gdbPort: 9001 }],
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

test('block nodes are joined with devices', () => {
  const { disks } = parse(
    '-blockdev',
    'driver=file,filename=x.img,node-name=f,read-only=on',
    '-blockdev',
    'driver=raw,file=f,node-name=r',
    '-device',
    'virtio-blk-pci,drive=r',
  );
  expect(disks).toMatchObject([{ id: 'r', file: 'x.img', readOnly: true, bus: 'pci' }]);
});

test.each([
  ['-nodefaults'],
  ['-no-user-config'],
  ['-display', 'none'],
  ['-vga', 'none'],
  ['-nic', 'none'],
  ['-net', 'none'],
  ['-accel', 'tcg,thread=single'],
  ['-object', 'rng-random,id=r,filename=/dev/urandom'],
  ['-object', 'rng-builtin,id=r'],
  ['-name', 'guest,debug-threads=on'],
  ['-uuid', '00000000-0000-0000-0000-000000000000'],
  ['-boot', 'c'],
  ['-icount', 'shift=0'],
  ['-parallel', 'none'],
])('%s %s changes nothing', (...args) => {
  expect(parse(...args.filter(arg => arg !== undefined))).toEqual(parse());
});

test.each(DEVICE_TYPES.filter(type => !/^virtio-(blk|net)/.test(type)))('-device %s is taken', type => {
  expect(parse('-device', type).devices).toEqual([{ type, properties: {} }]);
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
    [['-vnc', ':0'], /-vnc :0: there are no graphics/],
    [['-bios', 'x.fd'], /-bios x\.fd: there is no firmware/],
    [['-cdrom', 'x.iso'], /-cdrom x\.iso: there are no CD-ROM drives/],
    [['-loadvm', 'x'], /-loadvm x: snapshots live in the running program/],
    [['-enable-kvm'], /-enable-kvm: this machine is always emulated/],
    [['-daemonize'], /-daemonize: start it in the background/],
    [['-usb'], /-usb: there is no USB/],
    [['-M', 'pc'], /machine pc: the i440fx is not modelled/],
    [['-M', 'virt', '--arch', 'x86_64'], /-M virt: not a machine of x86_64/],
    [['--arch', 'riscv64'], /--arch riscv64: there are aarch64, x86_64/],
    [['-m', '512,maxmem=1G'], /memory cannot be plugged later/],
    [['-m', '1000K'], /-m 1000K: 1M to 3G are possible/],
    [['-m', '1025K'], /must be a multiple of 64K/],
    [['-smp', '2,maxcpus=4'], /CPUs cannot be plugged later/],
    [['-serial', 'stdio', '-serial', 'file:x'], /there is one serial port/],
    [['-serial', 'chardev:nobody'], /no -chardev with id=nobody/],
    [['-serial', 'stdio', '-monitor', 'stdio'], /-serial mon:stdio gives it to both/],
    [['-mon', 'chardev=c,mode=control'], /-mon mode=control/],
    [['-object', 'memory-backend-ram,id=m'], /-object memory-backend-ram: not supported/],
    [['-device', 'virtio-rng-pci,speed=9'], /virtio-rng-pci: unknown property speed; known are id, rng, bus/],
    [['-device', 'virtio-blk-pci,drive=d,colour=red'], /unknown property colour/],
    [['-drive', 'file=x,media=cdrom'], /media=cdrom: only disks/],
    [['-drive', 'file=x,if=pflash'], /if=pflash/],
    [['-drive', 'file=x,readonly=maybe'], /readonly=maybe: must be on or off/],
    [['-blockdev', 'driver=qcow2,node-name=n,file=x'], /driver=qcow2: only raw and file/],
    [['-blockdev', 'driver=file,filename=x'], /node-name= is missing/],
    [['-blockdev', 'driver=raw,node-name=n,file=m'], /there is no node m/],
    [['-fw_cfg', 'string=x'], /name= of 1 to 55 characters is missing/],
    [['-fw_cfg', 'name=opt/a'], /either file= or string=/],
    [['-rtc', 'base=yesterday'], /-rtc base=yesterday/],
    [['-rtc', 'driftfix=slew'], /driftfix=slew/],
    [['-action', 'panic=dance'], /panic=dance: there are shutdown, exit-failure, pause, none/],
    [['-action', 'fire=run'], /-action fire: there are reboot, shutdown, panic/],
    [['-echr', 'x'], /-echr x: must be the code/],
    [['-gdb', 'stdio'], /-gdb stdio: only tcp::PORT/],
    [['-gdb', 'tcp::99999'], /only tcp::PORT/],
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
