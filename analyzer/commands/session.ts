/** What lasts from command to command: the opened kernel, the current task, output settings. */
import type { Program } from '../program.ts';
import { TaskTable } from '../linux/sched.ts';
import type { Task } from '../linux/sched.ts';
import { findPanicTask } from '../linux/panic.ts';
import type { PrintContext } from '../types/print-value.ts';

/** Settings that `set` changes. */
export interface Settings {
  /** Base in which integers are printed by default. */
  radix: 10 | 16;
  scroll: boolean;
  /** Names instead of addresses where a command offers both. */
  readonly variables: Map<string, string>;
}

/** A user's session. */
export class Session {
  readonly program: Program;
  readonly settings: Settings = { radix: 10, scroll: false, variables: new Map() };
  /** Lines as typed, for history. */
  readonly aliases = new Map<string, string>();
  #tasks: TaskTable | undefined;
  #current: Task | undefined;
  #panic: Task | undefined;

  constructor(program: Program) {
    this.program = program;
  }

  /** All tasks, read on first use. */
  get tasks(): TaskTable {
    this.#tasks ??= new TaskTable(this.program);
    return this.#tasks;
  }

  /** The task that panicked, or the first active one. */
  get panicTask(): Task {
    this.#panic ??= findPanicTask(this.tasks);
    return this.#panic;
  }

  /** The task that commands without a task argument speak about. */
  get current(): Task {
    return this.#current ?? this.panicTask;
  }

  set current(task: Task) {
    this.#current = task;
  }

  /** Name of the slab cache that an address lies in, or undefined. */
  slabCacheOf(_address: bigint): string | undefined {
    return undefined;
  }

  /** `file: line` of a text address; undefined without line information. */
  sourceLine(_address: bigint): string | undefined {
    return undefined;
  }

  /** How to print C values. */
  printContext(radix: 10 | 16 = this.settings.radix): PrintContext {
    return { symbolAt: address => this.program.symbols.format(address), memory: this.program.memory, radix };
  }
}
