/**
 * Damaged dumps: whatever is wrong with the memory or the file, commands end with an error's line or marked rows, soon.
 *
 * The short version runs with all tests. A campaign: `KDUMP_LAB_FUZZ_RUNS=10000 npx vitest run --project conformance
 * tests/conformance/analyzer/fuzz.test.ts`; `KDUMP_LAB_FUZZ_SEED` is the number of its first case (1), so that a part of a
 * campaign or one case can be run again, and `KDUMP_LAB_FUZZ_WORKERS` the number of processes (as many as CPUs). Each command
 * may compute for 10 s and leave the process at 1 GiB.
 */
import { availableParallelism } from 'node:os';

import { expect, test } from 'vitest';

import { findDumpFolder } from '../../support/crash-reference.ts';
import { runCampaign } from '../../support/fuzz-campaign.ts';

const SHORT = 40;
const RUNS = Number(process.env['KDUMP_LAB_FUZZ_RUNS'] ?? SHORT);
const FIRST = Number(process.env['KDUMP_LAB_FUZZ_SEED'] ?? 1);
const WORKERS = Number(process.env['KDUMP_LAB_FUZZ_WORKERS'] ?? availableParallelism());
const HOURS = 3_600_000;

const missing = ['aarch64-6.1', 'x86_64-6.1', 'aarch64-6.12-va52'].filter(name => findDumpFolder(name) === undefined);

if (missing.length > 0) test.skip(`no reference dumps: ${missing.join(', ')}`);
else
  test(
    `${RUNS} damaged dumps, from case ${FIRST}, end in clear errors or marked rows`,
    async () => {
      expect(await runCampaign(FIRST, FIRST + RUNS, WORKERS)).toEqual([]);
    },
    12 * HOURS,
  );
