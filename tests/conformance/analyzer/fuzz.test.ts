/**
 * Damaged dumps: whatever is wrong with the memory or the file, commands end with an error's line or marked rows, soon.
 *
 * `KDUMP_LAB_FUZZ_RUNS` sets the number of runs (10,000 is a campaign), `KDUMP_LAB_FUZZ_SEED` the first seed.
 */
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { FaultError, FormatError, UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { CachedMemory, openDump } from '../../../capture/sources/dump-file.ts';
import type { MemorySource } from '../../../capture/formats/memory-source.ts';
import { CorruptMemory } from '../../support/corrupt-memory.ts';
import type { Damage } from '../../support/corrupt-memory.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';
import { Random } from '../../support/random.ts';

const RUNS = Number(process.env['KDUMP_LAB_FUZZ_RUNS'] ?? 4);
const FIRST_SEED = Number(process.env['KDUMP_LAB_FUZZ_SEED'] ?? 1);
const LIMIT_MS = 10_000;
const LIMIT_BYTES = 2 ** 30;
const COMMANDS =
  'sys;sys -c;sys -i;bt -a;bt -e;bt -f;bt -t;ps;ps -m;ps -a 1;ps -g;ps -r;log;mod;files;mount;net;net -a;net -s 1;vm;vm -p 1;vm -m 1;vtop 400000;vtop init_task;kmem -i;kmem -s;kmem -S task_struct;kmem -v;kmem -V;kmem -z;kmem -f;kmem -n;kmem init_task;runq;runq -g;timer;timer -r;irq;irq -s;irq -a;dev;dev -i;dev -d;dev -p;ipcs -M;swap;sig;sig -g 1;task -R pid;foreach bt;foreach files;foreach vm;list -H modules;tree -t rbtree vmap_area_root;p init_task;struct task_struct init_task;sym -m virtio_net;search -t 1234;bpf;dis schedule;mach;fuser /;rd -SS init_task 64;report;doctor'.split(
    ';',
  );

const EXPECTED = [FaultError, FormatError, UnimplementedError, UsageError];

for (const [name, file] of [
  ['aarch64-6.1', 'vmcore'],
  ['x86_64-6.1', 'vmcore'],
  ['aarch64-6.12-va52', 'vmcore.d31'],
] as const) {
  const folder = findDumpFolder(name);
  if (folder === undefined) {
    test.skip(`${name}: no reference dump`);
    continue;
  }
  const path = join(folder, file);

  describe(`damaged ${name}`, () => {
    test.each(seeds())('memory, seed %i', async seed => {
      using whole = openDump([path]);
      // Symbols and types fill thousands of pages: what is read at the start is hit by slight damage only.
      const every = [20_000, 8000, 3000, 800][seed % 4]!;
      const memory = new CachedMemory(new CorruptMemory(whole.memory, { seed, every }));
      await runAll(() => new Program({ dump: { ...whole, memory } }), seed);
    });

    test.each(seeds())('memory behind what the start has read, seed %i', async seed => {
      using whole = openDump([path]);
      const every = [1000, 200, 40, 8, 2][seed % 5]!;
      const damaged = new LaterCorruptMemory(whole.memory, { seed, every });
      await runAll(() => new Program({ dump: { ...whole, memory: new CachedMemory(damaged) } }), seed, damaged);
    });
  });
}

function seeds(): number[] {
  return Array.from({ length: RUNS }, (_, index) => FIRST_SEED + index);
}

/** Sound until it is switched over. */
class LaterCorruptMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #sound: MemorySource;
  readonly #damaged: MemorySource;
  #current: MemorySource;

  constructor(sound: MemorySource, damage: Damage) {
    this.pageSize = sound.pageSize;
    this.maxPfn = sound.maxPfn;
    this.#sound = sound;
    this.#damaged = new CorruptMemory(sound, damage);
    this.#current = sound;
  }

  hasPage(pfn: number): boolean {
    return this.#sound.hasPage(pfn);
  }

  readPage(pfn: number): Uint8Array {
    return this.#current.readPage(pfn);
  }

  switchOver(): void {
    this.#current = this.#damaged;
  }
}

describe('damaged files', () => {
  const folder = findDumpFolder('aarch64-6.1');
  const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-fuzz-'));
  afterAll(() => rmSync(scratch, { recursive: true }));

  test.skipIf(folder === undefined).each(seeds())('seed %i', async seed => {
    const random = new Random(seed);
    const bytes = readFileSync(join(folder!, 'vmcore.d31'));
    const damaged = random.below(2) === 0 ? bytes.subarray(0, random.below(bytes.length)) : flip(bytes, random);
    const path = join(scratch, `${seed}`);
    writeFileSync(path, damaged);
    await runAll(() => new Program({ dump: [path] }), seed);
    rmSync(path);
  });
});

/** Flips bytes, half of them in the headers and bitmaps. */
function flip(bytes: Buffer, random: Random): Buffer {
  const HEADERS = 32 * 1024;
  const copy = Buffer.from(bytes);
  for (let count = 0; count < 64; count++)
    copy[random.below(count % 2 === 0 ? HEADERS : copy.length)] = random.below(256);
  return copy;
}

async function runAll(open: () => Program, seed: number, later?: LaterCorruptMemory): Promise<void> {
  let session: Session;
  try {
    session = new Session(open());
  } catch (error) {
    expect(
      EXPECTED.some(kind => error instanceof kind),
      `opening, seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`,
    ).toBe(true);
    return;
  }
  later?.switchOver();
  for (const line of COMMANDS) {
    const start = performance.now();
    const result = await runLine(session, line).catch((error: unknown) => error);
    if (result instanceof Error)
      throw new Error(`"${line}", seed ${seed}: ${result.stack ?? result.message}`, { cause: result });
    expect(performance.now() - start, `"${line}", seed ${seed}`).toBeLessThan(LIMIT_MS);
    expect(process.memoryUsage().rss, `memory after "${line}", seed ${seed}`).toBeLessThan(LIMIT_BYTES);
  }
}
