/** The command line and the prompt of `crash`. */
import { readFileSync } from 'node:fs';

import { FaultError, FormatError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { looksLikeDump } from '../../capture/sources/dump-file.ts';
import { Session } from '../commands/session.ts';
import { Program } from '../program.ts';
import { runLine } from '../shell.ts';

interface CliOptions {
  readonly dump: readonly string[];
  readonly vmlinux: string | undefined;
  readonly systemMap: string | undefined;
  /** Undefined for an interactive session. */
  readonly commands: readonly string[] | undefined;
  readonly silent: boolean;
  readonly json: boolean;
}

/** Runs `crash` with its arguments. Returns the exit status: 0, or 1 after an error. */
export async function runCrash(args: readonly string[], usage: string): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return 0;
  }
  process.stdout.on('error', endQuietly);
  try {
    const options = parseOptions(args);
    using program = new Program({ dump: options.dump, vmlinux: options.vmlinux, systemMap: options.systemMap });
    showWarnings(program);
    const session = new Session(program);
    if (options.commands !== undefined) return await runCommands(session, options.commands, options.json);
    const { runPrompt } = await import('./prompt.ts');
    return await runPrompt(session, options.silent);
  } catch (error) {
    if (!isUserError(error)) throw error;
    process.stderr.write(`crash: ${error.message}\n${error instanceof UsageError ? 'Try --help.\n' : ''}`);
    return 1;
  }
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

function isUserError(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    error instanceof FormatError ||
    error instanceof FaultError ||
    error instanceof UnimplementedError
  );
}

/** Splits at `;` and line ends, outside quotes. */
export function splitCommands(text: string): string[] {
  const parts = text.match(/(?:'[^']*'|"[^"]*"|[^;\n'"]|['"])+/g) ?? [];
  return parts.map(part => part.trim()).filter(part => part !== '');
}

/** Options that stand alone. */
const FLAGS = new Set(['-s', '--json']);
/** Options with an argument. */
const WITH_ARGUMENT = new Set(['-c', '-i', '-S']);

function parseOptions(args: readonly string[]): CliOptions {
  const files: string[] = [];
  const given = new Map<string, string[]>();
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!;
    if (WITH_ARGUMENT.has(word)) given.set(word, [...(given.get(word) ?? []), optionArgument(word, args[++index])]);
    else if (word.startsWith('-') && !FLAGS.has(word)) throw new UsageError(`unknown option ${word}`);
    else if (!FLAGS.has(word)) files.push(word);
  }
  const commands = [
    ...(given.get('-i') ?? []).flatMap(readCommands),
    ...(given.get('-c') ?? []).flatMap(splitCommands),
  ];
  return {
    ...sortFiles(files),
    systemMap: given.get('-S')?.at(-1),
    commands: given.has('-c') || given.has('-i') ? commands : undefined,
    silent: args.includes('-s'),
    json: args.includes('--json'),
  };
}

function optionArgument(option: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`option ${option} wants an argument`);
  return value;
}

function readCommands(path: string): string[] {
  try {
    return splitCommands(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`${path}: cannot be read`, { cause: error });
  }
}

/** Tells dumps from the vmlinux, in whatever order they were given. */
function sortFiles(files: readonly string[]): Pick<CliOptions, 'dump' | 'vmlinux'> {
  const dump = files.filter(looksLikeDump);
  const others = files.filter(file => !dump.includes(file));
  if (dump.length === 0) throw new UsageError(files.length === 0 ? 'no dump given' : `${files.at(-1)}: not a dump`);
  if (others.length > 1) throw new UsageError(`${others[1]}: only one vmlinux can be given`);
  return { dump, vmlinux: others[0] };
}

async function runCommands(session: Session, commands: readonly string[], json: boolean): Promise<number> {
  let status = 0;
  for (const line of commands) {
    const result = await runLine(session, line, json);
    process.stdout.write(result.text);
    showWarnings(session.program);
    if (result.error !== undefined) {
      status = 1;
      process.stderr.write(`${result.command}: ${result.error}\n`);
    }
    if (result.exit) break;
  }
  return status;
}
