/**
 * Backtraces of arm64: chains of frame records.
 *
 * Sources: AAPCS64 "The Frame Pointer"; `arch/arm64/kernel/{stacktrace.c,entry.S,process.c}` (Linux v6.12). A record is
 * {previous frame pointer, return address}. Exception entry builds one inside `struct pt_regs` (`stackframe`); from user
 * mode it is {0, 0}, which ends the chain. Since 6.14 a {0, 0} record may be followed by a type word
 * (`FRAME_META_TYPE_PT_REGS`: the chain goes on from the saved registers).
 */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Task, TaskTable } from '../linux/sched.ts';
import type { Program } from '../program.ts';
import { MAX_FRAMES, NO_REGISTERS, inRange } from './frames.ts';
import type { Backtrace, SavedRegisters, StackItem, StackRange, StartPoint } from './frames.ts';
import { cpuStacks, taskStack } from './stacks.ts';

const EXCEPTION_ENTRY = /^el[01][ht]_(?:64|32)_(?:sync|irq|fiq|error)$/;
/** PSTATE.M[3:0] of EL0. */
const PSTATE_MODE = 0xfn;
const PAC_SELECT = 1n << 55n;

/** Where a walk begins. */
interface Start {
  readonly fp: bigint;
  /** Address of the call, or of the instruction before the one that was interrupted. */
  readonly pc: bigint;
}

/** Unwinds a task's stack. */
export function unwindAarch64(program: Program, tasks: TaskTable, task: Task, from?: StartPoint): Backtrace {
  const stack = taskStack(program, task);
  const active = tasks.isActive(task);
  const stacks = active ? [...cpuStacks(program, task.cpu), stack] : [stack];
  const regs = userRegistersAddress(program, stack);
  const own = active ? activeStart(program, task, stacks) : sleepingStart(program, task);
  const start = from === undefined ? own : givenStart(program, from);
  const running = start === undefined ? runningInUserSpace(program, task, regs) : undefined;
  if (running !== undefined) return { items: [running], end: regs };
  const items: StackItem[] = start === undefined ? [NO_REGISTERS] : walk(program, start, stacks);
  if (!task.isKernelThread && task.pid !== 0) appendUserRegisters(program, items, regs);
  return { items, end: regs };
}

/** `task_pt_regs`. */
export function userRegistersAddress(program: Program, stack: StackRange): bigint {
  return stack.end - BigInt(program.types.struct('pt_regs').size);
}

function appendUserRegisters(program: Program, items: StackItem[], address: bigint): void {
  try {
    items.push(readRegisters(program, address));
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    items.push({ kind: 'problem', text: error.message });
  }
}

/**
 * The registers with which a CPU ran in user space. Where the interrupt that stopped it saved them on the stack they have more members;
 * what a machine stopped from outside has older ones there.
 */
function runningInUserSpace(program: Program, task: Task, address: bigint): SavedRegisters | undefined {
  const values = program.registersOf(task.cpu, task.pid)?.registers;
  if (values === undefined || (values.get('pstate')! & PSTATE_MODE) !== 0n) return undefined;
  const noted: SavedRegisters = { kind: 'registers', address: values.get('sp')!, inNote: true, user: true, values };
  try {
    const saved = readRegisters(program, address);
    const isSame = ['pc', 'sp'].every(name => saved.values.get(name) === values.get(name));
    return isSame ? { ...saved, running: true } : { ...noted, running: true };
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return { ...noted, running: true };
  }
}

/** With an address of code the frame whose record is there; without, the one that it returns to. */
function givenStart(program: Program, { sp, ip }: StartPoint): Start {
  if (ip !== undefined) return { fp: sp, pc: ip };
  return { fp: program.memory.readU64(sp), pc: stripPac(program, program.memory.readU64(sp + 8n)) - 4n };
}

/** `thread.cpu_context`: what `cpu_switch_to` saved. */
function sleepingStart(program: Program, task: Task): Start {
  const { struct } = task;
  return {
    fp: struct.pointer('thread.cpu_context.fp'),
    pc: stripPac(program, struct.pointer('thread.cpu_context.pc')) - 4n,
  };
}

/** Functions whose return address on the stack tells where the CPU left normal work, in order of preference. */
const DUMP_FUNCTIONS = ['machine_kexec', 'crash_save_cpu', '__crash_kexec', 'crash_kexec'] as const;

/**
 * For a running task: the deepest dump-taking function found below the saved frame pointer, else the saved registers.
 * The registers in the notes were taken a little before the functions that matter to a reader.
 */
function activeStart(program: Program, task: Task, stacks: readonly StackRange[]): Start | undefined {
  const saved = program.registersOf(task.cpu, task.pid)?.registers;
  const fp = saved?.get('x29');
  for (const stack of stacks.filter(({ name }) => name !== 'process stack')) {
    const found = searchDown(program, stack, stack.end);
    if (found !== undefined) return found;
  }
  const own = stacks.at(-1)!;
  const from = fp !== undefined && inRange(own, fp) ? fp : own.end;
  return searchDown(program, own, from) ?? registerStart(program, saved, stacks);
}

function registerStart(
  program: Program,
  saved: ReadonlyMap<string, bigint> | undefined,
  stacks: readonly StackRange[],
): Start | undefined {
  const fp = saved?.get('x29');
  const pc = saved?.get('pc');
  if (fp === undefined || pc === undefined || !stacks.some(stack => inRange(stack, fp))) return undefined;
  return { fp, pc: rowAddress(program, pc) };
}

/** crash shows the instruction before also where nothing was called; but where a function begins, that would be in another one. */
function rowAddress(program: Program, stopped: bigint): bigint {
  const pc = stripPac(program, stopped);
  return program.symbols.lookup(pc)?.offset === 0 ? pc : pc - 4n;
}

function searchDown(program: Program, stack: StackRange, from: bigint): Start | undefined {
  const [kexec, saveCpu, ...others] = DUMP_FUNCTIONS.map(name => functionRange(program, name));
  const SKIPPED = 64n;
  const words = stackWords(program, stack);
  let fallback: Start | undefined;
  for (let at = from - SKIPPED; at >= stack.start; at -= 8n) {
    const word = stripPac(program, words[Number((at - stack.start) / 8n)] ?? 0n);
    if (isIn(kexec, word) || isIn(saveCpu, word)) return { fp: frameBelow(words, stack, at), pc: word - 4n };
    if (fallback === undefined && others.some(range => isIn(range, word)))
      fallback = { fp: frameBelow(words, stack, at), pc: word - 4n };
  }
  return fallback;
}

/** The frame pointer that is saved below a return address. */
function frameBelow(words: BigUint64Array, stack: StackRange, at: bigint): bigint {
  return words[Number((at - stack.start) / 8n) - 1] ?? 0n;
}

function stackWords(program: Program, stack: StackRange): BigUint64Array {
  const bytes = program.memory.readAvailable(stack.start, Number(stack.end - stack.start));
  return new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
}

interface FunctionRange {
  readonly start: bigint;
  readonly end: bigint;
}

function functionRange(program: Program, name: string): FunctionRange | undefined {
  const [symbol] = program.symbols.findAll(name);
  const end = symbol === undefined ? undefined : program.symbols.endOf(symbol);
  return symbol === undefined || end === undefined ? undefined : { start: symbol.address, end };
}

function isIn(range: FunctionRange | undefined, address: bigint): boolean {
  return range !== undefined && address >= range.start && address < range.end;
}

/** Removes a pointer-authentication code from a kernel address. */
export function stripPac(program: Program, address: bigint): bigint {
  return program.pacMask !== 0n && (address & PAC_SELECT) !== 0n ? address | program.pacMask : address;
}

function walk(program: Program, start: Start, stacks: readonly StackRange[]): StackItem[] {
  const items: StackItem[] = [];
  const seen = new Set<bigint>();
  let { fp, pc } = start;
  let level = 0;
  let current = stacks.find(stack => inRange(stack, fp));
  try {
    while (level < MAX_FRAMES) {
      items.push({ kind: 'frame', level: level++, address: fp, pc });
      if (seen.has(fp)) return problem(items, 'the frame chain loops');
      seen.add(fp);
      const next = nextRecord(program, fp, pc, items);
      if (next === undefined) return items;
      const stack = stacks.find(range => inRange(range, next.fp));
      if (stack === undefined) return problem(items, `the frame pointer ${next.fp.toString(16)} is on no stack`);
      if (stack !== current) items.push({ kind: 'switch', from: current?.name ?? 'unknown stack' });
      current = stack;
      ({ fp, pc } = next);
    }
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return problem(items, error.message);
  }
  return items;
}

function problem(items: StackItem[], text: string): StackItem[] {
  return [...items, { kind: 'problem', text }];
}

/** The caller of a frame, or what an exception interrupted; undefined at the end of the chain. */
function nextRecord(program: Program, fp: bigint, pc: bigint, items: StackItem[]): Start | undefined {
  const name = program.symbols.lookup(pc)?.symbol.name ?? '';
  if (EXCEPTION_ENTRY.test(name) && name.startsWith('el1')) {
    const regs = readRegisters(program, fp - BigInt(program.object('pt_regs', 0n).offsetOf('stackframe')));
    items.push(regs);
    return { fp: regs.values.get('x29')!, pc: rowAddress(program, regs.values.get('pc')!) };
  }
  const previous = program.memory.readU64(fp);
  const returnAddress = stripPac(program, program.memory.readU64(fp + 8n));
  if (previous === 0n) return undefined;
  // Where a kernel thread began: nothing called it.
  if (program.symbols.lookup(returnAddress - 4n)?.symbol.name === 'ret_from_fork') return undefined;
  return { fp: previous, pc: returnAddress - 4n };
}

/** Reads a `struct pt_regs`. */
export function readRegisters(program: Program, address: bigint): SavedRegisters {
  const regs = program.object('pt_regs', address);
  const values = new Map<string, bigint>();
  for (let n = 0; n <= 30; n++) values.set(`x${n}`, regs.pointer(`regs[${n}]`));
  for (const name of ['sp', 'pc', 'pstate', 'orig_x0']) values.set(name, regs.pointer(name));
  values.set('syscallno', BigInt.asUintN(32, regs.big('syscallno')));
  const user = (values.get('pstate')! & PSTATE_MODE) === 0n;
  return { kind: 'registers', address, user, values };
}
