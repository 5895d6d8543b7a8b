import { describe, expect, test } from 'vitest';

import {
  fdtNode,
  findNode,
  findProperty,
  parseFdt,
  propertyStrings,
  strings,
} from '../../../../../capture/formats/fdt.ts';
import { VirtBoard } from '../../../../../emulator/machine/virt-aarch64/board.ts';
import { buildTree } from '../../../../../emulator/machine/virt-aarch64/device-tree.ts';
import { LAYOUT } from '../../../../../emulator/machine/virt-aarch64/layout.ts';
import { completeDeviceTree } from '../../../../../emulator/machine/virt-aarch64/supplied-device-tree.ts';

const CONFIG = {
  cpu: 'cortex-a57',
  cpuCount: 1,
  memoryBytes: 2 ** 20,
  gicVersion: 3,
  its: true,
  virtualization: false,
  seeds: false,
  drives: [],
  consoleOutput: () => undefined,
  epochSeconds: 0,
} as const;

describe('the board', () => {
  const board = new VirtBoard({
    ...CONFIG,
    devices: [
      { type: 'rng', bus: 'pci' },
      { type: 'pvpanic', report: () => undefined },
      { type: 'rng', bus: 'mmio' },
    ],
  });

  test('has flash that reads as zeros', () => {
    expect(board.bus.read(LAYOUT.FLASH.base, 4)).toBe(0);
  });

  test('has fw_cfg, whose first item is the signature', () => {
    const { base } = LAYOUT.FW_CFG;
    board.bus.write(base + 8, 0, 2);
    expect(board.bus.read(base, 4)).toBe(Buffer.from('QEMU').readUInt32LE());
  });

  test.each([
    [1, 0x1005_1af4],
    [2, 0x0011_1b36],
  ])('has PCI functions from slot 1 on, in the order of the configuration: slot %i', (slot, id) => {
    expect(board.bus.read(LAYOUT.PCIE_ECAM.base + slot * 0x8000, 4)).toBe(id);
  });

  test('has the first virtio-mmio device in the last transport', () => {
    const DEVICE_ID = 8;
    const ENTROPY = 4;
    const last = LAYOUT.VIRTIO_MMIO.base + 31 * LAYOUT.VIRTIO_MMIO.size;
    expect(board.bus.read(last + DEVICE_ID, 4)).toBe(ENTROPY);
  });
});

test("a supplied device tree gets the machine's memory, command line and initrd, and keeps the rest", () => {
  const { seeds: _, ...hardware } = CONFIG;
  const root = buildTree({
    ...hardware,
    cpuCompatible: 'arm,cortex-a57',
    pmu: true,
    psciMethod: 'hvc',
    bootargs: 'old',
  });
  root.children.push(fdtNode('mine', [['compatible', strings('x,y')]]));
  const bytes = completeDeviceTree(
    { root, reservations: [], bootCpu: 0 },
    { memoryBytes: 2 ** 28, bootargs: 'new', initrd: { start: 0x4400_0000, end: 0x4500_0000 } },
  );
  const tree = parseFdt(bytes).root;
  const chosen = findNode(tree, '/chosen')!;
  expect(propertyStrings(findProperty(chosen, 'bootargs')!)).toEqual(['new']);
  expect(Buffer.from(findProperty(chosen, 'linux,initrd-end')!).readBigUInt64BE()).toBe(0x4500_0000n);
  expect(Buffer.from(findProperty(findNode(tree, '/memory@40000000')!, 'reg')!).readBigUInt64BE(8)).toBe(2n ** 28n);
  expect(tree.children.filter(({ name }) => name.startsWith('memory'))).toHaveLength(1);
  expect(findNode(tree, '/mine')).toBeDefined();
});
