import { describe, expect, test } from 'vitest';

import { PageHistory } from '../../../../emulator/memory/page-history.ts';

const PAGE = 4096;
const RAM_BASE = 0x1_0000;
const PAGES = 4;

function ram() {
  const bytes = new Uint8Array(RAM_BASE + PAGES * PAGE);
  const history = new PageHistory(bytes, RAM_BASE, PAGES * PAGE);
  const write = (address: number, value: number): void => {
    history.keep(address);
    bytes[address] = value;
  };
  return { bytes, history, write };
}

describe('without a snapshot', () => {
  test('pages are written freely and nothing is copied', () => {
    const { history } = ram();
    expect(history.isKept(RAM_BASE)).toBe(true);
  });
});

describe('with a snapshot', () => {
  test('going back undoes what was written since', () => {
    const { bytes, history, write } = ram();
    write(RAM_BASE, 1);
    const moment = history.begin();
    write(RAM_BASE, 2);
    write(RAM_BASE + PAGE + 7, 3);
    const changing: number[] = [];
    history.goBack(moment, address => void changing.push(address));
    expect([bytes[RAM_BASE], bytes[RAM_BASE + PAGE + 7]]).toEqual([1, 0]);
    expect(changing).toEqual([RAM_BASE, RAM_BASE + PAGE]);
  });

  test('one can go back again and again', () => {
    const { bytes, history, write } = ram();
    const moment = history.begin();
    for (let run = 1; run <= 3; run++) {
      expect(history.isKept(RAM_BASE)).toBe(false);
      write(RAM_BASE, run);
      expect(history.changedPages).toBe(1);
      history.goBack(moment, () => undefined);
      expect(bytes[RAM_BASE]).toBe(0);
    }
  });

  test('a range keeps every page that it touches', () => {
    const { history } = ram();
    history.begin();
    history.keep(RAM_BASE + PAGE - 1, PAGE + 2);
    expect(history.changedPages).toBe(3);
  });

  test('only the latest can be gone back to', () => {
    const { history } = ram();
    const first = history.begin();
    history.begin();
    expect(() => history.goBack(first, () => undefined)).toThrow(/latest/);
  });
});
