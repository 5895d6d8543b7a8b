/** Signals; `include/linux/signal_types.h`, `kernel/signal.c`. */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { listForEachEntry } from './list.ts';
import type { Task } from './sched.ts';

/** Names in order of numbers from 1; `include/uapi/asm-generic/signal.h`. */
const NAMES =
  'HUP INT QUIT ILL TRAP ABRT/SIGIOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD/SIGCLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO/SIGPOLL PWR SYS/SIGUNUSED'.split(
    ' ',
  );
export const SIGNALS = 64;
/** As the kernel counts; the C library keeps the first two for itself. */
const SIGRTMIN = 32;
const MAX_QUEUED = 100_000;

/** Name of a signal number, as `kill -l` has it. */
export function signalName(number: number): string {
  const name = NAMES[number - 1];
  if (name !== undefined) return `SIG${name}`;
  if (number === SIGRTMIN) return 'SIGRTMIN';
  if (number === SIGNALS) return 'SIGRTMAX';
  const middle = SIGRTMIN + 16;
  return number <= middle ? `SIGRTMIN+${number - SIGRTMIN}` : `SIGRTMAX-${SIGNALS - number}`;
}

/** One `struct k_sigaction`. */
export interface SignalAction {
  readonly number: number;
  readonly address: bigint;
  readonly handler: bigint;
  readonly mask: bigint;
  readonly flags: bigint;
}

/** A queued signal. */
export interface QueuedSignal {
  readonly number: number;
  readonly info: bigint;
}

/** `struct sigpending`. */
export interface PendingSignals {
  readonly set: bigint;
  readonly queue: readonly QueuedSignal[];
}

/** A task's signals. */
export interface TaskSignals {
  readonly signalStruct: bigint;
  readonly threads: number;
  readonly actions: readonly SignalAction[];
  readonly isPending: boolean;
  readonly blocked: bigint;
  readonly private: PendingSignals;
  readonly shared: PendingSignals;
}

/** Reads everything that `sig` shows, or undefined for a task that has none left. */
export function taskSignals(program: Program, task: Task): TaskSignals | undefined {
  const { struct } = task;
  const signal = struct.follow('signal');
  const handlers = struct.follow('sighand');
  if (signal === undefined || handlers === undefined) return undefined;
  const count = Math.min(SIGNALS, handlers.lengthOf('action'));
  const blocked = setOf(struct, 'blocked');
  const privatePending = pending(program, struct.embedded('pending'));
  const shared = pending(program, signal.embedded('shared_pending'));
  return {
    signalStruct: signal.address,
    threads: signal.num('nr_threads'),
    actions: Array.from({ length: count }, (_, index) => action(handlers, index)),
    isPending: ((privatePending.set | shared.set) & ~blocked) !== 0n,
    blocked,
    private: privatePending,
    shared,
  };
}

function setOf(object: StructObject, member: string): bigint {
  return object.pointer(`${member}.sig[0]`);
}

function action(handlers: StructObject, index: number): SignalAction {
  const entry = handlers.embedded(`action[${index}]`);
  return {
    number: index + 1,
    address: entry.address,
    handler: entry.pointer('sa.sa_handler'),
    mask: entry.pointer('sa.sa_mask.sig[0]'),
    flags: BigInt.asUintN(32, entry.big('sa.sa_flags')),
  };
}

function pending(program: Program, set: StructObject): PendingSignals {
  const queue: QueuedSignal[] = [];
  for (const entry of listForEachEntry(program, set.addressOf('list'), 'sigqueue', 'list', MAX_QUEUED)) {
    queue.push({ number: entry.num('info.si_signo'), info: entry.addressOf('info') });
  }
  return { set: setOf(set, 'signal'), queue };
}
