/** A connection to a gdb stub that answers while the caller waits. */
import { Worker } from 'node:worker_threads';

import { UsageError } from '../../capture/formats/errors.ts';
import { STATE, TEXT_OFFSET, WORD } from './gdb-words.ts';
import type { Exchange, WorkerSetup } from './gdb-words.ts';

/** How long a stub may take to answer. */
const LIMIT_MS = 20_000;
/** Room for the answers of one exchange. */
const SHARED_BYTES = 8 * 2 ** 20;

/** What can be asked in one exchange: hexadecimal answers of so many bytes of memory together fit. */
export const MAX_ASKED_BYTES = 2 ** 21;

/** One stub. */
export class GdbConnection implements Disposable {
  readonly #name: string;
  readonly #worker: Worker;
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  #number = 0;
  readonly #words = new Int32Array(this.#shared, 0, TEXT_OFFSET / 4);

  /** @param name how the user called it */
  constructor(name: string, host: string, port: number) {
    this.#name = name;
    const workerData: WorkerSetup = { host, port, shared: this.#shared };
    this.#worker = new Worker(new URL('gdb-worker.ts', import.meta.url), { workerData });
    this.#worker.unref();
  }

  /** Sends packets at once. @returns their answers. @throws UsageError when the stub is gone or silent */
  ask(packets: readonly (string | Uint8Array)[], endsAcknowledging = false): string[] {
    if (packets.length === 0) return [];
    const bytes = packets.map(packet => (typeof packet === 'string' ? Buffer.from(packet, 'latin1') : packet));
    const answers = bytes.length;
    return this.#exchange({ packets: bytes, answers, interrupt: false, endsAcknowledging }).split('\n');
  }

  /** Lets the machine run. */
  resume(): void {
    this.#exchange({ packets: [Buffer.from('c')], answers: 0, interrupt: false, endsAcknowledging: false });
  }

  /** Stops the machine, when it runs. */
  interrupt(): void {
    this.#exchange({ packets: [], answers: 0, interrupt: true, endsAcknowledging: false });
  }

  /** Runs a command of the stub's monitor. @returns what it prints; undefined when there is no monitor */
  monitor(command: string): string | undefined {
    const answers = this.ask([`qRcmd,${Buffer.from(command).toString('hex')}`]);
    if (answers.at(-1) === '') return undefined;
    const pieces = answers.map(answer => answer.replace(/^O(?!K)/, '')).filter(answer => answer !== 'OK');
    return Buffer.from(pieces.join(''), 'hex').toString();
  }

  [Symbol.dispose](): void {
    void this.#worker.terminate();
  }

  /** An exchange that Ctrl-C ended may still be settled: that of another number does not count. */
  #exchange(asked: Omit<Exchange, 'number'>): string {
    const number = ++this.#number;
    this.#worker.postMessage({ ...asked, number } satisfies Exchange, []);
    for (;;) {
      const settled = Atomics.load(this.#words, WORD.SETTLED);
      if (settled === number) break;
      if (Atomics.wait(this.#words, WORD.SETTLED, settled, LIMIT_MS) === 'timed-out')
        throw new UsageError(`${this.#name}: no answer for ${LIMIT_MS / 1000} s`);
    }
    const text = Buffer.from(this.#shared, TEXT_OFFSET, this.#words[WORD.LENGTH]).toString('latin1');
    if (this.#words[WORD.STATE] === STATE.GONE) throw new UsageError(`${this.#name}: ${text}`);
    return text;
  }
}
