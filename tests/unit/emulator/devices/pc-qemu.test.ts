/** Registers of PC devices against QEMU's q35, at reset and after writes. Its clock stands still. */
import { describe, expect, test } from 'vitest';
import { ApicBus } from '../../../../emulator/devices/apic/messages.ts';
import { IoApic } from '../../../../emulator/devices/apic/io-apic.ts';
import { Hpet } from '../../../../emulator/devices/hpet.ts';
import { I8254 } from '../../../../emulator/devices/i8254.ts';
import { I8259Pair } from '../../../../emulator/devices/i8259.ts';
import { Mc146818 } from '../../../../emulator/devices/mc146818.ts';
import { Ns16550 } from '../../../../emulator/devices/ns16550.ts';
import { Bus } from '../../../../emulator/memory/bus.ts';
import { busAccesses, differencesOf } from '../../../support/bus-accesses.ts';
import { FakeLine } from '../../../support/fake-line.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../support/qtest.ts';

const QEMU = 'qemu-system-x86_64';
const EPOCH = '2026-01-31T23:59:58';

function board(): { memory: Bus; ports: Bus } {
  const clock = new ManualClock();
  const memory = new Bus('memory');
  const ports = new Bus('ports');
  const pic = new I8259Pair(new FakeLine());
  const apic = new IoApic(new ApicBus());
  ports.map(0x20, 2, pic.masterPorts);
  ports.map(0xa0, 2, pic.slavePorts);
  ports.map(0x4d0, 2, pic.elcrPorts);
  ports.map(0x40, 4, new I8254(clock, new FakeLine()));
  const epochSeconds = Date.parse(`${EPOCH}Z`) / 1000;
  ports.map(0x70, 2, new Mc146818({ interrupt: pic.line(8), clock, epochSeconds }));
  ports.map(0x3f8, 8, new Ns16550({ interrupt: pic.line(4), clock, output: () => undefined }));
  memory.map(0xfec0_0000, 0x1000, apic);
  const lines = Array.from({ length: 24 }, () => new FakeLine());
  memory.map(0xfed0_0000, 0x400, new Hpet({ clock, lines, routes: 0xff_0104 }));
  return { memory, ports };
}

const cmos = (index: number): Access[] => [
  ['out', 0x70, 1, index],
  ['in', 0x71, 1],
];
const setCmos = (index: number, value: number): Access[] => [
  ['out', 0x70, 1, index],
  ['out', 0x71, 1, value],
];
const indexes = [...Array.from({ length: 14 }, (_, i) => i), 0x32];

const CASES: { name: string; accesses: Access[] }[] = [
  {
    name: 'serial port: reset values, scratch, divisor, line control',
    accesses: [
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((r): Access => ['in', 0x3f8 + r, 1]),
      ['out', 0x3ff, 1, 0x5a],
      ['in', 0x3ff, 1],
      ['out', 0x3fb, 1, 0x83],
      ['in', 0x3f8, 1],
      ['in', 0x3f9, 1],
      ['out', 0x3f8, 1, 1],
      ['out', 0x3f9, 1, 0],
      ['in', 0x3f8, 1],
      ['out', 0x3fb, 1, 3],
      ['in', 0x3fb, 1],
    ],
  },
  {
    name: 'serial port: transmitter interrupt comes and goes as 8250_core tests it',
    accesses: [
      ['out', 0x3f9, 1, 2],
      ['in', 0x3fa, 1],
      ['in', 0x3fa, 1],
      ['out', 0x3f8, 1, 0x41],
      ['in', 0x3fa, 1],
      ['in', 0x3fa, 1],
      ['out', 0x3fa, 1, 0xc7],
      ['in', 0x3fa, 1],
      ['out', 0x3f9, 1, 0],
      ['in', 0x3fa, 1],
      ['out', 0x3fa, 1, 0],
      ['in', 0x3fa, 1],
      ['in', 0x20, 1], // IRQ 4 was requested
    ],
  },
  {
    name: 'clock: date and registers',
    accesses: [
      ...indexes.flatMap(cmos),
      ...setCmos(11, 0x06),
      ...indexes.flatMap(cmos),
      ...setCmos(11, 0x00),
      ...indexes.flatMap(cmos),
    ],
  },
  {
    name: 'clock: setting it, as mc146818_set_time does',
    accesses: [
      ...setCmos(11, 0x82),
      ...setCmos(10, 0x76),
      ...setCmos(9, 0x31),
      ...setCmos(8, 0x02),
      ...setCmos(7, 0x28),
      ...setCmos(4, 0x12),
      ...setCmos(2, 0x34),
      ...setCmos(0, 0x56),
      ...indexes.flatMap(cmos),
      ...setCmos(11, 0x02),
      ...setCmos(10, 0x26),
      ...indexes.filter(i => i !== 6).flatMap(cmos), // the day of the week was not set
    ],
  },
  {
    name: 'interrupt controllers: initialisation as init_8259A does it',
    accesses: [
      ...[0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1].map((port): Access => ['in', port, 1]),
      ['out', 0x21, 1, 0xff],
      ['out', 0x20, 1, 0x11],
      ['in', 0x21, 1],
      ['out', 0x21, 1, 0x30],
      ['out', 0x21, 1, 4],
      ['out', 0x21, 1, 1],
      ['out', 0xa0, 1, 0x11],
      ['out', 0xa1, 1, 0x38],
      ['out', 0xa1, 1, 2],
      ['out', 0xa1, 1, 1],
      ['out', 0x21, 1, 0xfb],
      ['out', 0xa1, 1, 0xff],
      ['in', 0x21, 1],
      ['in', 0xa1, 1],
      ['out', 0x4d0, 1, 0xff],
      ['out', 0x4d1, 1, 0xff],
      ['in', 0x4d0, 1],
      ['in', 0x4d1, 1],
      ['out', 0x20, 1, 0x0b],
      ['in', 0x20, 1],
    ],
  },
  {
    name: 'timer: modes, counts, latches',
    accesses: [
      ['out', 0x43, 1, 0xb0],
      ['out', 0x42, 1, 0x34],
      ['out', 0x42, 1, 0x12],
      ['in', 0x42, 1],
      ['in', 0x42, 1],
      ['out', 0x43, 1, 0x34],
      ['out', 0x40, 1, 0x9c],
      ['out', 0x40, 1, 0x2e],
      ['out', 0x43, 1, 0x00], // latch
      ['in', 0x40, 1],
      ['in', 0x40, 1],
    ],
  },
  {
    name: 'I/O APIC: reset values, writable bits',
    accesses: Array.from({ length: 0x42 }, (_, i): Access[] => [
      ['write', 0xfec0_0000, 4, i],
      ['read', 0xfec0_0010, 4],
      // Masked, so that nothing is sent. QEMU keeps reserved bits, so they are not set.
      ['write', 0xfec0_0010, 4, i < 0x10 ? 0 : i % 2 === 0 ? 0x1_ffff : 0xff00_0000],
      ['read', 0xfec0_0010, 4],
      ['write', 0xfec0_0010, 4, i % 2 === 0 ? 0x1_0000 : 0],
      ['read', 0xfec0_0010, 4],
    ]).flat(),
  },
  {
    name: 'HPET: capabilities, reset values, comparators',
    accesses: [
      ...Array.from({ length: 0x60 }, (_, i): Access => ['read', 0xfed0_0000 + 4 * i, 4]),
      ['write', 0xfed0_0108, 4, 0x1234_5678],
      ['write', 0xfed0_010c, 4, 0x9abc],
      ['read', 0xfed0_0108, 4],
      ['read', 0xfed0_010c, 4],
      ['write', 0xfed0_00f0, 4, 0x1111],
      ['write', 0xfed0_00f4, 4, 0x2222],
      ['read', 0xfed0_00f0, 4],
      ['read', 0xfed0_00f4, 4],
      ['write', 0xfed0_0010, 4, 3],
      ['read', 0xfed0_0010, 4],
    ],
  },
];

describe.skipIf(!isInstalled(QEMU))(`PC devices beside ${QEMU}`, () => {
  test.each(CASES)('$name', async ({ accesses }) => {
    const options = ['-M', 'q35', '-m', '64', '-serial', 'null', '-rtc', `base=${EPOCH},clock=vm`];
    const theirs = await qtestAccesses(QEMU, options, accesses);
    const { memory, ports } = board();
    expect(differencesOf(accesses, busAccesses(memory, accesses, ports), theirs)).toEqual([]);
  });
});
