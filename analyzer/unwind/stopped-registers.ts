/** Registers that a task had where it stands in the dump. */
import type { Task, TaskTable } from '../linux/sched.ts';
import { DWARF_REGISTERS } from './dwarf-registers.ts';

/**
 * All registers of a task that ran when the kernel crashed; of a sleeping one those that the switch saved.
 * Names as in `struct pt_regs`; empty when nothing tells.
 */
export function stoppedRegisters(tasks: TaskTable, task: Task): ReadonlyMap<string, bigint> {
  const { program } = tasks;
  if (tasks.isActive(task)) {
    const notes = program.crashRegisters;
    const note = notes[task.cpu]?.pid === task.pid ? notes[task.cpu] : notes.find(({ pid }) => pid === task.pid);
    return note?.registers ?? new Map();
  }
  return program.architecture === 'aarch64' ? switchedAarch64(task) : switchedX86(tasks, task);
}

/** `thread.cpu_context`: `x19` to `x28`, `fp`, `sp`, `pc`; `arch/arm64/include/asm/processor.h`. */
function switchedAarch64(task: Task): ReadonlyMap<string, bigint> {
  const registers = new Map<string, bigint>();
  for (let index = 19; index <= 28; index++)
    registers.set(`x${index}`, task.struct.pointer(`thread.cpu_context.x${index}`));
  registers.set('x29', task.struct.pointer('thread.cpu_context.fp'));
  registers.set('sp', task.struct.pointer('thread.cpu_context.sp'));
  registers.set('pc', task.struct.pointer('thread.cpu_context.pc'));
  return registers;
}

/** `struct inactive_task_frame` at `thread.sp`; `arch/x86/include/asm/switch_to.h`. */
function switchedX86({ program }: TaskTable, task: Task): ReadonlyMap<string, bigint> {
  const registers = new Map<string, bigint>();
  const frame = program.object('inactive_task_frame', task.struct.pointer('thread.sp'));
  for (const name of ['r15', 'r14', 'r13', 'r12', 'bx', 'bp']) {
    if (frame.has(name)) registers.set(name, frame.pointer(name));
  }
  registers.set('ip', frame.pointer('ret_addr'));
  registers.set('sp', frame.addressOf('ret_addr') + 8n);
  return registers;
}

/** The name in `struct pt_regs` of a register as gdb calls it: `rip`, `fp`, `cpsr`. */
export function registerName(architecture: 'aarch64' | 'x86_64', name: string): string {
  const aliases = architecture === 'aarch64' ? AARCH64_ALIASES : X86_64_ALIASES;
  return aliases[name] ?? name;
}

const AARCH64_ALIASES: Readonly<Record<string, string>> = { fp: 'x29', lr: 'x30', cpsr: 'pstate' };
const X86_64_ALIASES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp', 'sp', 'ip'].map(name => [`r${name}`, name])),
  eflags: 'flags',
  pc: 'ip',
  fp: 'bp',
};

/** Registers in gdb's order, as gdb names them. */
export function gdbRegisters(architecture: 'aarch64' | 'x86_64'): readonly string[] {
  if (architecture === 'aarch64') return [...DWARF_REGISTERS.aarch64, 'pc', 'cpsr'];
  const general =
    'rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags cs ss ds es fs gs fs_base gs_base';
  return general.split(' ');
}
