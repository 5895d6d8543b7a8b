/** `gdb`: gdb's commands over the dump. */
import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { typeName } from '../../types/declare.ts';
import { parseType } from '../../types/expression.ts';
import { plainResult, plainType } from '../../types/plain.ts';
import { gdbRequest, SynopsisError } from '../command.ts';
import type { Command } from '../command.ts';
import { evaluateExpression } from '../expressions.ts';
import type { Session } from '../session.ts';
import { examine } from './examine.ts';
import { backtrace } from './frame.ts';
import { info } from './info.ts';
import { echo, output, print, printf, set, show } from './print.ts';
import { disassemble, list } from './source.ts';
import { ptype, whatis } from './types.ts';
import { GDB_VERBS } from './verbs.ts';

interface GdbData {
  readonly text: string;
  /** Of `print` and `output`: the value as plain data; of `ptype` and `whatis`: the type. */
  readonly plain?: () => unknown;
}

/** What each command does. @param letters what stood behind the slash */
const ACTIONS: Readonly<Record<string, (session: Session, letters: string, text: string) => string>> = {
  print,
  output,
  printf: (session, _, text) => printf(session, text),
  echo: (_session, _, text) => echo(text),
  ptype,
  whatis: (session, _, text) => whatis(session, text),
  x: examine,
  info: (session, _, text) => info(session, text),
  list: (session, _, text) => list(session, text),
  set: (session, _, text) => set(session, text),
  show: (session, _, text) => show(session, text),
  disassemble: (session, _, text) => disassemble(session, text),
  backtrace: (session, _, text) => backtrace(session, text),
};

/** `gdb`. */
export const gdb: Command<GdbData> = {
  name: 'gdb',
  summary: "gdb's commands for values, types, memory, symbols and frames",
  synopsis: 'command ...',
  options: [],
  description: `There is no gdb underneath. Understood are: print, output, printf, echo, ptype[/o], whatis, x, list, disassemble,
backtrace [full], set $name = value, set print pretty|elements|repeats|address|symbol, show, and of info: address, args, frame,
functions, line, locals, registers, scope, symbol, types, variables. Formats are gdb's: print/x, x/8gx, x/s, x/i. Lines, frames,
arguments, locals and scopes need a vmlinux with debug information.`,
  examples: [
    { line: 'gdb p init_task.pid', why: 'as in gdb' },
    { line: 'gdb x/4gx &init_task', why: 'memory' },
    { line: 'gdb bt full', why: 'the stack of the current task with arguments and locals' },
  ],
  run(session, args) {
    const line = args.positionals.join(' ');
    if (line === '') throw new SynopsisError('no gdb command given');
    return { text: gdbRequest(line, () => runGdb(session, line)), plain: () => plainAnswer(session, line) };
  },
  text: ({ text }) => text,
  json: ({ text, plain }) => ({ text, ...(plain?.() as object | undefined) }),
};

const TYPE_VERBS = new Set(['ptype', 'whatis']);

/** What `--json` gives beside the text. */
function plainAnswer(session: Session, line: string): unknown {
  const [, verb = '', text = ''] = /^\s*([a-z]+)(?:\s*\/\s*\w*)?\s*(.*)$/s.exec(line) ?? [];
  const name = Object.hasOwn(GDB_VERBS, verb) ? GDB_VERBS[verb]! : '';
  if (TYPE_VERBS.has(name) && text !== '')
    return { type: plainType(parseType(text, session.program.types) ?? evaluateExpression(session, text).type) };
  // `print` has put its value into the history: evaluated once more, an assignment would be made twice.
  const value = name === 'print' ? session.history('$') : undefined;
  if (value === undefined) return {};
  return { value: { type: typeName(value.type), contents: plainResult(session.program.memory, value) } };
}

/** Runs one of gdb's commands. @throws UsageError, UnimplementedError, FaultError */
export function runGdb(session: Session, line: string): string {
  const match = /^\s*([a-z]+)(?:\s*\/\s*(\w*))?\s*(.*)$/s.exec(line);
  if (match === null) throw new UsageError('no gdb command given');
  const [, verb = '', letters = '', text = ''] = match;
  const name = Object.hasOwn(GDB_VERBS, verb) ? GDB_VERBS[verb]! : undefined;
  if (name === undefined) throw new UnimplementedError(`gdb's command ${verb}`);
  return ACTIONS[name]!(session, letters, text.trim());
}
