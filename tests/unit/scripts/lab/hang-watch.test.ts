import { setTimeout as sleep } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { HangWatch } from '../../../../scripts/lab/hang-watch.ts';
import type { LabMachine, LabProgress } from '../../../../scripts/lab/lab-machine.ts';

/** Billions of instructions that go by between two looks. */
const STEP = 10;

/** Looks at a machine ten times. @returns whether it was said to hang */
async function watch(progress: (look: number) => Partial<LabProgress>): Promise<boolean> {
  let looks = 0;
  let hangs = false;
  const ended = Promise.withResolvers<void>();
  const machine: Pick<LabMachine, 'progress'> = {
    progress: () => ({ guestSeconds: 0, instructions: looks * STEP * 1e9, ...progress(looks) }),
  };
  const counted = {
    progress: () => {
      if (++looks > 30) ended.resolve();
      return machine.progress();
    },
  };
  using _watch = new HangWatch(counted as LabMachine, () => (hangs = true), 1);
  await Promise.race([ended.promise, sleep(5000)]);
  return hangs;
}

test.each<[string, boolean, (look: number) => Partial<LabProgress>]>([
  ['that spins', true, () => ({})],
  ['that spins with a network card', true, () => ({ frames: 7 })],
  ['that sends', false, look => ({ frames: look })],
  ['that sleeps', false, () => ({ instructions: 5 })],
  ['that does not count', false, () => ({ instructions: undefined })],
])('a machine %s hangs: %s', async (_, expected, progress) => {
  expect(await watch(progress)).toBe(expected);
});
