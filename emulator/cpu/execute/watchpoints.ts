/**
 * Which data accesses a debugger wants CPUs to stop at.
 *
 * A page with watched bytes is never in the soft TLB: its accesses come to the memory unit, which asks here. Everything
 * else runs at full speed.
 */
const PAGE = 4096n;

/** Accesses that stop: writes, reads, or both. */
export type WatchedAccess = 'write' | 'read' | 'access';

/** Watched bytes by guest-virtual address. */
export interface WatchedRange {
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly access: WatchedAccess;
}

/** The watchpoints of a machine. */
export class Watchpoints {
  readonly #ranges: WatchedRange[] = [];
  readonly #changed: () => void;
  /** Called when a CPU is about to access watched bytes, before the instruction. Stops the machine. */
  hit: (cpu: number, range: WatchedRange) => void = () => undefined;

  /** @param changed drops all translations of addresses */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  add(range: WatchedRange): void {
    this.#ranges.push(range);
    this.#changed();
  }

  remove({ address, size, access }: WatchedRange): void {
    const index = this.#ranges.findIndex(
      range => range.address === address && range.size === size && range.access === access,
    );
    if (index >= 0) this.#ranges.splice(index, 1);
    this.#changed();
  }

  /** Does something as if nothing were watched. */
  ignoring(run: () => void): void {
    const ranges = this.#ranges.splice(0);
    run();
    this.#ranges.push(...ranges);
    this.#changed();
  }

  /** Whether some byte of the page of an address is watched. */
  watchesPage(low: number, high: number): boolean {
    if (this.#ranges.length === 0) return false;
    const page = addressOf(low, high) & -PAGE;
    return this.#ranges.some(({ address, size }) => address < page + PAGE && address + BigInt(size) > page);
  }

  /** What an access stops at. */
  find(low: number, high: number, size: number, kind: 'read' | 'write'): WatchedRange | undefined {
    const start = addressOf(low, high);
    const end = start + BigInt(size);
    return this.#ranges.find(
      range =>
        (range.access === 'access' || range.access === kind) &&
        range.address < end &&
        range.address + BigInt(range.size) > start,
    );
  }
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
