/**
 * What pages of RAM held when the last snapshot was taken: each is copied right before it is first written to, so that
 * taking a snapshot copies nothing and going back copies only what has changed.
 */
import { assert } from '../../capture/formats/errors.ts';

const PAGE = 4096;

/** The history of one machine's RAM. Addresses are linear-memory addresses in RAM. */
export class PageHistory {
  readonly #bytes: Uint8Array;
  readonly #ramBase: number;
  /** 1 for pages that may be written: what they held is kept, or there is no snapshot. */
  readonly #kept: Uint8Array;
  /** Contents by page number, kept for the next time after going back. */
  readonly #contents = new Map<number, Uint8Array>();
  #generation = 0;

  constructor(bytes: Uint8Array, ramBase: number, ramSize: number) {
    this.#bytes = bytes;
    this.#ramBase = ramBase;
    this.#kept = new Uint8Array(Math.ceil(ramSize / PAGE)).fill(1);
  }

  /** Pages that differ, or may differ, from the snapshot. */
  get changedPages(): number {
    return this.#kept.reduce((sum, kept) => sum + kept, 0);
  }

  /**
   * Begins with the contents of now; what was kept before is forgotten. Whoever caches that a page may be written drops that.
   * @returns a number that names this beginning
   */
  begin(): number {
    this.#contents.clear();
    this.#kept.fill(0);
    return ++this.#generation;
  }

  /** Whether a page may be written without `keep`. */
  isKept(address: number): boolean {
    return this.#kept[(address - this.#ramBase) >>> 12] === 1;
  }

  /** Keeps what the pages of a range hold. Called before they are written to. */
  keep(address: number, size = 1): void {
    const last = (address + size - 1 - this.#ramBase) >>> 12;
    for (let page = (address - this.#ramBase) >>> 12; page <= last; page++)
      if (this.#kept[page] === 0) this.#copy(page);
  }

  /**
   * Makes RAM what it was when the history began; the history goes on from there.
   * @param generation as `begin` returned it: only the latest can be gone back to
   * @param changing is told of each page before its contents change
   */
  goBack(generation: number, changing: (address: number, size: number) => void): void {
    assert(generation === this.#generation, 'RAM goes back to the latest snapshot only');
    for (const [page, contents] of this.#contents) {
      if (this.#kept[page] === 0) continue;
      const address = this.#ramBase + page * PAGE;
      changing(address, PAGE);
      this.#bytes.set(contents, address);
      this.#kept[page] = 0;
    }
  }

  #copy(page: number): void {
    this.#kept[page] = 1;
    if (this.#contents.has(page)) return;
    const address = this.#ramBase + page * PAGE;
    this.#contents.set(page, this.#bytes.slice(address, address + PAGE));
  }
}
