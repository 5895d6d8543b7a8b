/** `help`: the list of commands, the page of one, and what crash's internal listings are here. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Arguments, Command } from './command.ts';
import { COMMANDS, extensionNames } from './registry.ts';
import type { Session } from './session.ts';

interface HelpData {
  readonly text: string;
}

const COLUMNS = 5;
const COLUMN_WIDTH = 15;

/** `help`. */
export const help: Command<HelpData> = {
  name: 'help',
  summary: 'the commands, or the page of one',
  synopsis: '[command | all | input | output] | [-a|-m|-v|-D]',
  options: [
    { flag: '-a', help: 'aliases' },
    { flag: '-D', help: "the dump's headers" },
    { flag: '-n', help: "the dump's headers" },
    { flag: '-m', help: 'what is known of the machine' },
    { flag: '-v', help: 'what is known of virtual memory' },
    { flag: '-t', help: 'what is known of the tasks' },
    { flag: '-o', help: 'offsets and sizes of structures' },
  ],
  description:
    'With a command: its page. The listings of internal data (-m, -v, -D) show what this program knows, not what crash would.',
  examples: [{ line: 'help bt', why: 'its options' }],
  run(session, args) {
    const listing = internalListing(session, args);
    if (listing !== undefined) return { text: listing };
    const [topic] = args.positionals;
    return { text: topic === undefined ? commandList() : topicText(topic) };
  },
  text: data => data.text,
};

/** Names in columns, filled downwards; `*` first. */
function commandList(): string {
  const names = [...Object.keys(COMMANDS), ...extensionNames()].sort();
  const rows = Math.ceil(names.length / COLUMNS);
  const lines = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: COLUMNS }, (_value, column) => (names[column * rows + row] ?? '').padEnd(COLUMN_WIDTH))
      .join('')
      .trimEnd(),
  );
  return `\n${lines.join('\n')}\n\nFor the page of a command: "help <command>".\nOn what can be typed: "help input"; on where output can go: "help output".\n\n`;
}

const TOPICS: Readonly<Record<string, string>> = {
  input: `A line is a command with its arguments. \`line | program\` sends the output to a program of the host, \`line > file\` and
\`line >> file\` to a file, \`< file\` runs the lines of a file. \`# …\` is a comment, \`!program\` runs a program. The arrow
keys go through history, the tabulator completes commands and symbols. Lines of ~/.kcrashrc run at the start.
`,
  output:
    'Output goes to the terminal, with `| program` to a program of the host, with `> file` or `>> file` to a file.\n',
};

function topicText(topic: string): string {
  const text = Object.hasOwn(TOPICS, topic) ? TOPICS[topic] : undefined;
  if (text !== undefined) return text;
  throw new UsageError(`No help data for "${topic}" is available.`);
}

/** The page of a command, made from its declaration. */
export function helpPage(command: Command): string {
  const options = command.options.map(
    ({ flag, takes, help: text }) => `  ${`${flag}${takes === undefined ? '' : ` ${takes}`}`.padStart(14)}  ${text}\n`,
  );
  const examples = command.examples.map(({ line, why }) => `  ${line.padEnd(40)}  ${why}\n`);
  return [
    `\nNAME\n  ${command.name} - ${command.summary}\n`,
    `\nSYNOPSIS\n  ${command.name} ${command.synopsis}\n`,
    `\nDESCRIPTION\n${indented(command.description)}\n`,
    options.length === 0 ? '' : `\nOPTIONS\n${options.join('')}`,
    examples.length === 0 ? '' : `\nEXAMPLES\n${examples.join('')}`,
    '\n',
  ].join('');
}

function internalListing(session: Session, args: Arguments): string | undefined {
  const { program } = session;
  if (args.has('-D') || args.has('-n')) return dumpHeaders(session);
  if (args.has('-a'))
    return [...session.aliases]
      .map(([name, { command, origin }]) => `${origin.padEnd(8)} ${name.padEnd(8)} ${command}\n`)
      .join('');
  const space = `architecture: ${program.architecture}\n   page size: ${program.space.pageSize}\n page offset: ${program.space.pageOffset.toString(16)}\n   top table: ${program.space.root.toString(16)}\nKASLR offset: ${program.kaslrOffset.toString(16)}\n`;
  if (args.has('-m') || args.has('-v')) return `${space}\n${program.vmcoreinfo.text}`;
  if (args.has('-t'))
    return `tasks: ${session.tasks.all.length}\nactive: ${[...session.tasks.active].map(([cpu, task]) => `CPU ${cpu}: ${task.address.toString(16)}`).join(', ')}\n`;
  if (args.has('-o'))
    return [...program.vmcoreinfo.text.matchAll(/^(?:OFFSET|SIZE)\(.*$/gm)].map(([line]) => `${line}\n`).join('');
  return undefined;
}

function dumpHeaders(session: Session): string {
  const { dump, vmcoreinfo } = session.program;
  const rows = [`      format: ${dump.format}${dump.flattened ? ' (flattened)' : ''}\n`];
  for (const { header, subHeader } of dump.diskDumps) {
    for (const [name, value] of [...Object.entries(header), ...Object.entries(subHeader)])
      rows.push(`${name.padStart(20)}: ${String(value)}\n`);
  }
  for (const note of dump.notes)
    rows.push(`        note: ${note.name} type ${note.type}, ${note.descriptor.length} bytes\n`);
  return `${rows.join('')}\n${vmcoreinfo.text}`;
}

function indented(text: string): string {
  return text
    .split('\n')
    .map(line => `  ${line}`)
    .join('\n');
}
