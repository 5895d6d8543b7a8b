import { expect, test } from 'vitest';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { PcBoard } from '../../../../../emulator/machine/pc-x86_64/board.ts';

const MIB = 2 ** 20;

test('BARs are where SeaBIOS puts them on QEMU: q35 with virtio-blk-pci, virtio-rng-pci and pvpanic-pci', () => {
  const board = new PcBoard({
    board: 'q35',
    cpu: 'qemu64',
    cpuCount: 1,
    memoryBytes: 64 * MIB,
    drives: [{ backend: createMemoryDisk(MIB), bus: 'pci' }],
    devices: [
      { type: 'rng', bus: 'pci' },
      { type: 'pvpanic', report: () => undefined },
    ],
    consoleOutput: () => undefined,
    epochSeconds: 0,
  });
  const code = { name: 'code', paddr: MIB, bytes: Uint8Array.of(0xf4), memorySize: 1 };
  board.load({
    segments: [code],
    entry: { architecture: 'x86_64', mode: 'protected32', rip: MIB, rsi: 0, rbx: 0 },
  });
  const placed = board.chipset.pci!.functions.flatMap(({ slot, pciFunction: { config } }) =>
    config
      .mappings()
      .map(
        ({ bar, address }) =>
          `${slot >> 3}.${slot & 7} BAR${bar.index} ${address.toString(16)} IRQ ${config.get(0x3c, 1)}`,
      ),
  );
  expect(placed).toEqual(EXPECTED);
});

/** `info pci` of QEMU 7.2 with these devices, `-vga none -nic none`, but for 64 I/O ports that QEMU's SMBus takes at 0xc080. */
const EXPECTED: readonly string[] = [
  '2.0 BAR0 c000 IRQ 11',
  '2.0 BAR1 febfc000 IRQ 11',
  '2.0 BAR4 febf4000 IRQ 11',
  '3.0 BAR0 c080 IRQ 11',
  '3.0 BAR1 febfd000 IRQ 11',
  '3.0 BAR4 febf8000 IRQ 11',
  '4.0 BAR0 febfe000 IRQ 0',
  '31.2 BAR4 c0a0 IRQ 10',
  '31.2 BAR5 febff000 IRQ 10',
];
