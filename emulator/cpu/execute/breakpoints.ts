/**
 * Where a debugger wants CPUs to stop.
 *
 * A block never reaches over an offset (in its page) at which there has been a breakpoint, and one that begins there is never
 * compiled: so control comes to the run loop exactly where there may be one, and everything else runs at full speed.
 */
const PAGE = 4096;

/** The breakpoints of a machine, by guest-virtual address. */
export class Breakpoints {
  readonly #addresses = new Set<bigint>();
  /** Offsets in a page that have had a breakpoint, in order. They stay: debuggers take breakpoints away at every stop. */
  #offsets: readonly number[] = [];
  readonly #changed: () => void;
  readonly #alignment: number;
  /** Called when a CPU has come to a breakpoint, before the instruction. Stops the machine. */
  hit: (cpu: number) => void = () => undefined;

  /**
   * @param changed drops all translated code
   * @param alignment of instructions, in bytes: what a guest keeps in the PC's lower bits is no part of the address
   */
  constructor(changed: () => void, alignment: number) {
    this.#changed = changed;
    this.#alignment = alignment;
  }

  add(address: bigint): void {
    this.#addresses.add(address);
    const offset = Number(address % BigInt(PAGE));
    if (this.#offsets.includes(offset)) return;
    this.#offsets = [...this.#offsets, offset].sort((a, b) => a - b);
    this.#changed();
  }

  remove(address: bigint): void {
    this.#addresses.delete(address);
  }

  has(address: bigint): boolean {
    return this.#addresses.has(address);
  }

  /** Whether there may be a breakpoint in a block that the code alone makes: it is another one here. */
  cut({ start, end }: { readonly start: number; readonly end: number }): boolean {
    const first = start & -this.#alignment;
    return this.#offsets.some(offset => offset >= first && offset < end);
  }

  /** Whether a block that begins at an offset in its page has to look for a breakpoint. */
  concerns(offset: number): boolean {
    return this.#offsets.includes(offset & -this.#alignment);
  }

  /** Offset that a block which begins at `start` must not reach over. */
  limit(start: number): number {
    return this.#offsets.find(offset => offset > start) ?? PAGE;
  }
}
