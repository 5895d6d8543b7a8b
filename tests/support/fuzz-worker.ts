/** A process that runs cases of the fuzz campaign one after the other and tells its parent what it is at. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runFuzzCase } from './fuzz-case.ts';

/** What the worker says. */
export type FuzzMessage =
  { readonly at: number; readonly line: string } | { readonly done: number; readonly failure: string | undefined };

process.on('message', ({ next, end, step }: { next: number; end: number; step: number }) => void run(next, end, step));

async function run(next: number, end: number, step: number): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'kdump-lab-fuzz-'));
  try {
    for (let number = next; number < end; number += step) {
      const failure = await runFuzzCase(number, scratch, line => send({ at: number, line }));
      send({ done: number, failure });
    }
  } finally {
    rmSync(scratch, { recursive: true });
  }
  process.disconnect?.();
}

function send(message: FuzzMessage): void {
  process.send?.(message);
}
