/** The interactive prompt: history, start-up file, completion of commands, options, symbols and types. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';

import { COMMANDS, extensionNames, loadCommand } from '../commands/registry.ts';
import type { Session } from '../commands/session.ts';
import { runLine } from '../shell.ts';
import { showWarnings } from './crash-cli.ts';

const MAX_COMPLETIONS = 200;
const MAX_HISTORY = 1000;
const START_FILE = '.kcrashrc';
const HISTORY_FILE = '.kcrash_history';
/** Commands whose arguments are names of structures. */
const TYPE_COMMANDS = new Set(['struct', 'union', 'whatis', '*', 'ptype']);

/** Runs the user's start-up file, then reads lines until the end of input or `quit`. Returns the exit status. */
export async function runPrompt(session: Session, silent: boolean): Promise<number> {
  const startFile = join(homedir(), START_FILE);
  if (existsSync(startFile)) await show(session, `< ${startFile}`);
  if (!silent) await show(session, 'sys');
  const isTerminal = process.stdin.isTTY;
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'crash> ',
    terminal: isTerminal,
    history: isTerminal ? readHistory() : [],
    historySize: MAX_HISTORY,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(session, line),
  });
  if (isTerminal) reader.on('history', (lines: string[]) => saveHistory(lines));
  if (isTerminal) reader.prompt();
  for await (const line of reader) {
    if (await show(session, line)) break;
    if (isTerminal) reader.prompt();
  }
  reader.close();
  return 0;
}

/** Runs a line and prints what it gave. Returns whether it asked to end. */
async function show(session: Session, line: string): Promise<boolean> {
  const result = await runLine(session, line);
  process.stdout.write(result.error === undefined ? result.text : `${result.text}${result.command}: ${result.error}\n`);
  showWarnings(session.program);
  return result.exit;
}

/** Newest first, as readline keeps it. */
function readHistory(): string[] {
  const path = join(homedir(), HISTORY_FILE);
  return existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter(line => line !== '')
        .slice(0, MAX_HISTORY)
    : [];
}

let historyIsWritable = true;

/** A home that cannot be written to costs the history, not the session. */
function saveHistory(lines: readonly string[]): void {
  if (!historyIsWritable) return;
  try {
    writeFileSync(join(homedir(), HISTORY_FILE), `${lines.join('\n')}\n`, { mode: 0o600 });
  } catch (error) {
    historyIsWritable = false;
    process.stderr.write(`crash: the history is not kept: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

/** Candidates for the last word: commands, then options, types or symbols. */
async function complete(session: Session, line: string): Promise<[string[], string]> {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  const [name = ''] = line.trimStart().split(/\s+/, 1);
  if (word.length === line.trimStart().length) {
    const names = [...Object.keys(COMMANDS), ...session.aliases.keys(), ...extensionNames()];
    return [names.filter(candidate => candidate.startsWith(word)), word];
  }
  if (word.startsWith('-')) {
    const command = await loadCommand(session.aliases.get(name)?.command.split(' ')[0] ?? name);
    return [(command?.options ?? []).map(({ flag }) => flag).filter(flag => flag.startsWith(word)), word];
  }
  if (word.length < 2) return [[], word];
  return [TYPE_COMMANDS.has(name) ? typeCandidates(session, word) : symbolCandidates(session, word), word];
}

/** Structures by name; behind a dot, their members. */
function typeCandidates(session: Session, word: string): string[] {
  const dot = word.indexOf('.');
  const { types } = session.program;
  if (dot !== -1) {
    const members = types.findStruct(word.slice(0, dot))?.members ?? [];
    return members.map(({ name }) => `${word.slice(0, dot)}.${name}`).filter(candidate => candidate.startsWith(word));
  }
  const found = new Set<string>();
  for (const source of types.all) {
    for (const name of source.names('struct')) {
      if (name.startsWith(word)) found.add(name);
      if (found.size >= MAX_COMPLETIONS) return [...found];
    }
  }
  return [...found];
}

function symbolCandidates(session: Session, word: string): string[] {
  const { kernel, extra } = session.program.symbols;
  const found = new Set<string>();
  for (const table of [extra, kernel]) {
    for (let index = 0; index < table.count && found.size < MAX_COMPLETIONS; index++) {
      const { name } = table.at(index);
      if (name.startsWith(word)) found.add(name);
    }
  }
  return [...found];
}
