import { describe, expect, test } from 'vitest';
import { GedEvents, GedRegisters } from '../../../../emulator/devices/acpi-ged.ts';
import { ResetPort } from '../../../../emulator/devices/acpi-pm.ts';
import { DebugExit } from '../../../../emulator/devices/debug-exit.ts';
import { Port92 } from '../../../../emulator/devices/port-92.ts';
import { EmptyFlash } from '../../../../emulator/devices/empty-flash.ts';
import { I8042 } from '../../../../emulator/devices/i8042.ts';
import { FakeLine } from '../../../support/fake-line.ts';

function setup() {
  const line = new FakeLine();
  const resets: string[] = [];
  const controller = new I8042(line, () => resets.push('reset'));
  /** Linux drivers/input/serio/i8042.c: __i8042_command. */
  const command = (code: number, answers: number, ...data: number[]): number[] => {
    controller.write(4, code, 1);
    for (const byte of data) controller.write(0, byte, 1);
    return Array.from({ length: answers }, () => {
      expect(controller.read(4, 1) & 1).toBe(1);
      return controller.read(0, 1);
    });
  };
  return { line, resets, controller, command };
}

describe('i8042', () => {
  test('passes Linux’s controller checks, and has no mouse', () => {
    const { command, controller } = setup();
    expect(command(0xaa, 1)).toEqual([0x55]);
    const [ctr] = command(0x20, 1);
    command(0x60, 0, ctr! & ~3);
    expect(command(0x20, 1)).toEqual([ctr! & ~3]);
    expect(command(0xab, 1)).toEqual([0]);
    expect(command(0xa9, 1)).not.toEqual([0]);
    expect(controller.read(4, 1) & 1).toBe(0);
  });

  test('its keyboard answers as atkbd_probe expects', () => {
    const { controller, line } = setup();
    controller.write(0, 0xf2, 1);
    expect(line.level).toBe(true);
    expect(Array.from({ length: 3 }, () => controller.read(0, 1))).toEqual([0xfa, 0xab, 0x41]);
    expect(line.level).toBe(false);
    controller.write(0, 0xff, 1);
    expect([controller.read(0, 1), controller.read(0, 1)]).toEqual([0xfa, 0xaa]);
  });

  test('pulses the reset line', () => {
    const { controller, resets } = setup();
    controller.write(4, 0xfe, 1);
    expect(resets).toEqual(['reset']);
  });

  test('continues from a saved state', () => {
    const first = setup();
    first.controller.write(0, 0xf2, 1);
    const second = setup();
    second.controller.restore(first.controller.save());
    expect([second.line.level, second.controller.read(0, 1)]).toEqual([true, 0xfa]);
  });
});

describe('power and reset of PCs', () => {
  test('the reset port resets on bit 2', () => {
    const resets: number[] = [];
    const port = new ResetPort(() => resets.push(1));
    port.write(0, 0x02, 1);
    expect([resets.length, port.read()]).toEqual([0, 2]);
    port.write(0, 0x06, 1);
    expect(resets).toHaveLength(1);
  });

  test('microvm’s sleep and reset registers take what its FADT and \\_S5 say', () => {
    const seen: string[] = [];
    const registers = new GedRegisters(
      () => seen.push('off'),
      () => seen.push('reset'),
    );
    registers.write(0, 5 << 2, 1);
    registers.write(2, 0x41, 1);
    expect(seen).toEqual([]);
    registers.write(0, (1 << 5) | (5 << 2), 1);
    registers.write(2, 0x42, 1);
    expect(seen).toEqual(['off', 'reset']);
  });

  test('microvm’s event selector tells a power-down once', () => {
    const line = new FakeLine();
    const events = new GedEvents(line);
    events.pressPowerButton();
    expect([line.rises, events.read(), events.read()]).toEqual([1, 2, 0]);
  });
});

test('isa-debug-exit ends with an odd status', () => {
  const statuses: number[] = [];
  new DebugExit(status => statuses.push(status)).write(0, 0x10, 4);
  expect(statuses).toEqual([0x21]);
});

test('port 0x92 resets when bit 0 becomes 1', () => {
  let resets = 0;
  const port = new Port92(() => resets++);
  expect(port.read()).toBe(2);
  port.write(0, 3, 1);
  port.write(0, 3, 1);
  expect([resets, port.read()]).toEqual([1, 3]);
  const copy = new Port92(() => resets++);
  copy.restore(port.save());
  copy.write(0, 2, 1);
  copy.write(0, 1, 1);
  expect(resets).toBe(2);
});

test('empty flash answers no CFI query', () => {
  const flash = new EmptyFlash();
  flash.write();
  expect(flash.read()).toBe(0);
});
