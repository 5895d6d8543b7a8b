/** `timer`: timers that are pending. */
import { onlineCpus } from '../linux/cpumask.ts';
import { hrtimerBases, timerWheels } from '../linux/timer.ts';
import type { HrtimerBase, HrtimerCpu, TimerWheel } from '../linux/timer.ts';
import { jiffies } from '../linux/timekeeping.ts';
import { center, centerRight, hex, hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import type { Session } from './session.ts';

interface TimerData {
  readonly jiffies?: number;
  readonly wheels?: readonly TimerWheel[];
  readonly hrtimers?: readonly HrtimerCpu[];
}

/** `timer`. */
export const timer: Command<TimerData> = {
  name: 'timer',
  summary: 'pending timers',
  synopsis: '[-r][-C cpu(s)]',
  options: [
    { flag: '-r', help: 'high-resolution timers' },
    { flag: '-C', takes: 'cpus', help: 'these CPUs only' },
  ],
  description: 'Lists timers by CPU and base in order of expiry; TTE is what is left, in jiffies or nanoseconds.',
  examples: [{ line: 'timer', why: 'what did not come about any more' }],
  run(session, args) {
    const cpus = args.has('-C') ? parseCpus(session, args.value('-C')!) : onlineCpus(session.program);
    if (args.has('-r'))
      return { hrtimers: cpus.map(cpu => hrtimerBases(session.program, cpu)).filter(base => base !== undefined) };
    return { jiffies: jiffies(session.program), wheels: cpus.flatMap(cpu => timerWheels(session.program, cpu)) };
  },
  text(data, session) {
    if (data.hrtimers !== undefined) return data.hrtimers.map(cpu => hrtimerText(session, cpu)).join('\n');
    const wheels = data.wheels ?? [];
    const now = data.jiffies ?? 0;
    const blocks = wheels.map(
      (wheel, index) =>
        `${index > 0 && wheels[index - 1]!.cpu !== wheel.cpu ? '\n' : ''}${wheelText(session, wheel, now)}`,
    );
    return `JIFFIES\n${now}\n\n${blocks.join('')}`;
  },
};

function functionText(session: Session, address: bigint): string {
  return `${hex16(address)}  <${session.program.symbols.format(address) ?? ''}>`;
}

/** Least widths of the columns. */
const EXPIRES_WIDTH = 10;
const LEFT_WIDTH = 5;

function wheelText(session: Session, { cpu, name, address, timers }: TimerWheel, now: number): string {
  const head = `TIMER_BASES[${cpu}][${name}]: ${hex(address)}\n`;
  if (timers.length === 0) return `${head}  (none)\n`;
  const expires = timers.map(({ expires: at }) => String(at));
  const left = timers.map(({ expires: at }) => String(Number(at) - now));
  const leftWidth = Math.max(LEFT_WIDTH, ...left.map(({ length }) => length + 1));
  const columns = `  ${'EXPIRES'.padEnd(EXPIRES_WIDTH)}     TTE${' '.repeat(leftWidth + 2)}TIMER_LIST     FUNCTION\n`;
  const rows = timers.map(
    (entry, index) =>
      `  ${expires[index]!.padStart(EXPIRES_WIDTH)}  ${left[index]!.padStart(leftWidth)}  ${hex16(entry.address)}  ${functionText(session, entry.function)}\n`,
  );
  return head + columns + rows.join('');
}

function hrtimerText(session: Session, { cpu, address, bases }: HrtimerCpu): string {
  return `CPU: ${cpu}  HRTIMER_CPU_BASE: ${hex(address)}\n${bases.map(base => clockText(session, base)).join('\n')}`;
}

function clockText(session: Session, base: HrtimerBase): string {
  const head = `  CLOCK: ${base.index}  HRTIMER_CLOCK_BASE: ${hex(base.address)}  [${base.getTime}]\n`;
  if (base.timers.length === 0) return `${head}  (empty)\n`;
  const soft = base.timers.map(({ softExpires }) => String(softExpires));
  const hard = base.timers.map(({ expires }) => String(expires));
  const left = base.timers.map(({ expires }) => String(expires - base.now));
  const [a, b, c] = [columnWidth(soft), columnWidth(hard), columnWidth(left)];
  const current = `  ${centerRight('CURRENT', a)}\n  ${centerRight(String(base.now), a)}\n`;
  const columns = `  ${centerRight('SOFTEXPIRES', a)}  ${centerRight('EXPIRES', b)}  ${centerRight('TTE', c)}  ${center('HRTIMER', 16)}  ${center('FUNCTION', 16)}\n`;
  const rows = base.timers.map(
    (entry, index) =>
      `  ${centerRight(soft[index]!, a)}  ${centerRight(hard[index]!, b)}  ${left[index]!.padStart(c)}  ${hex16(entry.address)}  ${functionText(session, entry.function)}\n`,
  );
  return head + current + columns + rows.join('');
}

const LEAST_COLUMN = 11;

function columnWidth(values: readonly string[]): number {
  return values.reduce((width, { length }) => Math.max(width, length), LEAST_COLUMN);
}
