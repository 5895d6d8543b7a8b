/** Compares drivers over random x86_64 cases and words differences so that one case can be looked at. */
import { inspect } from 'node:util';
import type { Instruction } from '../../emulator/cpu/x64/instruction.ts';
import { Random } from './random.ts';
import type { NativeRunner } from './x64-native.ts';
import { type CaseOptions, codeArea, randomX64Case, X64_MEMORY, X64_REGISTER, type X64Case } from './x64-cases.ts';
import { COMPARED_FLAGS, type CaseResult, type Driver } from './x64-drivers.ts';

export interface CompareOptions extends CaseOptions {
  readonly cases: number;
  readonly seed: number;
  readonly length: number;
  readonly limit?: number;
  /** Flags that do not count, as a mask of EFLAGS. */
  readonly ignoredFlags?: number;
  readonly ignoreMxcsr?: boolean;
}

/** Runs random cases of the rows on all drivers. @returns the first differences, one text each, at most `limit` */
export function compareX64(
  drivers: readonly Driver[],
  rows: readonly Instruction[],
  options: CompareOptions,
): string[] {
  const random = new Random(options.seed);
  const differences: string[] = [];
  const area = codeArea(options);
  let address = area.start;
  for (const driver of drivers) driver.reset();
  for (let i = 0; i < options.cases && differences.length < (options.limit ?? 5); i++) {
    const test = randomX64Case(random, rows, options.length, options);
    const [first, ...others] = drivers.map(driver => ({ driver, result: driver.run(test, address) }));
    // how Unicorn ends a sequence that faults in the middle depends on the fault
    const faulted = options.length > 1 && others.some(({ result }) => result.outcome !== 'done');
    for (const other of faulted ? [] : others) {
      const difference = describeDifference(first!, other, options);
      if (difference) differences.push(describeCase(test, address) + difference);
    }
    if (differences.length > 0) drivers.forEach(driver => driver.reset());
    address += X64_MEMORY.slot;
    if (address === area.start + area.size) address = area.start;
  }
  return differences;
}

/** Runs random cases of the rows on our drivers and the host's processor. @returns the first differences, one text each, at most `limit` */
export function compareWithNative(
  native: NativeRunner,
  drivers: readonly Driver[],
  rows: readonly Instruction[],
  options: CompareOptions,
): string[] {
  const random = new Random(options.seed);
  const cases = Array.from({ length: options.cases }, () => randomX64Case(random, rows, options.length, options));
  const differences: string[] = [];
  native.run(cases, X64_MEMORY.code).forEach((expected, i) => {
    if (differences.length >= (options.limit ?? 5)) return;
    const test = cases[i]!;
    for (const driver of drivers) {
      driver.reset();
      const result = driver.run(test, X64_MEMORY.code);
      const difference = describeDifference({ driver: NATIVE, result: expected }, { driver, result }, options);
      if (difference) differences.push(describeCase(test, X64_MEMORY.code) + difference);
    }
  });
  return differences;
}

const NATIVE = { name: 'the processor' };

interface Run {
  readonly driver: Pick<Driver, 'name'>;
  readonly result: CaseResult;
}

const NAMES = [
  'RAX',
  'RCX',
  'RDX',
  'RBX',
  'RSP',
  'RBP',
  'RSI',
  'RDI',
  'R8',
  'R9',
  'R10',
  'R11',
  'R12',
  'R13',
  'R14',
  'R15',
];

function registerName(at: number): string {
  if (at < 16) return NAMES[at]!;
  if (at >= X64_REGISTER.m) return `MM${at - X64_REGISTER.m}`;
  if (at >= X64_REGISTER.y) return `YMM${(at - X64_REGISTER.y) >> 2}[${(at - X64_REGISTER.y) & 3}]`;
  return ['RFLAGS', 'RIP', 'MXCSR'][at - 16]!;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function describeCase(test: X64Case, address: number): string {
  const registers = Array.from(test.registers.subarray(0, 17), (value, at) => `${registerName(at)} ${hex(value)}`);
  return `${test.rows.join(' | ')}: ${Buffer.from(test.code).toString('hex')} at ${address.toString(16)}\n  with ${registers.join(', ')}\n`;
}

function describeDifference(a: Run, b: Run, options: CompareOptions): string {
  const line = (what: string, left: string, right: string): string =>
    `  ${what}: ${a.driver.name} ${left}, ${b.driver.name} ${right}\n`;
  if (a.result.outcome !== b.result.outcome) return line('outcome', a.result.outcome, b.result.outcome);
  let text = '';
  for (let at = 0; at < X64_REGISTER.count; at++) {
    const mask = at === X64_REGISTER.flags ? BigInt(COMPARED_FLAGS & ~(options.ignoredFlags ?? 0)) : -1n;
    const [left, right] = [a.result.registers[at]! & mask, b.result.registers[at]! & mask];
    if (left === right || (at === X64_REGISTER.mxcsr && options.ignoreMxcsr)) continue;
    // After a fault Unicorn's RIP is where it stopped, which need not be the instruction
    if (at === X64_REGISTER.pc && a.result.outcome !== 'done') continue;
    text += line(registerName(at), hex(left), hex(right));
  }
  if (Buffer.compare(a.result.scratch, b.result.scratch) !== 0) {
    const at = a.result.scratch.findIndex((byte, i) => byte !== b.result.scratch[i]);
    const show = (bytes: Uint8Array): string => inspect(Buffer.from(bytes.subarray(at, at + 16)));
    text += line(
      `memory from ${(X64_MEMORY.scratch + at).toString(16)}`,
      show(a.result.scratch),
      show(b.result.scratch),
    );
  }
  return text;
}
