/** One line on stderr that is written over while files are fetched; nothing when stderr is no terminal. */
import type { FetchEvent } from '../../kernel-images/debian/package-index.ts';

/** Least time between two updates. */
const INTERVAL_MS = 100;

/** Shows downloads. Disposing clears the line. */
export class ProgressLine implements Disposable {
  #last = 0;
  #shown = false;

  show({ file, bytes, size }: FetchEvent): void {
    const now = performance.now();
    if (!process.stderr.isTTY || (now - this.#last < INTERVAL_MS && bytes < size)) return;
    this.#last = now;
    this.#shown = true;
    const percent = size === 0 ? 100 : Math.floor((bytes * 100) / size);
    process.stderr.write(`\r\u001b[K${file}: ${percent} % of ${(size / 1e6).toFixed(1)} MB`);
  }

  [Symbol.dispose](): void {
    if (this.#shown) process.stderr.write('\r\u001b[K');
    this.#shown = false;
  }
}
