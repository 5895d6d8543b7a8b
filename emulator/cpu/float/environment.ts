/**
 * What floating-point operations depend on and change besides their operands: rounding, flushing, NaN rules, cumulative flags.
 *
 * Sources: IEEE 754-2019 "Default exception handling"; Arm ARM DDI 0487 "Floating-point exceptions and exception traps", "Flushing
 * denormalized numbers to zero", "NaN handling and the Default NaN"; Intel SDM vol. 1 "Handling of NaNs", "Overview of SSE/SSE2/SSE3
 * Floating-Point Exceptions".
 */
import type { Unpacked } from './unpacked.ts';

export type RoundingMode =
  | 'nearest-even'
  | 'nearest-away'
  | 'up'
  | 'down'
  | 'zero'
  /** To the neighbour with an odd last bit, when inexact: so that a second rounding is right. */
  | 'odd';

/** Cumulative flags, as bits. */
export const FLOAT_FLAG = {
  INVALID: 1,
  DIVIDE_BY_ZERO: 2,
  OVERFLOW: 4,
  UNDERFLOW: 8,
  INEXACT: 16,
  /** A denormal operand, flushed or used as the rules say. */
  DENORMAL: 32,
} as const;

/** How the architectures differ. */
export interface FloatRules {
  /** Which of the operands, at least one of them a NaN, the result is made of. */
  readonly chooseNaN: (operands: readonly Unpacked[]) => Unpacked;
  /** Sign of the NaN that invalid operations give. */
  readonly defaultNaNSign: 0 | 1;
  /** Place of the addend of a fused multiply-add among the operands of `chooseNaN`: before the factors, or behind them. */
  readonly addendPlace: 'first' | 'last';
  /** In a fused multiply-add, infinity times zero is invalid even when the addend is a quiet NaN. */
  readonly invalidProductBeatsNaN: boolean;
  /** When a result counts as too small: by its exact value, or after rounding with unbounded exponent. */
  readonly tininess: 'before-rounding' | 'after-rounding';
  /** When the denormal flag is raised. */
  readonly denormalOperand: 'when-flushed' | 'when-used';
  /** Flags of a result that was flushed to zero. */
  readonly flushedResultFlags: number;
}

/** Control and status of one operation: callers clear `flags` before it. */
export interface FloatEnvironment {
  readonly rules: FloatRules;
  rounding: RoundingMode;
  /** Denormal operands count as zero (formats wider than 16 bits). */
  flushInputs: boolean;
  /** Results too small for a normal number become zero (formats wider than 16 bits). */
  flushOutputs: boolean;
  /** Both, for 16 bits; raises no denormal flag. */
  flushHalf: boolean;
  /** 16-bit numbers have no infinities and NaNs: their largest exponent is an ordinary one. */
  alternativeHalf: boolean;
  /** Every NaN result is the default NaN. */
  defaultNaN: boolean;
  flags: number;
}

/** Signaling NaNs before quiet ones, then the operands' order. Source: Arm ARM DDI 0487 pseudocode "FPProcessNaNs". */
function chooseArmNaN(operands: readonly Unpacked[]): Unpacked {
  return operands.find(({ kind }) => kind === 'signaling-nan') ?? operands.find(({ kind }) => kind === 'quiet-nan')!;
}

/** The first NaN. Source: Intel SDM vol. 1 "Rules for handling NaNs", for SSE. */
function chooseSseNaN(operands: readonly Unpacked[]): Unpacked {
  return operands.find(isNaN)!;
}

/** A quiet NaN before a signaling one, else the larger significand, else the positive one. Source: the same, for the x87. */
function chooseX87NaN(operands: readonly Unpacked[]): Unpacked {
  const nans = operands.filter(isNaN);
  const quiet = nans.filter(({ kind }) => kind === 'quiet-nan');
  const candidates = quiet.length > 0 && quiet.length < nans.length ? quiet : nans;
  return candidates.reduce((best, other) => {
    if (other.significand !== best.significand) return other.significand > best.significand ? other : best;
    return other.sign < best.sign ? other : best;
  });
}

function isNaN({ kind }: Unpacked): boolean {
  return kind === 'quiet-nan' || kind === 'signaling-nan';
}

export const ARM_RULES: FloatRules = {
  chooseNaN: chooseArmNaN,
  addendPlace: 'first',
  invalidProductBeatsNaN: true,
  defaultNaNSign: 0,
  tininess: 'before-rounding',
  denormalOperand: 'when-flushed',
  flushedResultFlags: FLOAT_FLAG.UNDERFLOW,
};

export const SSE_RULES: FloatRules = {
  chooseNaN: chooseSseNaN,
  addendPlace: 'last',
  invalidProductBeatsNaN: false,
  defaultNaNSign: 1,
  tininess: 'after-rounding',
  denormalOperand: 'when-used',
  flushedResultFlags: FLOAT_FLAG.UNDERFLOW | FLOAT_FLAG.INEXACT,
};

export const X87_RULES: FloatRules = { ...SSE_RULES, chooseNaN: chooseX87NaN };

/** An environment in the state after reset: round to nearest, no flushing, no flags. */
export function createEnvironment(rules: FloatRules): FloatEnvironment {
  return {
    rules,
    rounding: 'nearest-even',
    flushInputs: false,
    flushOutputs: false,
    flushHalf: false,
    alternativeHalf: false,
    defaultNaN: false,
    flags: 0,
  };
}
