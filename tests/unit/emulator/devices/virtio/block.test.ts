import { describe, expect, test } from 'vitest';
import type { BlockBackend } from '../../../../../emulator/devices/block/backend.ts';
import { createMemoryDisk, ZeroBackend } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { VirtioBlock } from '../../../../../emulator/devices/virtio/block.ts';
import { VirtioMmioTransport } from '../../../../../emulator/devices/virtio/mmio-transport.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { GuestQueue, initialise } from '../../../../support/virtio-driver.ts';
import { mmioDriver } from '../../../../support/virtio-mmio-driver.ts';

const RAM = 0x4000_0000;
const MIB = 2 ** 20;
const [IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES] = [0, 1, 4, 8, 11, 13];
const [OK, IOERR, UNSUPP] = [0, 1, 2];

function header(type: number, sector: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(type, 0);
  bytes.writeBigUInt64LE(BigInt(sector), 8);
  return bytes;
}

function setup(disk: BlockBackend = createMemoryDisk(64 * MIB), version: 1 | 2 = 1, without = 0n) {
  const memory = new ArrayMemory(4 * MIB, RAM);
  const line = new FakeLine();
  const device = new VirtioBlock(disk, 'serial-0123456789abcdef');
  const transport = new VirtioMmioTransport({ interrupt: line, memory, version, device });
  const driver = mmioDriver(transport, version);
  const queue = new GuestQueue(memory, RAM, 256);
  initialise(driver, [queue], without);
  queue.wantInterrupt(true);
  /** Sends one request and returns its status and data. */
  const request = (type: number, sector: number, ...data: (Uint8Array | number)[]) => {
    queue.add([header(type, sector), ...data, 1]);
    driver.notify(0);
    const { buffers, written } = queue.take()!;
    return { status: buffers.at(-1)![0], data: buffers.slice(1, -1), written };
  };
  return { memory, line, transport, driver, queue, request, disk };
}

const sectors = (count: number, value: number): Uint8Array => new Uint8Array(512 * count).fill(value);

describe.each([1, 2] as const)('virtio-blk over mmio version %i', version => {
  test('reads back what was written, over several buffers', () => {
    const { request } = setup(undefined, version);
    expect(request(OUT, 5, sectors(1, 0xaa), sectors(2, 0xbb)).status).toBe(OK);
    const { status, data, written } = request(IN, 4, 1024, 1024);
    expect([status, written]).toEqual([OK, 2049]);
    expect(data).toEqual([Uint8Array.from([...sectors(1, 0), ...sectors(1, 0xaa)]), sectors(2, 0xbb)]);
  });

  test('interrupts once for a batch, and the line falls with the acknowledgement', () => {
    const { queue, driver, line } = setup(undefined, version);
    for (let i = 0; i < 3; i++) queue.add([header(IN, i), 512, 1]);
    driver.notify(0);
    expect([line.level, line.rises]).toEqual([true, 1]);
    expect(driver.takeInterrupt()).toBe(1);
    expect(line.level).toBe(false);
    expect([queue.take()?.head, queue.take()?.head, queue.take()?.head, queue.take()]).toEqual([0, 3, 6, undefined]);
  });

  test('stays silent while the driver wants no interrupt', () => {
    const { queue, driver, line } = setup(undefined, version);
    queue.wantInterrupt(false);
    queue.add([header(IN, 0), 512, 1]);
    driver.notify(0);
    expect([line.level, queue.take() !== undefined]).toEqual([false, true]);
  });

  test('works without event index', () => {
    const { queue, driver, line } = setup(undefined, version, 1n << 29n);
    queue.wantInterrupt(false);
    queue.add([header(IN, 0), 512, 1]);
    driver.notify(0);
    expect(line.level).toBe(false);
    queue.wantInterrupt(true);
    queue.add([header(IN, 0), 512, 1]);
    driver.notify(0);
    expect(line.level).toBe(true);
  });

  test('takes indirect descriptors', () => {
    const { queue, driver } = setup(undefined, version);
    queue.add([header(OUT, 1), sectors(1, 7), 1], { indirect: true });
    queue.add([header(IN, 1), 512, 1], { indirect: true });
    driver.notify(0);
    expect(queue.take()!.buffers[2]).toEqual(Uint8Array.of(OK));
    expect(queue.take()!.buffers[1]).toEqual(sectors(1, 7));
  });

  test.each([
    { what: 'flush', type: FLUSH, sector: 0, data: [], status: OK },
    { what: 'a read at the end', type: IN, sector: 64 * 2048 - 1, data: [512], status: OK },
    { what: 'a read over the end', type: IN, sector: 64 * 2048 - 1, data: [1024], status: IOERR },
    { what: 'a write behind the end', type: OUT, sector: 2 ** 40, data: [sectors(1, 1)], status: IOERR },
    { what: 'half a sector', type: IN, sector: 0, data: [256], status: IOERR },
    { what: 'an unknown type', type: 99, sector: 0, data: [], status: UNSUPP },
    { what: 'SCSI pass-through', type: 2, sector: 0, data: [], status: UNSUPP },
  ])('$what has status $status', ({ type, sector, data, status }) => {
    expect(setup(undefined, version).request(type, sector, ...data).status).toBe(status);
  });

  test('tells its serial number, cut to 20 characters', () => {
    const { data } = setup(undefined, version).request(GET_ID, 0, 20);
    expect(Buffer.from(data[0]!).toString()).toBe('serial-0123456789abc');
  });

  test.each([DISCARD, WRITE_ZEROES])('request %i makes sectors zero', type => {
    const { request } = setup(undefined, version);
    request(OUT, 8, sectors(4, 0xff));
    const range = Buffer.alloc(16);
    range.writeBigUInt64LE(9n, 0);
    range.writeUInt32LE(2, 8);
    expect(request(type, 0, range).status).toBe(OK);
    const { data } = request(IN, 8, 2048);
    expect([data[0]![0], data[0]![512], data[0]![1535], data[0]![1536]]).toEqual([0xff, 0, 0, 0xff]);
    range.writeUInt32LE(0x40_0000, 8);
    expect(request(type, 0, range).status).toBe(IOERR);
  });

  test('refuses writes to a read-only disk, and says that it is one', () => {
    const { request, driver } = setup(new ZeroBackend(MIB), version);
    expect(driver.offeredFeatures() & (1n << 5n)).not.toBe(0n);
    expect(request(OUT, 0, sectors(1, 1)).status).toBe(IOERR);
    expect(request(IN, 0, 512).status).toBe(OK);
  });

  test.each([
    { what: 'a head outside the table', prepare: (q: GuestQueue) => q.publish(999) },
    {
      what: 'a circle',
      prepare: (q: GuestQueue) => {
        q.writeDescriptor(q.desc, 0, RAM, 16, 1, 0);
        q.publish(0);
      },
    },
    {
      what: 'a readable buffer behind a writable one',
      prepare: (q: GuestQueue) => {
        q.writeDescriptor(q.desc, 0, RAM, 16, 3, 1);
        q.writeDescriptor(q.desc, 1, RAM, 16, 0, 0);
        q.publish(0);
      },
    },
    {
      what: 'an indirect table in an indirect table',
      prepare: (q: GuestQueue) => {
        q.writeDescriptor(q.desc, 0, RAM + 0x8000, 16, 4, 0);
        q.writeDescriptor(RAM + 0x8000, 0, RAM, 16, 4, 0);
        q.publish(0);
      },
    },
    { what: 'a request without status byte', prepare: (q: GuestQueue) => q.add([header(IN, 0)]) },
    { what: 'a short header', prepare: (q: GuestQueue) => q.add([new Uint8Array(8), 512, 1]) },
  ])('$what makes the device ask for a reset, and a reset helps', ({ prepare }) => {
    const { queue, driver, memory } = setup(undefined, version);
    prepare(queue);
    driver.notify(0);
    expect(driver.status() & 0x40).toBe(0x40);
    expect(queue.take()).toBeUndefined();
    const fresh = new GuestQueue(memory, RAM + 0x10_0000, 256);
    initialise(driver, [fresh]);
    fresh.add([header(IN, 0), 512, 1]);
    driver.notify(0);
    expect(fresh.take()!.written).toBe(513);
  });

  test('a capture kernel takes the device over from a queue in use', () => {
    const { queue, driver, memory } = setup(undefined, version);
    queue.add([header(IN, 0), 512, 1]);
    const capture = new GuestQueue(memory, RAM + 0x20_0000, 128);
    initialise(driver, [capture]);
    capture.add([header(IN, 0), 512, 1]);
    driver.notify(0);
    expect([queue.take(), capture.take()?.written]).toEqual([undefined, 513]);
  });

  test('continues from a saved state, disk included', () => {
    const first = setup(undefined, version);
    first.request(OUT, 3, sectors(1, 0x33));
    const second = setup(undefined, version);
    second.memory.bytes.set(first.memory.bytes);
    second.transport.restore(first.transport.save());
    expect(second.transport.save()).toEqual(first.transport.save());
    first.request(OUT, 3, sectors(1, 0x44));
    second.queue.usedSeen = 1;
    first.memory.bytes.fill(0);
    const replay = second.queue;
    replay.publish(0); // an available index that the saved device has not seen: the second entry
    second.memory.writeU16(replay.avail + 2, 2);
    second.memory.writeU16(replay.avail + 4 + 2, 3);
    replay.writeDescriptor(replay.desc, 3, RAM + 0x30_0000, 16, 1, 4);
    replay.writeDescriptor(replay.desc, 4, RAM + 0x30_0010, 512, 3, 5);
    replay.writeDescriptor(replay.desc, 5, RAM + 0x30_0400, 1, 2, 0);
    second.memory.write(RAM + 0x30_0000, header(IN, 3));
    second.driver.notify(0);
    expect(second.memory.read(RAM + 0x30_0010, 2)).toEqual(Uint8Array.of(0x33, 0x33));
  });
});

test('shows the configuration of QEMU’s virtio-blk for a disk of 2 GiB', () => {
  const { driver } = setup(createMemoryDisk(2048 * MIB));
  const words = Array.from({ length: 15 }, (_, i) => driver.readConfig(4 * i, 4));
  // As Linux read it on QEMU 7.2: capacity, seg_max, blk_size, writeback, discard and write-zeroes limits.
  expect([words[0], words[1], words[3], words[5]]).toEqual([0x40_0000, 0, 0xfe, 0x200]);
  expect([words[8], words[9], words[10], words[11], words[12]]).toEqual([0x1_0001, 0x3f_ffff, 1, 1, 0x3f_ffff]);
});
