/** Registers of the small PrimeCells of `virt` against QEMU's, at reset and after writes. */
import { describe, expect, test } from 'vitest';
import { Pl011 } from '../../../../emulator/devices/pl011.ts';
import { Pl031 } from '../../../../emulator/devices/pl031.ts';
import { Pl061 } from '../../../../emulator/devices/pl061.ts';
import { Bus } from '../../../../emulator/memory/bus.ts';
import { busAccesses, differencesOf } from '../../../support/bus-accesses.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const [UART, RTC, GPIO] = [0x900_0000, 0x901_0000, 0x903_0000];

function readPage(base: number, last: number, except: readonly number[]): Access[] {
  const list: Access[] = [];
  for (let offset = 0; offset <= last; offset += 4) if (!except.includes(offset)) list.push(['read', base + offset, 4]);
  for (let offset = 0xfe0; offset < 0x1000; offset += 4) list.push(['read', base + offset, 4]);
  return list;
}

/** Writes each value to each of the registers, and reads the page after each round. */
function script(base: number, registers: readonly number[], last: number, except: readonly number[]): Access[] {
  const list = readPage(base, last, except);
  for (const value of [0xff, 0x5a, 0xa5, 0]) {
    for (const offset of registers) list.push(['write', base + offset, 4, value]);
    list.push(...readPage(base, last, except));
  }
  return list;
}

const CASES = [
  // ILPR, IBRD, IMSC, ICR. QEMU keeps the reserved bits of FBRD and IFLS.
  { name: 'PL011', accesses: script(UART, [0x20, 0x24, 0x38, 0x44], 0x44, [0x28]) },
  // MR, LR, IMSC, ICR. DR runs.
  { name: 'PL031', accesses: script(RTC, [0x10, 0x1c], 0x1c, [0, 8]) },
  { name: 'PL061', accesses: script(GPIO, [0x400, 0x404, 0x408, 0x40c, 0x410, 0x41c], 0x41c, []) },
];

describe.skipIf(!isInstalled(QEMU))(`PrimeCells beside ${QEMU}`, () => {
  test.each(CASES)('$name', async ({ accesses }) => {
    const theirs = await qtestAccesses(QEMU, ['-M', 'virt', '-m', '64', '-cpu', 'cortex-a57'], accesses);
    const clock = new ManualClock();
    const bus = new Bus('mmio');
    bus.map(UART, 0x1000, new Pl011({ interrupt: new FakeLine(), clock, output: () => undefined }));
    bus.map(RTC, 0x1000, new Pl031({ interrupt: new FakeLine(), clock, epochSeconds: 1 }));
    bus.map(GPIO, 0x1000, new Pl061(new FakeLine()));
    const ours = busAccesses(bus, accesses);
    expect(differencesOf(accesses, ours, theirs)).toEqual([]);
  });
});
