/**
 * Arithmetic by the host's numbers, where that gives the same result as the exact arithmetic: round to nearest, no flushing, ordinary
 * operands and results. Everything else answers `undefined`, and the caller computes exactly (about 1 µs instead of 0.1 µs).
 *
 * Whether a result is inexact is found with error-free transformations. Sources: Dekker, "A floating-point technique for extending the
 * available precision" (1971), for sum and product; Figueroa, "When is double rounding innocuous?" (1995), for singles computed as doubles.
 */

/** Smallest normal numbers: results must be above them, so that none was rounded up from below. */
const SMALLEST_DOUBLE = 2 ** -1022;
const SMALLEST_SINGLE = 2 ** -126;
/** Magnitudes between which products of doubles and their errors neither overflow nor lose bits. */
const LOWEST_SAFE = 2 ** -400;
const HIGHEST_SAFE = 2 ** 400;
/** Summands below it have an error that can be computed. */
const HIGHEST_SUMMAND = 2 ** 1000;

export type HostOperation = 'add' | 'sub' | 'mul' | 'div';

const words = new BigUint64Array(2);
const doubles = new Float64Array(words.buffer);
const halfWords = new Int32Array(2);
const singles = new Float32Array(halfWords.buffer);

export function doubleOfBits(bits: bigint): number {
  words[0] = bits;
  return doubles[0]!;
}
function bitsOfDouble(value: number): bigint {
  doubles[0] = value;
  return words[0]!;
}
/** @param bits as a signed 32-bit number */
export function singleOfBits(bits: number): number {
  halfWords[0] = bits;
  return singles[0]!;
}
function bitsOfSingle(value: number): number {
  singles[0] = value;
  return halfWords[0]!;
}

function isSafe(value: number): boolean {
  const magnitude = Math.abs(value);
  return magnitude > LOWEST_SAFE && magnitude < HIGHEST_SAFE;
}

/** What is missing from `sum`, the rounded `x + y`. */
function sumError(x: number, y: number, sum: number): number {
  const part = sum - x;
  return x - (sum - part) + (y - part);
}

/** The upper half of a double's significand. */
function upperHalf(x: number): number {
  const scaled = x * 134217729;
  return scaled - (scaled - x);
}

/** What is missing from `product`, the rounded `x * y`. */
function productError(x: number, y: number, product: number): number {
  const xHigh = upperHalf(x);
  const yHigh = upperHalf(y);
  const xLow = x - xHigh;
  const yLow = y - yHigh;
  return xLow * yLow - (product - xHigh * yHigh - xLow * yHigh - xHigh * yLow);
}

/** Host arithmetic; after a result, `inexact` says whether it was rounded. */
export class HostFloat {
  inexact = false;

  /** @returns bits, or `undefined` where the result has to be computed exactly */
  double(operation: HostOperation, a: bigint, b: bigint): bigint | undefined {
    words[0] = a;
    words[1] = b;
    const x = doubles[0]!;
    const y = doubles[1]!;
    const result = this.#double(operation, x, y);
    const magnitude = Math.abs(result);
    return magnitude > SMALLEST_DOUBLE && magnitude < Infinity ? bitsOfDouble(result) : undefined;
  }

  /** @returns NaN where it cannot say whether the result is exact */
  #double(operation: HostOperation, x: number, y: number): number {
    if (operation === 'add') return this.#safeSum(x, y);
    if (operation === 'sub') return this.#safeSum(x, -y);
    if (!isSafe(x) || !isSafe(y)) return NaN;
    if (operation === 'mul') {
      const product = x * y;
      this.inexact = productError(x, y, product) !== 0;
      return product;
    }
    const quotient = x / y;
    const product = quotient * y;
    this.inexact = product !== x || productError(quotient, y, product) !== 0;
    return quotient;
  }

  #safeSum(x: number, y: number): number {
    const isFarFromOverflow = Math.abs(x) < HIGHEST_SUMMAND && Math.abs(y) < HIGHEST_SUMMAND;
    return isFarFromOverflow ? this.#sum(x, y) : NaN;
  }

  #sum(x: number, y: number): number {
    const sum = x + y;
    this.inexact = sumError(x, y, sum) !== 0;
    return sum;
  }

  /** The same for single precision, whose operands and results are signed 32-bit numbers. */
  single(operation: HostOperation, a: number, b: number): number | undefined {
    halfWords[0] = a;
    halfWords[1] = b;
    const x = singles[0]!;
    const y = singles[1]!;
    return this.#fitSingle(this.#single(operation, x, y));
  }

  #single(operation: HostOperation, x: number, y: number): number {
    if (operation === 'mul') return this.#round(x * y);
    if (operation === 'div') {
      const quotient = Math.fround(x / y);
      this.inexact = quotient * y !== x;
      return quotient;
    }
    const sum = this.#sum(x, operation === 'add' ? y : -y);
    const rounded = Math.fround(sum);
    if (rounded !== sum) this.inexact = true;
    return rounded;
  }

  /** Rounds a double that is the exact result. */
  #round(exact: number): number {
    const rounded = Math.fround(exact);
    this.inexact = rounded !== exact;
    return rounded;
  }

  #fitSingle(result: number): number | undefined {
    const magnitude = Math.abs(result);
    return magnitude > SMALLEST_SINGLE && magnitude < Infinity ? bitsOfSingle(result) : undefined;
  }

  squareRootDouble(a: bigint): bigint | undefined {
    const x = doubleOfBits(a);
    if (!(x > 0) || !isSafe(x)) return undefined;
    const root = Math.sqrt(x);
    const square = root * root;
    this.inexact = square !== x || productError(root, root, square) !== 0;
    return bitsOfDouble(root);
  }

  squareRootSingle(a: number): number | undefined {
    const x = singleOfBits(a);
    if (!(x >= SMALLEST_SINGLE && x < Infinity)) return undefined;
    const root = Math.fround(Math.sqrt(x));
    this.inexact = root * root !== x;
    return bitsOfSingle(root);
  }

  /** Single from double. */
  narrow(a: bigint): number | undefined {
    return this.#fitSingle(this.#round(doubleOfBits(a)));
  }

  /** Double from single; always exact. */
  widen(a: number): bigint | undefined {
    const x = singleOfBits(a);
    this.inexact = false;
    return Math.abs(x) >= SMALLEST_SINGLE && Math.abs(x) < Infinity ? bitsOfDouble(x) : undefined;
  }

  /** From an integer of at most 53 bits that is not 0. */
  doubleOfInteger(value: bigint): bigint | undefined {
    const number = Number(value);
    if (number === 0 || !Number.isSafeInteger(number)) return undefined;
    this.inexact = false;
    return bitsOfDouble(number);
  }

  /** The same for single precision. */
  singleOfInteger(value: bigint): number | undefined {
    const number = Number(value);
    return number === 0 || !Number.isSafeInteger(number) ? undefined : bitsOfSingle(this.#round(number));
  }

  /** Truncates to an integer of at most 53 bits. */
  truncate(x: number): bigint | undefined {
    const whole = Math.trunc(x);
    if (!Number.isSafeInteger(whole)) return undefined;
    this.inexact = whole !== x;
    return BigInt(whole);
  }
}
