/**
 * Backtraces of x86_64: ORC, from the registers that a switch, an NMI or the crash left on the stack.
 *
 * Sources: `arch/x86/kernel/unwind_orc.c`, `arch/x86/include/asm/{switch_to,ptrace}.h` (Linux v6.12).
 * Not modelled: kernels without ORC (UNWINDER_FRAME_POINTER, UNWINDER_GUESS): their stacks are followed by DWARF
 * when there is a vmlinux, else by frame pointer.
 */
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import { linkAddress } from '../debug-info/debug-files.ts';
import type { DebugInfo } from '../debug-info/dwarf/debug-info.ts';
import type { UnwindRow } from '../debug-info/dwarf/frame-program.ts';
import { ORC_REG, OrcTables } from '../debug-info/orc.ts';
import type { OrcEntry } from '../debug-info/orc.ts';
import { findPanicTask } from '../linux/panic.ts';
import type { Task, TaskTable } from '../linux/sched.ts';
import type { Program } from '../program.ts';
import { callsOn, DUMP_FUNCTIONS, dumpCall } from './dump-call.ts';
import { MAX_FRAMES, NO_REGISTERS, inRange } from './frames.ts';
import type { Backtrace, SavedRegisters, StackItem, StackRange, StartPoint, UnwindProblem } from './frames.ts';
import { cpuStacks, taskStack } from './stacks.ts';

/** Names of `struct pt_regs` in order of memory. */
export const PT_REGS: readonly string[] =
  'r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss'.split(' ');
const PT_REGS_SIZE = BigInt(8 * PT_REGS.length);
/** Bits 1:0 of CS: the privilege level. */
const CPL_MASK = 3n;

/** State between two frames. */
interface Position {
  /** Where the return address stands. */
  readonly slot: bigint;
  readonly pc: bigint;
  /** Stack pointer after the return. */
  readonly sp: bigint;
  readonly bp: bigint;
  /** `pc` is where something happened, not where a call returns to. */
  readonly exact: boolean;
  /** Registers of the interrupted context, for the entries that are based on them. */
  readonly registers?: ReadonlyMap<string, bigint>;
}

const tables = new WeakMap<Program, OrcTables>();

function orcTables(program: Program): OrcTables {
  let found = tables.get(program);
  if (found === undefined) tables.set(program, (found = new OrcTables(program)));
  return found;
}

/** Unwinds a task's stack. */
export function unwindX86(program: Program, task: Task, taskTable: TaskTable, from?: StartPoint): Backtrace {
  const stack = taskStack(program, task);
  const active = taskTable.isActive(task);
  const stacks = active ? [...cpuStacks(program, task.cpu), stack] : [stack];
  if (from !== undefined) return { items: walkFrom(program, from, stacks), end: stack.end - PT_REGS_SIZE };
  const call = active ? callOfDump(taskTable, task, stacks) : sleepingStart(program, task);
  const start = call ?? stoppedAt(program, task);
  const items = 'kind' in start ? stoppedTrace(program, start, stacks) : walk(program, start, stacks);
  // ORC says where the registers of user space are; without it they are where the kernel puts them.
  const isUser = !task.isKernelThread && task.pid !== 0 && call !== undefined;
  if (!orcTables(program).available && isUser) appendUserRegisters(program, items, stack.end - PT_REGS_SIZE);
  return { items, end: stack.end - PT_REGS_SIZE };
}

function appendUserRegisters(program: Program, items: StackItem[], address: bigint): void {
  try {
    const registers = readRegisters(program, address);
    if (registers.user && !items.some(item => item.kind === 'registers' && item.user)) items.push(registers);
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    items.push({ kind: 'problem', text: error.message });
  }
}

/** Frames from an address of the stack on: from the first word there from which a stack can be followed. */
function walkFrom(program: Program, { sp, ip }: StartPoint, stacks: readonly StackRange[]): StackItem[] {
  if (ip !== undefined) return walk(program, { slot: sp, pc: ip, sp, bp: 0n, exact: true }, stacks);
  const SOUND = 3;
  let best: StackItem[] = [];
  const end = stacks.find(stack => inRange(stack, sp))?.end ?? sp;
  for (let slot = sp, count = 0; slot < end && count < MAX_GUESS_WORDS; slot += 8n, count++) {
    const pc = program.memory.readU64(slot);
    if (program.symbols.lookup(pc) === undefined) continue;
    const items = walk(program, { slot, pc, sp: slot + 8n, bp: 0n, exact: false }, stacks);
    if (items.length > best.length) best = items;
    if (items.length > SOUND) break;
  }
  return best;
}

/** `struct inactive_task_frame` at `thread.sp`. */
function sleepingStart(program: Program, task: Task): Position {
  const sp = task.struct.pointer('thread.sp');
  const frame = program.object('inactive_task_frame', sp);
  const slot = frame.addressOf('ret_addr');
  return { slot, pc: frame.pointer('ret_addr'), sp: slot + 8n, bp: frame.pointer('bp'), exact: false };
}

/** Functions on the stack of a CPU that was stopped without a dump of its own, and has no note. */
const STOP_FUNCTIONS = ['crash_save_cpu', 'panic_smp_self_stop', 'stop_this_cpu', 'nmi_cpu_backtrace'];

/** The call with which crash begins the trace of a task that ran (`x86_64_get_dumpfile_stack_frame`), or undefined. */
function callOfDump(tasks: TaskTable, task: Task, stacks: readonly StackRange[]): Position | undefined {
  const { program } = tasks;
  const registers = program.registersOf(task.cpu, task.pid)?.registers;
  const panicked = findPanicTask(tasks) === task;
  const sp = registers?.get('sp') ?? 0n;
  // crash looks at the process stack first, but not for a task that panicked on another one
  const [own, others] = [stacks.slice(-1), stacks.slice(0, -1)];
  const searched = panicked && others.some(stack => inRange(stack, sp)) ? others : [...own, ...others];
  const onStack = (stack: StackRange) => dumpCall(callsOn(program, stack, DUMP_FUNCTIONS), panicked);
  const stopped = (stack: StackRange) => callsOn(program, stack, STOP_FUNCTIONS)[0];
  for (const find of registers === undefined ? [onStack, stopped] : [onStack]) {
    for (const stack of searched) {
      const found = find(stack);
      if (found === undefined) continue;
      const bp = registers === undefined ? 0n : basePointerAt(program, registers, found.slot, stacks);
      return { ...found, sp: found.slot + 8n, bp, exact: false };
    }
  }
  return undefined;
}

/** RBP of the frame whose return address stands at a slot: what was called from there may have saved and changed it. */
function basePointerAt(
  program: Program,
  registers: ReadonlyMap<string, bigint>,
  slot: bigint,
  stacks: readonly StackRange[],
): bigint {
  try {
    let position: Position | undefined = fromRegisters(registers);
    for (let level = 0; position !== undefined && level < MAX_FRAMES; level++) {
      if (position.slot === slot && !position.exact) return position.bp;
      position = caller(program, orcTables(program), position, stacks, []);
    }
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
  }
  return registers.get('bp')!;
}

/** The registers with which the machine stopped a CPU. */
function stoppedAt(program: Program, task: Task): SavedRegisters | UnwindProblem {
  const registers = program.registersOf(task.cpu, task.pid)?.registers;
  if (registers === undefined) return NO_REGISTERS;
  const user = (registers.get('cs')! & CPL_MASK) !== 0n;
  return { kind: 'registers', address: registers.get('sp')!, inNote: true, user, values: registers };
}

function stoppedTrace(
  program: Program,
  start: SavedRegisters | UnwindProblem,
  stacks: readonly StackRange[],
): StackItem[] {
  if (start.kind === 'problem' || start.user) return [start];
  return [start, ...walk(program, fromRegisters(start.values), stacks)];
}

function fromRegisters(registers: ReadonlyMap<string, bigint>): Position {
  const sp = registers.get('sp')!;
  return { slot: sp, pc: registers.get('ip')!, sp, bp: registers.get('bp')!, exact: true, registers };
}

function walk(program: Program, start: Position, stacks: readonly StackRange[]): StackItem[] {
  const items: StackItem[] = [];
  const orc = orcTables(program);
  let position: Position | undefined = start;
  let current = stacks.find(stack => inRange(stack, start.slot));
  try {
    for (let level = 0; position !== undefined && level < MAX_FRAMES; level++) {
      const at: Position = position;
      const stack = stacks.find(range => inRange(range, at.slot));
      const switched = stack !== undefined && stack !== current;
      if (switched) items.push({ kind: 'switch', from: current?.name ?? 'unknown stack' });
      current = stack;
      const excepted = at.registers !== undefined && !switched;
      items.push({ kind: 'frame', level, address: at.slot, pc: at.pc, ...(excepted && { excepted }) });
      position = caller(program, orc, at, stacks, items);
    }
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    items.push({ kind: 'problem', text: error.message });
  }
  return items;
}

function caller(
  program: Program,
  orc: OrcTables,
  at: Position,
  stacks: readonly StackRange[],
  items: StackItem[],
): Position | undefined {
  const address = at.exact ? at.pc : at.pc - 1n;
  const entry = orc.find(address) ?? (orc.available ? undefined : (frameEntry(program, address) ?? FRAME_POINTER));
  if (entry === undefined || isGap(entry)) return guessCaller(program, at, stacks);
  if (entry.type === 'end' || entry.type === 'undefined') return undefined;
  const base = frameBase(program, entry, at);
  if (base === undefined || !stacks.some(stack => inRange(stack, base - 8n))) return undefined;
  if (entry.type === 'call') return calledFrom(program, entry, base, at, stacks);
  const registers = readRegisters(program, base, entry.type === 'regs-partial');
  return interrupted(registers, items);
}

/** What an exception or a system call interrupted; nothing before a thread's first return to user space. */
function interrupted(registers: SavedRegisters, items: StackItem[]): Position | undefined {
  if (registers.values.get('cs') === 0n) return undefined;
  items.push(registers);
  return registers.user ? undefined : fromRegisters(registers.values);
}

/** objtool gives up on some functions (it takes `machine_kexec` for one that returns nowhere): their entry is empty. */
function isGap(entry: OrcEntry): boolean {
  return entry.spReg === ORC_REG.UNDEFINED && entry.spOffset === 0 && entry.type !== 'end';
}

const MAX_GUESS_WORDS = 512;
const CALL_REL32 = 0xe8;
const CALL_REL32_SIZE = 5n;

/** At the first byte of a function only what stands behind a call that does not return. */
function isReturnAddress(program: Program, pc: bigint): boolean {
  const place = program.symbols.lookup(pc);
  return place !== undefined && (place.offset !== 0 || callTarget(program, pc) !== undefined);
}

/** Where the stack pointer was wrong: the next word of the stack that stands behind a call. */
function nextCall(program: Program, from: bigint, at: Position, stacks: readonly StackRange[]): Position | undefined {
  const end = stacks.find(range => inRange(range, from))?.end ?? from;
  return firstWord(program, from, end, at, pc => {
    const target = callTarget(program, pc);
    return target !== undefined && program.symbols.lookup(target) !== undefined;
  });
}

/** The first word of a stack that is an address of code of some kind. */
function firstWord(
  program: Program,
  from: bigint,
  end: bigint,
  { bp }: Position,
  fits: (pc: bigint) => boolean,
): Position | undefined {
  for (let slot = from; slot < end; slot += 8n) {
    const pc = program.memory.readU64(slot);
    if (program.symbols.lookup(pc) !== undefined && fits(pc)) return { slot, pc, sp: slot + 8n, bp, exact: false };
  }
  return undefined;
}

/** Without a description: the next word of the stack that stands behind a call of the function we are in. */
function guessCaller(program: Program, at: Position, stacks: readonly StackRange[]): Position | undefined {
  const place = program.symbols.lookup(at.exact ? at.pc : at.pc - 1n);
  const stack = stacks.find(range => inRange(range, at.sp));
  if (place === undefined || stack === undefined) return undefined;
  const start = place.symbol.address;
  return firstWord(program, at.sp, stack.end, at, pc => callTarget(program, pc) === start);
}

/** Target of the direct call that returns to an address, or undefined when there is none. */
function callTarget(program: Program, returnAddress: bigint): bigint | undefined {
  const call = returnAddress - CALL_REL32_SIZE;
  if (program.memory.readU8(call) !== CALL_REL32) return undefined;
  return BigInt.asUintN(64, returnAddress + BigInt(program.memory.readI32(call + 1n)));
}

/** Without ORC but with a vmlinux: DWARF's rules for the stack pointer and RBP, in ORC's terms. */
function frameEntry(program: Program, address: bigint): OrcEntry | undefined {
  const info = program.debug.at(address);
  const row = info === undefined ? undefined : tolerantRow(info, linkAddress(info, address));
  if (row === undefined || row.cfa.kind !== 'register') return undefined;
  const [RBP, RSP] = [6, 7];
  if (row.cfa.register !== RSP && row.cfa.register !== RBP) return undefined;
  const saved = row.rules.get(RBP);
  const bpOffset = saved?.kind === 'offset' ? saved.offset : undefined;
  return {
    spReg: row.cfa.register === RSP ? ORC_REG.SP : ORC_REG.BP,
    spOffset: row.cfa.offset,
    bpReg: bpOffset === undefined ? ORC_REG.UNDEFINED : ORC_REG.PREV_SP,
    bpOffset: bpOffset ?? 0,
    type: 'call',
    signal: row.isSignal,
  };
}

/** Damaged tables describe nothing. */
function tolerantRow(info: DebugInfo, address: bigint): UnwindRow | undefined {
  try {
    return info.frames.find(address);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

/** Without ORC: `push %rbp; mov %rsp,%rbp` in every function. */
const FRAME_POINTER: OrcEntry = {
  spOffset: 16,
  bpOffset: -16,
  spReg: ORC_REG.BP,
  bpReg: ORC_REG.PREV_SP,
  type: 'call',
  signal: false,
};

/** Registers that functions with a realigned stack, and entry code, count from. */
const OTHER_BASES: Readonly<{ [register: number]: string }> = {
  [ORC_REG.R10]: 'r10',
  [ORC_REG.R13]: 'r13',
  [ORC_REG.DI]: 'di',
  [ORC_REG.DX]: 'dx',
};

/** The stack pointer before the call, or the address of the saved registers. */
function frameBase(program: Program, entry: OrcEntry, at: Position): bigint | undefined {
  const offset = BigInt(entry.spOffset);
  switch (entry.spReg) {
    case ORC_REG.SP:
      return BigInt.asUintN(64, at.sp + offset);
    case ORC_REG.BP:
      return BigInt.asUintN(64, at.bp + offset);
    case ORC_REG.SP_INDIRECT:
      return BigInt.asUintN(64, program.memory.readU64(at.sp) + offset);
    case ORC_REG.BP_INDIRECT:
      return program.memory.readU64(BigInt.asUintN(64, at.bp + offset));
    default:
      return at.registers?.get(OTHER_BASES[entry.spReg] ?? '');
  }
}

function calledFrom(
  program: Program,
  entry: OrcEntry,
  base: bigint,
  at: Position,
  stacks: readonly StackRange[],
): Position | undefined {
  const slot = base - 8n;
  const pc = program.memory.readU64(slot);
  if (!isReturnAddress(program, pc)) return nextCall(program, base, at, stacks);
  const bpBase = entry.bpReg === ORC_REG.PREV_SP ? base : entry.bpReg === ORC_REG.BP ? at.bp : undefined;
  const bp = bpBase === undefined ? at.bp : program.memory.readU64(BigInt.asUintN(64, bpBase + BigInt(entry.bpOffset)));
  return { slot, pc, sp: base, bp, exact: false };
}

/** Reads a `struct pt_regs`, or the part that the CPU pushed (from `ip`). */
export function readRegisters(program: Program, address: bigint, partial = false): SavedRegisters {
  const values = new Map<string, bigint>();
  const first = partial ? PT_REGS.indexOf('ip') : 0;
  for (let index = 0; index < PT_REGS.length; index++) {
    const at = address + BigInt(8 * (index - first));
    values.set(PT_REGS[index]!, index < first ? 0n : program.memory.readU64(at));
  }
  const user = (values.get('cs')! & CPL_MASK) === CPL_MASK;
  return { kind: 'registers', address, user, values };
}
