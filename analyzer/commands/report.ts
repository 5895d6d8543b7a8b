/** `report`: one page that says what happened. Not one of crash's commands. */
import { FaultError, FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import { faultingPlace, incidentLines } from '../linux/oops.ts';
import { panicMessage } from '../linux/panic.ts';
import { readLog } from '../linux/printk.ts';
import { stateLetters } from '../linux/sched.ts';
import { lines } from '../text/layout.ts';
import { bt } from './bt.ts';
import { Arguments } from './command.ts';
import type { Command } from './command.ts';
import { dis } from './dis.ts';
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
    'Gathers the panic, the stack with its likely culprit, the instruction that faulted, the log of the crash, tainted\nmodules, blocked tasks and memory.',
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
  ['Faulting instruction', faultingCode],
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
    if (error instanceof FaultError || error instanceof FormatError || error instanceof UnimplementedError)
      return `(${error.message})\n`;
    throw error;
  }
}

/** Functions of dying: the first one on the stack that is none of them is to be looked at. */
const MACHINERY =
  /^(?:machine_kexec|(?:__)?crash_kexec|crash_save_cpu|panic|vpanic|die|oops_\w+|__die|bust_spinlocks|no_context|__bad_area\w*|bad_area\w*|page_fault_oops|kernelmode_fixup_or_oops|exc_page_fault|asm_exc_\w+|do_user_addr_fault|__do_kernel_fault|do_page_fault|do_translation_fault|do_mem_abort|el1\w+|el1h_\w+|die_kernel_fault|arm64_notify_die|do_\w*trap\w*|handle_bug|exc_\w+|check_panic_on_warn|report_bug|__warn|watchdog_\w+|nmi_\w+)(?:\.\w+)*$/;

function culprit(session: Session): string {
  const data = bt.run(session, new Arguments([session.panicTask.address.toString(16)], new Map()));
  const pcs = (data.traces[0]?.items ?? []).flatMap(item => {
    if (item.kind === 'frame') return [item.pc];
    return item.kind === 'registers' && item.excepted !== undefined ? [item.excepted.pc] : [];
  });
  for (const pc of pcs) {
    const place = session.program.symbols.lookup(pc);
    if (place === undefined || MACHINERY.test(place.symbol.name)) continue;
    const { name, module } = place.symbol;
    const owner = module === undefined ? 'of the kernel itself' : `of module ${module}`;
    const line = session.sourceLine(pc);
    return `${name}+0x${place.offset.toString(16)} at ${pc.toString(16)}, ${owner}${line === undefined ? '' : `\n${line}`}\n`;
  }
  return '';
}

const MAX_LINES = 80;
/** Lines of a log without an incident. */
const LAST_LINES = 20;

function logLines({ program }: Session): string[] {
  return readLog(program).flatMap(({ text }) => text.split('\n'));
}

function crashLog(session: Session): string {
  const all = logLines(session);
  const incident = incidentLines(all);
  if (incident.length === 0) return lines(all.slice(-LAST_LINES));
  const more = incident.length - MAX_LINES;
  return lines([...incident.slice(0, MAX_LINES), ...(more > 0 ? [`(${more} more lines)`] : [])]);
}

/** Instructions shown up to the one that faulted. */
const INSTRUCTIONS_BEFORE = 8;

/** The oops's place, decoded: what was executed last, with the instruction that faulted at the end. */
function faultingCode(session: Session): string {
  const place = faultingPlace(incidentLines(logLines(session)));
  const start = place === undefined ? undefined : session.program.symbols.find(place.symbol);
  if (place === undefined || start === undefined) return '';
  const address = `0x${(start + BigInt(place.offset)).toString(16)}`;
  const text = dis.text(dis.run(session, new Arguments([address], new Map([['-r', ['']]]))), session);
  const source = session.sourceLine(start + BigInt(place.offset));
  return `${text
    .split('\n')
    .slice(-1 - INSTRUCTIONS_BEFORE)
    .join('\n')}${source === undefined ? '' : `${source}\n`}`;
}

function blockedTasks({ tasks }: Session): string {
  return tasks.all
    .filter(task => stateLetters(task.stateBits) === 'UN')
    .map(task => `${taskHeader(task)}\n`)
    .join('');
}
