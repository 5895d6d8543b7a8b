/** Translated code in the cache. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { BoardMachine } from '../../../../emulator/index.ts';
import { KeptCode, keptCodeFolder } from '../../../../scripts/lab/kept-code.ts';

const KERNEL = Uint8Array.of(1, 2, 3);

let cache = '';
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  vi.stubEnv('KDUMP_LAB_CACHE', cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

/** A machine whose code is a text. */
class TextMachine implements Pick<BoardMachine, 'translatedCode'> {
  code = '';
  size = 0;
  readonly identity: string | undefined;

  constructor({ identity }: { readonly identity: string | undefined } = { identity: 'a machine' }) {
    this.identity = identity;
  }

  get translatedCode(): BoardMachine['translatedCode'] {
    return {
      identity: this.identity,
      size: this.size,
      export: () => Buffer.from(this.code),
      import: exported => {
        this.code = Buffer.from(exported).toString();
        this.size = 10_000;
        return true;
      },
    };
  }
}

function runOnce(machine: TextMachine, code: string, size: number, kernel = KERNEL): void {
  const kept = new KeptCode(machine, kernel);
  machine.code = code;
  machine.size = size;
  kept.save();
}

function codeAtStart(machine = new TextMachine(), kernel = KERNEL): string {
  const kept = new KeptCode(machine, kernel);
  kept.save();
  return machine.code;
}

test('a later machine gets what an earlier one has translated', () => {
  expect(codeAtStart()).toBe('');
  runOnce(new TextMachine(), 'translated', 10_000);
  expect(codeAtStart()).toBe('translated');
});

test('another kernel and another kind of machine get nothing of it', () => {
  runOnce(new TextMachine(), 'translated', 10_000);
  expect(codeAtStart(new TextMachine(), Uint8Array.of(4))).toBe('');
  expect(codeAtStart(new TextMachine({ identity: 'another machine' }))).toBe('');
});

test('code that nobody else can use is not kept', () => {
  runOnce(new TextMachine({ identity: undefined }), 'traced', 10_000);
  expect(readdirSync(cache)).toEqual([]);
});

test.each([
  ['little code', 100, 0],
  ['much code', 5000, 1],
])('%s leaves so many files', (_, size, files) => {
  runOnce(new TextMachine(), 'translated', size);
  expect(readdirSync(cache).length).toBe(files);
});

test('little that is new leaves the file as it is, much that is new does not', () => {
  runOnce(new TextMachine(), 'first', 10_000);
  runOnce(new TextMachine(), 'second', 10_100);
  expect(codeAtStart()).toBe('first');
  runOnce(new TextMachine(), 'third', 15_000);
  expect(codeAtStart()).toBe('third');
});

test('a damaged file is as good as none, and goes', () => {
  runOnce(new TextMachine(), 'translated '.repeat(100), 10_000);
  const path = join(keptCodeFolder(), readdirSync(keptCodeFolder())[0]!);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
  expect(codeAtStart()).toBe('');
  expect(readdirSync(keptCodeFolder())).toEqual([]);
});

test('a cache that cannot be written is none', () => {
  writeFileSync(join(cache, 'code'), 'a file where the folder would be');
  runOnce(new TextMachine(), 'translated', 10_000);
  expect(codeAtStart()).toBe('');
});
