/** The interactive prompt: history, completion of commands, symbols and types. */
import { createInterface } from 'node:readline/promises';

import { COMMANDS } from '../commands/registry.ts';
import type { Session } from '../commands/session.ts';
import { runLine } from '../shell.ts';

const MAX_COMPLETIONS = 200;

/** Reads lines until the end of input or `quit`. Returns the exit status. */
export async function runPrompt(session: Session, silent: boolean): Promise<number> {
  if (!silent) {
    const { text } = await runLine(session, 'sys');
    process.stdout.write(`\n${text}\n`);
  }
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: 'crash> ',
    terminal: process.stdin.isTTY,
    completer: (line: string) => complete(session, line),
  });
  if (process.stdin.isTTY) reader.prompt();
  for await (const line of reader) {
    const result = await runLine(session, line);
    process.stdout.write(
      result.error === undefined ? result.text : `${result.text}${result.command}: ${result.error}\n`,
    );
    if (result.exit) break;
    if (process.stdin.isTTY) reader.prompt();
  }
  reader.close();
  return 0;
}

/** Candidates for the last word: commands first, then symbols. */
function complete(session: Session, line: string): [string[], string] {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  const names = Object.keys(COMMANDS).filter(name => name.startsWith(word));
  if (word.length === line.trimStart().length) return [names, word];
  if (word.length < 2) return [[], word];
  const { kernel } = session.program.symbols;
  const found: string[] = [];
  for (let index = 0; index < kernel.count && found.length < MAX_COMPLETIONS; index++) {
    const { name } = kernel.at(index);
    if (name.startsWith(word)) found.push(name);
  }
  return [found, word];
}
