/** Timers; `kernel/time/timer.c` `struct timer_base`, `include/linux/hrtimer_defs.h`. */
import type { Program } from '../program.ts';
import { mapPresent, readOrWarn, untilGap } from '../gaps.ts';
import { StructObject } from '../types/object.ts';
import { hlistForEachEntry } from './list.ts';
import { rbInorder } from './rbtree.ts';
import { hz, jiffies } from './timekeeping.ts';

const MAX_TIMERS = 1_000_000;

/** A pending timer of the wheel. */
export interface WheelTimer {
  readonly address: bigint;
  readonly expires: bigint;
  readonly function: bigint;
}

/** One `struct timer_base` of a CPU. */
export interface TimerWheel {
  readonly cpu: number;
  readonly name: string;
  readonly address: bigint;
  readonly timers: readonly WheelTimer[];
}

/** BASE_STD and BASE_DEF; since 6.10 BASE_LOCAL, BASE_GLOBAL and BASE_DEF (commit 7ee988770326). */
function baseNames(count: number): readonly string[] {
  return count === 3 ? ['BASE_LOCAL', 'BASE_GLOBAL', 'BASE_DEF'] : ['BASE_STD', 'BASE_DEF'];
}

/** The wheels of a CPU, timers in order of expiry. */
export function timerWheels(program: Program, cpu: number): TimerWheel[] {
  const first = program.percpuAddress('timer_bases', cpu);
  const type = program.types.findStruct('timer_base');
  if (first === undefined || type === undefined) return [];
  const bytes = program.percpuVariables.get('timer_bases')?.size ?? 2 * type.size;
  const names = baseNames(Math.round(bytes / type.size));
  return names.map((name, index) => {
    const base = new StructObject(program.memory, type, first + BigInt(index * type.size));
    return { cpu, name, address: base.address, timers: wheelTimers(program, base) };
  });
}

function wheelTimer(timer: StructObject): WheelTimer {
  return { address: timer.address, expires: timer.pointer('expires'), function: timer.pointer('function') };
}

function wheelTimers(program: Program, base: StructObject): WheelTimer[] {
  const found: WheelTimer[] = [];
  const count = base.lengthOf('vectors');
  for (let index = 0; index < count; index++) {
    const head = base.addressOf(`vectors[${index}]`);
    if ((readOrWarn(program, 'timers', () => program.memory.readU64(head)) ?? 0n) === 0n) continue;
    const timers = untilGap(program, 'timers', hlistForEachEntry(program, head, 'timer_list', 'entry'));
    found.push(...mapPresent(program, 'timers', timers, wheelTimer));
    if (found.length >= MAX_TIMERS) return found;
  }
  return found.sort((a, b) => (a.expires < b.expires ? -1 : a.expires > b.expires ? 1 : 0));
}

/** A pending high-resolution timer, in nanoseconds. */
export interface Hrtimer {
  readonly address: bigint;
  readonly softExpires: bigint;
  readonly expires: bigint;
  readonly function: bigint;
}

/** One `struct hrtimer_clock_base`. */
export interface HrtimerBase {
  readonly index: number;
  readonly address: bigint;
  /** Name of the function that reads its clock. */
  readonly getTime: string;
  /** The clock when the kernel crashed: to a tick. */
  readonly now: bigint;
  readonly timers: readonly Hrtimer[];
}

export interface HrtimerCpu {
  readonly cpu: number;
  readonly address: bigint;
  readonly bases: readonly HrtimerBase[];
}

/** High-resolution timers of a CPU. */
export function hrtimerBases(program: Program, cpu: number): HrtimerCpu | undefined {
  const address = program.percpuAddress('hrtimer_bases', cpu);
  if (address === undefined) return undefined;
  const base = program.object('hrtimer_cpu_base', address);
  const now = uptimeNs(program);
  const bases = Array.from({ length: base.lengthOf('clock_base') }, (_, index) =>
    clockBase(program, base.embedded(`clock_base[${index}]`), index, now),
  );
  return { cpu, address, bases };
}

/** Jiffies since boot as nanoseconds: INITIAL_JIFFIES is five minutes before the 32-bit wrap. */
function uptimeNs(program: Program): bigint {
  const rate = BigInt(hz(program));
  const since = BigInt(jiffies(program)) - ((1n << 32n) - 300n * rate);
  return (since * 1_000_000_000n) / rate;
}

/** Names of `ktime_get*` by clock id where the base has no `get_time` (since 6.18); CLOCK_REALTIME 0, MONOTONIC 1, BOOTTIME 7, TAI 11. */
const CLOCKS: Readonly<Record<number, string>> = {
  0: 'ktime_get_real',
  1: 'ktime_get',
  7: 'ktime_get_boottime',
  11: 'ktime_get_clocktai',
};

function clockBase(program: Program, base: StructObject, index: number, now: bigint): HrtimerBase {
  const root = base.pointer(
    base.has('active.rb_root.rb_root.rb_node') ? 'active.rb_root.rb_root.rb_node' : 'active.head.rb_node',
  );
  const type = program.types.struct('hrtimer');
  const node = BigInt(program.object('hrtimer', 0n).offsetOf('node'));
  const link = BigInt(program.object('timerqueue_node', 0n).offsetOf('node'));
  const what = 'high-resolution timers';
  const timers = mapPresent(program, what, rbInorder(program, root, what), ({ address }) => {
    const timer = new StructObject(program.memory, type, address - link - node);
    return {
      address: timer.address,
      softExpires: timer.big('_softexpires'),
      expires: timer.big('node.expires'),
      function: timer.pointer('function'),
    };
  });
  const getTime = base.has('get_time')
    ? (program.symbols.lookup(base.pointer('get_time'))?.symbol.name ?? '')
    : (CLOCKS[base.num('clockid')] ?? '');
  return { index, address: base.address, getTime, now, timers };
}
