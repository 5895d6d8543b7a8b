/** Every register of our GICv3 against QEMU's, at reset and after pseudo-random writes. */
import { describe, expect, test } from 'vitest';
import { Gicv3 } from '../../../../../emulator/devices/gicv3/gicv3.ts';
import { Gicv3Its } from '../../../../../emulator/devices/gicv3/its.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { busAccesses, differencesOf } from '../../../../support/bus-accesses.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const OPTIONS = ['-M', 'virt,gic-version=3', '-cpu', 'cortex-a57', '-smp', '2', '-m', '128'];
const [GICD, GITS, GICR] = [0x800_0000, 0x808_0000, 0x80a_0000];
const FRAME = 0x10000;

function board(): Bus {
  const memory = new ArrayMemory(0x100000, 0x4000_0000);
  const irq = [new FakeLine(), new FakeLine()];
  const gic = new Gicv3({ affinities: [0, 1], spiCount: 224, irq, fiq: irq, memory });
  const bus = new Bus('mmio');
  bus.map(GICD, FRAME, gic.distributor);
  bus.map(GITS, 2 * FRAME, new Gicv3Its(gic.core, memory));
  bus.map(GICR, 4 * FRAME, gic.redistributors);
  return bus;
}

/** QEMU has 256 SPIs and announces 224 of them, and keeps the reserved bits of GICD_IROUTER. */
function differsInDistributor(offset: number): boolean {
  const isBitOfLastSpis = offset >= 0x80 && offset < 0x400 && (offset & 0x7f) === 0x20;
  const isPriorityOfLastSpis = offset >= 0x500 && offset < 0x520;
  const isConfigOfLastSpis = offset === 0xc40 || offset === 0xc44;
  return isBitOfLastSpis || isPriorityOfLastSpis || isConfigOfLastSpis || (offset >= 0x6000 && offset < 0x8000);
}

/** QEMU keeps reserved bits of GITS_CBASER, GITS_CWRITER and GITS_CREADR, and shows GICR_PENDBASER.PTZ. */
const KEEPS_MORE_BITS = new Set([0x80, 0x88, 0x8c, 0x90, 0x94].map(offset => GITS + offset));
for (const offset of [0x7c, 0x2007c]) KEEPS_MORE_BITS.add(GICR + offset);

function reads(): Access[] {
  const list: Access[] = [];
  for (const base of [GICD, GICR, GICR + FRAME, GICR + 2 * FRAME, GICR + 3 * FRAME, GITS])
    for (let offset = 0; offset < FRAME; offset += 4) {
      const differs = (base === GICD && differsInDistributor(offset)) || KEEPS_MORE_BITS.has(base + offset);
      if (!differs) list.push(['read', base + offset, 4]);
    }
  for (let i = 0; i < 0x40; i++) list.push(['read', GICD + 0x420 + i, 1], ['read', GICR + FRAME + 0x400 + (i & 31), 1]);
  return list;
}

function noise(seed: number): number {
  return (0xa5a5_a5a5 ^ Math.imul(seed, 0x9e37_79b1)) >>> 0;
}

function writes(): Access[] {
  const list: Access[] = [];
  for (let offset = 4; offset < 0x6000; offset += 4) list.push(['write', GICD + offset, 4, noise(offset)]);
  list.push(['write', GICD, 4, 0xffff_ffff]);
  for (let frame = 0; frame < 4; frame++)
    for (let offset = 4; offset < 0xd00; offset += 4)
      list.push(['write', GICR + frame * FRAME + offset, 4, noise(offset + frame)]);
  for (let offset = 0x100; offset < 0x140; offset += 8)
    list.push(['write', GITS + offset, 8, BigInt(noise(offset)) * 0x1_0000_0001n]);
  for (let n = 0; n < 32; n++) list.push(['write', GICD + 0x400 + 32 + n, 1, noise(n) & 0xff]);
  return list;
}

describe.skipIf(!isInstalled(QEMU))(`GICv3 beside ${QEMU}`, () => {
  test('every register reads the same at reset and after random writes', async () => {
    const accesses = [...reads(), ...writes(), ...reads()];
    const theirs = await qtestAccesses(QEMU, OPTIONS, accesses);
    const ours = busAccesses(board(), accesses);
    expect(differencesOf(accesses, ours, theirs)).toEqual([]);
  });
});
