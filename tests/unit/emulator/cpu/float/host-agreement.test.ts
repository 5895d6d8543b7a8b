/** The soft-float library and its shortcuts against the host's own numbers, which are IEEE 754 in round to nearest. */
import { describe, expect, test } from 'vitest';

import { add, divide, multiply, squareRoot, subtract } from '../../../../../emulator/cpu/float/arithmetic.ts';
import { compare } from '../../../../../emulator/cpu/float/compare.ts';
import { convert, fromInteger, toIntegerSaturated } from '../../../../../emulator/cpu/float/convert.ts';
import {
  ARM_RULES,
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
} from '../../../../../emulator/cpu/float/environment.ts';
import { BINARY16, BINARY32, BINARY64, type FloatFormat } from '../../../../../emulator/cpu/float/format.ts';
import { HostFloat, type HostOperation } from '../../../../../emulator/cpu/float/host.ts';
import { randomDouble, randomNumbers, randomSingle } from '../../../../support/float-patterns.ts';
import { Random } from '../../../../support/random.ts';

const view = new DataView(new ArrayBuffer(8));

function toHost({ bits }: FloatFormat, pattern: bigint): number {
  if (bits === 64) {
    view.setBigUint64(0, pattern);
    return view.getFloat64(0);
  }
  view.setUint32(0, Number(pattern));
  return view.getFloat32(0);
}

function fromHost({ bits }: FloatFormat, value: number): bigint {
  if (bits === 64) {
    view.setFloat64(0, value);
    return view.getBigUint64(0);
  }
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

/** Half-precision numbers as the host reads and writes them. */
interface HalfView {
  getFloat16(offset: number): number;
  setFloat16(offset: number, value: number): void;
}
const halves = view as unknown as HalfView;

const plain = (rounding: RoundingMode = 'nearest-even'): FloatEnvironment => ({
  ...createEnvironment(ARM_RULES),
  rounding,
});

const OPERATIONS = {
  add: [add, (x, y) => x + y],
  sub: [subtract, (x, y) => x - y],
  mul: [multiply, (x, y) => x * y],
  div: [divide, (x, y) => x / y],
} satisfies Record<HostOperation, readonly [typeof add, (x: number, y: number) => number]>;
const NAMES = Object.keys(OPERATIONS) as HostOperation[];
const CASES = 3000;

describe.each([
  ['single precision', BINARY32, randomSingle],
  ['double precision', BINARY64, randomDouble],
] as const)('%s', (_name, format, randomOf) => {
  test.each(NAMES)('%s gives what the host gives', name => {
    const random = new Random(1);
    const [exact, host] = OPERATIONS[name];
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [randomOf(random), randomOf(random)];
      const expected = host(toHost(format, a), toHost(format, b));
      const result = exact(plain(), format, a, b);
      if (Number.isNaN(expected)) expect(toHost(format, result)).toBeNaN();
      else expect([a, b, result]).toEqual([a, b, fromHost(format, expected)]);
    }
  });

  test('square roots are what the host gives', () => {
    const random = new Random(2);
    for (let i = 0; i < CASES; i++) {
      const a = randomOf(random);
      const expected = Math.sqrt(toHost(format, a));
      const result = squareRoot(plain(), format, a);
      if (Number.isNaN(expected)) expect(toHost(format, result)).toBeNaN();
      else expect([a, result]).toEqual([a, fromHost(format, expected)]);
    }
  });

  test('comparison orders as the host does', () => {
    const random = new Random(3);
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [randomOf(random), randomOf(random)];
      const [x, y] = [toHost(format, a), toHost(format, b)];
      const expected = x < y ? 'less' : x > y ? 'greater' : x === y ? 'equal' : 'unordered';
      expect(compare(plain(), format, a, b, true)).toBe(expected);
    }
  });

  test.each(NAMES)('rounding up and down encloses %s, and they agree exactly when the result is exact', name => {
    const random = new Random(4);
    const [exact] = OPERATIONS[name];
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [randomOf(random), randomOf(random)];
      const environment = plain();
      const nearest = toHost(format, exact(environment, format, a, b));
      if (Number.isNaN(nearest) || nearest === 0) continue;
      const up = toHost(format, exact(plain('up'), format, a, b));
      const down = toHost(format, exact(plain('down'), format, a, b));
      const truncated = toHost(format, exact(plain('zero'), format, a, b));
      expect(down <= nearest && nearest <= up).toBe(true);
      expect([up, down]).toContain(nearest);
      expect(truncated).toBe(nearest > 0 ? down : up);
      expect(up === down).toBe((environment.flags & FLOAT_FLAG.INEXACT) === 0);
    }
  });

  test('integers convert as the host converts them', () => {
    const random = new Random(5);
    for (let i = 0; i < CASES; i++) {
      const value = BigInt.asIntN(64, random.interesting64());
      const expected = fromHost(format, Number(value));
      // A host number of 53 bits becomes a single by a second rounding
      if (format === BINARY32 && BigInt(Number(value)) !== value) continue;
      expect(fromInteger(plain(), format, value, 0)).toBe(expected);
    }
  });

  test('truncation to 32 bits is what the host gives in range', () => {
    const random = new Random(6);
    for (let i = 0; i < CASES; i++) {
      const a = randomOf(random);
      const whole = Math.trunc(toHost(format, a));
      if (Number.isNaN(whole) || Math.abs(whole) >= 2 ** 31) continue;
      const result = toIntegerSaturated(plain(), format, a, 0, 'zero', { bits: 32, signed: true });
      expect(BigInt.asIntN(32, result)).toBe(BigInt(whole));
    }
  });
});

describe('half precision', () => {
  test('every number widens to what the host reads', () => {
    for (let pattern = 0; pattern < 0x1_0000; pattern++) {
      view.setUint16(0, pattern);
      const expected = halves.getFloat16(0);
      const wide = toHost(BINARY32, convert(plain(), BINARY16, BINARY32, BigInt(pattern)));
      if (Number.isNaN(expected)) expect(wide).toBeNaN();
      else if (!Object.is(wide, expected)) expect([pattern, wide]).toEqual([pattern, expected]);
    }
  });

  test('doubles narrow to what the host writes', () => {
    const random = new Random(7);
    for (let i = 0; i < CASES; i++) {
      const near = convert(plain(), BINARY16, BINARY64, randomNumbers(random, 16) & 0xffffn);
      const a = near + BigInt(random.below(3) - 1) * (1n << BigInt(random.below(43)));
      const value = toHost(BINARY64, BigInt.asUintN(64, a));
      if (Number.isNaN(value)) continue;
      halves.setFloat16(0, value);
      expect([value, convert(plain(), BINARY64, BINARY16, BigInt.asUintN(64, a))]).toEqual([
        value,
        BigInt(view.getUint16(0)),
      ]);
    }
  });
});

describe('the host shortcut', () => {
  const host = new HostFloat();

  test.each(NAMES)('%s of doubles gives the bits and the inexact flag of exact arithmetic', name => {
    const random = new Random(8);
    let answered = 0;
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [randomDouble(random), randomDouble(random)];
      const result = host.double(name, a, b);
      if (result === undefined) continue;
      answered++;
      const environment = plain();
      expect([a, b, result]).toEqual([a, b, OPERATIONS[name][0](environment, BINARY64, a, b)]);
      expect(environment.flags).toBe(host.inexact ? FLOAT_FLAG.INEXACT : 0);
    }
    expect(answered).toBeGreaterThan(CASES / 10);
  });

  test.each(NAMES)('%s of singles gives the bits and the inexact flag of exact arithmetic', name => {
    const random = new Random(9);
    for (let i = 0; i < CASES; i++) {
      const [a, b] = [randomSingle(random), randomSingle(random)];
      const result = host.single(name, Number(a) | 0, Number(b) | 0);
      if (result === undefined) continue;
      const environment = plain();
      expect([a, b, BigInt(result >>> 0)]).toEqual([a, b, OPERATIONS[name][0](environment, BINARY32, a, b)]);
      expect(environment.flags).toBe(host.inexact ? FLOAT_FLAG.INEXACT : 0);
    }
  });

  test('leaves NaNs, infinities, zeros and denormals to exact arithmetic', () => {
    const special = [0n, 1n, 0x7ff0_0000_0000_0000n, 0x7ff8_0000_0000_0000n];
    for (const a of special) {
      expect(host.double('mul', a, a)).toBeUndefined();
      expect(host.squareRootDouble(a)).toBeUndefined();
    }
  });
});
