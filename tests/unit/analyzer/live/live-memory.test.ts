/** RAM of a running machine: a file that changes under the reader. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';

import { isLive, namesLiveMemory, openLive } from '../../../../analyzer/live/live-memory.ts';
import type { LiveMemory } from '../../../../analyzer/live/live-memory.ts';
import { FaultError } from '../../../../capture/formats/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-live-'));
const [low, high] = [join(folder, 'low'), join(folder, 'high')];
afterAll(() => rmSync(folder, { recursive: true }));

const PAGE = 4096;
const HIGH = 0x4000_0000;

beforeEach(() => {
  writeFileSync(low, new Uint8Array(2 * PAGE));
  writeFileSync(high, new Uint8Array(2 * PAGE));
});

function open(): LiveMemory {
  const { memory } = openLive([`live:${low}@0x0,${high}@0x40000000`]);
  if (!isLive(memory)) throw new Error('not live');
  return memory;
}

test('is named with live: in front', () => {
  expect(namesLiveMemory(`live:${low}@0x0`)).toBe(true);
  expect(namesLiveMemory(`${low}@0x0`)).toBe(false);
});

test('writes into the file that holds an address, at its place', () => {
  open().write(HIGH + PAGE + 8, Uint8Array.of(1, 2, 3));
  expect([...readFileSync(high).subarray(PAGE + 7, PAGE + 12)]).toEqual([0, 1, 2, 3, 0]);
  expect(readFileSync(low).every(byte => byte === 0)).toBe(true);
});

test('reads what the machine wrote since', () => {
  const memory = open();
  expect(memory.readPage(1)[0]).toBe(0);
  writeFileSync(low, new Uint8Array(2 * PAGE).fill(7));
  expect(memory.readPage(1)[0]).toBe(7);
});

test.each([2 * PAGE, HIGH - 1, HIGH + 2 * PAGE - 1])('refuses to write behind the end of RAM: %i', paddr => {
  expect(() => open().write(paddr, Uint8Array.of(1, 2))).toThrow(FaultError);
});
