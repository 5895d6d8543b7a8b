import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { VirtioBlock } from '../../../../../emulator/devices/virtio/block.ts';
import { VirtioConsole } from '../../../../../emulator/devices/virtio/console.ts';
import type { VirtioDevice } from '../../../../../emulator/devices/virtio/device-core.ts';
import { VirtioMmioTransport } from '../../../../../emulator/devices/virtio/mmio-transport.ts';
import { VirtioRng } from '../../../../../emulator/devices/virtio/rng.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { busAccesses } from '../../../../support/bus-accesses.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../../support/qtest.ts';
import { GuestQueue, initialise } from '../../../../support/virtio-driver.ts';
import { mmioDriver } from '../../../../support/virtio-mmio-driver.ts';

const RAM = 0x4000_0000;
const QEMU = 'qemu-system-aarch64';

function setup(device: VirtioDevice, version: 1 | 2, queues: number) {
  const memory = new ArrayMemory(2 ** 20, RAM);
  const line = new FakeLine();
  const transport = new VirtioMmioTransport({ interrupt: line, memory, version, device });
  const driver = mmioDriver(transport, version);
  const rings = Array.from({ length: queues }, (_, i) => new GuestQueue(memory, RAM + i * 0x10000, 64));
  initialise(driver, rings);
  for (const ring of rings) ring.wantInterrupt(true);
  return { line, driver, rings, transport };
}

describe('virtio-mmio', () => {
  test('an empty slot shows DeviceID 0, as Linux expects it', () => {
    const slot = new VirtioMmioTransport({ interrupt: new FakeLine(), memory: new ArrayMemory(16), version: 1 });
    expect([0, 4, 8].map(offset => slot.read(offset, 4))).toEqual([0x7472_6976, 1, 0]);
    slot.write(0x70, 3, 4);
    expect(slot.read(0x70, 4)).toBe(0);
  });

  test('version 2 does not agree to features that were not offered, nor to none', () => {
    const { driver } = setup(new VirtioRng(1), 2, 1);
    for (const features of [0n, 1n << 32n, (1n << 32n) | 2n]) {
      driver.setStatus(0);
      driver.setStatus(1);
      driver.setStatus(3);
      driver.acceptFeatures(features);
      driver.setStatus(0xb);
      expect(driver.status()).toBe(features === 1n << 32n ? 0xb : 3);
    }
  });

  test('status bits need those before them', () => {
    const { driver } = setup(new VirtioRng(1), 2, 1);
    driver.setStatus(0);
    driver.setStatus(4);
    expect(driver.status()).toBe(0);
    driver.setStatus(0x80);
    expect(driver.status()).toBe(0x80);
  });
});

function draw(seed: number): Uint8Array {
  const { driver, rings } = setup(new VirtioRng(seed), 1, 1);
  rings[0]!.add([64]);
  driver.notify(0);
  return rings[0]!.take()!.buffers[0]!;
}

describe('virtio-rng', () => {
  test('gives the same bytes for the same seed, and other bytes for another', () => {
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(new Set(draw(7)).size).toBeGreaterThan(40);
  });

  test('goes on from a saved state', () => {
    const one = setup(new VirtioRng(3), 1, 1);
    const other = new VirtioRng(99);
    const rng = new VirtioRng(3);
    other.restore(rng.save());
    expect(other.save()).toEqual(rng.save());
    expect(one.driver.readConfig(0, 4)).toBe(0xffff_ffff);
  });
});

describe('virtio-console', () => {
  test('sends out what the guest writes', () => {
    const sent: Uint8Array[] = [];
    const { driver, rings } = setup(new VirtioConsole(bytes => sent.push(bytes)), 2, 2);
    rings[1]!.add([Buffer.from('hello '), Buffer.from('world')]);
    driver.notify(1);
    expect(Buffer.concat(sent).toString()).toBe('hello world');
  });

  test('keeps input until there is a buffer, and interrupts', () => {
    const device = new VirtioConsole(() => undefined);
    const { driver, rings, line } = setup(device, 1, 2);
    device.receive(Buffer.from('abc'));
    expect(line.level).toBe(false);
    rings[0]!.add([2]);
    rings[0]!.add([8]);
    driver.notify(0);
    expect(line.level).toBe(true);
    expect([rings[0]!.take()!, rings[0]!.take()!].map(({ written }) => written)).toEqual([2, 1]);
    rings[0]!.add([8]);
    device.receive(Buffer.from('d'));
    expect(Buffer.from(rings[0]!.take()!.buffers[0]!.subarray(0, 1)).toString()).toBe('d');
  });
});

describe.skipIf(!isInstalled(QEMU))(`virtio-mmio beside ${QEMU}`, () => {
  test.each([
    { version: 1 as const, force: 'on' },
    { version: 2 as const, force: 'off' },
  ])('registers and configuration of a disk, version $version', async ({ version, force }) => {
    const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-virtio-'));
    try {
      const image = join(folder, 'disk.img');
      writeFileSync(image, '');
      truncateSync(image, 2 ** 31);
      const options = ['-M', 'virt,gic-version=3', '-m', '64', '-drive', `file=${image},format=raw,if=none,id=d`];
      options.push('-global', `virtio-mmio.force-legacy=${force}`, '-device', 'virtio-blk-device,drive=d');
      const base = 0xa00_3e00;
      const accesses: Access[] = [];
      for (const offset of [0, 4, 8, 0xc, 0x34, 0x60, 0x70]) accesses.push(['read', base + offset, 4]);
      for (let i = 0; i < 0x3c; i++) accesses.push(['read', base + 0x100 + i, 1]);
      accesses.push(['read', base + 0x10, 4]);
      for (const status of [1, 3]) accesses.push(['write', base + 0x70, 4, status], ['read', base + 0x70, 4]);
      const theirs = await qtestAccesses(QEMU, options, accesses);
      const bus = new Bus('mmio');
      const device = new VirtioBlock(createMemoryDisk(2 ** 31));
      const memory = new ArrayMemory(16);
      bus.map(base, 0x200, new VirtioMmioTransport({ interrupt: new FakeLine(), memory, version, device }));
      expect(busAccesses(bus, accesses)).toEqual(theirs);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
