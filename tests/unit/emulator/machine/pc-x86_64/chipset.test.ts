import { describe, expect, test } from 'vitest';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { VirtioBlock } from '../../../../../emulator/devices/virtio/block.ts';
import { VirtioPciFunction } from '../../../../../emulator/devices/virtio/pci-transport.ts';
import { ALL_PARTS } from '../../../../../emulator/machine/pc-x86_64/board-config.ts';
import { PcChipset } from '../../../../../emulator/machine/pc-x86_64/chipset.ts';
import { type PcBoard, ramRanges } from '../../../../../emulator/machine/pc-x86_64/layout.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const MIB = 2 ** 20;
const [IO_APIC, IO_APIC2, LAPIC, HPET] = [0xfec0_0000, 0xfec1_0000, 0xfee0_0000, 0xfed0_0000];

function setup(board: PcBoard, memoryBytes = 512 * MIB) {
  const clock = new ManualClock();
  const events: string[] = [];
  const lines = [new FakeLine(), new FakeLine()];
  const cpus = lines.map((interrupt, id) => ({
    interrupt,
    nmi: () => events.push(`nmi ${id}`),
    init: () => events.push(`init ${id}`),
    startup: () => events.push(`startup ${id}`),
  }));
  const chipset = new PcChipset({
    board,
    parts: ALL_PARTS,
    clock,
    memory: new ArrayMemory(MIB),
    memoryBytes,
    cpus,
    tscHz: 1_000_000_000,
    currentCpu: () => 0,
    localApicMoved: () => undefined,
    consoleOutput: byte => events.push(`out ${String.fromCharCode(byte)}`),
    epochSeconds: 0,
    fwCfgFiles: [],
    virtio: board === 'microvm' ? [new VirtioBlock(createMemoryDisk(MIB))] : [],
    powerOff: () => events.push('off'),
    resetMachine: () => events.push('reset'),
    ataDisks: [],
    isaDevices: [{ type: 'pvpanic-isa', report: event => events.push(event) }, { type: 'isa-debug-exit' }],
    debugExit: status => events.push(`exit ${status}`),
  });
  const memory = new Bus('memory');
  const ports = new Bus('ports');
  for (const { region, device } of chipset.memoryDevices) memory.map(region.base, region.size, device);
  for (const { region, device } of chipset.portDevices) ports.map(region.base, region.size, device);
  memory.write(LAPIC + 0xf0, 0x1ff, 4);
  const redirect = (ioApic: number, pin: number, low: number): void => {
    memory.write(ioApic, 0x10 + 2 * pin, 4);
    memory.write(ioApic + 0x10, low, 4);
  };
  const [apic] = chipset.interrupts.localApics;
  /** Takes an interrupt and ends it. */
  const take = (): number => {
    const vector = apic!.acknowledge();
    memory.write(LAPIC + 0xb0, 0, 4);
    return vector;
  };
  return { chipset, clock, events, lines, memory, ports, redirect, take };
}

describe.each(['q35', 'microvm'] as const)('chip set of %s', board => {
  test.each([512, 2816, 3072])('has no device where RAM of %i MiB is', mib => {
    const { chipset } = setup(board, mib * MIB);
    for (const range of ramRanges(board, mib * MIB))
      for (const { region } of chipset.memoryDevices)
        expect(region.base >= range.end || region.base + region.size <= range.start).toBe(true);
  });

  test('sends the serial port’s interrupt through the I/O APIC', () => {
    const { ports, redirect, take, events } = setup(board);
    redirect(IO_APIC, 4, 0x34);
    ports.write(0x3f9, 2, 1);
    expect(take()).toBe(0x34);
    ports.write(0x3f8, 0x41, 1);
    expect(events).toEqual(['out A']);
  });

  test('sends the timer’s interrupt to the pin that the MADT says', () => {
    const { ports, redirect, take, clock } = setup(board);
    redirect(IO_APIC, board === 'q35' ? 2 : 0, 0x30);
    ports.write(0x43, 0x34, 1);
    ports.write(0x40, 0xa9, 1);
    ports.write(0x40, 0x04, 1);
    clock.advance(1_100_000);
    expect(take()).toBe(0x30);
  });

  test('sends legacy interrupts through the 8259 pair and LINT0', () => {
    const { ports, memory, take } = setup(board);
    memory.write(LAPIC + 0x350, 0x700, 4);
    for (const [base, vector, cascade] of [
      [0x20, 0x30, 4],
      [0xa0, 0x38, 2],
    ] as const) {
      ports.write(base, 0x11, 1);
      for (const word of [vector, cascade, 1, 0]) ports.write(base + 1, word, 1);
    }
    ports.write(0x3f9, 2, 1);
    expect(take()).toBe(0x34);
  });

  test('reports panic and debug exit', () => {
    const { ports, events } = setup(board);
    ports.write(0x505, 1, 1);
    ports.write(0x501, 0, 1);
    expect(events).toEqual(['panicked', 'exit 1']);
  });
});

describe('q35', () => {
  test('the HPET takes the timer’s place, and gives it back', () => {
    const { ports, memory, redirect, take, clock } = setup('q35');
    redirect(IO_APIC, 2, 0x30);
    ports.write(0x43, 0x36, 1);
    ports.write(0x40, 0, 1);
    ports.write(0x40, 0, 1);
    take();
    memory.write(HPET + 0x100, 0x14c, 4);
    memory.write(HPET + 0x108, 100_000, 4);
    memory.write(HPET + 0x108, 100_000, 4);
    memory.write(HPET + 0x10, 3, 4);
    clock.advance(1_000_000);
    expect(take()).toBe(0x30);
    memory.write(HPET + 0x10, 0, 4);
    clock.advance(60_000_000);
    expect(take()).toBe(0x30);
  });

  test('routes INTx to pins 20 to 23 as the DSDT says, and MSIs to local APICs', () => {
    const { chipset, memory, ports, redirect, take } = setup('q35');
    const { pci } = chipset;
    pci!.plug(2, new VirtioPciFunction(new VirtioBlock(createMemoryDisk(MIB)), new ArrayMemory(16)));
    ports.write(0xcf8, 0x8000_1000, 4);
    expect([ports.read(0xcfc, 4), memory.read(0xb001_0000, 4)]).toEqual([0x1001_1af4, 0x1001_1af4]);
    const line = chipset.interrupts.gsiLine(20 + 2); // device 2, INTA
    redirect(IO_APIC, 22, 0xa041);
    line.set(true);
    expect(take()).toBe(0x41);
    line.set(false);
    chipset.interrupts.bus.send(0xfee0_0000, 0x52);
    expect(take()).toBe(0x52);
  });

  test('powers off and resets by the ports that the FADT names', () => {
    const { ports, events, chipset } = setup('q35');
    ports.write(0x604, 0x2000, 2);
    ports.write(0xcf9, 0x0f, 1);
    ports.write(0x64, 0xfe, 1);
    expect(events).toEqual(['off', 'reset', 'reset']);
    ports.write(0x602, 0x100, 2);
    chipset.pressPowerButton();
    expect(ports.read(0x600, 2)).toBe(0x100);
  });

  test('saves and restores every device', () => {
    const first = setup('q35');
    first.ports.write(0x3ff, 0x5a, 1);
    first.ports.write(0xcf8, 0x8000_0800, 4);
    first.redirect(IO_APIC, 4, 0x34);
    first.redirect(IO_APIC, 2, 0x30);
    first.ports.write(0x43, 0x36, 1);
    first.ports.write(0x40, 0, 1);
    first.ports.write(0x40, 0, 1);
    first.take();
    first.memory.write(HPET + 0x10, 3, 4);
    const second = setup('q35');
    const [from, to] = [first.chipset.devices, second.chipset.devices];
    for (const [i, device] of to.entries()) device.restore(from[i]!.save());
    expect(to.map(device => device.save())).toEqual(from.map(device => device.save()));
    expect(second.take()).toBe(first.take());
    expect([second.ports.read(0x3ff, 1), second.ports.read(0xcf8, 4)]).toEqual([0x5a, 0x8000_0800]);
  });
});

describe('microvm', () => {
  test('has its disk on the last transport, with an interrupt on the second I/O APIC', () => {
    const { memory, chipset, redirect, take } = setup('microvm');
    expect([memory.read(0xfeb0_2e08, 4), memory.read(0xfeb0_2c08, 4)]).toEqual([2, 0]);
    redirect(IO_APIC2, 23, 0xa061);
    chipset.interrupts.gsiLine(24 + 23).set(true);
    expect(take()).toBe(0x61);
  });

  test('powers off and resets by the registers that the FADT names', () => {
    const { memory, events, chipset } = setup('microvm');
    memory.write(0xfea0_0200, 0x34, 1);
    memory.write(0xfea0_0202, 0x42, 1);
    expect(events).toEqual(['off', 'reset']);
    chipset.pressPowerButton();
    expect(memory.read(0xfea0_0000, 4)).toBe(2);
  });
});
