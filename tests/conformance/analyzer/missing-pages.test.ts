/** Dumps that lack pages of what commands list: the rows that can be read stand as ever, the others are marked. */
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { FaultError } from '../../../capture/formats/errors.ts';
import type { MemorySource } from '../../../capture/formats/memory-source.ts';
import { CachedMemory, openDump } from '../../../capture/sources/dump-file.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

/** Memory without some pages, as makedumpfile leaves them out. */
class WithoutPages implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #whole: MemorySource;
  readonly #missing: ReadonlySet<number>;

  constructor(whole: MemorySource, missing: ReadonlySet<number>) {
    this.pageSize = whole.pageSize;
    this.maxPfn = whole.maxPfn;
    this.#whole = whole;
    this.#missing = missing;
  }

  hasPage(pfn: number): boolean {
    return !this.#missing.has(pfn) && this.#whole.hasPage(pfn);
  }

  readPage(pfn: number): Uint8Array {
    if (this.#missing.has(pfn)) throw new FaultError(pfn * this.pageSize, 'filtered out of the dump');
    return this.#whole.readPage(pfn);
  }
}

/** What a command prints; its error counts as text. */
async function output(session: Session, line: string): Promise<string[]> {
  const { text, error } = await runLine(session, line);
  return `${text}${error === undefined ? '' : `error: ${error}`}`.split('\n');
}

function sessionWithout(path: string, missing: ReadonlySet<number>): Session {
  const whole = openDump([path]);
  const memory = new CachedMemory(new WithoutPages(whole.memory, missing));
  const dump = Object.create(whole, { memory: { value: memory, enumerable: true } }) as typeof whole;
  return new Session(new Program({ dump }));
}

const folder = findDumpFolder('x86_64-6.1');

if (folder === undefined) test.skip('no reference dumps: x86_64-6.1');
else {
  const path = join(folder, 'vmcore');
  const sound = new Session(new Program({ dump: [path] }));
  const [thread] = sound.tasks.byPid(2);
  const pageOf = (address: bigint): number =>
    Math.floor(sound.program.memory.translate(address)! / sound.program.space.pageSize);
  const damaged = sessionWithout(path, new Set([pageOf(thread!.address)]));
  /** Tasks that stand in the missing page. */
  const lost = sound.tasks.all.filter(({ address, struct }) =>
    [address, struct.addressOf('__state'), struct.addressOf('comm') + 15n].some(
      at => pageOf(at) === pageOf(thread!.address),
    ),
  );
  const isLost = (row: string): boolean => lost.some(({ address }) => row.includes(address.toString(16)));

  test.each(['ps', 'ps -s'])('%s shows the tasks that can be read as ever and marks the others', async line => {
    const [whole, partial] = [await output(sound, line), await output(damaged, line)];
    expect(partial).toHaveLength(whole.length);
    const kept = whole.filter(row => !isLost(row) && !/\s\[?(?:kthreadd)\]?$/.test(row));
    expect(partial.filter(row => row.includes('??')).length).toBeGreaterThan(0);
    if (line === 'ps') expect(kept.filter(row => !partial.includes(row))).toEqual([]);
  });

  test.each([
    'ps -k',
    'ps -l',
    'ps -m',
    'ps -t',
    'ps -g',
    'ps -c',
    'ps -p',
    'ps -r',
    'ps -S',
    'runq',
    'runq -g',
    'bt -a',
  ])('%s ends in no error', async line => {
    expect((await output(damaged, line)).filter(row => row.startsWith('error: '))).toEqual([]);
  });

  test('bt of each task says which ones cannot be read', async () => {
    const rows = await output(damaged, 'foreach bt');
    const marked = rows.flatMap((row, index) => (row.startsWith('bt: page excluded: ') ? [rows[index - 1]!] : []));
    expect(marked.some(isLost)).toBe(true);
    // the others have their saved stack pointer in the page
    expect(marked.length).toBeLessThan(8);
    expect(rows.filter(row => row.startsWith('PID: '))).toHaveLength(sound.tasks.all.length);
  });

  test('a task that is asked for and cannot be read is an error', async () => {
    expect(await output(damaged, 'bt 2')).toContainEqual(
      expect.stringMatching(/^error: page excluded: kernel virtual address: [\da-f]+ {2}type: "stack contents"$/),
    );
  });

  test('sys marks what it cannot tell', async () => {
    const whole = await output(sound, 'sys');
    const partial = await output(sessionWithout(path, new Set([pageOf(sound.program.symbols.need('avenrun'))])), 'sys');
    expect(partial).toHaveLength(whole.length);
    expect(partial.filter(row => row.includes('(cannot read'))).toContainEqual(
      expect.stringMatching(/^LOAD AVERAGE: /),
    );
    expect(partial).toContainEqual(whole.find(row => /^ +RELEASE: /.test(row)));
  });

  test('mount shows the mounts that can be read', async () => {
    const whole = await output(sound, 'mount');
    const victim = whole[2]!.trim().split(' ')[0]!;
    const session = sessionWithout(path, new Set([pageOf(BigInt(`0x${victim}`))]));
    const partial = await output(session, 'mount');
    expect(partial.slice(0, 2)).toEqual(whole.slice(0, 2));
    expect(session.program.warnings.some(text => text.startsWith('mounts: '))).toBe(true);
  });
}
