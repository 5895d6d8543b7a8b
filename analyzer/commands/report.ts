/** `report`: one page that says what happened. Not one of crash's commands. */
import { FaultError, UnimplementedError } from '../../capture/formats/errors.ts';
import { panicMessage } from '../linux/panic.ts';
import { readLog } from '../linux/printk.ts';
import { stateLetters } from '../linux/sched.ts';
import { bt } from './bt.ts';
import { Arguments } from './command.ts';
import type { Command } from './command.ts';
import { memoryUseView } from './kmem-summary.ts';
import { mod } from './mod.ts';
import { taskHeader } from './select-tasks.ts';
import type { Session } from './session.ts';
import { sys } from './sys.ts';

interface Section {
  readonly title: string;
  readonly text: string;
}

interface ReportData {
  readonly sections: readonly Section[];
}

/** `report`. */
export const report: Command<ReportData> = {
  name: 'report',
  summary: 'one page: what happened, where, and in what state the system was',
  synopsis: '',
  options: [],
  description:
    'Gathers the panic, the oops in the log, the stack with its likely culprit, tainted modules, memory and blocked tasks.',
  examples: [{ line: 'report > report.txt', why: 'for a bug tracker' }],
  run: session => ({ sections: SECTIONS.map(([title, write]) => ({ title, text: guarded(() => write(session)) })) }),
  text: ({ sections }) =>
    sections.map(({ title, text }) => `== ${title} ==\n${text === '' ? '(none)\n' : text}`).join('\n'),
};

const SECTIONS: readonly (readonly [title: string, write: (session: Session) => string])[] = [
  ['System', session => sys.text(sys.run(session, noArguments()), session)],
  [
    'Panic',
    session => `${panicMessage(session.program) ?? '(no message in the log)'}\n${taskHeader(session.panicTask)}\n`,
  ],
  ['Likely culprit', culprit],
  [
    'Stack',
    session => bt.text(bt.run(session, new Arguments([session.panicTask.address.toString(16)], new Map())), session),
  ],
  ['Log of the crash', crashLog],
  [
    'Modules that taint the kernel',
    session => mod.text(mod.run(session, new Arguments([], new Map([['-t', ['']]]))), session),
  ],
  ['Blocked tasks', blockedTasks],
  ['Memory', session => memoryUseView(session, false).text],
];

function noArguments(): Arguments {
  return new Arguments([], new Map());
}

/** A section that the dump does not allow says why. */
function guarded(write: () => string): string {
  try {
    return write();
  } catch (error) {
    if (error instanceof FaultError || error instanceof UnimplementedError) return `(${error.message})\n`;
    throw error;
  }
}

/** Functions of dying: the first one on the stack that is none of them is to be looked at. */
const MACHINERY =
  /^(?:machine_kexec|__?crash_kexec|crash_save_cpu|panic|vpanic|die|oops_\w+|__die|bust_spinlocks|no_context|__bad_area\w*|bad_area\w*|page_fault_oops|kernelmode_fixup_or_oops|exc_page_fault|asm_exc_\w+|do_user_addr_fault|__do_kernel_fault|do_page_fault|do_translation_fault|do_mem_abort|el1\w+|el1h_\w+|die_kernel_fault|arm64_notify_die|do_\w*trap\w*|handle_bug|exc_\w+|check_panic_on_warn|report_bug|__warn|watchdog_\w+|nmi_\w+)(?:\.\w+)*$/;

function culprit(session: Session): string {
  const data = bt.run(session, new Arguments([session.panicTask.address.toString(16)], new Map()));
  const frames = (data.traces[0]?.items ?? []).filter(item => item.kind === 'frame');
  const first = frames.find(({ symbol }) => !MACHINERY.test(symbol));
  if (first === undefined) return '';
  const module = first.module === undefined ? 'of the kernel itself' : `of module ${first.module}`;
  const line = session.sourceLine(first.pc);
  return `${first.symbol}+0x${first.offset.toString(16)} at ${first.pc.toString(16)}, ${module}${line === undefined ? '' : `\n${line}`}\n`;
}

const OOPS_START =
  /Unable to handle|BUG: |Internal error|Oops|general protection|kernel BUG at|Kernel panic|sysrq: Trigger|SysRq : Trigger|watchdog: BUG|NMI watchdog/;
const MAX_LINES = 80;

function crashLog({ program }: Session): string {
  const lines = readLog(program).flatMap(({ text }) => text.split('\n'));
  const start = lines.findIndex(line => OOPS_START.test(line));
  return (start === -1 ? lines.slice(-20) : lines.slice(start, start + MAX_LINES)).map(line => `${line}\n`).join('');
}

function blockedTasks({ tasks }: Session): string {
  return tasks.all
    .filter(task => stateLetters(task.stateBits) === 'UN')
    .map(task => `${taskHeader(task)}\n`)
    .join('');
}
