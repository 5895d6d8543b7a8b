import { describe, expect, test } from 'vitest';
import {
  affinityOf,
  chooseLoadAddresses,
  LAYOUT,
  VIRTIO_MMIO_COUNT,
} from '../../../../../emulator/machine/virt-aarch64/layout.ts';

const MIB = 2 ** 20;

describe('layout of virt', () => {
  test('has no regions that overlap', () => {
    const { VIRTIO_MMIO, ...others } = LAYOUT;
    const regions = [...Object.values(others), { base: VIRTIO_MMIO.base, size: VIRTIO_MMIO.size * VIRTIO_MMIO_COUNT }];
    const sorted = regions.toSorted((a, b) => a.base - b.base);
    for (const [i, region] of sorted.slice(1).entries()) {
      const before = sorted[i]!;
      expect(region.base).toBeGreaterThanOrEqual(before.base + before.size);
    }
  });

  test.each([
    // QEMU 7.2 -d guest_errors,… -initrd: kernel at 2 MiB, initrd at half of RAM or 128 MiB, device tree behind it.
    { memory: 512, textOffset: 0, initrd: 20 * MIB, at: [0x4020_0000, 0x4800_0000, 0x4940_0000] },
    { memory: 128, textOffset: 0, initrd: 1, at: [0x4020_0000, 0x4400_0000, 0x4420_0000] },
    { memory: 2048, textOffset: 0x8_0000, initrd: 2 * MIB, at: [0x4008_0000, 0x4800_0000, 0x4820_0000] },
  ])('puts kernel, initrd and device tree where QEMU does, with $memory MiB', ({ memory, textOffset, initrd, at }) => {
    expect(Object.values(chooseLoadAddresses(memory * MIB, textOffset, initrd))).toEqual(at);
  });

  test('numbers CPUs in clusters', () => {
    expect([0, 7, 8].map(cpu => affinityOf(cpu, 2))).toEqual([0, 7, 0x100]);
    expect([0, 15, 16].map(cpu => affinityOf(cpu, 3))).toEqual([0, 15, 0x100]);
  });
});
