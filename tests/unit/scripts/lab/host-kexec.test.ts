/** When a machine's kernel is looked at. */
import { describe, expect, test } from 'vitest';
import type { StopReason } from '../../../../emulator/index.ts';
import { CrashListener, LOOK_AGAIN, runWatched, type KernelWatcher } from '../../../../scripts/lab/host-kexec.ts';

/** A machine that ends its turns as told, or when the time is over. */
class ScriptedMachine {
  guestNs = 0;
  readonly #stops: StopReason[];
  readonly limits: number[] = [];

  constructor(stops: readonly StopReason[]) {
    this.#stops = [...stops];
  }

  async run(untilNs: number): Promise<StopReason> {
    this.limits.push(untilNs);
    const stop = this.#stops.shift() ?? { kind: 'timeout' };
    if (stop.kind === 'timeout') this.guestNs = untilNs;
    return stop;
  }
}

class CountingWatcher implements KernelWatcher {
  isArmed = false;
  looks = 0;
  readonly #enough: number;

  constructor(enough: number) {
    this.#enough = enough;
  }

  tryArm(): void {
    this.isArmed = ++this.looks === this.#enough;
  }
}

const MS = 1e6;

describe('a kernel that has not described itself', () => {
  test('is looked at every 50 ms, and not any more when it has', async () => {
    const machine = new ScriptedMachine([]);
    const watcher = new CountingWatcher(2);
    expect(await runWatched(machine, [watcher], 500 * MS)).toEqual({ kind: 'timeout' });
    expect(watcher.looks).toBe(2);
    expect(machine.limits).toEqual([50 * MS, 100 * MS, 500 * MS]);
  });

  test('is looked at at once when somebody asks for it', async () => {
    const machine = new ScriptedMachine([{ kind: 'interrupted', reason: LOOK_AGAIN }, { kind: 'power-off' }]);
    const watcher = new CountingWatcher(1);
    expect(await runWatched(machine, [watcher], 500 * MS)).toEqual({ kind: 'power-off' });
    expect(watcher.looks).toBe(1);
  });

  test('is left alone when the machine stops for another reason', async () => {
    const stop = { kind: 'interrupted', reason: 'enough' } as const;
    const watcher = new CountingWatcher(1);
    expect(await runWatched(new ScriptedMachine([stop]), [watcher], 500 * MS)).toEqual(stop);
    expect(watcher.looks).toBe(0);
  });
});

describe('the console tells of a crash', () => {
  test.each([
    ['[    0.1] Kernel panic - not syncing: Fatal exception', 1],
    ['[    0.1] Internal error: Oops - BUG: 00000000f2000800 [#1] SMP', 1],
    ['[    0.1] BUG: kernel NULL pointer dereference, address: 0000000000000000', 1],
    ['[    0.1] kernel BUG at kernel/panic.c:1!', 1],
    ['[    0.1] Oops: 0000 [#1] PREEMPT SMP', 1],
    ['[    0.1] DEBUG: nothing', 0],
    ['Debian GNU/Linux 12', 0],
  ])('%s', (line, expected) => {
    let heard = 0;
    new CrashListener(() => heard++).hear(Buffer.from(line));
    expect(heard).toBe(expected);
  });

  test('a guest that says so for ever is not listened to for ever', () => {
    let heard = 0;
    const listener = new CrashListener(() => heard++);
    for (let i = 0; i < 1000; i++) listener.hear(Buffer.from('BUG: again'));
    expect(heard).toBe(16);
  });
});
