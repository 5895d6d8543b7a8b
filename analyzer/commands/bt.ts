/** `bt`: kernel stacks of tasks. */
import { UsageError } from '../../capture/formats/errors.ts';
import { readOr } from '../gaps.ts';
import type { Task } from '../linux/sched.ts';
import { hex16 } from '../text/layout.ts';
import { exceptionFrameText, registersText } from '../text/registers.ts';
import { cpuStacks, taskStack } from '../unwind/stacks.ts';
import type {
  Backtrace,
  Frame,
  SavedRegisters,
  StackItem,
  StackRange,
  StackSwitch,
  StartPoint,
  UnwindProblem,
} from '../unwind/frames.ts';
import { inRange } from '../unwind/frames.ts';
import { exceptionFrames } from '../unwind/search.ts';
import { textAddresses } from '../unwind/search.ts';
import type { TextReference } from '../unwind/search.ts';
import { unwind } from '../unwind/unwind.ts';
import { inTurn } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { isScanning, scanned, toggleMethod } from './bt-scan.ts';
import { cpuExceptionsText, overflowText } from './bt-stacks.ts';
import { callText, knownCall } from '../unwind/register-arguments.ts';
import type { KnownCall } from '../unwind/register-arguments.ts';
import { FrameVariables } from './bt-variables.ts';
import { parseCpus } from './cpus.ts';
import { faultText } from './faults.ts';
import { parseAddress, parseHex } from './numbers.ts';
import type { Refusal } from './numbers.ts';
import { taskHeader, tasksOfWord } from './select-tasks.ts';
import type { Session } from './session.ts';
import { wordsText } from './stack-words.ts';

interface FrameData {
  readonly kind: 'frame';
  readonly level: number;
  readonly address: bigint;
  readonly pc: bigint;
  readonly symbol: string;
  readonly offset: number;
  readonly module: string | undefined;
  /** With `-l` and a vmlinux. */
  readonly source: string | undefined;
  /** With `--args` and `--locals`: the functions of the frame, a line each. */
  readonly variables: string | undefined;
  /** Stack memory up to the next frame, with `-f`. */
  readonly words: { readonly start: bigint; readonly end: bigint } | undefined;
}

/** Saved registers; with `--args` the call whose arguments they hold. */
type RegistersData = SavedRegisters & {
  readonly call?: KnownCall | undefined;
  /** Where the exception happened, when the stack just goes on from there. */
  readonly excepted?: Frame;
  /** With `-l`, of that place. */
  readonly source?: string | undefined;
};
type ItemData = FrameData | StackSwitch | RegistersData | UnwindProblem;

interface TaskTrace {
  readonly task: Task;
  readonly header: string;
  readonly items: readonly ItemData[];
  /** With `-t` and `-T`. */
  readonly references?: { readonly start: TextReference | undefined; readonly list: readonly TextReference[] };
  /** With `-e`. */
  readonly exceptions?: readonly SavedRegisters[];
  /** With `-r`. */
  readonly raw?: { readonly start: bigint; readonly end: bigint };
}

interface BtData {
  /** Of `-v` and `-E`: text about all stacks. */
  readonly report?: string;
  readonly traces: readonly TaskTrace[];
  readonly options: { readonly offsets: boolean; readonly radix: 10 | 16; readonly symbolic: 0 | 1 | 2 };
}

/** `bt`. */
export const bt: Command<BtData> = {
  name: 'bt',
  summary: "a task's kernel stack",
  synopsis:
    '[-a|-c cpu(s)|-g|-r|-t|-T|-l|-e|-E|-f|-F|-FF|-v|-p] [-R ref] [-s [-x|-d]] [-I ip] [-S sp] [-n idle] [--args|--locals] [pid | task]...',
  options: [
    { flag: '-a', help: 'the active task of every CPU' },
    { flag: '-c', takes: 'cpus', help: 'the active task of these CPUs: `1`, `0-3`, `1,4`' },
    { flag: '-n', takes: 'idle', help: 'with -a or -c: leave out idle tasks' },
    { flag: '-g', help: 'all threads of the task' },
    { flag: '-p', help: 'the task that panicked' },
    { flag: '-r', help: 'the raw stack' },
    { flag: '-t', help: 'every kernel text address from the last frame up' },
    { flag: '-T', help: 'every kernel text address of the whole stack' },
    { flag: '-e', help: 'saved registers found anywhere on the stack' },
    { flag: '-f', help: 'the stack memory of each frame' },
    { flag: '-F', help: 'as -f, with symbols and slab objects by name; twice: with their addresses' },
    { flag: '-s', help: 'offsets behind symbols' },
    { flag: '-x', help: 'offsets in hexadecimal' },
    { flag: '-d', help: 'offsets in decimal' },
    { flag: '-l', help: 'source lines, with a vmlinux' },
    { flag: '-v', help: 'check all stacks for overflow' },
    { flag: '-R', takes: 'ref', help: 'only tasks whose trace refers to this symbol or address' },
    { flag: '-I', takes: 'ip', help: 'begin at this address of code' },
    { flag: '-S', takes: 'sp', help: 'begin at this address of the stack' },
    { flag: '-E', help: 'saved registers on the IRQ and exception stacks of all CPUs' },
    { flag: '-o', help: 'x86_64: every return address on the stack, as crash did before it could unwind' },
    { flag: '-O', help: 'x86_64: as with -o from now on, or no more' },
    { flag: '-A', help: 'of s390x only' },
    {
      flag: '--args',
      help: 'our own: functions of each frame with arguments; without a vmlinux those that registers tell',
    },
    { flag: '--locals', help: 'our own: as --args, and local variables' },
  ],
  description:
    'Follows frame records (arm64) or ORC (x86_64; DWARF where a kernel has none) from where a task was switched out, or from\nwhere a running one was stopped, over IRQ and exception stacks to the registers that user space had. --args and --locals add\nwhat DWARF knows of each frame: inlined functions, arguments (NAME@entry: as it was called), locals. From the dump alone --args shows the system call at user registers and the\narguments of a function that an exception met at its first instruction.',
  examples: [
    { line: 'bt', why: 'how the panic came about' },
    { line: 'bt -a', why: 'what all CPUs did' },
    { line: 'bt --args', why: 'what the functions were called with' },
    { line: 'foreach UN bt', why: 'where blocked tasks wait' },
  ],
  run(session, args) {
    refuseForeign(session, args);
    const report = reportOf(session, args);
    const groups = report === undefined ? taskGroups(session, args) : [];
    const isAlone = groups.length === 1 && groups[0]!().length === 1;
    return inTurn(
      groups,
      group => group().map(task => (isAlone ? traceOf : traceIfPresent)(session, task, args)),
      traces => ({
        ...(report === undefined ? {} : { report }),
        traces: traces.flat().filter(trace => !args.has('-R') || refersTo(session, trace, args.value('-R')!)),
        options: optionsOf(session, args),
      }),
      '\n',
    );
  },
  text(data, session) {
    return (data.report ?? '') + data.traces.map(trace => traceText(session, trace, data.options)).join('\n');
  },
};

/** Options that have a meaning on other architectures only. */
function refuseForeign({ program }: Session, args: Arguments): void {
  const foreign = program.architecture === 'x86_64' ? ['-A'] : ['-A', '-o', '-O'];
  const given = foreign.find(flag => args.has(flag));
  if (given !== undefined) throw notSupported(given);
  if (args.has('-n') && args.value('-n') !== 'idle') throw notSupported('-n');
}

function notSupported(flag: string): UsageError {
  return new UsageError(`${flag} option not supported or applicable on this architecture or kernel`);
}

/** The text of options that are about no task. */
function reportOf(session: Session, args: Arguments): string | undefined {
  if (args.has('-O')) return toggleMethod(session);
  if (args.has('-v')) return overflowText(session);
  if (!args.has('-E')) return undefined;
  return cpuExceptionsText(session, args.has('-c') ? parseCpus(session, args.value('-c')!) : undefined);
}

/** Tells whether a trace has a frame of that function, or at that address. */
function refersTo(session: Session, { items }: TaskTrace, reference: string): boolean {
  const isNumber = /^(?:0x)?[\da-f]+$/i.test(reference);
  const address = session.program.symbols.find(reference) ?? (isNumber ? parseHex(reference) : undefined);
  return items.some(item => item.kind === 'frame' && (item.symbol === reference || item.pc === address));
}

const cannotConvert: Refusal = word => new UsageError(`cannot convert "${word}"`);

/** What is wrong with an address that is on none of a task's stacks. */
function misplaced({ program }: Session, task: Task, stack: StackRange, sp: bigint): ItemData | undefined {
  const all = [stack, ...cpuStacks(program, task.cpu)];
  if (all.some(range => inRange(range, sp))) return undefined;
  const range = `(valid range: ${stack.start.toString(16)} - ${stack.end.toString(16)})`;
  return { kind: 'problem', text: `non-process stack address for this task: ${sp.toString(16)}\n    ${range}` };
}

/** Where `-S` and `-I` begin. */
function startOf(session: Session, args: Arguments): StartPoint | undefined {
  const ip = args.has('-I') ? parseAddress(session, args.value('-I')!, cannotConvert) : undefined;
  // Another address of code does not go with where the stack was left.
  if (!args.has('-S')) return undefined;
  const sp = parseHex(args.value('-S')!);
  if (sp === 0n) throw new UsageError('invalid stack address for this task: 0');
  return { sp, ip };
}

function optionsOf({ settings }: Session, args: Arguments): BtData['options'] {
  return {
    offsets: args.has('-s'),
    radix: args.has('-x') ? 16 : args.has('-d') ? 10 : settings.radix,
    symbolic: args.count('-F') > 1 ? 2 : args.has('-F') ? 1 : 0,
  };
}

/** The tasks of each argument, or those that options choose; each group throws UsageError when it names none. */
function taskGroups(session: Session, args: Arguments): (() => readonly Task[])[] {
  const { tasks } = session;
  if (args.has('-p')) return [() => [session.panicTask]];
  if (args.has('-a') || args.has('-c')) {
    const cpus = args.has('-c') ? parseCpus(session, args.value('-c')!) : [...tasks.active.keys()];
    const active = cpus.map(cpu => tasks.active.get(cpu)).filter(task => task !== undefined);
    return [() => active.filter(task => !args.has('-n') || task.pid !== 0)];
  }
  const withThreads = (chosen: readonly Task[]): readonly Task[] =>
    args.has('-g') ? chosen.flatMap(task => [...tasks.threadsOf(task.tgid)]) : chosen;
  if (args.positionals.length === 0) return [() => withThreads([session.current])];
  return args.positionals.map(word => () => withThreads(tasksOfWord(session, word)));
}

/** One of several traces: of a task that cannot be read, why. */
function traceIfPresent(session: Session, task: Task, args: Arguments): TaskTrace {
  return readOr(
    () => traceOf(session, task, args),
    fault => ({ task, header: taskHeader(task), items: [{ kind: 'problem', text: faultText(fault, 'bt') }] }),
  );
}

function traceOf(session: Session, task: Task, args: Arguments): TaskTrace {
  const { program } = session;
  const header = taskHeader(task);
  const stack = taskStack(program, task);
  if (args.has('-r')) return { task, header, items: [], raw: stack };
  if (args.has('-e')) return { task, header, items: [], exceptions: exceptionFrames(program, stack) };
  const start = startOf(session, args);
  const problem = start === undefined ? undefined : misplaced(session, task, stack, start.sp);
  if (problem !== undefined) return { task, header, items: [problem] };
  const unwound = untilStart(session, unwind(session.tasks, task, start));
  const backtrace = isScanning(session, args.has('-o')) ? scanned(session, unwound) : unwound;
  if (args.has('-t') || args.has('-T'))
    return { task, header, ...referencesOf(session, task, backtrace, args.has('-T')) };
  if (backtrace.items.length === 0) throw new UsageError(`the stack of task ${task.pid} cannot be read`);
  return { task, header, items: describe(session, task, backtrace, args) };
}

/** On arm64 crash shows nothing of what called start_kernel. */
function untilStart({ program }: Session, backtrace: Backtrace): Backtrace {
  if (program.architecture !== 'aarch64') return backtrace;
  const last = backtrace.items.findIndex(
    item =>
      item.kind === 'frame' && /^(?:secondary_)?start_kernel$/.test(program.symbols.lookup(item.pc)?.symbol.name ?? ''),
  );
  return last === -1 ? backtrace : { ...backtrace, items: backtrace.items.slice(0, last + 1) };
}

/** Where a task that does not run was switched out, on arm64: its saved registers say so, its stack does not. */
function switchedOutAt({ program, tasks }: Session, task: Task): TextReference | undefined {
  if (!task.struct.has('thread.cpu_context.pc') || tasks.isActive(task)) return undefined;
  const value = task.struct.pointer('thread.cpu_context.pc');
  const symbol = program.symbols.lookup(value)?.symbol.name;
  return symbol === undefined ? undefined : { address: task.struct.pointer('thread.cpu_context.sp'), value, symbol };
}

function referencesOf(
  session: Session,
  task: Task,
  backtrace: Backtrace,
  whole: boolean,
): Pick<TaskTrace, 'items' | 'references'> {
  const { program } = session;
  const stack = taskStack(program, task);
  const first = backtrace.items.find(item => item.kind === 'frame');
  const isArm = program.architecture === 'aarch64';
  const slot = first === undefined ? stack.start : isArm ? first.address - 8n : first.address;
  const list = textAddresses(
    program,
    whole ? stack.start + BigInt(program.types.findStruct('thread_info')?.size ?? 0) : slot,
    stack.end,
  );
  const start = whole ? undefined : (list.find(({ address }) => address === slot) ?? switchedOutAt(session, task));
  const user = isArm ? [] : backtrace.items.filter(item => item.kind === 'registers' && item.user);
  return {
    items: user as SavedRegisters[],
    references: { start, list: list.filter(({ address }) => address < backtrace.end) },
  };
}

function describe(session: Session, task: Task, backtrace: Backtrace, args: Arguments): ItemData[] {
  const { program } = session;
  const withArguments = args.has('--args') || args.has('--locals');
  const fromDwarf = args.has('--locals') || (args.has('--args') && program.debug.kernel !== undefined);
  const variables = fromDwarf ? new FrameVariables(session, task, backtrace, args.has('--locals')) : undefined;
  const show = { frames: args.has('-f') || args.has('-F'), lines: args.has('-l'), variables };
  // variables are shown of all functions
  const items = variables === undefined ? rowsOf(session, backtrace.items) : backtrace.items;
  return items.map((item, index) => {
    if (item.kind === 'frame') return describeFrame(session, { ...backtrace, items }, item, index, show);
    if (item.kind !== 'registers') return item;
    const { excepted }: RegistersData = item;
    return {
      ...item,
      ...(show.lines && excepted && { source: session.sourceLine(excepted.pc) }),
      ...(withArguments && { call: knownCall(program, item, items.slice(0, index)) }),
    };
  });
}

/**
 * The function that an exception interrupted has no row in crash's layout when the exception's registers name it; nor has, on x86_64,
 * one that called and does not expect a return: the address behind the call is where the next function begins.
 */
function rowsOf({ program }: Session, items: readonly StackItem[]): readonly (StackItem | RegistersData)[] {
  const isNextFunction = (index: number, { pc }: Frame): boolean =>
    program.architecture === 'x86_64' && items[index - 1]?.kind === 'frame' && program.symbols.lookup(pc)?.offset === 0;
  let level = 0;
  return items.flatMap((item, index): readonly (StackItem | RegistersData)[] => {
    const next = items[index + 1];
    if (item.kind === 'frame')
      return item.excepted === true || isNextFunction(index, item)
        ? []
        : [{ ...item, address: rowAddress(items, index, item), level: level++ }];
    const isExcepted = item.kind === 'registers' && next?.kind === 'frame' && next.excepted === true;
    return isExcepted ? [{ ...item, excepted: next }] : [item];
  });
}

/** Where an interrupt left the process stack for the IRQ stack, crash names the saved registers. */
function rowAddress(items: readonly StackItem[], index: number, { address }: Frame): bigint {
  const [before, after] = [items[index - 1], items[index + 1]];
  const isInterrupt = before?.kind === 'switch' && before.from === 'IRQ stack' && after?.kind === 'registers';
  return isInterrupt ? after.address : address;
}

function describeFrame(
  session: Session,
  backtrace: Backtrace,
  item: Frame,
  index: number,
  show: { readonly frames: boolean; readonly lines: boolean; readonly variables: FrameVariables | undefined },
): FrameData {
  const isArm = session.program.architecture === 'aarch64';
  const place = session.program.symbols.lookup(item.pc);
  return {
    ...item,
    symbol: place?.symbol.name ?? '(unknown)',
    offset: place?.offset ?? 0,
    module: place?.symbol.module,
    // crash looks up the address itself: behind a call that may be the next line's.
    source: show.lines ? session.sourceLine(item.pc) : undefined,
    variables: show.variables?.text(item.pc),
    words: show.frames ? frameMemory(backtrace, item, index, isArm) : undefined,
  };
}

/** arm64: from the frame's record to the next; x86_64: what lies between two return addresses. */
function frameMemory(
  backtrace: Backtrace,
  item: Frame,
  index: number,
  isArm: boolean,
): NonNullable<FrameData['words']> {
  const next = nextAddress(backtrace, index);
  if (isArm) return { start: item.address, end: next };
  return { start: item.address + 8n, end: next === backtrace.end ? next : next + 8n };
}

/** Where a frame's stack memory ends: at the next frame of the same stack, or at the saved registers. */
function nextAddress(backtrace: Backtrace, index: number): bigint {
  const rest: readonly StackItem[] = backtrace.items.slice(index + 1);
  const next = rest.find(item => item.kind !== 'registers');
  return next?.kind === 'frame' ? next.address : backtrace.end;
}

function traceText(session: Session, trace: TaskTrace, options: BtData['options']): string {
  const out = [`${trace.header}\n`];
  if (trace.raw !== undefined) return out.join('') + rawText(session, trace.raw);
  if (trace.references !== undefined) out.push(referencesText(trace.references));
  if (trace.exceptions !== undefined) out.push(exceptionsText(session, trace.exceptions));
  let words = '';
  for (const item of trace.items) {
    // the stack memory of a frame that ends at an exception stands behind the exception's registers
    const isException = item.kind === 'registers' && item.excepted !== undefined;
    if (!isException) out.push(words);
    out.push(itemText(session, item, options));
    if (isException) out.push(words);
    words =
      item.kind === 'frame' && item.words ? wordsText(session, item.words.start, item.words.end, options.symbolic) : '';
  }
  return out.join('') + words;
}

function itemText(session: Session, item: ItemData, options: BtData['options']): string {
  switch (item.kind) {
    case 'frame': {
      const offset = options.offsets ? `+${options.radix === 16 ? `0x${item.offset.toString(16)}` : item.offset}` : '';
      const module = item.module === undefined ? '' : ` [${item.module}]`;
      const line = `${`#${item.level}`.padStart(3)} [${item.address.toString(16)}] ${item.symbol}${offset} at ${item.pc.toString(16)}${module}\n`;
      const source = item.source === undefined ? '' : `    ${item.source}\n`;
      return line + source + (item.variables ?? '');
    }
    case 'switch':
      return `--- <${item.from}> ---\n`;
    case 'problem':
      return `    (the stack ends here: ${item.text})\n`;
    default:
      return [
        registersText(session.program, item),
        item.source === undefined ? '' : `    ${item.source}\n`,
        item.call === undefined ? '' : `    [${callText(item.call)}]\n`,
      ].join('');
  }
}

function referencesText({ start, list }: NonNullable<TaskTrace['references']>): string {
  const head = start === undefined ? '' : `              START: ${referenceText(start)}`;
  return head + list.map(reference => `  [${reference.address.toString(16)}] ${referenceText(reference)}`).join('');
}

function exceptionsText(session: Session, frames: readonly SavedRegisters[]): string {
  const isArm = session.program.architecture === 'aarch64';
  return frames
    .map((frame, index) => {
      const gap = isArm && frame.user && index === 0 ? '' : '\n';
      return gap + exceptionFrameText(session.program, frame);
    })
    .join('');
}

function rawText(session: Session, { start, end }: { start: bigint; end: bigint }): string {
  const out: string[] = [];
  for (let at = start; at < end; at += 16n) {
    const words = [at, at + 8n].map(address => {
      const value = session.program.memory.readU64(address);
      return session.program.symbols.format(value)?.padEnd(16) ?? hex16(value);
    });
    out.push(`${at.toString(16)}:  ${words.join(' ')} \n`);
  }
  return out.join('');
}

function referenceText({ symbol, value }: TextReference): string {
  return `${symbol} at ${value.toString(16)}\n`;
}
