import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { GPEX_IDENTITY, PciHostBridge } from '../../../../../emulator/devices/pci/host-bridge.ts';
import { PciConfigPorts, PciHost } from '../../../../../emulator/devices/pci/host.ts';
import { PciWindow } from '../../../../../emulator/devices/pci/windows.ts';
import { VirtioBlock } from '../../../../../emulator/devices/virtio/block.ts';
import { VirtioPciFunction } from '../../../../../emulator/devices/virtio/pci-transport.ts';
import { VirtioRng } from '../../../../../emulator/devices/virtio/rng.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { busAccesses, differencesOf } from '../../../../support/bus-accesses.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const ECAM = 0x40_1000_0000;

function setup({ modernOnly = false } = {}) {
  const memory = new ArrayMemory(4096, 0x4000_0000);
  const intx = Array.from({ length: 4 }, () => new FakeLine());
  const io = new PciWindow('pci-io', 0, 0x10000);
  const low = new PciWindow('pci-mem', 0x1000_0000, 0x2eff_0000);
  const high = new PciWindow('pci-mem64', 0x80_0000_0000, 2 ** 39);
  const host = new PciHost({ windows: { io, memory: [low, high] }, intx, msi: { send: () => undefined } });
  host.plug(0, new PciHostBridge(GPEX_IDENTITY));
  host.plug(1, new VirtioPciFunction(new VirtioBlock(createMemoryDisk(2 ** 31)), memory, modernOnly));
  host.plug(2, new VirtioPciFunction(new VirtioRng(1), memory, modernOnly));
  const bus = new Bus('mmio');
  bus.map(ECAM, 2 ** 28, host.ecam);
  bus.map(0x1000_0000, low.size, low);
  bus.map(0x3eff_0000, io.size, io);
  bus.map(0x80_0000_0000, high.size, high);
  return { host, bus, intx };
}

/** Sizes and assigns BARs as Linux does, then reads what the BARs decode. */
function script(): Access[] {
  const list: Access[] = [];
  for (let device = 0; device < 4; device++) {
    const base = ECAM + device * 0x8000;
    for (let offset = 0; offset < 0xa0; offset += 4) list.push(['read', base + offset, 4]);
    list.push(['read', base + 0x100, 4], ['read', base + 0x3d, 1], ['read', base + 6, 2]);
    for (let offset = 0x10; offset < 0x28; offset += 4)
      list.push(['write', base + offset, 4, 0xffff_ffff], ['read', base + offset, 4]);
    for (const [offset, width, value] of [
      [0x04, 2, 0xffff],
      [0x0c, 4, 0xffff_ffff],
      [0x3c, 4, 0xffff_ffff],
    ] as const)
      list.push(
        ['write', base + offset, width, value],
        ['read', base + offset, width],
        ['write', base + offset, width, 0],
      );
  }
  for (const [device, io, mem, modern] of [
    [1, 0x1000, 0x1000_0000, 0],
    [2, 0x1080, 0x1000_1000, 0x4000],
  ] as const) {
    const base = ECAM + device * 0x8000;
    list.push(['write', base + 0x10, 4, io], ['write', base + 0x14, 4, mem]);
    list.push(['write', base + 0x20, 4, modern], ['write', base + 0x24, 4, 0x80], ['write', base + 4, 2, 7]);
    for (const offset of [0, 0x10, 0x12, 0x14, 0x15, 0x16, 0x18, 0x1a, 0x1c, 0x1e])
      list.push(['read', 0x80_0000_0000 + modern + offset, offset === 0x14 || offset === 0x15 ? 1 : 2]);
    for (const offset of [0, 4, 0xc, 0x1c]) list.push(['read', mem + offset, 4]);
    list.push(['read', 0x80_0000_0000 + modern + 0x2000, 4], ['read', 0x80_0000_0000 + modern + 4, 4]);
    list.push(['read', 0x3eff_0000 + io + 0xc, 2], ['read', 0x3eff_0000 + io + 8, 4]);
  }
  list.push(['read', 0x1000_8000, 4], ['read', 0x80_0001_0000, 4], ['read', 0x3eff_2000, 2]);
  return list;
}

describe.skipIf(!isInstalled(QEMU))(`PCI beside ${QEMU}`, () => {
  test.each([
    { legacy: 'off', modernOnly: false },
    { legacy: 'on', modernOnly: true },
  ])('configuration, BARs and windows are the same with disable-legacy=$legacy', async ({ legacy, modernOnly }) => {
    const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-pci-'));
    try {
      const image = join(folder, 'disk.img');
      writeFileSync(image, '');
      truncateSync(image, 2 ** 31);
      const options = ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a57', '-m', '64'];
      options.push('-drive', `file=${image},format=raw,if=none,id=d`);
      options.push('-device', `virtio-blk-pci,drive=d,disable-legacy=${legacy}`);
      options.push('-device', `virtio-rng-pci,disable-legacy=${legacy}`);
      const accesses = script();
      const theirs = await qtestAccesses(QEMU, options, accesses);
      const ours = busAccesses(setup({ modernOnly }).bus, accesses);
      expect(differencesOf(accesses, ours, theirs)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('PCI host', () => {
  test('configuration mechanism #1 reaches the same registers', () => {
    const { host } = setup();
    const ports = new PciConfigPorts(host);
    expect(ports.read(4, 4)).toBe(0xffff_ffff);
    ports.write(0, 0x8000_0800, 4);
    expect([ports.read(0, 4), ports.read(4, 4), ports.read(6, 2)]).toEqual([0x8000_0800, 0x1001_1af4, 0x1001]);
    ports.write(0, 0x8000_0804, 4);
    ports.write(4, 7, 2);
    expect(host.readConfig(8, 4, 2)).toBe(7);
    ports.write(0, 0x8000_f800, 4);
    expect(ports.read(4, 4)).toBe(0xffff_ffff);
  });

  test('a BAR decodes only while the command register lets it', () => {
    const { host, bus } = setup();
    host.writeConfig(8, 0x14, 0x1000_0000, 4);
    expect(bus.read(0x1000_000c, 4)).toBe(0xffff_ffff);
    host.writeConfig(8, 4, 2, 2);
    expect(bus.read(0x1000_000c, 4)).toBe(1);
    host.writeConfig(8, 0x14, 0x1000_2000, 4);
    expect([bus.read(0x1000_000c, 4), bus.read(0x1000_200c, 4)]).toEqual([0xffff_ffff, 1]);
  });

  test('BARs that overlap are the guest’s problem, not ours', () => {
    const { host, bus } = setup();
    for (const slot of [8, 16]) {
      host.writeConfig(slot, 0x14, 0x1000_0000, 4);
      host.writeConfig(slot, 4, 2, 2);
    }
    expect(bus.read(0x1000_000c, 4)).toBe(1);
  });
});
