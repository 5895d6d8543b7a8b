/** Commands about the session itself: `alias`, `exit`, `extend`, `repeat`. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Command } from './command.ts';
import { COMMANDS, extensionNames } from './registry.ts';
import type { Alias, Session } from './session.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

interface TextData {
  readonly text: string;
}

/** `alias`. */
export const alias: Command<View> = {
  name: 'alias',
  summary: 'short names for command lines',
  synopsis: '[alias] [command string]',
  options: [],
  description:
    'Without arguments lists all; with one, shows it; with two, defines it; with an empty string, removes it.',
  examples: [{ line: 'alias kp kmem -p', why: 'kp from now on' }],
  run(session, args) {
    const [name, ...words] = args.positionals;
    if (name === undefined) return aliasesView([...session.aliases]);
    if (words.length > 0) {
      const command = words.join(' ');
      if (Object.hasOwn(COMMANDS, name)) throw new UsageError(`cannot alias existing command name: ${name}`);
      if (command === '') return removeAlias(session, name);
      session.aliases.set(name, { command, origin: session.origin });
    }
    const entry = session.aliases.get(name);
    if (entry !== undefined) return aliasesView([[name, entry]]);
    return { data: [], text: `alias does not exist: ${name}\n` };
  },
  ...VIEW_OUTPUT,
};

function removeAlias(session: Session, name: string): View {
  const existed = session.aliases.delete(name);
  return { data: [], text: existed ? `alias deleted: ${name}\n` : `alias does not exist: ${name}\n` };
}

function aliasesView(aliases: readonly (readonly [name: string, alias: Alias])[]): View {
  return {
    data: aliases.map(([name, { command, origin }]) => ({ name, command, origin })),
    text: `ORIGIN   ALIAS    COMMAND\n${aliases.map(([name, alias]) => aliasLine(name, alias)).join('')}`,
  };
}

function aliasLine(name: string, { command, origin }: Alias): string {
  return `${origin.padEnd(8)} ${name.padEnd(8)} ${command}\n`;
}

/** `exit` and `q`. */
export const exit: Command<TextData> = {
  name: 'exit',
  summary: 'end the session',
  synopsis: '',
  options: [],
  description: 'Ends the session. `q` and `quit` do the same.',
  examples: [],
  run: () => ({ text: '' }),
  text: data => data.text,
};

/** `extend`. */
export const extend: Command<TextData> = {
  name: 'extend',
  summary: 'commands from a TypeScript or JavaScript module',
  synopsis: '[module ...] | [-u [command ...]]',
  options: [{ flag: '-u', help: 'remove commands' }],
  description:
    'A module exports `commands`, a list of command declarations (see `Command` of the analyzer). Loading is done before the\nline runs. Without arguments lists what was added.',
  examples: [{ line: 'extend ./my-commands.ts', why: 'its commands from now on' }],
  run: () => ({
    text: extensionNames()
      .map(name => `${name}\n`)
      .join(''),
  }),
  text: data => data.text,
};

/** `repeat`. */
export const repeat: Command<TextData> = {
  name: 'repeat',
  summary: 'run a command again and again',
  synopsis: '[-seconds] command',
  options: [],
  description: `Runs a command until Ctrl-C, an error, or the end of whoever reads the output; with -seconds it waits that long between. A file
that it is redirected to is written anew the first time and appended to from then on. Meant for a live machine.`,
  examples: [{ line: 'repeat -1 p jiffies', why: 'on a live system' }],
  run() {
    throw new UsageError('repeat runs its command through the shell; give it a command');
  },
  text: data => data.text,
};
