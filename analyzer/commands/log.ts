/** `log`: the kernel's message buffer. */
import { UsageError } from '../../capture/formats/errors.ts';
import { auditRecords } from '../linux/audit.ts';
import { readLog, readSafeBuffers } from '../linux/printk.ts';
import type { LogRecord, SafeBuffer } from '../linux/printk.ts';
import { dateText, uptimeSeconds, wallClockSeconds } from '../linux/timekeeping.ts';
import { hex } from '../text/layout.ts';
import { demangleRust } from '../text/rust-symbols.ts';
import type { Arguments, Command } from './command.ts';
import type { Session } from './session.ts';

interface LogData {
  readonly records: readonly LogRecord[];
  readonly show: {
    readonly time: boolean;
    readonly wall: boolean;
    readonly level: boolean;
    readonly dictionary: boolean;
    readonly caller: boolean;
    readonly rust: boolean;
  };
  /** With -s: the per-cpu buffers of kernels before 5.15. */
  readonly safeBuffers?: readonly SafeBuffer[];
  /** Seconds since 1970 at boot. */
  readonly bootSeconds: number;
}

/** `log`. */
export const log: Command<LogData> = {
  name: 'log',
  summary: 'the kernel message buffer',
  synopsis: '[-TtdmascR]',
  options: [
    { flag: '-T', help: 'wall-clock time instead of seconds since boot' },
    { flag: '-t', help: 'no time stamps' },
    { flag: '-d', help: 'the dictionary of each record' },
    { flag: '-m', help: 'the level of each record, as <n>' },
    { flag: '-a', help: 'audit records that were not yet written out' },
    { flag: '-s', help: 'printk_safe buffers (kernels before 5.15)' },
    { flag: '-c', help: 'the caller: a task or a CPU' },
    { flag: '-R', help: 'readable names of Rust symbols' },
  ],
  description:
    'Prints the records of the ring buffer from the oldest on. Lines of a record that has several are indented alike.',
  examples: [
    { line: 'log | tail -40', why: 'the last words of the kernel' },
    { line: 'log -T', why: 'to compare with the clock of other machines' },
  ],
  run(session, args) {
    const { program } = session;
    if (args.has('-s')) return { ...NO_RECORDS, safeBuffers: readSafeBuffers(program) };
    const records = args.has('-a') ? auditRecords(program) : readLog(program);
    if (args.has('-a') && records.length === 0) throw new UsageError('kernel audit log is empty');
    return {
      records,
      show: shown(args),
      bootSeconds: bootSeconds(session),
    };
  },
  text(data) {
    if (data.safeBuffers !== undefined) return data.safeBuffers.map(safeBufferText).join('');
    const text = data.records.map(record => recordText(record, data)).join('');
    return data.show.rust ? text.replaceAll(/\b_(?:R[A-Z]|ZN)\w+/g, name => demangleRust(name) ?? name) : text;
  },
};

function shown(args: Arguments): LogData['show'] {
  const plain = args.has('-a') || args.has('-t');
  return {
    time: !plain,
    wall: args.has('-T') && !plain,
    level: args.has('-m'),
    dictionary: args.has('-d'),
    caller: args.has('-c'),
    rust: args.has('-R'),
  };
}

const NO_RECORDS: LogData = {
  records: [],
  show: { time: false, wall: false, level: false, dictionary: false, caller: false, rust: false },
  bootSeconds: 0,
};

function safeBufferText({ name, cpu, address, text, lost }: SafeBuffer): string {
  const content = text === '' ? '  (empty)\n' : text.endsWith('\n') ? text : `${text}\n`;
  return `PRINTK_SAFE_SEQ_BUF: ${name}\nCPU: ${cpu}  ADDR: ${hex(address)} LEN: ${text.length}  MESSAGE_LOST: ${lost}\n${content}\n`;
}

function bootSeconds(session: Session): number {
  return (wallClockSeconds(session.program) ?? 0) - uptimeSeconds(session.program);
}

function recordText(record: LogRecord, { show, bootSeconds: boot }: LogData): string {
  const stamp = show.time ? timeStamp(record, show.wall, boot) : '';
  const caller = show.caller && record.callerId !== undefined ? callerText(record.callerId) : '';
  const level = show.level ? `<${record.level}>` : '';
  const indent = ' '.repeat(stamp.length + caller.length + level.length);
  const text = `${stamp}${caller}${level}${record.text.split('\n').join(`\n${indent}`)}\n`;
  return show.dictionary
    ? text + record.dictionary.map(line => `${' '.repeat(stamp.length + level.length)}${line}\n`).join('')
    : text;
}

function timeStamp({ timeNs }: LogRecord, wall: boolean, boot: number): string {
  if (wall) return `[${dateText(boot + Number(timeNs / 1_000_000_000n))}] `;
  const seconds = (timeNs / 1_000_000_000n).toString().padStart(5);
  const micros = ((timeNs % 1_000_000_000n) / 1000n).toString().padStart(6, '0');
  return `[${seconds}.${micros}] `;
}

/** Bit 31 marks a CPU; `printk_caller_id`. */
function callerText(id: number): string {
  const cpu = id >>> 31 === 1;
  return `[${`${cpu ? 'C' : 'T'}${id & 0x7fff_ffff}`.padStart(6)}] `;
}
