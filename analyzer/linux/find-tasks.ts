/**
 * Where the tasks of a dump are found: the pid table of the initial namespace, else the list of processes and the lists
 * of their threads.
 *
 * Sources: `include/linux/pid.h`, `include/linux/sched/signal.h` `for_each_process_thread` (Linux v6.12). makedumpfile
 * up to 1.7.8 takes tail pages of slabs of 7.x for user memory, because `page.compound_head` has become
 * `compound_info`, and leaves them out: any of the structures on the way may be missing from a dump.
 */
import { FaultError } from '../../capture/formats/errors.ts';
import { readOr } from '../gaps.ts';
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import { sizeOf } from '../types/types.ts';
import type { StructType } from '../types/types.ts';
import { idrForEach } from './xarray.ts';

/** PID_MAX_LIMIT of 64-bit kernels: no list of tasks is longer. */
const MAX_TASKS = 4 * 1024 * 1024;
/** What every command asks of a task. One of which any of these cannot be read is lost. */
const NEEDED_MEMBERS = [
  'thread_info',
  '__state',
  'state',
  'cpu',
  'on_cpu',
  'on_rq',
  'prio',
  'policy',
  'mm',
  'exit_state',
  'pid',
  'tgid',
  'real_parent',
  'parent',
  'comm',
  'flags',
  'stack',
];

/** A task that a dump names and does not have. */
export interface LostTask {
  readonly struct: StructObject;
  /** As the pid table has it; undefined for a task that only a list leads to. */
  readonly pid: number | undefined;
  /** Why it cannot be read. */
  readonly reason: string;
}

/** The tasks that a dump leads to. */
export interface FoundTasks {
  readonly readable: readonly StructObject[];
  readonly lost: readonly LostTask[];
}

/** All `task_struct`s but the idle tasks, in no order. A search that meets memory that cannot be read is a warning. */
export function findTasks(program: Program): FoundTasks {
  const search = new TaskSearch(program);
  search.visitPidNamespace();
  if (search.faults > 0 || search.found.size === 0) search.visitLists();
  const readable: StructObject[] = [];
  const lost: LostTask[] = [];
  for (const [address, pid] of search.found) {
    const struct = program.object('task_struct', address);
    const reason = whyUnreadable(struct);
    if (reason === undefined) readable.push(struct);
    else lost.push({ struct, pid, reason });
  }
  if (search.faults > 0 || lost.length > 0) {
    const known = lost.length > 0 ? `${lost.length} tasks cannot be read` : 'tasks may be missing';
    program.warn(`the dump lacks pages of the task lists (${search.faults} places): ${known}`);
  }
  return { readable, lost };
}

/** Why a task cannot be shown; undefined for one that can. */
export function whyUnreadable(task: StructObject): string | undefined {
  return readOr(
    () => {
      for (const member of NEEDED_MEMBERS) {
        if (!task.has(member)) continue;
        const start = task.addressOf(member);
        task.memory.readU8(start);
        task.memory.readU8(start + BigInt(sizeOf(task.typeOf(member)) - 1));
      }
      return undefined;
    },
    ({ reason }) => reason,
  );
}

/** Collects tasks; a fault ends one list and not the search. */
class TaskSearch {
  /** Pids by address, where the pid table has them. */
  readonly found = new Map<bigint, number | undefined>();
  faults = 0;
  readonly #program: Program;
  readonly #type: StructType;
  readonly #init: StructObject;

  constructor(program: Program) {
    this.#program = program;
    this.#type = program.types.struct('task_struct');
    this.#init = program.object('task_struct', program.symbols.need('init_task'));
  }

  /** `init_pid_ns.idr` since 4.15 (commit 95846ecf9dac "pid: replace pid bitmap implementation with IDR API"). */
  visitPidNamespace(): void {
    const namespace = this.#program.findGlobal('pid_namespace', 'init_pid_ns');
    if (namespace === undefined || !namespace.has('idr')) return;
    this.#tolerate(() => {
      const onFault = (): void => void this.faults++;
      for (const { pointer } of idrForEach(this.#program, namespace.embedded('idr'), { onFault })) {
        this.#tolerate(() => this.#addFirstOf(this.#program.object('pid', pointer)));
        if (this.found.size > MAX_TASKS) break;
      }
    });
  }

  /** `for_each_process_thread`, from both ends: where one way is broken the other may lead further. */
  visitLists(): void {
    for (const direction of ['next', 'prev'] as const) {
      const complete = this.#walk(this.#init, 'tasks', direction, leader => {
        this.#add(leader.address);
        this.#visitThreads(leader);
      });
      if (complete) break;
    }
  }

  /**
   * The threads of a process, from the leader's own link, so that `signal`, where the list's head stands, need not be
   * readable: `thread_node` since 3.14; the older ring `thread_group` went away in 6.7.
   */
  #visitThreads(leader: StructObject): void {
    const member = leader.has('thread_group') ? 'thread_group' : 'thread_node';
    const head = this.#threadHead(leader);
    this.#walk(leader, member, 'next', (thread, link) => {
      if (link !== head) this.#add(thread.address);
    });
  }

  #threadHead(leader: StructObject): bigint | undefined {
    const signal = leader.has('thread_group') ? 0n : leader.pointer('signal');
    return signal === 0n ? undefined : this.#program.object('signal_struct', signal).addressOf('thread_head');
  }

  #addFirstOf(pid: StructObject): void {
    const first = pid.pointer('tasks[0].first');
    if (first === 0n) return;
    this.#add(first - BigInt(this.#init.offsetOf('pid_links')), pid.num('numbers[0].nr'));
  }

  #add(address: bigint, pid?: number): void {
    const key = BigInt.asUintN(64, address);
    if (!this.found.has(key)) this.found.set(key, pid);
  }

  /** Follows `member` from task to task, until it comes round. Returns whether it did. */
  #walk(
    from: StructObject,
    member: string,
    direction: 'next' | 'prev',
    visit: (task: StructObject, link: bigint) => void,
  ): boolean {
    const offset = BigInt(from.offsetOf(member));
    const step = direction === 'next' ? 0n : 8n;
    const seen = new Set<bigint>([from.address + offset]);
    return this.#tolerate(() => {
      for (let link = this.#program.memory.readU64(from.address + offset + step); !seen.has(link);) {
        if (link === 0n || seen.size > MAX_TASKS) break;
        seen.add(link);
        visit(new StructObject(this.#program.memory, this.#type, link - offset), link);
        link = this.#program.memory.readU64(link + step);
      }
    });
  }

  /** Runs something that may meet unreadable memory, and counts it. Returns whether all went well. */
  #tolerate(action: () => void): boolean {
    try {
      action();
      return true;
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      this.faults++;
      return false;
    }
  }
}
