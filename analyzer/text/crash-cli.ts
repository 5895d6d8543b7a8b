/** The command line of `crash`: opens a dump, runs commands, prompts for more. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { UsageError } from '../../capture/formats/errors.ts';
import { openDump } from '../../capture/sources/dump-file.ts';
import type { Dump } from '../../capture/sources/dump-file.ts';
import { isShowable } from '../commands/command.ts';
import type { CommandResult } from '../commands/command.ts';
import { Session } from '../commands/session.ts';
import { dateText, wallClockSeconds } from '../linux/timekeeping.ts';
import { Program } from '../program.ts';
import { errorLine, runLine } from '../shell.ts';
import type { LineResult } from '../shell.ts';
import { parseOptions, splitCommands, usageText } from './cli-options.ts';
import type { CliOptions } from './cli-options.ts';
import { zeroExcluded } from './zero-excluded.ts';

/** Read before anything else, in this order, as crash reads its own. */
const START_FILES = ['.crashrc', '.kcrashrc'] as const;

/** Runs `crash` with its arguments. Returns the exit status: 0, or 1 after an error. */
export async function runCrash(args: readonly string[]): Promise<number> {
  process.stdout.on('error', endQuietly);
  try {
    const options = parseOptions(args);
    return (await runWithoutDump(options)) ?? (await runWithDump(options));
  } catch (error) {
    if (!isShowable(error)) throw error;
    process.stderr.write(`crash: ${error.message}\n${error instanceof UsageError ? 'Try --help.\n' : ''}`);
    return 1;
  }
}

/** Help, version and schemas. Returns undefined when a dump is needed. */
async function runWithoutDump({ flags, values }: CliOptions): Promise<number | undefined> {
  if (flags.has('-h')) {
    process.stdout.write(await helpText(values.get('-h')));
    return 0;
  }
  if (flags.has('-v')) {
    const { default: packageJson } = await import('../../package.json', { with: { type: 'json' } });
    process.stdout.write(`crash of ${packageJson.name} ${packageJson.version}\n`);
    return 0;
  }
  if (flags.has('--json-schema')) {
    const { schemaText } = await import('../schema/schema.ts');
    process.stdout.write(schemaText(values.get('--json-schema')));
    return 0;
  }
  const short = values.get('--osrelease') ?? values.get('--log');
  return short === undefined ? undefined : printAbout(short, flags.has('--log'));
}

async function helpText(topic: string | undefined): Promise<string> {
  if (topic === undefined) return usageText();
  const [{ helpPage }, { COMMANDS, loadCommand }] = await Promise.all([
    import('../commands/help.ts'),
    import('../commands/registry.ts'),
  ]);
  const names = topic === 'all' ? Object.keys(COMMANDS) : [topic];
  const pages = await Promise.all(names.map(async name => loadCommand(name)));
  return pages
    .map((command, index) => {
      if (command === undefined) throw new UsageError(`No help data for "${names[index]!}" is available.`);
      return helpPage(command);
    })
    .join('\n');
}

/** `--osrelease` and `--log`: what scripts ask of a dump before they choose a vmlinux. */
async function printAbout(path: string, wantsLog: boolean): Promise<number> {
  if (wantsLog) {
    using program = new Program({ dump: [path] });
    return await runLines(new Session(program), ['log'], false);
  }
  using dump = openDump([path]);
  const release = dump.vmcoreinfo?.osRelease;
  process.stdout.write(`${release ?? 'unknown'}\n`);
  return release === undefined ? 1 : 0;
}

async function runWithDump(options: CliOptions): Promise<number> {
  if (options.dump.length === 0) throw new UsageError('no dump given');
  await fetchDebugInfo(options.vmlinux);
  using program = openProgram(options);
  const session = startSession(program, options);
  session.release();
  showWarnings(program);
  if (options.flags.has('-t')) {
    const seconds = wallClockSeconds(program);
    process.stdout.write(`${seconds === undefined ? '(unknown)' : dateText(seconds)}\n`);
    return 0;
  }
  if (options.commands !== undefined)
    return await runLines(
      session,
      [...options.inputFiles.flatMap(readCommands), ...options.commands],
      options.flags.has('--json'),
    );
  const { runPrompt } = await import('./prompt.ts');
  return await runPrompt(session, options, startFiles(options));
}

/** Asks debuginfod's servers for what a stripped vmlinux lacks, when the user has named any. */
async function fetchDebugInfo(vmlinux: string | undefined): Promise<void> {
  if (vmlinux === undefined || (process.env['DEBUGINFOD_URLS'] ?? '') === '') return;
  const { fetchMissing } = await import('../debug-info/debuginfod.ts');
  for (const problem of await fetchMissing(vmlinux)) process.stderr.write(`crash: ${problem}\n`);
}

function openProgram({ dump, vmlinux, systemMap, flags }: CliOptions): Program {
  const opened: Dump | readonly string[] = flags.has('--zero_excluded') ? zeroExcluded(openDump(dump)) : dump;
  return new Program({ dump: opened, vmlinux, systemMap, withoutModules: flags.has('--no_modules') });
}

function startSession(program: Program, { flags, values }: CliOptions): Session {
  const session = new Session(program);
  if (flags.has('--hex')) session.settings.radix = 16;
  if (flags.has('--active')) session.tasks.keepActive();
  if (flags.has('--no_panic')) session.current = session.tasks.first;
  if (flags.has('--minimal')) session.settings.variables.set('minimal', 'on');
  if (flags.has('--zero_excluded')) session.settings.variables.set('zero_excluded', 'on');
  const level = values.get('-d');
  if (level !== undefined) session.settings.variables.set('debug', level);
  return session;
}

/** The start-up files that exist: of the home folder, then of the current one. */
function startFiles({ flags }: CliOptions): string[] {
  if (flags.has('--no_crashrc')) return [];
  const folders = [...new Set([homedir(), process.cwd()])];
  return folders.flatMap(folder => START_FILES.map(name => join(folder, name))).filter(path => existsSync(path));
}

const shownWarnings = new WeakMap<Program, number>();

/** Writes the warnings that have come up since the last call. */
export function showWarnings(program: Program): void {
  for (const warning of program.warnings.slice(shownWarnings.get(program) ?? 0))
    process.stderr.write(`crash: WARNING: ${warning}\n`);
  shownWarnings.set(program, program.warnings.length);
}

/** The reader of our output went away: nobody is left to write for. */
function endQuietly(): never {
  process.exit(0);
}

function readCommands(path: string): string[] {
  try {
    return splitCommands(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`${path}: cannot be read`, { cause: error });
  }
}

/** What `--minimal` leaves: commands that need no kernel structures. */
const MINIMAL_COMMANDS = new Set(['log', 'dis', 'rd', 'sym', 'eval', 'set', 'extend', 'repeat', 'exit', 'q', 'help']);

/** Runs a line, unless `--minimal` leaves its command out. */
export async function runAllowed(session: Session, line: string, json: boolean): Promise<LineResult> {
  const [name = ''] = line.trim().split(/\s+/, 1);
  const command = session.aliases.get(name)?.command.split(' ')[0] ?? name;
  if (session.settings.variables.get('minimal') === 'on' && /^\w/.test(command) && !MINIMAL_COMMANDS.has(command))
    return { text: '', error: 'not available in minimal mode', command: name, exit: false };
  return runLine(session, line, json);
}

/** The error's line and, where it does not say why, the reason under it. */
export function errorText(done: Pick<CommandResult, 'command' | 'error' | 'reason'>): string {
  if (done.error === undefined) return '';
  return `${errorLine(done)}\n${done.reason === undefined ? '' : `  (${done.reason})\n`}`;
}

async function runLines(session: Session, lines: readonly string[], json: boolean): Promise<number> {
  let status = 0;
  session.show = done => {
    process.stdout.write(done.text);
    showWarnings(session.program);
    process.stderr.write(errorText(done));
  };
  for (const line of lines) {
    const result = await runAllowed(session, line, json);
    session.show(result);
    if (result.error !== undefined) status = 1;
    if (result.exit) break;
  }
  return status;
}
