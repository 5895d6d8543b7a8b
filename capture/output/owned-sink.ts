/** A sink that is dropped unless it was committed, also when the program is interrupted. */
import type { DumpSink } from './dump-sink.ts';

/** Owns a sink until it is disposed. */
export class OwnedSink implements DumpSink, Disposable {
  readonly name: string;
  readonly isStream: boolean;
  readonly #sink: DumpSink;
  readonly #abort = (): void => this.#sink.abort();

  constructor(sink: DumpSink) {
    this.#sink = sink;
    this.name = sink.name;
    this.isStream = sink.isStream;
    process.once('exit', this.#abort);
  }

  get bytesWritten(): number {
    return this.#sink.bytesWritten;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#sink.write(offset, bytes);
  }

  commit(): void {
    this.#sink.commit();
  }

  abort(): void {
    this.#sink.abort();
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#abort);
    this.#sink.abort();
  }
}
