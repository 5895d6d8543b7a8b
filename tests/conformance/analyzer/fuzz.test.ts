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
import { CorruptMemory } from '../../support/corrupt-memory.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';
import { Random } from '../../support/random.ts';

const RUNS = Number(process.env['KDUMP_LAB_FUZZ_RUNS'] ?? 4);
const FIRST_SEED = Number(process.env['KDUMP_LAB_FUZZ_SEED'] ?? 1);
const LIMIT_MS = 10_000;
const COMMANDS =
  'sys;bt -a;bt -e;ps;ps -m;ps -a 1;log;mod;files;mount;net;net -a;vm;kmem -i;kmem -s;kmem -v;kmem -z;kmem -f;runq;timer;timer -r;irq;dev;dev -i;dev -p;ipcs;swap;sig;task -R pid;foreach bt;list -H modules;tree -t rbtree vmap_area_root;p init_task;struct task_struct init_task;sym -m virtio_net;search -t 1234;bpf;dis schedule'.split(
    ';',
  );

const EXPECTED = [FaultError, FormatError, UnimplementedError, UsageError];

for (const name of ['aarch64-6.1', 'x86_64-6.1'] as const) {
  const folder = findDumpFolder(name);
  if (folder === undefined) {
    test.skip(`${name}: no reference dump`);
    continue;
  }
  const path = join(folder, 'vmcore');

  describe(`damaged ${name}`, () => {
    test.each(Array.from({ length: RUNS }, (_, index) => FIRST_SEED + index))('memory, seed %i', async seed => {
      using whole = openDump([path]);
      const every = [2000, 300, 40, 5][seed % 4]!;
      const memory = new CachedMemory(new CorruptMemory(whole.memory, { seed, every }));
      await runAll(() => new Program({ dump: { ...whole, memory } }), seed);
    });
  });
}

describe('damaged files', () => {
  const folder = findDumpFolder('aarch64-6.1');
  const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-fuzz-'));
  afterAll(() => rmSync(scratch, { recursive: true }));

  test.skipIf(folder === undefined).each(Array.from({ length: RUNS }, (_, index) => FIRST_SEED + index))(
    'seed %i',
    async seed => {
      const random = new Random(seed);
      const bytes = readFileSync(join(folder!, 'vmcore.d31'));
      const damaged = random.below(2) === 0 ? bytes.subarray(0, random.below(bytes.length)) : flip(bytes, random);
      const path = join(scratch, `${seed}`);
      writeFileSync(path, damaged);
      await runAll(() => new Program({ dump: [path] }), seed);
      rmSync(path);
    },
  );
});

/** Flips bytes, half of them in the headers and bitmaps. */
function flip(bytes: Buffer, random: Random): Buffer {
  const HEADERS = 32 * 1024;
  const copy = Buffer.from(bytes);
  for (let count = 0; count < 64; count++)
    copy[random.below(count % 2 === 0 ? HEADERS : copy.length)] = random.below(256);
  return copy;
}

async function runAll(open: () => Program, seed: number): Promise<void> {
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
  for (const line of COMMANDS) {
    const start = performance.now();
    const result = await runLine(session, line).catch((error: unknown) => error);
    if (result instanceof Error)
      throw new Error(`"${line}", seed ${seed}: ${result.stack ?? result.message}`, { cause: result });
    expect(performance.now() - start, `"${line}", seed ${seed}`).toBeLessThan(LIMIT_MS);
  }
}
