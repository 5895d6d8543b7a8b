/** Encodes pages on worker threads, or on this one, and returns batches in order with bounded memory. */
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import type { Compressor } from './formats/compression.ts';
import { assert } from './formats/errors.ts';
import type { PfnRange } from './page-bitmap.ts';
import type { EncodedPages, PageEncoder } from './page-encoder.ts';
import type { ErasedRange } from './page-eraser.ts';
import type { WorkerReply, WorkerRequest } from './page-worker.ts';

/** What a worker needs to know. */
export interface WorkerSetup {
  /** The dump file, or the parts of a split one. */
  readonly paths: readonly string[];
  readonly compressor: Compressor | undefined;
  readonly findZeroPages: boolean;
  readonly keepStored?: 'matching' | 'all' | undefined;
  readonly erase: readonly ErasedRange[];
}

/** Bytes of the pages of a batch: what is under way is bounded whatever the size of a page. */
const BATCH_BYTES = 2 ** 20;

/** How many pages of a size are in a batch. */
export function batchPages(pageSize: number): number {
  return Math.max(1, Math.floor(BATCH_BYTES / pageSize));
}

/** Batches under way for each worker: one in work, one waiting, and some that wait for an earlier one. */
const BATCHES_PER_WORKER = 3;

/** A worker holds one batch: a small heap keeps garbage from piling up. */
const LIMITS = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 128 };

/** Encodes batches of pages, on this thread or on others. */
export interface BatchEncoder extends AsyncDisposable {
  /** Batches that may be under way at once. */
  readonly window: number;
  encode(ranges: readonly PfnRange[]): EncodedPages | Promise<EncodedPages>;
  /** Takes back a batch that is written: its memory serves another one. */
  giveBack(pages: EncodedPages): void;
}

/** Groups runs of pages into batches of at most 1 MiB. */
export function* batches(runs: Iterable<PfnRange>, pageSize: number): Generator<PfnRange[]> {
  const most = batchPages(pageSize);
  let batch: PfnRange[] = [];
  let room = most;
  for (const run of runs) {
    for (let start = run.start; start < run.end;) {
      const end = Math.min(run.end, start + room);
      batch.push({ start, end });
      room -= end - start;
      start = end;
      if (room > 0) continue;
      yield batch;
      batch = [];
      room = most;
    }
  }
  if (batch.length > 0) yield batch;
}

/**
 * Encodes batches with up to `encoder.window` of them under way.
 * @returns the results in the order of the batches; each is valid until the next is asked for
 */
export async function* encodeInOrder(
  source: Iterable<PfnRange[]>,
  encoder: BatchEncoder,
): AsyncGenerator<{ readonly ranges: readonly PfnRange[]; readonly pages: EncodedPages }> {
  const waiting: { ranges: readonly PfnRange[]; pages: ReturnType<BatchEncoder['encode']> }[] = [];
  for (const ranges of source) {
    // Batches that are encoded on this thread give signals and timers their turn.
    await setImmediate();
    waiting.push({ ranges, pages: encoder.encode(ranges) });
    if (waiting.length >= encoder.window) yield* first();
  }
  while (waiting.length > 0) yield* first();

  async function* first(): AsyncGenerator<{ readonly ranges: readonly PfnRange[]; readonly pages: EncodedPages }> {
    const next = waiting.shift()!;
    const pages = await next.pages;
    yield { ranges: next.ranges, pages };
    encoder.giveBack(pages);
  }
}

/** Memory of batches that are written, for batches to come. */
class SpentRoom {
  readonly #rooms: ArrayBuffer[] = [];

  take(): ArrayBuffer | undefined {
    return this.#rooms.pop();
  }

  put({ data }: EncodedPages): void {
    this.#rooms.push(data.buffer as ArrayBuffer);
  }
}

/** An encoder on this thread. */
export function encodeHere(encoder: PageEncoder): BatchEncoder {
  const spent = new SpentRoom();
  return {
    window: 1,
    encode: ranges => encoder.encode(ranges, spent.take()),
    giveBack: pages => spent.put(pages),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Worker threads that read the same dump. */
export class PagePool implements BatchEncoder {
  readonly #workers: { readonly worker: Worker; busy: number }[];
  readonly #pending = new Map<number, PromiseWithResolvers<EncodedPages>>();
  readonly #spent = new SpentRoom();
  #nextId = 0;
  #failure: Error | undefined;

  constructor(count: number, setup: WorkerSetup) {
    this.#workers = Array.from({ length: count }, () => {
      const entry = {
        worker: new Worker(new URL('page-worker.ts', import.meta.url), { workerData: setup, resourceLimits: LIMITS }),
        busy: 0,
      };
      entry.worker.on('message', ({ id, pages }: WorkerReply) => {
        entry.busy--;
        this.#pending.get(id)?.resolve(pages);
        this.#pending.delete(id);
      });
      entry.worker.on('error', error => this.#fail(error instanceof Error ? error : new Error(String(error))));
      return entry;
    });
  }

  /** How many batches keep all workers busy. */
  get window(): number {
    return this.#workers.length * BATCHES_PER_WORKER;
  }

  /** Encodes a batch on the worker that has least to do. */
  encode(ranges: readonly PfnRange[]): Promise<EncodedPages> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const entry = this.#workers.reduce((best, other) => (other.busy < best.busy ? other : best));
    assert(this.#workers.length > 0, 'a pool has workers');
    const room = this.#spent.take();
    const request: WorkerRequest = { id: this.#nextId++, ranges, room };
    const result = Promise.withResolvers<EncodedPages>();
    this.#pending.set(request.id, result);
    // Nobody may be waiting for this batch yet when an earlier one fails.
    result.promise.catch(() => undefined);
    entry.busy++;
    // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    entry.worker.postMessage(request, room === undefined ? [] : [room]);
    return result.promise;
  }

  giveBack(pages: EncodedPages): void {
    this.#spent.put(pages);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
