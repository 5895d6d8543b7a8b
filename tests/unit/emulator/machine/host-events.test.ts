import { expect, test } from 'vitest';

import { HostEventQueue } from '../../../../emulator/machine/host-events.ts';

test('events happen when they are delivered, in order, and those of events the next time', () => {
  const queue = new HostEventQueue();
  const seen: string[] = [];
  queue.post(() => {
    seen.push('first');
    queue.post(() => seen.push('third'));
  });
  queue.post(() => seen.push('second'));
  expect(seen).toEqual([]);
  queue.deliver();
  expect(seen).toEqual(['first', 'second']);
  queue.deliver();
  expect(seen).toEqual(['first', 'second', 'third']);
});

test('something is expected while one of the sources says so', () => {
  const queue = new HostEventQueue();
  let isOpen = false;
  queue.expect(() => false);
  queue.expect(() => isOpen);
  expect(queue.isExpecting).toBe(false);
  isOpen = true;
  expect(queue.isExpecting).toBe(true);
});

test('a wait ends with an event, by waking, or with its time', async () => {
  const queue = new HostEventQueue();
  setTimeout(() => queue.post(() => undefined), 1);
  await queue.wait(Number.POSITIVE_INFINITY);
  // What waits already is not waited for.
  await queue.wait(Number.POSITIVE_INFINITY);
  queue.deliver();
  setTimeout(() => queue.wake(), 1);
  await queue.wait(Number.POSITIVE_INFINITY);
  expect(await queue.wait(5)).toBeGreaterThan(3);
});
