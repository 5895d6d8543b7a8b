/** Where traces go: a file (`-D`), or standard error. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import {
  type Disassemble,
  formatTraceRecord,
  type Trace,
  TRACE_CHANNELS,
  type TraceChannel,
  type TraceRecord,
} from '../../emulator/index.ts';

const STANDARD_ERROR = 2;
/** Records are written together. */
const BUFFERED_RECORDS = 1000;

/** Whether an item of `-d` names a channel. */
export function isChannel(item: string): item is TraceChannel {
  return item in TRACE_CHANNELS;
}

/** Writes the records of some channels until it is disposed of. */
export class TraceFile implements Disposable {
  readonly trace: Trace;
  readonly #fd: number;
  readonly #path: string | undefined;
  #records: TraceRecord[] = [];
  #disassemble: Disassemble | undefined;
  /** Everything that records need is loaded; what comes before shows code as bytes. */
  readonly ready: Promise<void>;
  /** An interrupted program does not dispose. */
  readonly #onExit = (): void => this.#flush();

  /** @throws UsageError when the file cannot be written */
  constructor(channels: readonly TraceChannel[], path: string | undefined) {
    this.#path = path;
    this.#fd = path === undefined ? STANDARD_ERROR : openTrace(path);
    process.once('exit', this.#onExit);
    this.ready = channels.includes('in_asm') ? this.#loadDisassembler() : Promise.resolve();
    this.trace = {
      channels: new Set(channels),
      record: entry => {
        this.#records.push(entry);
        if (this.#records.length >= BUFFERED_RECORDS) this.#flush();
      },
    };
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    this.#flush();
    if (this.#fd !== STANDARD_ERROR) closeSync(this.#fd);
  }

  #flush(): void {
    const lines = this.#records.map(entry => formatTraceRecord(entry, this.#disassemble));
    this.#records = [];
    if (lines.length === 0) return;
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done);
    } catch (cause) {
      throw cannotWrite(this.#path, cause);
    }
  }

  /** Loads it now, when it is needed: it is large. */
  async #loadDisassembler(): Promise<void> {
    const { disassemble, prepareDisassembler } = await import('../../analyzer/disassembler.ts');
    await prepareDisassembler();
    this.#disassemble = (architecture, code, vaddr) => disassemble(architecture, code, vaddr, () => undefined);
  }
}

function openTrace(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (cause) {
    throw cannotWrite(path, cause);
  }
}

function cannotWrite(path: string | undefined, cause: unknown): UsageError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UsageError(`-D ${path ?? 'stderr'}: cannot be written: ${reason}`, { cause });
}
