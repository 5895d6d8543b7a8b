/** Devices of `virt` that are there when asked for, driven by Linux's own drivers in Debian's generic kernel. */
import { describe, expect, test } from 'vitest';

import type { BoardChoice, ExtraDevice, VirtioBus } from '../../emulator/index.ts';
import { guestWithScript, runGuest } from '../support/guest-boot.ts';

const TRANSPORT: Readonly<Record<VirtioBus, string>> = { mmio: 'virtio_mmio', pci: 'virtio_pci' };
const BUSES: readonly VirtioBus[] = ['mmio', 'pci'];

describe.each(BUSES)('virtio on %s', bus => {
  test('rng gives Linux entropy', async () => {
    const script =
      'cat /sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng bs=16 count=1 2>/dev/null | od -An -tx1';
    const boot = await guestWithScript(script, [TRANSPORT[bus], 'virtio_rng']);
    const { stop, console } = await runGuest(boot, { devices: [{ type: 'rng', bus }] });
    expect(stop).toEqual({ kind: 'power-off' });
    expect(console).toMatch(/virtio_rng\.0\n( [0-9a-f]{2}){16}\n/);
  });

  test('console carries what Linux writes to hvc0', async () => {
    const written: number[] = [];
    const devices: ExtraDevice[] = [{ type: 'console', bus, output: bytes => void written.push(...bytes) }];
    const boot = await guestWithScript('echo hello from hvc0 > /dev/hvc0; sleep 1', [TRANSPORT[bus], 'virtio_console']);
    const { stop } = await runGuest(boot, { devices });
    expect(stop).toEqual({ kind: 'power-off' });
    expect(Buffer.from(written).toString()).toContain('hello from hvc0');
  });
});

describe.each(['aarch64', 'x86_64'] as const)('%s', architecture => {
  test('fw_cfg gives Linux files of the command line, and takes the place of VMCOREINFO', async () => {
    const script =
      'cat /sys/firmware/qemu_fw_cfg/by_name/opt/greeting/raw; echo; ls /sys/firmware/qemu_fw_cfg/by_name/etc';
    const boot = await guestWithScript(script, ['qemu_fw_cfg'], { architecture, flavour: 'cloud' });
    const firmwareFiles = [{ name: 'opt/greeting', bytes: Buffer.from('hello from outside') }];
    const { stop, console, machine } = await runGuest(boot, { firmwareFiles });
    expect(stop).toEqual({ kind: 'power-off' });
    expect(console).toContain('hello from outside\n');
    expect(console).toContain('vmcoreinfo\n');
    expect(machine.vmcoreinfo).toMatchObject({ guestFormat: 1 });
    const { paddr } = machine.vmcoreinfo!;
    expect(Buffer.from(machine.memory.read(paddr + 12, 10)).toString()).toBe('VMCOREINFO');
  });
});

// Debian's arm64 kernels have no driver for it.
test('pvpanic is on the PCI bus', async () => {
  const boot = await guestWithScript('cd /sys/bus/pci/devices/0000:00:01.0; cat vendor device', [], {
    flavour: 'cloud',
  });
  const { console } = await runGuest(boot, { devices: [{ type: 'pvpanic', report: () => undefined }] });
  expect(console).toContain('0x1b36\n0x0011\n');
});

test('a machine that was reset boots again', async () => {
  const boot = await guestWithScript('echo rebooting; reboot -f', [], { flavour: 'cloud' });
  const { machine, stop } = await runGuest(boot, {});
  expect(stop).toEqual({ kind: 'reset' });
  const before = machine.guestNs;
  machine.reset();
  expect(await machine.run()).toEqual({ kind: 'reset' });
  expect(machine.guestNs).toBeGreaterThan(1.5 * before);
});

describe.each([2, 3] as const)('GICv%i without ITS', gicVersion => {
  test('boots with two CPUs', async () => {
    const boot = await guestWithScript('cat /sys/devices/system/cpu/online', [], { flavour: 'cloud' });
    const board: BoardChoice = { type: 'virt', gicVersion, its: false, virtualization: false, seeds: false };
    const { stop, console } = await runGuest(boot, { board, cpuCount: 2 });
    expect(stop).toEqual({ kind: 'power-off' });
    expect(console).toMatch(/^0-1$/m);
  });
});
