/** Implementations of helpers that need nothing of the system but the CPU's registers: the same in a machine and in a test. */
import type { EngineCpu, HelperImplementation } from '../../execute/guest.ts';
import { GPR, X64_STATE } from '../state.ts';
import { divideSigned64, divideUnsigned64 } from './helpers.ts';
import { PURE_IMPLEMENTATIONS } from './pure-helpers.ts';

/** What a helper may ask of whoever runs it. */
export interface ExceptionSink {
  /** Raises an exception at the instruction under way. */
  raise(vector: number, errorCode?: number): void;
}

const DIVIDE_ERROR = 0;

/** @param current gives the CPU that runs now */
export function instructionHelpers(
  current: () => Pick<EngineCpu, 'view' | 'base'>,
  sink: ExceptionSink,
): Readonly<Record<string, HelperImplementation>> {
  return {
    ...PURE_IMPLEMENTATIONS,
    [divideUnsigned64.name]: (divisor: bigint): void => divide(current(), BigInt.asUintN(64, divisor), 64, sink, false),
    [divideSigned64.name]: (divisor: bigint): void => divide(current(), BigInt.asIntN(64, divisor), 64, sink, true),
  };
}

/** RDX:RAX by the divisor. Source: Intel SDM vol. 2 "DIV", "IDIV". */
function divide(
  { view, base }: Pick<EngineCpu, 'view' | 'base'>,
  divisor: bigint,
  bits: number,
  sink: ExceptionSink,
  signed: boolean,
): void {
  const low = base + X64_STATE.r[GPR.AX]!.offset;
  const high = base + X64_STATE.r[GPR.DX]!.offset;
  const whole = (view.getBigUint64(high, true) << 64n) | view.getBigUint64(low, true);
  const dividend = signed ? BigInt.asIntN(2 * bits, whole) : whole;
  const quotient = divisor === 0n ? 0n : dividend / divisor;
  const fits = signed ? BigInt.asIntN(bits, quotient) === quotient : BigInt.asUintN(bits, quotient) === quotient;
  if (divisor === 0n || !fits) return sink.raise(DIVIDE_ERROR);
  view.setBigUint64(low, BigInt.asUintN(64, quotient), true);
  view.setBigUint64(high, BigInt.asUintN(64, dividend - quotient * divisor), true);
}
