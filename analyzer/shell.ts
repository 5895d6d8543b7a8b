/** Runs command lines on a session: aliases, options, pipes and redirection, errors as one line. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { FaultError, UsageError } from '../capture/formats/errors.ts';
import {
  Arguments,
  BareError,
  isShowable,
  parseArguments,
  PartialError,
  refuseTogether,
  SynopsisError,
  usageText,
} from './commands/command.ts';
import type { Command, CommandResult } from './commands/command.ts';
import { faultText, unusualReason } from './commands/faults.ts';
import { isGdbVerb } from './commands/gdb/verbs.ts';
import { helpPage } from './commands/help.ts';
import { extensionNames, loadCommand, registerCommand, unregisterCommand } from './commands/registry.ts';
import type { Session } from './commands/session.ts';
import { InterruptedError, interruptible, takeInterrupts } from './interruptible.ts';
import { writeHostFile } from './text/host-file.ts';

/** What a line came to. */
export interface LineResult extends CommandResult {
  /** The line asked to end the session. */
  readonly exit: boolean;
}

/** The error as it is shown, without its end of line; empty when there is none. */
export function errorLine({ command, error }: Pick<CommandResult, 'command' | 'error'>): string {
  if (error === undefined) return '';
  return command === '' ? error : `${command}: ${error}`;
}

/** What a line came to as text: its output, and the error's line behind it. */
export function wholeText(done: CommandResult): string {
  return done.error === undefined ? done.text : `${done.text}${errorLine(done)}\n`;
}

const MAX_DEPTH = 8;
const MAX_PIPED = 2 ** 30;

/** Splits a line into words; double quotes keep blanks, single quotes stay so that commands see patterns. */
export function splitWords(line: string): string[] {
  // gdb and p read C, where quotes and blanks mean something: behind their options all is one word.
  const expression = /^\s*(gdb|p)\s+((?:-[xdu]+\s+)*)(\S.*)$/s.exec(line);
  if (expression !== null) return [expression[1]!, ...splitWords(expression[2]!), expression[3]!.trim()];
  const words: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/"([^"]*)"|((?:'[^']*'|[^\s'"])+)/g)) words.push(quoted ?? plain ?? '');
  return words;
}

/** Runs one command line. @param json print the command's data as JSON */
export async function runLine(session: Session, line: string, json = false, depth = 0): Promise<LineResult> {
  const trimmed = expandAlias(session, line.trim());
  if (trimmed === '' || trimmed.startsWith('#')) return result('', '');
  if (trimmed.startsWith('!')) return result('!', runProgram(session, trimmed.slice(1), ''));
  if (trimmed.startsWith('<')) return runFile(session, trimmed.slice(1).trim(), json, depth);
  const repeated = /^repeat(?:\s+-(\d+))?\s+(?!-)(\S.*)$/s.exec(trimmed);
  if (repeated !== null) return repeatLine(session, repeated[2]!, Number(repeated[1] ?? 0), json, depth);
  const { command: commandLine, pipe, file, append } = splitOutput(trimmed);
  const done = await runCommand(session, commandLine, json);
  return deliver(session, done, { pipe, file, append });
}

/** Writes a file of the host. Returns why it could not be written: the session goes on. */
function writeProblem(file: string, text: string, append: boolean): string | undefined {
  try {
    writeHostFile(file, text, append);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

/** `set error`: whether an error's line goes with the output, is shown, or stands in a file of its own. */
function routeError(
  session: Session,
  done: LineResult,
  goesElsewhere: boolean,
): { readonly output: string; readonly rest: LineResult } {
  const destination = session.settings.variables.get('error') ?? 'default';
  const message = done.error === undefined ? '' : `${errorLine(done)}\n`;
  if (destination !== 'default' && destination !== 'redirect') {
    const problem = message === '' ? undefined : writeProblem(destination, message, true);
    return { output: done.text, rest: { ...done, error: problem === undefined ? undefined : done.error } };
  }
  const isShown = destination === 'default' || !goesElsewhere;
  return { output: `${done.text}${message}`, rest: { ...done, error: isShown ? done.error : undefined } };
}

/** Brings a command's output and its error to where the line and `set error` want them. */
function deliver(session: Session, done: LineResult, { pipe, file, append }: Omit<Output, 'command'>): LineResult {
  const { output, rest } = routeError(session, done, pipe !== undefined || file !== undefined);
  if (pipe !== undefined) return { ...rest, text: runProgram(session, pipe, output) };
  if (file === undefined) return rest;
  const problem = writeProblem(file, output, append);
  return problem === undefined ? { ...rest, text: '' } : { ...rest, text: '', error: problem };
}

function result(command: string, text: string, error?: string): LineResult {
  return { text, error, command, exit: false };
}

interface Output {
  readonly command: string;
  readonly pipe: string | undefined;
  readonly file: string | undefined;
  readonly append: boolean;
}

/** Finds the first `|`, `>` or `>>` outside quotes and parentheses; `->` and `>>` inside an expression are none. */
function splitOutput(line: string): Output {
  const at = outputMark(line);
  if (at === -1) return { command: line, pipe: undefined, file: undefined, append: false };
  const command = line.slice(0, at);
  if (line[at] === '|') return { command, pipe: line.slice(at + 1), file: undefined, append: false };
  const append = line[at + 1] === '>';
  return { command, pipe: undefined, file: line.slice(at + (append ? 2 : 1)).trim(), append };
}

/** Position of the mark, or -1: quoted and parenthesised parts are blanked out first, of the same length. */
function outputMark(line: string): number {
  const bare = blankOut(line.replaceAll(/"[^"]*"|'[^']*'/g, quoted => ' '.repeat(quoted.length)));
  return bare.search(/\||(?<=\s)>/);
}

/** Blanks what stands in parentheses. */
function blankOut(line: string): string {
  let depth = 0;
  return Array.from(line, char => {
    if (char === '(') depth++;
    const shown = depth === 0 ? char : ' ';
    if (char === ')') depth = Math.max(0, depth - 1);
    return shown;
  }).join('');
}

/** Runs a command of the host. Returns what it printed; at a terminal that is where it goes, so that `ps | less` works. */
function runProgram({ show }: Session, command: string, input: string): string {
  if (show !== undefined && process.stdout.isTTY && process.stdin.isTTY) {
    runAtTerminal(command, input);
    return '';
  }
  const run = spawnSync('/bin/sh', ['-c', command], { input, encoding: 'latin1', maxBuffer: MAX_PIPED });
  return `${run.stdout ?? ''}${run.stderr ?? ''}`;
}

/** Runs a command that has the terminal to itself, in the mode that programs expect. */
function runAtTerminal(command: string, input: string): void {
  const { isRaw } = process.stdin;
  process.stdin.setRawMode(false);
  const stdin = input === '' ? 'inherit' : 'pipe';
  spawnSync('/bin/sh', ['-c', command], { input: Buffer.from(input, 'latin1'), stdio: [stdin, 'inherit', 'inherit'] });
  process.stdin.setRawMode(isRaw);
}

async function runFile(session: Session, path: string, json: boolean, depth: number): Promise<LineResult> {
  if (depth >= MAX_DEPTH) return result('<', '', `${path}: files call each other more than ${MAX_DEPTH} deep`);
  let lines: string[];
  try {
    lines = readFileSync(path, 'utf8').split('\n');
  } catch (error) {
    return result('<', '', error instanceof Error ? error.message : String(error));
  }
  const texts: string[] = [];
  const show = session.show ?? (done => texts.push(wholeText(done)));
  for (const line of lines) {
    const done = await runLine(session, line, json, depth + 1);
    show(done);
    if (done.exit) return { ...done, text: texts.join(''), error: undefined };
  }
  return result('<', texts.join(''));
}

/** Runs a command; a machine that is not dead yet stands still meanwhile, and may be gone. */
async function runCommand(session: Session, given: string, json: boolean): Promise<LineResult> {
  try {
    session.refresh();
    const done = await runHeld(session, given, json);
    session.release();
    return done;
  } catch (error) {
    if (!session.program.isLive || !isExpected(error)) throw error;
    return result(splitWords(given)[0] ?? '', '', error.message);
  }
}

async function runHeld(session: Session, given: string, json: boolean): Promise<LineResult> {
  const line = given.replace(/^crash\s+(?=\S)/, '');
  const isForGdb = line === given && session.settings.variables.get('gdb') === 'on';
  if (isForGdb && !/^set\s+gdb\b/.test(line)) return gdbLine(session, given, json);
  const [name = '', ...words] = splitWords(line);
  const command = await loadCommand(name);
  if (command === undefined && isGdbVerb(name)) return gdbLine(session, line, json);
  if (command === undefined) return structByName(session, name, words, json);
  if (command.name === 'exit') return { text: '', error: undefined, command: name, exit: true };
  if (command.name === 'extend') return extendSession(session, command, words);
  if (command.name === 'help') {
    const topic = await helpTopic(words);
    if (topic !== undefined) return result(name, pageText(topic, json));
  }
  return { command: name, ...execute(session, command, words, json), exit: false };
}

/** The command that `help` is asked about. */
async function helpTopic([word]: readonly string[]): Promise<Command | undefined> {
  return word === undefined || word.startsWith('-') ? undefined : loadCommand(word);
}

/** A command's page, or its declaration as data. */
function pageText(topic: Command, json: boolean): string {
  const { name, summary, synopsis, options, description, examples } = topic;
  if (!json) return helpPage(topic);
  return `${toJson({ command: 'help', data: { name, summary, synopsis, options, description, examples } })}\n`;
}

/** gdb's commands may stand without `gdb` in front. */
async function gdbLine(session: Session, line: string, json: boolean): Promise<LineResult> {
  const gdb = await loadCommand('gdb');
  return { command: 'gdb', ...execute(session, gdb!, [line.trim()], json), exit: false };
}

/** The name of a structure alone is short for `struct`. */
async function structByName(
  session: Session,
  name: string,
  words: readonly string[],
  json: boolean,
): Promise<LineResult> {
  const tag = name.split('.')[0] ?? '';
  const struct = await loadCommand('*');
  if (struct === undefined || session.program.types.findStruct(tag) === undefined)
    return result('crash', '', `command not found: ${name}`);
  return { command: 'struct', ...execute(session, struct, [name, ...words], json), exit: false };
}

/** The line with its first word replaced; an alias may hold pipes of its own. */
function expandAlias(session: Session, line: string): string {
  const [word = ''] = /^[^\s|>]+/.exec(line) ?? [];
  const alias = session.aliases.get(word);
  return alias === undefined ? line : `${alias.command}${line.slice(word.length)}`;
}

/** Runs a line until Ctrl-C or an error; once when nobody is shown what it comes to. */
async function repeatLine(
  session: Session,
  line: string,
  seconds: number,
  json: boolean,
  depth: number,
): Promise<LineResult> {
  if (depth >= MAX_DEPTH) return result('repeat', '', `commands call each other more than ${MAX_DEPTH} deep`);
  const { show } = session;
  if (show === undefined) return runLine(session, line, json, depth + 1);
  const { command, file } = splitOutput(line);
  const next = file === undefined ? line : `${command} >> ${file}`;
  const { signal } = (session.repetition = new AbortController());
  using _interrupts = takeInterrupts(() => session.repetition?.abort());
  try {
    for (let again = line; !signal.aborted; again = next) {
      const done = await runLine(session, again, json, depth + 1);
      if (done.error !== undefined || done.exit) return done;
      show(done);
      await pause(seconds, signal);
    }
  } finally {
    session.repetition = undefined;
  }
  return result('repeat', '');
}

/** Waits, but not on when it is to end; lets signals come in. */
async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve: wake } = Promise.withResolvers<void>();
  const timer = setTimeout(wake, 1000 * seconds);
  signal.addEventListener('abort', () => wake(), { once: true });
  await promise;
  clearTimeout(timer);
}

/** A module's `commands` become commands of the session. */
async function extendSession(session: Session, command: Command, words: readonly string[]): Promise<LineResult> {
  if (words.length === 0) return { command: 'extend', ...execute(session, command, [], false), exit: false };
  if (words[0] === '-u') {
    for (const name of words.length > 1 ? words.slice(1) : extensionNames()) unregisterCommand(name);
    return result('extend', '');
  }
  const texts: string[] = [];
  for (const path of words) {
    const module = (await importModule(path)) as { commands?: readonly Command[] } | Error;
    if (module instanceof Error) return result('extend', texts.join(''), `${path}: ${module.message}`);
    if (!Array.isArray(module.commands)) return result('extend', texts.join(''), `${path}: exports no list "commands"`);
    for (const added of module.commands as readonly Command[]) registerCommand(added);
    texts.push(`${path}: ${(module.commands as readonly Command[]).map(({ name }) => name).join(', ')}\n`);
  }
  return result('extend', texts.join(''));
}

/** A user's module may fail in any way: its error is shown, not ours to judge. */
async function importModule(path: string): Promise<unknown> {
  return import(pathToFileURL(resolve(path)).href).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
}

/** Commands whose words are another command's, or an expression: none of them is an option of their own. */
const RAW_COMMANDS = new Set(['foreach', 'eval', 'gdb', 'alias']);

/** What a command's run comes to; with a `command` where the error stands alone. */
type Outcome = Pick<CommandResult, 'text' | 'error' | 'reason'> & { readonly command?: '' };

function execute(session: Session, command: Command, words: readonly string[], json: boolean): Outcome {
  try {
    const args = RAW_COMMANDS.has(command.name) ? rawArguments(command, words) : parseArguments(command, words);
    if (command.name !== 'rd') refuseTogether(args, ['-d', '-x'], '-d and -x are mutually exclusive');
    const output = (): string => outputOf(session, command, args, json);
    // Where nobody sits at a terminal, nobody types Ctrl-C.
    return { text: session.show === undefined ? output() : interruptible(output), error: undefined };
  } catch (error) {
    if (error instanceof PartialError) {
      const text = `${textOf(session, command, error.data, json)}${json ? '' : error.separator}`;
      return { ...outcomeOf(command, error.cause), text };
    }
    session.takeNotes();
    if (isExpected(error)) return outcomeOf(command, error);
    throw error;
  }
}

function outcomeOf(command: Command, error: Error): Outcome {
  if (error instanceof BareError) return { text: '', error: error.message, command: '' };
  if (error instanceof FaultError)
    return { text: '', error: faultText(error, command.name), reason: unusualReason(error) };
  const reason = error.cause instanceof Error ? error.cause.message : undefined;
  const usage = error instanceof SynopsisError ? `\n${usageText(command).trimEnd()}` : '';
  return { text: '', error: `${error.message}${usage}`, reason };
}

function outputOf(session: Session, command: Command, args: Arguments, json: boolean): string {
  return textOf(session, command, command.run(session, args), json);
}

function textOf(session: Session, command: Command, data: unknown, json: boolean): string {
  const notes = session
    .takeNotes()
    .map(({ text, isWarning }) => (isWarning ? `WARNING: ${text}\n` : `${command.name}: ${text}\n\n`));
  if (!json) return notes.join('') + command.text(data, session);
  return `${toJson({ command: command.name, data: command.json?.(data) ?? data })}\n`;
}

/** All words as positionals, but for options of the command itself at the front. */
function rawArguments(command: Command, words: readonly string[]): Arguments {
  const letters = command.options.map(({ flag }) => flag.slice(1)).join('');
  const isFront = (word: string): boolean =>
    word.startsWith('-') &&
    word.length > 1 &&
    word
      .slice(1)
      .split('')
      .every(letter => letters.includes(letter));
  const first = words.findIndex(word => !isFront(word));
  const front = first === -1 ? words : words.slice(0, first);
  const flags = front.flatMap(word =>
    word
      .slice(1)
      .split('')
      .map(letter => [`-${letter}`, ['']] as const),
  );
  return new Arguments(first === -1 ? [] : words.slice(first), new Map(flags));
}

/** Ctrl-C is shown like any error of the user's. */
function isExpected(error: unknown): error is Error {
  return isShowable(error) || error instanceof InterruptedError;
}

/** JSON with addresses and 64-bit values as hexadecimal strings; maps as objects; bytes as hexadecimal text. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return `0x${BigInt.asUintN(64, item).toString(16)}`;
    if (item instanceof Map) return Object.fromEntries(item) as unknown;
    if (item instanceof Uint8Array) return Buffer.from(item).toString('hex');
    return item;
  });
}
