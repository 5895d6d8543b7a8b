/** A worker thread that encodes pages of a dump file that it opens itself. */
import { parentPort, workerData } from 'node:worker_threads';

import { assert } from './formats/errors.ts';
import type { PfnRange } from './page-bitmap.ts';
import { PageEncoder } from './page-encoder.ts';
import type { EncodedPages } from './page-encoder.ts';
import { PageEraser } from './page-eraser.ts';
import type { WorkerSetup } from './page-pool.ts';
import { openDump, uncached } from './sources/dump-file.ts';

/** A batch on its way to a worker. */
export interface WorkerRequest {
  readonly id: number;
  readonly ranges: readonly PfnRange[];
  /** Where the bytes of an earlier batch were. */
  readonly room: ArrayBuffer | undefined;
}

/** A batch on its way back. */
export interface WorkerReply {
  readonly id: number;
  readonly pages: EncodedPages;
}

const port = parentPort;
assert(port !== null, 'page-worker.ts runs as a worker thread');
const setup = workerData as WorkerSetup;
const dump = openDump(setup.paths);
const memory = uncached(dump.memory);
const encoder = new PageEncoder(memory, {
  compressor: setup.compressor,
  findZeroPages: setup.findZeroPages,
  keepStored: setup.keepStored,
  eraser: setup.erase.length === 0 ? undefined : new PageEraser(setup.erase, memory.pageSize),
});

port.on('message', ({ id, ranges, room }: WorkerRequest) => {
  const pages = encoder.encode(ranges, room);
  const reply: WorkerReply = { id, pages };
  const { data, kinds, flags, sizes } = pages;
  const moved = [data, kinds, flags, sizes].map(({ buffer }) => buffer as ArrayBuffer);
  port.postMessage(reply, moved);
});
