/** Seeded random numbers: the same seed gives the same sequence on every machine. */
export class Random {
  #state: number;

  /** @param seed any 32-bit number */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** The next 32 bits, as an unsigned number (the generator "mulberry32"). */
  word(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return (bits ^ (bits >>> 14)) >>> 0;
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.word() / 2 ** 32) * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** 64 random bits. */
  word64(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word());
  }

  /** A register value as tests want them: often small, near a power of two, or all ones. */
  interesting64(): bigint {
    const bit = 1n << BigInt(this.below(64));
    switch (this.below(8)) {
      case 0:
        return BigInt(this.below(4));
      case 1:
        return BigInt.asUintN(64, -BigInt(this.below(4)));
      case 2:
        return bit;
      case 3:
        return bit - 1n;
      case 4:
        return BigInt.asUintN(64, -bit);
      case 5:
        return BigInt(this.word());
      default:
        return this.word64();
    }
  }
}
