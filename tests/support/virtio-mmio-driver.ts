/** Linux drivers/virtio/virtio_mmio.c, both versions. */
import type { Device } from '../../emulator/memory/device.ts';
import type { DriverTransport, GuestQueue } from './virtio-driver.ts';

/** @param version 1 (legacy) or 2 */
export function mmioDriver(device: Device, version: 1 | 2): DriverTransport {
  const read = (offset: number): number => device.read(offset, 4);
  const write = (offset: number, value: number): void => device.write(offset, value, 4);
  const word = (select: number): bigint => {
    write(0x14, select);
    return BigInt(read(0x10));
  };
  const acceptWord = (select: number, value: bigint): void => {
    write(0x24, select);
    write(0x20, Number(value & 0xffff_ffffn));
  };
  const address = (offset: number, paddr: number): void => {
    write(offset, paddr % 2 ** 32);
    write(offset + 4, Math.floor(paddr / 2 ** 32));
  };
  const setUpQueue = (index: number, queue: GuestQueue): void => {
    write(0x30, index);
    if (read(version === 1 ? 0x40 : 0x44) !== 0) throw new Error('queue is in use');
    if (read(0x34) < queue.size) throw new Error('queue is too small');
    write(0x38, queue.size);
    if (version === 1) {
      write(0x3c, 4096);
      write(0x40, queue.desc / 4096);
    } else {
      address(0x80, queue.desc);
      address(0x90, queue.avail);
      address(0xa0, queue.used);
      write(0x44, 1);
    }
  };
  if (read(0) !== 0x7472_6976 || read(4) !== version) throw new Error('not this transport');
  if (version === 1) write(0x28, 4096);
  return {
    isLegacy: version === 1,
    offeredFeatures: () => (word(1) << 32n) | word(0),
    acceptFeatures: features => {
      acceptWord(1, features >> 32n);
      acceptWord(0, features);
    },
    setStatus: status => write(0x70, status),
    status: () => read(0x70),
    setUpQueue,
    notify: index => write(0x50, index),
    takeInterrupt: () => {
      const cause = read(0x60);
      write(0x64, cause);
      return cause;
    },
    readConfig: (offset, width) => device.read(0x100 + offset, width),
  };
}
