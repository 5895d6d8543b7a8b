/** What lasts from command to command: the opened kernel, the current task, output settings. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { CommandResult } from './command.ts';
import type { Program } from '../program.ts';
import { slabOfAddress } from '../linux/slab.ts';
import { TaskTable } from '../linux/sched.ts';
import type { Task } from '../linux/sched.ts';
import { findPanicTask } from '../linux/panic.ts';
import type { Value } from '../types/value.ts';
import type { PrintContext } from '../types/print-value.ts';
import { GdbState } from './gdb/state.ts';

/** Settings that `set` changes. */
export interface Settings {
  /** Base in which integers are printed by default. */
  radix: 10 | 16;
  scroll: boolean;
  /** Names instead of addresses where a command offers both. */
  readonly variables: Map<string, string>;
}

/** A short name's command line, and who defined it. */
export interface Alias {
  readonly command: string;
  /** `builtin`, `runtime`, or the start-up file. */
  readonly origin: string;
}

const BUILT_IN_ALIASES: readonly (readonly [name: string, command: string])[] = [
  ['man', 'help'],
  ['?', 'help'],
  ['quit', 'q'],
  ['sf', 'set scroll off'],
  ['sn', 'set scroll on'],
  ['hex', 'set radix 16'],
  ['dec', 'set radix 10'],
  ['g', 'gdb'],
  ['px', 'p -x'],
  ['pd', 'p -d'],
  ['for', 'foreach'],
  ['size', '*'],
  ['dmesg', 'log'],
  ['lsmod', 'mod'],
  ['last', 'ps -l'],
];

/** Something said in front of a command's output. */
interface Note {
  readonly text: string;
  readonly isWarning: boolean;
}

/** A user's session. */
export class Session {
  readonly program: Program;
  readonly settings: Settings = { radix: 10, scroll: false, variables: new Map() };
  /** Short names of command lines. */
  readonly aliases = new Map<string, Alias>(
    BUILT_IN_ALIASES.map(([name, command]) => [name, { command, origin: 'builtin' }]),
  );
  #tasks: TaskTable | undefined;
  #current: Task | undefined;
  #panic: Task | undefined;
  readonly #history: Value[] = [];
  /** Shows what a command came to while it goes on: `repeat`. Without it a command is run once. */
  show: ((done: CommandResult) => void) | undefined;
  /** Who defines aliases at the moment: the user, or a start-up file. */
  origin = 'runtime';
  /** Ends the command that is being repeated. */
  repetition: AbortController | undefined;
  /** gdb's settings and `$name` variables. */
  readonly gdb = new GdbState();

  #notes: Note[] = [];

  /** Says something in front of the output of the command that runs. */
  note(text: string): void {
    this.#notes.push({ text, isWarning: false });
  }

  /** As `note`, for what begins with WARNING and not with the command's name. */
  warn(text: string): void {
    this.#notes.push({ text, isWarning: true });
  }

  /** What was noted since the last call. */
  takeNotes(): readonly Note[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }

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

  /** Of a running machine everything is read anew for each command; the current task stays while it lives. */
  refresh(): void {
    if (!this.program.isLive) return;
    this.program.hold();
    const previous = this.#current;
    this.#tasks = undefined;
    this.#panic = undefined;
    this.#current =
      previous && this.tasks.all.find(({ address, pid }) => address === previous.address && pid === previous.pid);
  }

  /** Lets a machine run on that stood still for a command. */
  release(): void {
    if (this.program.isLive) this.program.release();
  }

  /** Name of the slab cache that an address lies in, or undefined. */
  slabCacheOf(address: bigint): string | undefined {
    return slabOfAddress(this.program, address)?.cache.stringAt('name', 128);
  }

  /** Keeps a value for `$N`. Returns its number. */
  remember(value: Value): number {
    this.#history.push(value);
    return this.#history.length;
  }

  /** `$` is the last value, `$$` the one before, `$$N` the Nth before the last, `$N` the one numbered N, `$name` a variable. */
  history(name: string): Value | undefined {
    if (name === '$') return this.#history.at(-1);
    if (name === '$$') return this.#history.at(-2);
    const back = /^\$\$(\d+)$/.exec(name);
    if (back !== null) return this.#history.at(-1 - Number(back[1]));
    const number = /^\$(\d+)$/.exec(name);
    if (number === null) return this.gdb.variables.get(name);
    if (Number(number[1]) > this.#history.length) throw new UsageError(`History has not yet reached ${name}.`);
    return this.#history[Number(number[1]) - 1];
  }

  /** `file: line` of a text address; undefined without line information. */
  sourceLine(address: bigint): string | undefined {
    const found = this.program.debug.line(address);
    return found === undefined ? undefined : `${found.file}: ${found.line}`;
  }

  /** How to print C values. */
  printContext(radix: 10 | 16 = this.settings.radix): PrintContext {
    const { symbols, memory } = this.program;
    return { symbolAt: address => symbols.formatInside(address), memory, radix, settings: this.gdb.print };
  }
}
