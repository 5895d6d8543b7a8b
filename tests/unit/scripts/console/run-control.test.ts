import { beforeEach, describe, expect, test } from 'vitest';

import type { BoardMachine, StopReason } from '../../../../emulator/index.ts';
import { runMonitorCommand } from '../../../../scripts/console/monitor.ts';
import { RunControl } from '../../../../scripts/console/run-control.ts';

/** A machine whose `run` ends when it is told to stop, or when the test says so. */
class FakeMachine {
  guestNs = 2e9;
  cpuCount = 1;
  instructions = 0;
  readonly limits: number[] = [];
  powerKey = 0;
  #end: ((stop: StopReason) => void) | undefined;
  #early: StopReason | undefined;

  run(untilNs: number): Promise<StopReason> {
    this.limits.push(untilNs);
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) return Promise.resolve(early);
    return new Promise(resolve => (this.#end = resolve));
  }

  stop(reason: StopReason): void {
    if (this.#end === undefined) this.#early = reason;
    this.#end?.(reason);
    this.#end = undefined;
  }

  pressPowerButton(): void {
    this.powerKey++;
  }
}

const machine = { current: new FakeMachine() };
let control: RunControl;
let events: string[];

beforeEach(() => {
  machine.current = new FakeMachine();
  control = new RunControl(machine.current as unknown as BoardMachine, []);
  events = [];
  control.events.listen(({ event }) => events.push(event));
});

/** Lets everything happen that waits for nothing. */
const settle = () => new Promise(resolve => setImmediate(resolve));

describe('a machine that a flow runs', () => {
  test('stands while it is paused, and goes on to the same limit', async () => {
    const run = control.run(7e9);
    control.pause();
    await settle();
    expect([control.state, machine.current.limits]).toEqual(['paused', [7e9]]);
    control.resume();
    await settle();
    expect([control.state, machine.current.limits]).toEqual(['running', [7e9, 7e9]]);
    machine.current.stop({ kind: 'power-off' });
    expect(await run).toEqual({ kind: 'power-off' });
    expect(events).toEqual(['STOP', 'RESUME', 'SHUTDOWN']);
  });

  test('does not start when it was paused before', async () => {
    control.pause();
    const run = control.run(1);
    await settle();
    expect(machine.current.limits).toEqual([]);
    control.resume();
    await settle();
    machine.current.stop({ kind: 'timeout' });
    expect(await run).toEqual({ kind: 'timeout' });
  });

  test('that is paused can be interrupted', async () => {
    control.pause();
    const run = control.run(1);
    control.interrupt('interrupted');
    expect(await run).toEqual({ kind: 'interrupted', reason: 'interrupted' });
    await control.ended;
  });

  test.each([
    ['quit', { kind: 'interrupted', reason: 'quit from the monitor' }],
    ['system_reset', { kind: 'reset', cause: 'system_reset of the monitor' }],
  ])('ends at %s', async (command, stop) => {
    const run = control.run(1);
    expect(await runMonitorCommand(control, command)).toEqual([]);
    expect(await run).toEqual(stop);
  });

  test('hears its power key', async () => {
    await runMonitorCommand(control, 'system_powerdown');
    expect([machine.current.powerKey, events]).toEqual([1, ['POWERDOWN']]);
  });

  test('has no snapshots, which the monitor says', async () => {
    const [line] = await runMonitorCommand(control, 'savevm');
    expect(line).toMatch(/^Error: .*savevm/);
    expect(await runMonitorCommand(control, 'info snapshots')).toEqual(['There is no snapshot available.']);
  });
});
