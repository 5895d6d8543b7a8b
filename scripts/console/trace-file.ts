/** Where traces go: a file (`-D`), or standard error. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import { formatTraceRecord, type Trace, TRACE_CHANNELS, type TraceChannel } from '../../emulator/debug/trace.ts';

const STANDARD_ERROR = 2;
/** Lines are written together. */
const BUFFERED_LINES = 1000;

/** Whether an item of `-d` names a channel. */
export function isChannel(item: string): item is TraceChannel {
  return item in TRACE_CHANNELS;
}

/** Writes the records of some channels until it is disposed of. */
export class TraceFile implements Disposable {
  readonly trace: Trace;
  readonly #fd: number;
  #lines: string[] = [];
  /** An interrupted program does not dispose. */
  readonly #onExit = (): void => this.#flush();

  /** @throws UsageError when the file cannot be written */
  constructor(channels: readonly TraceChannel[], path: string | undefined) {
    this.#fd = path === undefined ? STANDARD_ERROR : openTrace(path);
    process.once('exit', this.#onExit);
    this.trace = {
      channels: new Set(channels),
      record: entry => {
        this.#lines.push(formatTraceRecord(entry));
        if (this.#lines.length >= BUFFERED_LINES) this.#flush();
      },
    };
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    this.#flush();
    if (this.#fd !== STANDARD_ERROR) closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#lines.length > 0) writeSync(this.#fd, `${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }
}

function openTrace(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw new UsageError(`-D ${path}: cannot be written`, { cause });
  }
}
