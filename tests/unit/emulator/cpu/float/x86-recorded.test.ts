/** The soft-float library against results that an x86 processor gave: tests/fixtures/float/record-x86.c says how they were recorded. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import {
  add,
  divide,
  fusedMultiplyAdd,
  multiply,
  remainder,
  squareRoot,
  subtract,
} from '../../../../../emulator/cpu/float/arithmetic.ts';
import { compare, extremeOrSecond, type Ordering } from '../../../../../emulator/cpu/float/compare.ts';
import { convert, roundToIntegral, toIntegerIndefinite } from '../../../../../emulator/cpu/float/convert.ts';
import {
  createEnvironment,
  FLOAT_FLAG,
  type FloatEnvironment,
  type RoundingMode,
  SSE_RULES,
  X87_RULES,
} from '../../../../../emulator/cpu/float/environment.ts';
import { BINARY32, BINARY64, EXTENDED80, extended80 } from '../../../../../emulator/cpu/float/format.ts';

interface Recorded {
  readonly unit: string;
  readonly operation: string;
  readonly control: number;
  readonly operands: readonly bigint[];
  readonly result: bigint;
  readonly flags: number;
  readonly line: string;
}

const ROUNDING: readonly RoundingMode[] = ['nearest-even', 'down', 'up', 'zero'];

function parse(line: string): Recorded {
  const [unit, operation, control, operands, result, flags] = line.split('\t') as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return {
    unit,
    operation,
    control: parseInt(control, 16),
    operands: operands.split(' ').map(operand => BigInt(`0x${operand}`)),
    result: BigInt(`0x${result}`),
    flags: parseInt(flags, 16),
    line,
  };
}

const file = new URL('../../../../fixtures/float/x86-recorded.tsv', import.meta.url);
const RECORDED = readFileSync(file, 'utf8').trimEnd().split('\n').map(parse);

/** Intel SDM vol. 1 "MXCSR Control and Status Register". */
function sseEnvironment({ control }: Recorded): FloatEnvironment {
  return {
    ...createEnvironment(SSE_RULES),
    rounding: ROUNDING[(control >> 13) & 3]!,
    flushInputs: (control & (1 << 6)) !== 0,
    flushOutputs: (control & (1 << 15)) !== 0,
  };
}

/** Intel SDM vol. 1 "x87 FPU Control Word": significant bits by the precision control. */
const PRECISION: Readonly<Record<number, number>> = { 0: 24, 2: 53, 3: 64 };

function x87Environment({ control }: Recorded): FloatEnvironment {
  return { ...createEnvironment(X87_RULES), rounding: ROUNDING[(control >> 10) & 3]! };
}

/** ZF, PF and CF of a comparison. Source: Intel SDM vol. 2 "COMISD". */
const EFLAGS: Readonly<Record<Ordering, bigint>> = { unordered: 0x45n, greater: 0n, less: 0x01n, equal: 0x40n };

type Operation = (e: FloatEnvironment, recorded: Recorded) => bigint;

const ofDouble =
  (f: typeof add): Operation =>
  (e, { operands: [a, b] }) =>
    f(e, BINARY64, a!, b!);
const ofSingle =
  (f: typeof add): Operation =>
  (e, { operands: [a, b] }) =>
    f(e, BINARY32, a!, b!);
const ofExtended =
  (f: typeof add): Operation =>
  (e, { operands: [a, b], control }) =>
    f(e, extended80(PRECISION[(control >> 8) & 3]!), a!, b!);

const OPERATIONS: Readonly<Record<string, Operation>> = {
  addsd: ofDouble(add),
  subsd: ofDouble(subtract),
  mulsd: ofDouble(multiply),
  divsd: ofDouble(divide),
  addss: ofSingle(add),
  mulss: ofSingle(multiply),
  divss: ofSingle(divide),
  minsd: (e, { operands: [a, b] }) => extremeOrSecond(e, BINARY64, 'minimum', a!, b!),
  maxsd: (e, { operands: [a, b] }) => extremeOrSecond(e, BINARY64, 'maximum', a!, b!),
  minss: (e, { operands: [a, b] }) => extremeOrSecond(e, BINARY32, 'minimum', a!, b!),
  maxss: (e, { operands: [a, b] }) => extremeOrSecond(e, BINARY32, 'maximum', a!, b!),
  comisd: (e, { operands: [a, b] }) => EFLAGS[compare(e, BINARY64, a!, b!, false)],
  ucomisd: (e, { operands: [a, b] }) => EFLAGS[compare(e, BINARY64, a!, b!, true)],
  cvtsd2siq: (e, { operands: [a] }) => toIntegerIndefinite(e, BINARY64, a!, e.rounding, 64),
  cvttsd2sik: (e, { operands: [a] }) => toIntegerIndefinite(e, BINARY64, a!, 'zero', 32),
  cvttss2siq: (e, { operands: [a] }) => toIntegerIndefinite(e, BINARY32, a!, 'zero', 64),
  fistp64: (e, { operands: [a] }) => toIntegerIndefinite(e, EXTENDED80, a!, e.rounding, 64),
  fistp16: (e, { operands: [a] }) => toIntegerIndefinite(e, EXTENDED80, a!, e.rounding, 16),
  fprem: (e, { operands: [a, b] }) => remainder(e, EXTENDED80, a!, b!, 'truncate').bits,
  fprem1: (e, { operands: [a, b] }) => remainder(e, EXTENDED80, a!, b!, 'nearest').bits,
  sqrtsd: (e, { operands: [a] }) => squareRoot(e, BINARY64, a!),
  cvtsd2ss: (e, { operands: [a] }) => convert(e, BINARY64, BINARY32, a!),
  cvtss2sd: (e, { operands: [a] }) => convert(e, BINARY32, BINARY64, a!),
  vfmadd231sd: (e, { operands: [c, a, b] }) => fusedMultiplyAdd(e, BINARY64, c!, a!, b!),
  fadd: ofExtended(add),
  fsub: ofExtended(subtract),
  fmul: ofExtended(multiply),
  fdiv: ofExtended(divide),
  fsqrt: (e, { operands: [a], control }) => squareRoot(e, extended80(PRECISION[(control >> 8) & 3]!), a!),
  frndint: (e, { operands: [a] }) => roundToIntegral(e, EXTENDED80, a!, e.rounding, true),
  fst64: (e, { operands: [a] }) => convert(e, EXTENDED80, BINARY64, a!),
  fst32: (e, { operands: [a] }) => convert(e, EXTENDED80, BINARY32, a!),
};

/** The status bits of MXCSR and of the x87 status word, which agree. Source: Intel SDM vol. 1 "x87 FPU Status Register". */
function statusBits(flags: number): number {
  const bit = (flag: number, status: number): number => (flags & flag ? status : 0);
  return (
    bit(FLOAT_FLAG.INVALID, 1) |
    bit(FLOAT_FLAG.DENORMAL, 2) |
    bit(FLOAT_FLAG.DIVIDE_BY_ZERO, 4) |
    bit(FLOAT_FLAG.OVERFLOW, 8) |
    bit(FLOAT_FLAG.UNDERFLOW, 16) |
    bit(FLOAT_FLAG.INEXACT, 32)
  );
}

function describeResult(result: bigint, flags: number): string {
  return `${result.toString(16)} ${flags.toString(16)}`;
}

describe('the soft-float library under the rules of SSE and the x87', () => {
  test.each(Object.keys(OPERATIONS))('%s gives the result and the flags that a processor gave', operation => {
    const recorded = RECORDED.filter(row => row.operation === operation);
    expect(recorded.length).toBeGreaterThan(0);
    const wrong = recorded.flatMap(row => {
      const environment = row.unit === 'sse' ? sseEnvironment(row) : x87Environment(row);
      const result = OPERATIONS[operation]!(environment, row);
      const ours = describeResult(result, statusBits(environment.flags));
      return ours === describeResult(row.result, row.flags) ? [] : [`${row.line} | ${ours}`];
    });
    expect(wrong).toEqual([]);
  });
});
