/** The interactive prompt: history, start-up files, completion, scrolling. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Interface } from 'node:readline/promises';

import { takeInterrupts } from '../interruptible.ts';
import type { CommandResult } from '../commands/command.ts';
import type { Session } from '../commands/session.ts';
import type { CliOptions } from './cli-options.ts';
import { coloured, colouredError } from './colours.ts';
import { complete } from './completion.ts';
import { errorText, runAllowed, showWarnings } from './crash-cli.ts';

const MAX_HISTORY = 1000;
const HISTORY_FILE = '.kcrash_history';

/**
 * Runs the start-up files and those of `-i`, then reads lines until the end of input or `quit`.
 * @returns the exit status: 1 when input is no terminal and a command failed
 */
export async function runPrompt(session: Session, options: CliOptions, startFiles: readonly string[]): Promise<number> {
  const isTerminal = process.stdin.isTTY;
  const console = new PromptOutput(session, options);
  for (const file of startFiles) await console.runQuietly(file);
  if (!options.flags.has('-s')) await console.run('sys');
  for (const file of options.inputFiles) if (await console.run(`< ${file}`)) return console.status(isTerminal);
  const reader = openReader(session, isTerminal);
  using _interrupts = takeInterrupts(() => undefined);
  if (isTerminal) reader.prompt();
  for await (const line of reader) {
    // Ctrl-C is a signal while a command runs, and a key at the prompt.
    if (isTerminal) process.stdin.setRawMode(false);
    if (await console.run(line)) break;
    if (!isTerminal) continue;
    process.stdin.setRawMode(true);
    reader.prompt();
  }
  reader.close();
  return console.status(isTerminal);
}

function openReader(session: Session, isTerminal: boolean): Interface {
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'crash> ',
    terminal: isTerminal,
    history: isTerminal ? readHistory() : [],
    historySize: MAX_HISTORY,
    removeHistoryDuplicates: true,
    completer: async (line: string) => complete(session, line).finally(() => session.release()),
  });
  if (!isTerminal) return reader;
  reader.on('history', (lines: string[]) => saveHistory(lines));
  // Ctrl-C gives up the line, not the session.
  reader.on('SIGINT', () => {
    process.stdout.write('^C\n');
    if (session.repetition !== undefined) return session.repetition.abort();
    reader.write(null, { ctrl: true, name: 'e' });
    reader.write(null, { ctrl: true, name: 'u' });
    reader.prompt();
  });
  return reader;
}

/** Runs lines and shows what they give, a screenful at a time where there is a screen. */
class PromptOutput {
  readonly #session: Session;
  readonly #json: boolean;
  readonly #pager: string | undefined;
  #failed = false;

  constructor(session: Session, { flags }: CliOptions) {
    this.#session = session;
    this.#json = flags.has('--json');
    session.show = result => this.#showResult(result);
    this.#pager = process.stdout.isTTY && !flags.has('--no_scroll') ? pagerOf(flags) : undefined;
  }

  /** Runs a start-up file: what goes well in it is not worth a word. */
  async runQuietly(file: string): Promise<void> {
    const session = this.#session;
    const { show } = session;
    session.origin = basename(file);
    session.show = done => this.#showResult({ ...done, text: '' });
    await runAllowed(session, `< ${file}`, this.#json);
    Object.assign(session, { show, origin: 'runtime' });
  }

  /** Returns whether the line asked to end. */
  async run(line: string): Promise<boolean> {
    const result = await runAllowed(this.#session, line, this.#json);
    this.#showResult(result);
    return result.exit;
  }

  #showResult(done: CommandResult): void {
    this.#failed ||= done.error !== undefined;
    const shown = this.#json ? done.text : coloured(done.text, process.stdout);
    this.#show(`${shown}${colouredError(errorText(done), process.stdout)}`);
    showWarnings(this.#session.program);
  }

  status(isTerminal: boolean): number {
    return this.#failed && !isTerminal ? 1 : 0;
  }

  #show(text: string): void {
    const scroll = this.#session.settings.variables.get('scroll') ?? 'on';
    const rows = process.stdout.rows ?? 24;
    const pager = ['less', 'more'].includes(scroll) ? PAGERS[scroll as 'less' | 'more'] : this.#pager;
    const fits = text.split('\n', rows + 1).length <= rows;
    if (pager === undefined || scroll === 'off' || fits || !this.#page(pager, text)) process.stdout.write(text);
  }

  /** Returns whether the pager could be run. */
  #page(pager: string, text: string): boolean {
    const run = spawnSync('/bin/sh', ['-c', pager], { input: text, stdio: ['pipe', 'inherit', 'inherit'] });
    return run.error === undefined && run.status !== NOT_FOUND;
  }
}

/** What a shell ends with when there is no such command. */
const NOT_FOUND = 127;

/** `less` ends by itself at the end of the text and leaves it on the screen. */
const PAGERS = { less: 'less -E -X -R', more: 'more' } as const;

function pagerOf(flags: ReadonlySet<string>): string {
  const own = process.env['CRASHPAGER'];
  if (flags.has('--CRASHPAGER') && own !== undefined && own !== '') return own;
  return flags.has('--more') ? PAGERS.more : PAGERS.less;
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
