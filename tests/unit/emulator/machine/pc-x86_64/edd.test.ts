/** EDD entries as they were read out of QEMU 7.2's memory (q35, direct boot) after the kernel's real-mode code had asked SeaBIOS. */
import { expect, test } from 'vitest';
import { type BiosDisk, buildEdd } from '../../../../../emulator/machine/pc-x86_64/edd.ts';

const MIB = 2048;

test.each<[string, readonly BiosDisk[], readonly Record<string, number>[]]>([
  [
    'virtio disks of 640 MiB and 20 MiB in PCI slots 2 and 3',
    [
      { kind: 'virtio', device: 2, sectors: 640 * MIB },
      { kind: 'virtio', device: 3, sectors: 20 * MIB },
    ],
    [
      {
        device: 0x80,
        cylinder: 648,
        head: 31,
        spt: 63,
        length: 0x1e,
        flags: 2,
        cylinders: 1300,
        key: 0xbedd,
        sum: 0x89,
      },
      { device: 0x81, cylinder: 38, head: 15, spt: 63, length: 0x1e, flags: 2, cylinders: 40, key: 0xbedd, sum: 0x88 },
    ],
  ],
  [
    'a SATA disk of 640 MiB before a virtio disk of 20 GiB in PCI slot 3',
    [
      { kind: 'virtio', device: 3, sectors: 20 * 1024 * MIB },
      { kind: 'ata', device: 0, sectors: 640 * MIB },
    ],
    [
      { device: 0x80, cylinder: 648, head: 31, spt: 63, length: 0x1a, flags: 2, cylinders: 1300, key: 0, sum: 0 },
      {
        device: 0x81,
        cylinder: 1022,
        head: 254,
        spt: 63,
        length: 0x1e,
        flags: 0,
        cylinders: 16_383,
        key: 0xbedd,
        sum: 0x88,
      },
    ],
  ],
])('%s', (_, disks, expected) => {
  const bytes = Buffer.from(buildEdd(disks));
  const entries = expected.map((__, i) => {
    const entry = bytes.subarray(82 * i, 82 * (i + 1));
    return {
      device: entry[0],
      cylinder: entry.readUInt16LE(4),
      head: entry[6],
      spt: entry[7],
      length: entry.readUInt16LE(8),
      flags: entry.readUInt16LE(10),
      cylinders: entry.readUInt32LE(12),
      key: entry.readUInt16LE(38),
      sum: entry[81],
    };
  });
  expect(bytes.length).toBe(82 * expected.length);
  expect(entries).toEqual(expected);
});
