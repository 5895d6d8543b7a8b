/** Waiting for what a guest writes, and answering: what expect(1) does, with limits in guest time and wall time. */

/** How long to wait; what is not given has no limit. */
export interface WaitLimits {
  readonly guestSeconds?: number;
  readonly wallMs?: number;
}

/** What was found. */
export interface Found {
  /** Everything from the end of the last find to the end of this one. */
  readonly text: string;
  readonly match: RegExpExecArray;
}

/** Says that a guest did not write what was waited for. */
export class ExpectTimeout extends Error {
  constructor(pattern: RegExp, limit: string, tail: string) {
    super(`the guest did not write ${String(pattern)} within ${limit}; it ended with ${JSON.stringify(tail)}`);
    this.name = 'ExpectTimeout';
  }
}

interface Waiter {
  readonly pattern: RegExp;
  readonly limits: WaitLimits;
  readonly startedAt: number;
  readonly resolve: (found: Found) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** A guest that writes without end is not kept whole. */
const LONGEST_TEXT = 1 << 20;
const TAIL = 200;

/** The guest's output as a text that patterns are looked for in, each after the last. */
export class ConsoleExpect {
  readonly #guestSeconds: () => number;
  readonly #type: (bytes: Uint8Array) => void;
  #text = '';
  #waiter: Waiter | undefined;

  /**
   * @param guestSeconds the machine's guest time now
   * @param type types characters into the guest
   */
  constructor(guestSeconds: () => number, type: (bytes: Uint8Array) => void) {
    this.#guestSeconds = guestSeconds;
    this.#type = type;
  }

  /** Takes what the guest writes. */
  push(bytes: Uint8Array): void {
    this.#text = (this.#text + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')).slice(
      -LONGEST_TEXT,
    );
    this.#check();
  }

  /** Looks at the limits in guest time; whoever runs the machine calls it now and then. */
  tick(): void {
    const waiter = this.#waiter;
    const limit = waiter?.limits.guestSeconds;
    if (waiter === undefined || limit === undefined || this.#guestSeconds() - waiter.startedAt < limit) return;
    this.#fail(waiter, `${limit} guest seconds`);
  }

  /** Types text into the guest. */
  send(text: string): void {
    this.#type(Buffer.from(text, 'utf8'));
  }

  /** Waits for a pattern in what comes after the last find. @throws ExpectTimeout */
  waitFor(pattern: RegExp, limits: WaitLimits = {}): Promise<Found> {
    return new Promise((resolve, reject) => {
      const wait = limits.wallMs;
      const timer = wait === undefined ? undefined : setTimeout(() => this.#fail(this.#waiter!, `${wait} ms`), wait);
      this.#waiter = { pattern, limits, startedAt: this.#guestSeconds(), resolve, reject, timer };
      this.#check();
    });
  }

  #check(): void {
    const waiter = this.#waiter;
    const match = waiter?.pattern.exec(this.#text);
    if (waiter === undefined || match === undefined || match === null) return;
    const end = match.index + match[0].length;
    const text = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    this.#finish(waiter);
    waiter.resolve({ text, match });
  }

  #fail(waiter: Waiter, limit: string): void {
    this.#finish(waiter);
    waiter.reject(new ExpectTimeout(waiter.pattern, limit, this.#text.slice(-TAIL)));
  }

  #finish(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    this.#waiter = undefined;
  }
}
