/** Time: jiffies, HZ, the wall clock; `kernel/time/timekeeping.c`, `include/linux/jiffies.h`. */
import { mapPresent } from '../gaps.ts';
import type { Program } from '../program.ts';
import { onlineCpus } from './cpumask.ts';
import { runQueue } from './sched.ts';

/** Values of CONFIG_HZ that 64-bit kernels offer or distributions use. */
const POSSIBLE_HZ = [100, 250, 300, 1000, 24, 48, 64, 128, 200, 256, 500, 512, 1024] as const;
/** INITIAL_JIFFIES is five minutes before the 32-bit wrap. */
const INITIAL_SECONDS = 300;
const WRAP = 2 ** 32;
const NS_PER_SECOND = 1e9;

/** Nanoseconds since boot by the scheduler's clock: the latest of all run queues. */
export function bootClockNs(program: Program): number {
  const clocks = mapPresent(
    program,
    'run queues',
    onlineCpus(program),
    cpu => runQueue(program, cpu)?.num('clock') ?? 0,
  );
  return Math.max(0, ...clocks);
}

/** `jiffies_64`. */
export function jiffies(program: Program): number {
  const address = program.symbols.find('jiffies_64') ?? program.symbols.need('jiffies');
  return Number(program.memory.readU64(address));
}

const knownHz = new WeakMap<Program, number>();

/** CONFIG_HZ: the one with which jiffies and the scheduler's clock tell the same time since boot. */
export function hz(program: Program): number {
  const known = knownHz.get(program);
  if (known !== undefined) return known;
  const elapsed = bootClockNs(program) / NS_PER_SECOND;
  const now = jiffies(program);
  const error = (rate: number): number => Math.abs(secondsAt(now, rate) - elapsed);
  const best = [...POSSIBLE_HZ].sort((a, b) => error(a) - error(b))[0]!;
  knownHz.set(program, best);
  return best;
}

function secondsAt(now: number, rate: number): number {
  return (now - (WRAP - INITIAL_SECONDS * rate)) / rate;
}

/** Whole seconds since boot. */
export function uptimeSeconds(program: Program): number {
  return Math.max(0, Math.floor(secondsAt(jiffies(program), hz(program))));
}

/** Seconds since 1970 when the kernel crashed: by the timekeeper, else by VMCOREINFO's CRASHTIME. */
export function wallClockSeconds(program: Program): number | undefined {
  const core = program.symbols.find('tk_core');
  const type = program.types.findStruct('tk_core');
  if (core !== undefined && type === undefined && program.types.findStruct('timekeeper') !== undefined) {
    // `tk_core` is an anonymous structure: a sequence counter and then the timekeeper, which is 8-byte aligned.
    const SEQUENCE_SIZE = 8n;
    const seconds = program.object('timekeeper', core + SEQUENCE_SIZE).num('xtime_sec');
    if (seconds > 0 && seconds < 2 ** 40) return seconds;
  }
  return program.vmcoreinfo.crashTime;
}

/** `HH:MM:SS`, with days in front when there are any. */
export function durationText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const clock = `${two((seconds % 86_400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return days === 0 ? clock : `${days} days, ${clock}`;
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** A time as `date` prints it in the C locale, in UTC. */
export function dateText(seconds: number): string {
  const date = new Date(seconds * 1000);
  // Beyond the year 275760 there is no date: the clock was not read from a sound dump.
  if (Number.isNaN(date.getTime())) return `(no date: ${seconds} s since 1970)`;
  const day = String(date.getUTCDate()).padStart(2);
  return `${WEEKDAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${day} ${date.toISOString().slice(11, 19)} UTC ${date.getUTCFullYear()}`;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, '0');
}
