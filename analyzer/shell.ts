/** Runs command lines on a session: aliases, options, errors as one line. */
import { FaultError, FormatError, UnimplementedError, UsageError } from '../capture/formats/errors.ts';
import { parseArguments } from './commands/command.ts';
import type { Command } from './commands/command.ts';
import { loadCommand } from './commands/registry.ts';
import type { Session } from './commands/session.ts';

/** What a line came to. */
export interface LineResult {
  readonly text: string;
  /** The error's line, without the command's name; undefined when all went well. */
  readonly error: string | undefined;
  readonly command: string;
  /** The line asked to end the session. */
  readonly exit: boolean;
}

/** Splits a line into words; quotes keep blanks, single quotes stay so that commands see patterns. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/"([^"]*)"|((?:'[^']*'|[^\s'"])+)/g)) words.push(quoted ?? plain ?? '');
  return words;
}

/** Runs one command line. @param json print the command's data as JSON */
export async function runLine(session: Session, line: string, json = false): Promise<LineResult> {
  const [name = '', ...words] = expandAlias(session, splitWords(line.trim()));
  if (name === '' || name.startsWith('#')) return { text: '', error: undefined, command: name, exit: false };
  if (name === 'q' || name === 'exit' || name === 'quit')
    return { text: '', error: undefined, command: name, exit: true };
  const command = await loadCommand(name);
  if (command === undefined) return { text: '', error: `command not found: ${name}`, command: name, exit: false };
  return { ...execute(session, command, words, json), command: name, exit: false };
}

function expandAlias(session: Session, words: readonly string[]): readonly string[] {
  const replacement = session.aliases.get(words[0] ?? '');
  return replacement === undefined ? words : [...splitWords(replacement), ...words.slice(1)];
}

function execute(
  session: Session,
  command: Command,
  words: readonly string[],
  json: boolean,
): Pick<LineResult, 'text' | 'error'> {
  try {
    const data = command.run(session, parseArguments(command, words));
    return {
      text: json ? `${toJson({ command: command.name, data })}\n` : command.text(data, session),
      error: undefined,
    };
  } catch (error) {
    if (isExpected(error)) return { text: '', error: error.message };
    throw error;
  }
}

/** Bad input, unreadable memory and known gaps are shown; anything else is a bug of ours. */
function isExpected(error: unknown): error is Error {
  return (
    error instanceof FaultError ||
    error instanceof UsageError ||
    error instanceof FormatError ||
    error instanceof UnimplementedError
  );
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
