/** `p`: C expressions. */
import { UsageError } from '../../capture/formats/errors.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import { userReader } from '../linux/user-memory.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { declare, typeName } from '../types/declare.ts';
import { plainResult } from '../types/plain.ts';
import { parseFormat } from '../types/print-format.ts';
import type { PrintContext } from '../types/print-value.ts';
import { valueText } from '../types/value.ts';
import type { Value } from '../types/value.ts';
import { gdbRequest, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { percpuCpus } from './cpus.ts';
import { evaluateExpression, isPercpu, variableType } from './expressions.ts';
import type { Session } from './session.ts';

interface PrintedValue {
  /** What stands before the value's number: a symbol, or a per-cpu copy of it. */
  readonly label: string;
  readonly number: number;
  readonly text: string;
  readonly type: string;
  /** The value as plain data. */
  readonly plain: () => unknown;
}

interface PData {
  readonly warning?: string;
  readonly values: readonly PrintedValue[];
  /** A per-cpu variable without CPUs: its declaration and where each copy is. */
  readonly percpu?: {
    readonly declaration: string;
    readonly addresses: readonly { readonly cpu: number; readonly address: bigint }[];
  };
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
  description: `Evaluates casts, members, arithmetic, arrays and pointers; \`$\`, \`$$\` and \`$N\` are earlier values. gdb's formats stand in
front: \`p /x expression\`. A per-cpu variable needs the CPUs behind a colon, \`:a\` for all; without, its addresses are shown.
Types of variables come from the vmlinux; without one those of per-cpu and of well-known variables are known.`,
  examples: [
    { line: 'p init_task.comm', why: 'a member of a variable' },
    { line: 'p ((struct task_struct *)0xffff325bc2216180)->pid', why: 'a member behind an address' },
    { line: 'p -x runqueues:0', why: 'a per-cpu variable of CPU 0' },
    { line: 'p /x *init_task.cred', why: 'all numbers in hexadecimal' },
  ],
  run(session, args) {
    const [, letters = '', expression = ''] = /^(?:\/(\w+)\s+)?(.*)$/s.exec(args.positionals.join(' '))!;
    if (expression === '') throw new SynopsisError('no expression given');
    const context = { ...session.printContext(radixOf(session, args)), format: parseFormat(letters) };
    const reader = args.has('-u') ? userMemory(session) : undefined;
    const copies = copiesOf(session, expression, context, reader);
    if (copies !== undefined) return copies;
    const label = letters === '' ? symbolInFront(session, expression) : '';
    if (label === expression && isPercpu(session, label)) return percpuAddresses(session, label);
    return gdbRequest(`p ${args.positionals.join(' ')}`, () => {
      const value = evaluateExpression(session, expression, reader);
      return { values: [printed(session, label, value, context, reader)] };
    });
  },
  json: ({ values, percpu, warning }) => ({
    ...(warning === undefined ? {} : { warning }),
    values: values.map(({ plain, ...value }) => ({ ...value, contents: plain() })),
    ...(percpu === undefined ? {} : { percpu }),
  }),
  text({ values, percpu, warning }) {
    if (percpu === undefined)
      return `${warning === undefined ? '' : `WARNING: ${warning}\n`}${values.map(lineText).join('')}`;
    const rows = percpu.addresses.map(({ cpu, address }) => `  [${cpu}]: ${address.toString(16)}\n`);
    return `PER-CPU DATA TYPE:\n  ${percpu.declaration};\nPER-CPU ADDRESSES:\n${rows.join('')}`;
  },
};

/** The symbol that an expression begins with: crash prints it in front of the value. */
function symbolInFront(session: Session, expression: string): string {
  const [first = ''] = expression.split(/\s/, 1);
  return /^\w+$/.test(first) && session.program.symbols.find(first) !== undefined ? first : '';
}

/** A variable with CPUs behind it; they are ignored when there is but one copy of it. Undefined for what is none. */
function copiesOf(
  session: Session,
  expression: string,
  context: PrintContext,
  reader: MemoryReader | undefined,
): PData | undefined {
  const [, variable, cpus = ''] = /^(\w+):([\w,-]*)$/.exec(expression) ?? [];
  if (variable === undefined) return undefined;
  if (isPercpu(session, variable)) return { values: percpuValues(session, variable, cpus, context) };
  if (variableType(session, variable) === undefined) return undefined;
  const value = evaluateExpression(session, variable, reader);
  const warning = `${variable} is not percpu; cpuspec ignored.`;
  return { warning, values: [printed(session, variable, value, context, reader)] };
}

/** crash begins a new line where a named value's first line goes on behind an opening brace. */
function lineText({ label, number, text }: PrintedValue): string {
  const [first = ''] = text.split('\n', 1);
  const brace = first.indexOf('{');
  const breaks = label !== '' && brace !== -1 && first.slice(brace) !== '{';
  const value = breaks ? `${text.slice(0, brace)}\n ${text.slice(brace)}` : text;
  return `${label === '' ? '' : `${label} = `}$${number} = ${value}\n`;
}

function userMemory(session: Session): MemoryReader {
  const { mm } = session.current;
  if (mm === undefined) throw new UsageError(`task ${session.current.pid} has no user memory`);
  return userReader(session.program, mm);
}

function radixOf(session: Session, args: Arguments): 10 | 16 {
  return args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
}

function printed(
  session: Session,
  label: string,
  value: Value,
  context: PrintContext,
  reader: MemoryReader = session.program.memory,
): PrintedValue {
  const text = valueText(reader, value, { ...context, memory: reader });
  const plain = (): unknown => plainResult(reader, value);
  return { label, number: session.remember(value), text, type: typeName(value.type), plain };
}

function percpuAddresses(session: Session, name: string): PData {
  const { program } = session;
  const type = variableType(session, name)!;
  const addresses = possibleCpus(program).map(cpu => ({ cpu, address: program.percpuAddress(name, cpu) ?? 0n }));
  return { values: [], percpu: { declaration: declare(type, name), addresses } };
}

function percpuValues(session: Session, name: string, list: string, context: PrintContext): PrintedValue[] {
  const type = variableType(session, name);
  if (type === undefined) throw new UsageError(`invalid per-cpu symbol: ${name}`);
  return percpuCpus(session, list).map(cpu => {
    const address = session.program.percpuAddress(name, cpu);
    if (address === undefined) throw new UsageError(`invalid per-cpu symbol: ${name}`);
    return printed(session, `per_cpu(${name}, ${cpu})`, { type, address }, context);
  });
}
