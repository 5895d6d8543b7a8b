/** Compares drivers over random cases and words differences so that one case can be looked at. */
import { inspect } from 'node:util';
import type { Instruction } from '../../emulator/cpu/a64/instruction.ts';
import { CASE_MEMORY, REGISTER, type A64Case, randomCase } from './a64-cases.ts';
import type { CaseResult, Driver, PlacedCase } from './a64-drivers.ts';
import { Random } from './random.ts';

/** Cases per campaign: small in `npm test`, as many as wanted by the environment variable `KDUMP_LAB_CASES`. */
export function campaignSize(small: number): number {
  return Number(process.env['KDUMP_LAB_CASES'] ?? small);
}

/** Seed of a campaign: the environment variable `KDUMP_LAB_SEED`, or 1. */
export function campaignSeed(): number {
  return Number(process.env['KDUMP_LAB_SEED'] ?? 1);
}

/** Cases that drivers may prepare together. */
const BATCH = 32;

/** Which differences do not count, by row. */
export interface Tolerance {
  /** FPSR's cumulative bits are not compared. */
  readonly ignoreFpsr?: boolean;
}

/** What a campaign runs. */
export interface CampaignOptions {
  readonly cases: number;
  readonly seed: number;
  readonly length: number;
  readonly limit?: number;
  readonly tolerance?: Tolerance;
  /** Makes a case; `randomCase` by default. */
  readonly generate?: (random: Random, rows: readonly Instruction[], length: number) => A64Case;
  /** Bytes from one case to the next; `CASE_MEMORY.slot` by default. */
  readonly stride?: number;
  /** Changes the registers that a case starts from. */
  readonly prepare?: (random: Random, registers: BigUint64Array) => void;
  /** Leaves a case out. */
  readonly isExcluded?: (test: A64Case) => boolean;
}

/**
 * Runs random cases of the rows on all drivers.
 * @returns the first differences, one text each, at most `limit`
 */
export function compareDrivers(
  drivers: readonly Driver[],
  rows: readonly Instruction[],
  options: CampaignOptions,
): string[] {
  const { cases, seed, limit = 10, tolerance = {} } = options;
  const random = new Random(seed);
  const differences: string[] = [];
  for (let first = 0; first < cases && differences.length < limit; first += BATCH) {
    const batch = makeCases(random, rows, options, first, Math.min(first + BATCH, cases));
    for (const driver of drivers) driver.prepare?.(batch);
    for (const { test, address } of batch) {
      differences.push(...differencesIn(test, address, drivers, tolerance));
      if (differences.length > 0) drivers.forEach(driver => driver.reset());
    }
  }
  return differences;
}

/** Makes the cases from number `first` to before `end`, without those that are left out. */
function makeCases(
  random: Random,
  rows: readonly Instruction[],
  { generate = randomCase, stride = CASE_MEMORY.slot, length, prepare, isExcluded }: CampaignOptions,
  first: number,
  end: number,
): PlacedCase[] {
  const placed: PlacedCase[] = [];
  for (let i = first; i < end; i++) {
    const test = generate(random, rows, length);
    prepare?.(random, test.registers);
    const address = CASE_MEMORY.code + ((i * stride) % CASE_MEMORY.codeSize);
    if (isExcluded?.(test) !== true) placed.push({ test, address });
  }
  return placed;
}

/** Runs one case on all drivers, and compares the others with the first. */
function differencesIn(test: A64Case, address: number, drivers: readonly Driver[], tolerance: Tolerance): string[] {
  const [first, ...others] = drivers.map(driver => ({ driver, result: driver.run(test, address) }));
  return others
    .map(other => describeDifference(first!, other, tolerance))
    .filter(difference => difference !== '')
    .map(difference => describeCase(test, address) + difference);
}

interface Run {
  readonly driver: Driver;
  readonly result: CaseResult;
}

function describeCase(test: A64Case, address: number): string {
  const words = test.words.map(word => (word >>> 0).toString(16).padStart(8, '0'));
  return `${test.rows.join(', ')}: ${words.join(' ')} at ${address.toString(16)}\n  with ${registersUsed(test)}\n`;
}

/** The general registers that the words name, wherever that is a register field. */
function registersUsed(test: A64Case): string {
  const numbers = new Set(test.words.flatMap(word => [0, 5, 10, 16].map(shift => (word >>> shift) & 31)));
  return [...numbers].map(n => `${registerName(n)} ${hex(test.registers[n]!)}`).join(', ');
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function describeDifference(a: Run, b: Run, tolerance: Tolerance): string {
  const line = (what: string, left: string, right: string): string =>
    `  ${what}: ${a.driver.name} ${left}, ${b.driver.name} ${right}\n`;
  if (a.result.outcome !== b.result.outcome) return line('outcome', a.result.outcome, b.result.outcome);
  let text = '';
  for (let at = 0; at < REGISTER.count; at++) {
    const [left, right] = [a.result.registers[at]!, b.result.registers[at]!];
    if (left === right || (at === REGISTER.fpsr && tolerance.ignoreFpsr)) continue;
    // After a fault Unicorn's PC is where it stopped, which need not be the instruction
    if (at === REGISTER.pc && a.result.outcome !== 'done') continue;
    text += line(registerName(at), hex(left), hex(right));
  }

  if (Buffer.compare(a.result.scratch, b.result.scratch) !== 0) {
    const differing = a.result.scratch.findIndex((byte, i) => byte !== b.result.scratch[i]);
    text += line(`memory from ${(CASE_MEMORY.scratch + differing).toString(16)}`, ...bytesFrom(differing));
  }
  return text;

  function bytesFrom(at: number): [string, string] {
    const show = (bytes: Uint8Array): string => inspect(Buffer.from(bytes.subarray(at, at + 16)));
    return [show(a.result.scratch), show(b.result.scratch)];
  }
}

const NAMED = new Map<number, string>([
  [REGISTER.sp, 'SP'],
  [REGISTER.nzcv, 'NZCV'],
  [REGISTER.fpcr, 'FPCR'],
  [REGISTER.fpsr, 'FPSR'],
  [REGISTER.pc, 'PC'],
]);

function registerName(at: number): string {
  if (at < REGISTER.sp) return `X${at}`;
  if (at >= REGISTER.v) return `V${(at - REGISTER.v) >> 1}.D[${(at - REGISTER.v) & 1}]`;
  return NAMED.get(at)!;
}
