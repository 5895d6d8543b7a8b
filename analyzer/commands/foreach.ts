/** `foreach`: a command for many tasks. */
import { faultText } from './faults.ts';
import { FaultError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { stateLetters } from '../linux/sched.ts';
import type { Task } from '../linux/sched.ts';
import { pageHeader } from '../text/page-line.ts';
import { bt } from './bt.ts';
import { Arguments, SynopsisError, parseArguments } from './command.ts';
import type { Command } from './command.ts';
import { files } from './files.ts';
import { ps } from './ps.ts';
import { taskHeader, tasksNamed } from './select-tasks.ts';
import type { Session } from './session.ts';
import { set } from './set.ts';
import { sig } from './sig.ts';
import { task as taskCommand } from './task.ts';
import { vm } from './vm.ts';
import { vtop } from './vtop.ts';
import { net } from './net.ts';

interface ForeachData {
  /** What the command gave for each task, or the error's line. */
  readonly results: readonly { readonly pid: number; readonly data?: unknown; readonly text: string }[];
  readonly separator: string;
}

const RUNNABLE: Readonly<Record<string, Command>> = Object.fromEntries(
  [bt, files, net, ps, set, sig, taskCommand, vm, vtop].map(command => [command.name, command as Command]),
);
/** Names of the commands that can be run for each task. */
export const RUNNABLE_NAMES: readonly string[] = Object.keys(RUNNABLE);
const STATES = new Set(['RU', 'IN', 'UN', 'ST', 'ZO', 'TR', 'SW', 'DE', 'PA', 'WA', 'ID', 'NE']);

/** `foreach`. */
export const foreach: Command<ForeachData> = {
  name: 'foreach',
  summary: 'a command for many tasks',
  synopsis: '[[pid | task | name | state | kernel | user | gleader | active]...] command [options]',
  options: [],
  description: `Commands: ${Object.keys(RUNNABLE).join(', ')}. Without a selection: all tasks.`,
  examples: [
    { line: 'foreach UN bt', why: 'stacks of all tasks in uninterruptible sleep' },
    { line: 'foreach user vm', why: 'mappings of all processes' },
    { line: 'foreach gleader ps', why: 'one line a process' },
  ],
  run(session, args) {
    const { selectors, command, words } = split(args.positionals);
    const selected = select(session, selectors);
    if (command.name === 'vtop' && parseArguments(command, words).positionals.length === 0)
      throw new UsageError('foreach command requires address argument');
    const byGroup = command.name === 'sig' && words.includes('-g');
    const chosen = byGroup ? groupLeaders(selected) : selected;
    if (chosen.length === 0) return { results: [], separator: '' };
    if (command.name === 'ps') return together(session, command, chosen, words);
    const results = chosen
      .map(task => ({ pid: task.pid, ...runFor(session, command, task, words) }))
      .filter(({ text }) => text !== '');
    return {
      results: command.name === 'vtop' ? headedOnce(session, results) : results,
      separator: SEPARATED.has(command.name) ? '\n' : '',
    };
  },
  text: data => data.results.map(({ text }) => text).join(data.separator),
};

/** The head of the page line stands in the first result only. */
function headedOnce({ program }: Session, results: ForeachData['results']): ForeachData['results'] {
  const head = pageHeader(program);
  const first = results.findIndex(({ text }) => text.includes(head));
  return results.map((result, index) =>
    index === first ? result : { ...result, text: result.text.replace(head, '') },
  );
}

/** Commands whose blocks of output stand apart. */
const SEPARATED = new Set(['bt', 'files', 'vm', 'net', 'set', 'vtop']);
/** Commands whose output does not name the task. */
const UNNAMED = new Set(['set', 'vtop']);

/** The options of the command stay with it: `foreach` itself has none, so its words are not parsed as options. */
function split(words: readonly string[]): { selectors: string[]; command: Command; words: string[] } {
  const index = words.findIndex(word => Object.hasOwn(RUNNABLE, word));
  if (index === -1) throw noCommand(words);
  return { selectors: words.slice(0, index), command: RUNNABLE[words[index]!]!, words: words.slice(index + 1) };
}

/** What is wrong with words of which none is a command that can be run for each task. */
function noCommand(words: readonly string[]): UsageError {
  const unknown = words.find(word => !isKeyword(word) && !/^(?:0x)?[\da-f]+$/i.test(word));
  if (words.length === 0) return new SynopsisError('no command given');
  const option = words.find(word => word.startsWith('-'));
  if (option !== undefined) return new SynopsisError(`invalid option -- '${option.slice(1)}'`);
  if (unknown === undefined) return new UsageError('no keywords specified');
  return new UsageError(`unknown argument: "${unknown}"\nforeach: no keywords specified`);
}

function select(session: Session, selectors: readonly string[]): Task[] {
  if (selectors.length === 0) return [...session.tasks.withLost];
  let chosen: readonly Task[] = session.tasks.all;
  const named = selectors.filter(word => !isKeyword(word));
  if (named.length > 0) {
    chosen = named.flatMap(word => {
      const found = tasksNamed(session, word);
      if (found.length === 0) throw new UsageError(`unknown argument: "${word}"`);
      return found;
    });
  }
  if (selectors.includes('kernel') && selectors.includes('user'))
    throw new UsageError('user and kernel are mutually exclusive!');
  const states = selectors.filter(word => STATES.has(word));
  if (states.length > 0) chosen = chosen.filter(task => states.includes(stateLetters(task.stateBits)));
  if (selectors.includes('kernel')) chosen = chosen.filter(task => task.isKernelThread || task.pid === 0);
  if (selectors.includes('user')) chosen = chosen.filter(task => !task.isKernelThread && task.pid !== 0);
  if (selectors.includes('gleader'))
    chosen = chosen.filter(task => task.isThreadLeader && !task.isKernelThread && task.pid !== 0);
  if (selectors.includes('active')) chosen = chosen.filter(task => session.tasks.isActive(task));
  return [...chosen];
}

/** One task of each thread group; the idle tasks are of one group. */
function groupLeaders(tasks: readonly Task[]): Task[] {
  return tasks.filter(
    (task, index) => task.isThreadLeader && tasks.findIndex(({ tgid }) => tgid === task.tgid) === index,
  );
}

/** Words that choose tasks by what they are. */
export const SELECTOR_NAMES: readonly string[] = ['kernel', 'user', 'gleader', 'active', ...STATES];

function isKeyword(word: string): boolean {
  return STATES.has(word) || ['kernel', 'user', 'gleader', 'active'].includes(word);
}

function together(session: Session, command: Command, chosen: readonly Task[], words: readonly string[]): ForeachData {
  const parsed = parseArguments(command, words);
  const all = new Arguments(
    chosen.map(task => task.address.toString(16)),
    optionsOf(command, parsed),
  );
  return { results: [{ pid: 0, text: command.text(command.run(session, all), session) }], separator: '' };
}

function optionsOf(command: Command, parsed: Arguments): Map<string, readonly string[]> {
  return new Map(command.options.filter(({ flag }) => parsed.has(flag)).map(({ flag }) => [flag, parsed.values(flag)]));
}

function runFor(
  session: Session,
  command: Command,
  task: Task,
  words: readonly string[],
): { data?: unknown; text: string } {
  const parsed = parseArguments(command, words);
  const previous = session.current;
  session.current = task;
  try {
    const own = TASK_ARGUMENT.has(command.name) ? [task.address.toString(16)] : parsed.positionals;
    const data = command.run(session, new Arguments(own, optionsFor(command, parsed)));
    const text = command.text(data, session);
    const body = TRIMMED.has(command.name) ? text.replace(/\n+$/, '\n') : text;
    return {
      data: command.json?.(data) ?? data,
      text: UNNAMED.has(command.name) ? `${taskHeader(task)}\n${body}` : body,
    };
  } catch (error) {
    if (!(error instanceof FaultError || error instanceof UnimplementedError)) throw error;
    const message = error instanceof FaultError ? faultText(error, command.name) : error.message;
    return { text: `${taskHeader(task)}\n${command.name}: ${message}\n` };
  } finally {
    session.current = previous;
  }
}

/** Options of `bt` that choose tasks or their stacks: `foreach` has chosen, or does not know them. */
const CHOOSING = ['-a', '-c', '-p', '-S'];
const REFUSED = ['-n', '-I'];

/** `net` without a choice would list devices, which are no task's: sockets are meant. */
function optionsFor(command: Command, parsed: Arguments): Map<string, readonly string[]> {
  const options = optionsOf(command, parsed);
  const refused = command.name === 'bt' ? REFUSED.find(flag => parsed.has(flag)) : undefined;
  if (refused !== undefined) throw new SynopsisError(`invalid option -- '${refused.slice(1)}'`);
  if (command.name === 'bt') for (const flag of CHOOSING) options.delete(flag);
  if (command.name === 'net' && !options.has('-s') && !options.has('-S')) options.set('-s', ['']);
  return options;
}

/** Commands whose own blank lines at the end make room for the separator. */
const TRIMMED = new Set(['bt', 'files', 'vm', 'net']);
const TASK_ARGUMENT = new Set(['bt', 'files', 'net', 'set', 'sig', 'task', 'vm']);
