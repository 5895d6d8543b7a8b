/** Resource limits; `include/uapi/asm-generic/resource.h`. */
import type { Task } from './sched.ts';

/** In order of RLIMIT_ numbers. */
const NAMES = [
  'CPU',
  'FSIZE',
  'DATA',
  'STACK',
  'CORE',
  'RSS',
  'NPROC',
  'NOFILE',
  'MEMLOCK',
  'AS',
  'LOCKS',
  'SIGPENDING',
  'MSGQUEUE',
  'NICE',
  'RTPRIO',
  'RTTIME',
];

/** One limit; all ones means none. */
export interface ResourceLimit {
  readonly name: string;
  readonly current: bigint;
  readonly maximum: bigint;
}

/** `signal->rlim[]`. */
export function resourceLimits(task: Task): ResourceLimit[] {
  const signal = task.struct.follow('signal');
  if (signal === undefined) return [];
  const count = Math.min(NAMES.length, signal.lengthOf('rlim'));
  return NAMES.slice(0, count).map((name, index) => ({
    name,
    current: BigInt.asUintN(64, signal.big(`rlim[${index}].rlim_cur`)),
    maximum: BigInt.asUintN(64, signal.big(`rlim[${index}].rlim_max`)),
  }));
}
