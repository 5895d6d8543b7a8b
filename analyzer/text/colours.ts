/** Colours of what the prompt shows: on a terminal only, and not where NO_COLOR is set. Nothing but colours is added. */
import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Parts of lines that are coloured: those in the first group of the pattern. */
const RULES: readonly (readonly [pattern: RegExp, style: Style])[] = [
  // the head of a task
  [/^(PID: \d+ +TASK: .*)$/, 'bold'],
  // the function of a frame
  [/^ ?#\d+ \[[\da-f]+\] (\S+)(?= at )/, 'cyan'],
  // what leads from one stack to another
  [/^(--- <.*> ---)$/, 'yellow'],
  // a task that ran, in ps
  [/^(>.*)$/, 'green'],
  // names of columns
  [/^( *[A-Z][A-Z_%/]*(?: +[A-Z_%/()-]{2,})+ *)$/, 'bold'],
  [/^(WARNING: .*)$/, 'yellow'],
];

/** A text with colours for a stream. @param stream where it will be shown */
export function coloured(text: string, stream: Pick<WriteStream, 'isTTY'>): string {
  if (!hasColours(stream)) return text;
  return text.split('\n').map(colouredLine).join('\n');
}

/** An error's line for a stream. */
export function colouredError(text: string, stream: Pick<WriteStream, 'isTTY'>): string {
  return text !== '' && hasColours(stream) ? painted('red', text) : text;
}

function hasColours({ isTTY }: Pick<WriteStream, 'isTTY'>): boolean {
  return isTTY && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
}

function colouredLine(line: string): string {
  for (const [pattern, style] of RULES) {
    if (pattern.test(line))
      return line.replace(pattern, (whole, part: string) => whole.replace(part, () => painted(style, part)));
  }
  return line;
}

function painted(style: Style, text: string): string {
  return styleText(style, text, { validateStream: false });
}
