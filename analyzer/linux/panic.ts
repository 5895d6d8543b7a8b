/** Who panicked, and why; `kernel/panic.c`, `kernel/kexec_core.c`. */
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import { readIfPresent } from '../gaps.ts';
import type { Program } from '../program.ts';
import { crashPanicLine } from './oops.ts';
import { readLog } from './printk.ts';
import type { Task, TaskTable } from './sched.ts';
import { taskStack } from '../unwind/stacks.ts';

/** Functions that only the crashing CPU is in. */
const CRASH_FUNCTIONS = ['__crash_kexec', 'crash_kexec', 'panic', 'vpanic', 'die', 'oops_end', 'machine_kexec'];

/** The task that took the kernel down: by `crashing_cpu` or `panic_cpu`, else by its stack, else the first active one. */
export function findPanicTask(tasks: TaskTable): Task {
  const { program, active } = tasks;
  const cpu = crashingCpu(program);
  const byCpu = cpu === undefined ? undefined : active.get(cpu);
  if (byCpu !== undefined) return byCpu;
  const all = [...active.values()];
  return all.find(task => stackMentions(program, task)) ?? all[0] ?? tasks.first;
}

function crashingCpu(program: Program): number | undefined {
  for (const name of ['crashing_cpu', 'panic_cpu']) {
    const address = program.symbols.find(name);
    if (address === undefined) continue;
    const cpu = program.memory.readI32(address);
    if (cpu >= 0) return cpu;
  }
  return undefined;
}

/** A return address into a crash function stands on the task's stack. */
function stackMentions(program: Program, task: Task): boolean {
  const ranges = CRASH_FUNCTIONS.flatMap(name => program.symbols.findAll(name)).map(symbol => ({
    start: symbol.address,
    end: program.symbols.endOf(symbol) ?? symbol.address,
  }));
  const stack = readIfPresent(() => taskStack(program, task));
  if (stack === undefined) return false;
  const bytes = program.memory.readAvailable(stack.start, Number(stack.end - stack.start));
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  return words.some(word => ranges.some(({ start, end }) => word > start && word < end));
}

/** The line of the log that crash calls PANIC, or undefined. */
export function panicLine(program: Program): string | undefined {
  const lines = logTexts(program).flatMap(text => text.split('\n'));
  const address = program.symbols.find('sysrq_pressed');
  return crashPanicLine(lines, address === undefined ? undefined : program.memory.readI32(address) !== 0);
}

/** The texts of the log's records; none when the log cannot be read. */
function logTexts(program: Program): string[] {
  try {
    return readLog(program).map(({ text }) => text);
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return [];
    throw error;
  }
}

/** Texts that say why, most telling first; what follows on the line belongs to it. */
const PANIC_TEXTS: readonly RegExp[] = [
  /(?:Unable to handle kernel|BUG: unable to handle|BUG: kernel NULL pointer|kernel BUG at).*/,
  /(?:Internal error: ).*/,
  /(?:Oops: |general protection fault|divide error: |stack segment: |invalid opcode: ).*/,
  /(?<!end )Kernel panic - not syncing.*/,
  /(?:sysrq|SysRq) ?: Trigger a crash.*/,
  /(?:watchdog: BUG: |NMI watchdog: |Watchdog detected hard LOCKUP).*/,
];

/** The message of the panic as the log has it, or undefined. */
export function panicMessage(program: Program): string | undefined {
  const records = logTexts(program).toReversed();
  for (const pattern of PANIC_TEXTS) {
    for (const text of records) {
      const match = pattern.exec(text);
      if (match !== null) return match[0].split('\n')[0]!;
    }
  }
  return undefined;
}
