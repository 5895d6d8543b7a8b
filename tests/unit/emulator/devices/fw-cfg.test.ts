import { describe, expect, test } from 'vitest';
import { FwCfg, type VmcoreinfoLocation, vmcoreinfoFile } from '../../../../emulator/devices/fw-cfg.ts';
import { Bus } from '../../../../emulator/memory/bus.ts';
import { ArrayMemory } from '../../../support/array-memory.ts';
import { busAccesses } from '../../../support/bus-accesses.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const RAM = 0x4000_0000;
const [READ, SKIP, SELECT, WRITE] = [2, 4, 8, 16];

function setup(layout: 'mmio' | 'ports' = 'mmio') {
  const memory = new ArrayMemory(0x10000, RAM);
  const found: VmcoreinfoLocation[] = [];
  const files = [vmcoreinfoFile(location => found.push(location)), { name: 'bootorder', bytes: Buffer.from('disk\0') }];
  const device = new FwCfg({ layout, memory, cpuCount: 1, files });
  return { memory, found, device };
}

/** Linux drivers/firmware/qemu_fw_cfg.c: fw_cfg_read_blob through the data register, memory-mapped. */
function readBlob(device: FwCfg, key: number, count: number): Buffer {
  device.write(8, ((key & 0xff) << 8) | (key >> 8), 2);
  return Buffer.from(Array.from({ length: count }, () => device.read(0, 1)));
}

/** The same driver's fw_cfg_dma_transfer. @returns the control word that the device leaves */
function dma(device: FwCfg, memory: ArrayMemory, control: number, length: number, address: number): number {
  const access = Buffer.alloc(16);
  access.writeUInt32BE(control, 0);
  access.writeUInt32BE(length, 4);
  access.writeBigUInt64BE(BigInt(address), 8);
  memory.write(RAM + 0x100, access);
  const pointer = Buffer.alloc(8);
  pointer.writeBigUInt64BE(BigInt(RAM + 0x100));
  device.write(0x10, pointer.readUInt32LE(0), 4);
  device.write(0x14, pointer.readUInt32LE(4), 4);
  return Buffer.from(memory.read(RAM + 0x100, 4)).readUInt32BE();
}

describe('fw_cfg', () => {
  test('has a directory of its files, sorted by name', () => {
    const { device } = setup();
    const directory = readBlob(device, 0x19, 4 + 128);
    expect(directory.readUInt32BE(0)).toBe(2);
    const entries = [0, 1].map(i => directory.subarray(4 + 64 * i, 68 + 64 * i));
    expect(
      entries.map(e => [e.readUInt32BE(0), e.readUInt16BE(4), e.toString('latin1', 8).replaceAll('\0', '')]),
    ).toEqual([
      [5, 0x20, 'bootorder'],
      [16, 0x21, 'etc/vmcoreinfo'],
    ]);
    expect(readBlob(device, 0x20, 7).toString('latin1')).toBe('disk\0\0\0');
  });

  test('reads by DMA, with zeros behind the end', () => {
    const { device, memory } = setup();
    memory.bytes.fill(0xee, 0x1000, 0x1010);
    expect(dma(device, memory, (0x20 << 16) | SELECT | READ, 8, RAM + 0x1000)).toBe(0);
    expect(Buffer.from(memory.read(RAM + 0x1000, 9)).toString('latin1')).toBe('disk\0\0\0\0\u00ee');
  });

  test('skips by DMA', () => {
    const { device, memory } = setup();
    dma(device, memory, (0x20 << 16) | SELECT | SKIP, 2, 0);
    dma(device, memory, READ, 2, RAM + 0x1000);
    expect(Buffer.from(memory.read(RAM + 0x1000, 2)).toString()).toBe('sk');
  });

  test('takes the place of vmcoreinfo from Linux', () => {
    const { device, memory, found } = setup();
    const location = Buffer.alloc(16);
    location.writeUInt16LE(1, 2);
    location.writeUInt32LE(2360, 4);
    location.writeBigUInt64LE(0x4321_0000n, 8);
    memory.write(RAM + 0x2000, location);
    expect(dma(device, memory, (0x21 << 16) | SELECT | WRITE, 16, RAM + 0x2000)).toBe(0);
    expect(found).toEqual([{ guestFormat: 1, size: 2360, paddr: 0x4321_0000 }]);
  });

  test.each([
    { what: 'a read-only file', key: 0x20, length: 4 },
    { what: 'more than the file holds', key: 0x21, length: 17 },
    { what: 'no file', key: 0x99, length: 1 },
  ])('refuses to write $what', ({ key, length }) => {
    const { device, memory, found } = setup();
    expect(dma(device, memory, (key << 16) | SELECT | WRITE, length, RAM + 0x2000)).toBe(1);
    expect(found).toEqual([]);
  });

  test('has its selector and data ports on PCs', () => {
    const { device } = setup('ports');
    device.write(0, 0x20, 2);
    expect(Array.from({ length: 4 }, () => device.read(1, 1))).toEqual([...Buffer.from('disk')]);
    expect([device.read(4, 4), device.read(8, 4)]).toEqual([0x554d_4551, 0x4746_4320]);
  });

  test('restores what was written and where it was read', () => {
    const first = setup();
    const location = Buffer.alloc(16, 7);
    first.memory.write(RAM + 0x2000, location);
    dma(first.device, first.memory, (0x21 << 16) | SELECT | WRITE, 16, RAM + 0x2000);
    readBlob(first.device, 0x20, 2);
    const second = setup();
    second.device.restore(first.device.save());
    expect(second.device.read(0, 1)).toBe('s'.charCodeAt(0));
    expect(readBlob(second.device, 0x21, 16)).toEqual(location);
  });

  test.skipIf(!isInstalled(QEMU))(`signature, id, memory size and CPU count are ${QEMU}’s`, async () => {
    const base = 0x902_0000;
    const accesses: Access[] = [];
    for (const [key, count] of [
      [0, 4],
      [1, 4],
      [3, 8],
      [5, 2],
      [0x77, 2],
    ] as const) {
      accesses.push(['write', base + 8, 2, key << 8]);
      for (let i = 0; i < count; i++) accesses.push(['read', base, 1]);
    }
    accesses.push(['write', base + 8, 2, 0], ['read', base, 4], ['read', base + 0x10, 4], ['read', base + 0x14, 4]);
    const theirs = await qtestAccesses(QEMU, ['-M', 'virt', '-m', '64', '-cpu', 'cortex-a57'], accesses);
    const bus = new Bus('mmio');
    bus.map(base, 0x18, setup().device);
    expect(busAccesses(bus, accesses)).toEqual(theirs);
  });
});
