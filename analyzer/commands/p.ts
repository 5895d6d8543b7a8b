/** `p`: C expressions; `whatis`: types; `gdb`: those two under gdb's names. */
import { UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import { definitionText, typeName } from '../types/declare.ts';
import { parseType } from '../types/expression.ts';
import { sizeOf, stripTypedefs } from '../types/types.ts';
import type { CType } from '../types/types.ts';
import { valueText } from '../types/value.ts';
import type { Value } from '../types/value.ts';
import type { Arguments, Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import { evaluateExpression, variableType } from './expressions.ts';
import type { Session } from './session.ts';

interface PrintedValue {
  /** What stands before the value's number: a symbol, or a per-cpu copy of it. */
  readonly label: string;
  readonly number: number;
  readonly text: string;
}

interface PData {
  readonly values: readonly PrintedValue[];
}

/** `p`. */
export const p: Command<PData> = {
  name: 'p',
  summary: 'the value of a C expression',
  synopsis: '[-x|-d][-u] [expression | symbol[:cpus]]',
  options: [
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
    { flag: '-u', help: 'addresses are of the current task' },
  ],
  description:
    'Evaluates casts, members, arithmetic, arrays and pointers; `$` and `$N` are earlier values. A per-cpu variable\nneeds the CPUs behind a colon, `:a` for all.',
  examples: [
    { line: 'p init_task.comm', why: 'a member of a variable' },
    { line: 'p ((struct task_struct *)0xffff325bc2216180)->pid', why: 'a member behind an address' },
    { line: 'p -x runqueues:0', why: 'a per-cpu variable of CPU 0' },
  ],
  run(session, args) {
    const expression = args.positionals.join(' ');
    if (expression === '') throw new UsageError('no expression given');
    const percpu = /^(\w+):([\w,-]*)$/.exec(expression);
    const radix = radixOf(session, args);
    if (percpu !== null) return { values: percpuValues(session, percpu[1]!, percpu[2]!, radix) };
    const label = /^\w+$/.test(expression) && session.program.symbols.find(expression) !== undefined ? expression : '';
    return { values: [printed(session, label, evaluateExpression(session, expression), radix)] };
  },
  text: data =>
    data.values.map(({ label, number, text }) => `${label === '' ? '' : `${label} = `}$${number} = ${text}\n`).join(''),
};

function radixOf(session: Session, args: Arguments): 10 | 16 {
  return args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
}

function printed(session: Session, label: string, value: Value, radix: 10 | 16): PrintedValue {
  const text = valueText(session.program.memory, value, session.printContext(radix));
  return { label, number: session.remember(value), text };
}

function percpuValues(session: Session, name: string, list: string, radix: 10 | 16): PrintedValue[] {
  const type = variableType(session, name);
  if (type === undefined) throw new UsageError(`invalid per-cpu symbol: ${name}`);
  const cpus = list === '' || list === 'a' ? possibleCpus(session.program) : parseCpus(session, list);
  return cpus.map(cpu => {
    const address = session.program.percpuAddress(name, cpu);
    if (address === undefined) throw new UsageError(`invalid per-cpu symbol: ${name}`);
    return printed(session, `per_cpu(${name}, ${cpu})`, { type, address }, radix);
  });
}

interface WhatisData {
  readonly text: string;
  readonly size: number | undefined;
}

/** `whatis`. */
export const whatis: Command<WhatisData> = {
  name: 'whatis',
  summary: 'the definition of a type, the type of a variable or expression',
  synopsis: '[-o] [struct | union | typedef | symbol]',
  options: [{ flag: '-o', help: 'offsets of members (as `struct -o`)' }],
  description: 'For a structure or typedef: its definition and size. For a variable or expression: its type.',
  examples: [{ line: 'whatis linux_binfmt', why: 'a structure' }],
  run(session, args) {
    const text = args.positionals.join(' ');
    if (text === '') throw new UsageError('no name given');
    return whatIs(session, text);
  },
  text: ({ text, size }) => `${text}\n${size === undefined ? '' : `SIZE: ${size}\n`}`,
};

function whatIs(session: Session, text: string): WhatisData {
  const { types } = session.program;
  const tagged = parseType(text, types) ?? types.findStruct(text) ?? types.find(text, 'enum');
  if (tagged !== undefined) return described(tagged, text);
  if (/^\w+$/.test(text) && session.program.symbols.find(text) !== undefined) {
    const type = variableType(session, text) ?? types.findFunction(text);
    if (type === undefined) throw new UsageError(`'${text}' has unknown type`);
    return { text: `${declaration(type, text)};`, size: undefined };
  }
  return { text: `type = ${typeName(evaluateExpression(session, text).type)}`, size: undefined };
}

function declaration(type: CType, name: string): string {
  return `${typeName(type)} ${name}`.replace(/ \* (\w+)$/, ' *$1').replace(/^(.*?) (\[.*\]) (\w+)$/, '$1 $3$2');
}

function described(type: CType, text: string): WhatisData {
  if (type.kind === 'typedef')
    return {
      text: `typedef ${typedefTarget(type.target)} ${text};`.replace(/ \* (?=\w+;$)/, ' *'),
      size: sizeOf(type),
    };
  const bare = stripTypedefs(type);
  const isTag = bare.kind === 'struct' || bare.kind === 'union' || bare.kind === 'enum';
  return { text: isTag ? definitionText(type) : typeName(type), size: sizeOf(type) };
}

function typedefTarget(type: CType): string {
  if (type.kind === 'typedef') return typedefTarget(type.target);
  const bare = stripTypedefs(type);
  return (bare.kind === 'struct' || bare.kind === 'union') && bare.name === '' ? definitionText(bare) : typeName(type);
}

interface GdbData {
  readonly text: string;
}

/** `gdb`. */
export const gdb: Command<GdbData> = {
  name: 'gdb',
  summary: "gdb's print, ptype, whatis, info line",
  synopsis: 'command ...',
  options: [],
  description:
    'There is no gdb underneath: `print`, `p`, `output`, `ptype`, `whatis`, `x`, `info line` and `info symbol` are understood.',
  examples: [{ line: 'gdb p init_task.pid', why: 'as in gdb' }],
  run(session, args) {
    const [verb = '', ...rest] = args.positionals;
    return { text: runGdb(session, verb, rest.join(' ')) };
  },
  text: data => data.text,
};

function runGdb(session: Session, verb: string, rest: string): string {
  const [name, format] = verb.split('/');
  switch (name) {
    case 'p':
    case 'print':
    case 'output': {
      const value = printed(session, '', evaluateExpression(session, rest), format === 'x' ? 16 : 10);
      return `$${value.number} = ${value.text}\n`;
    }
    case 'ptype':
      return `type = ${whatIs(session, rest).text}\n`;
    case 'whatis': {
      const type = parseType(rest, session.program.types) ?? evaluateExpression(session, rest).type;
      return `type = ${typeName(type)}\n`;
    }
    case 'info':
      return gdbInfo(session, rest);
    default:
      throw new UnimplementedError(`gdb's command ${verb}`);
  }
}

function gdbInfo(session: Session, rest: string): string {
  const [topic, ...words] = rest.split(/\s+/);
  const value = evaluateExpression(session, words.join(' '));
  const address = value.address ?? value.bits ?? 0n;
  const where = `0x${address.toString(16)}`;
  const symbol = session.program.symbols.format(address) ?? '';
  if (topic === 'symbol') return symbol === '' ? `No symbol matches ${words.join(' ')}.\n` : `${symbol}\n`;
  if (topic !== 'line') throw new UnimplementedError(`gdb's command info ${topic ?? ''}`);
  const line = session.sourceLine(address);
  if (line === undefined) return `No line number information available for address ${where} <${symbol}>\n`;
  const [file, number] = line.split(': ');
  return `Line ${number ?? '?'} of "${file ?? '?'}" starts at address ${where} <${symbol}>.\n`;
}
