/**
 * All time sources of a PC tell the same time, whatever the guest does: they are read together at odd moments, each is turned into
 * nanoseconds by its own rate, and none may be further off than its own tick.
 */
import { describe, expect, test } from 'vitest';
import { PcBoard } from '../../../../../emulator/machine/pc-x86_64/board.ts';
import { LAYOUT, PORT } from '../../../../../emulator/machine/pc-x86_64/layout.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { Random } from '../../../../support/random.ts';

const MIB = 2 ** 20;
const SECOND = 1e9;
const PM_TIMER = PORT.ACPI_PM.base + 8;
const { HPET, LOCAL_APIC } = LAYOUT;

/** A clock as the guest reads it. */
interface Reading {
  readonly name: string;
  /** Nanoseconds of one tick. */
  readonly tickNs: number;
  /** Ticks until it begins again. */
  readonly period: number;
  readonly ticks: () => number;
}

/** An infinite loop, or a CPU that sleeps with interrupts off. */
const GUESTS = { busy: [0xf3, 0x90, 0xeb, 0xfc], asleep: [0xfa, 0xf4, 0xeb, 0xfd] } as const;

function setup(code: readonly number[]) {
  const board = new PcBoard({
    board: 'q35',
    cpu: 'qemu64',
    cpuCount: 2,
    memoryBytes: 32 * MIB,
    drives: [],
    consoleOutput: () => undefined,
    epochSeconds: 0,
  });
  const bytes = Uint8Array.from(code);
  board.load({
    segments: [{ name: 'program', paddr: MIB, bytes, memorySize: bytes.length }],
    entry: { architecture: 'x86_64', mode: 'protected32', rip: MIB, rsi: 0, rbx: 0 },
  });
  const ports = new Bus('ports');
  for (const { region, device } of board.chipset.portDevices) ports.map(region.base, region.size, device);
  return { board, ports };
}

/** Starts every clock, as a kernel would, and tells how to read them. */
function startClocks({ board, ports }: ReturnType<typeof setup>): readonly Reading[] {
  const { bus } = board;
  bus.write(HPET.base + 0x10, 1, 4); // general configuration: enable
  for (const [offset, value] of [
    [0xf0, 0x1ff], // spurious-interrupt vector: software enable
    [0x3e0, 0xb], // divide by 1
    [0x320, 0x3_0020], // LVT timer: periodic, masked
    [0x380, 0xffff_ffff],
  ] as const)
    bus.write(LOCAL_APIC.base + offset, value, 4);
  ports.write(PORT.PIT.base + 3, 0x34, 1); // counter 0: rate generator
  ports.write(PORT.PIT.base, 0, 1);
  ports.write(PORT.PIT.base, 0, 1); // 65536
  const pitTicks = (): number => {
    ports.write(PORT.PIT.base + 3, 0x00, 1); // latch
    return (65_536 - (ports.read(PORT.PIT.base, 1)! + ports.read(PORT.PIT.base, 1)! * 256)) % 65_536;
  };
  const rtc = (register: number): number => {
    ports.write(PORT.RTC.base, register, 1);
    const bcd = ports.read(PORT.RTC.base + 1, 1)!;
    return (bcd >> 4) * 10 + (bcd & 0xf);
  };
  return [
    { name: 'TSC', tickNs: 1, period: Infinity, ticks: () => Number(board.cpus[0]!.timestamp()) },
    { name: 'HPET', tickNs: 10, period: 2 ** 32, ticks: () => bus.read(HPET.base + 0xf0, 4)! },
    { name: 'PM timer', tickNs: SECOND / 3_579_545, period: 2 ** 24, ticks: () => ports.read(PM_TIMER, 4)! },
    {
      name: 'local APIC',
      tickNs: 1,
      period: 2 ** 32 - 1,
      ticks: () => 0xffff_ffff - bus.read(LOCAL_APIC.base + 0x390, 4)!,
    },
    { name: 'PIT', tickNs: SECOND / 1_193_182, period: 65_536, ticks: pitTicks },
    { name: 'RTC', tickNs: SECOND, period: 3600, ticks: () => rtc(2) * 60 + rtc(0) },
  ];
}

/** How far a clock is from the time, the short way round its period. */
function deviation({ tickNs, period, ticks }: Reading, sinceStart: number): number {
  const shown = ticks() * tickNs;
  if (period === Infinity) return shown - sinceStart;
  const whole = period * tickNs;
  const difference = (((shown - sinceStart) % whole) + whole) % whole;
  return difference > whole / 2 ? difference - whole : difference;
}

describe.each(['busy', 'asleep'] as const)('on a PC whose CPU is %s', guest => {
  test('TSC, HPET, PM timer, local APIC timer, PIT and RTC agree at every moment', async () => {
    const all = setup(GUESTS[guest]);
    const { machine } = all.board;
    const clocks = startClocks(all);
    const start = machine.guestNs;
    const random = new Random(20_260_101);
    for (let i = 0; i < 100; i++) {
      // a few long sleeps cross the periods of the PIT, the PM timer and the RTC
      const stepNs = guest === 'asleep' && i % 10 === 0 ? random.below(2 * SECOND) : random.below(100_000);
      await machine.run(machine.guestNs + 1 + stepNs);
      const now = machine.guestNs - start;
      for (const clock of clocks) {
        const off = deviation(clock, now);
        expect(Math.abs(off), `${clock.name} after ${now} ns`).toBeLessThanOrEqual(clock.tickNs + 1);
      }
    }
  });
});
