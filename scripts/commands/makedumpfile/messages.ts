/** What makedumpfile prints: messages by level, progress, the report. */
import { writeSync } from 'node:fs';

import type { ExclusionCounts } from '../../../capture/page-filter.ts';
import { MESSAGE } from './options.ts';

/** Where messages go. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The process's own standard output and error. */
export const PROCESS_TERMINAL: Terminal = {
  out: text => writeText(1, text),
  err: text => writeText(2, text),
};

function writeText(fd: number, text: string): void {
  writeAll(fd, Buffer.from(text));
}

/** Writes all bytes, also to a pipe that is full for the moment. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

/** Steps that are shown with their progress. */
export const STEP = {
  FILTER: 'Excluding unnecessary pages',
  ZERO: 'Excluding zero pages       ',
  COPY: 'Copying data               ',
} as const;

const SPINNER = '/|\\-';
const NAME_WIDTH = 50;

/** Prints at the levels that the user asked for. */
export class Messages {
  readonly #level: number;
  readonly #terminal: Terminal;
  /** Standard output carries the dump: messages go to standard error. */
  readonly #redirect: boolean;
  #lastSecond = 0;
  #turn = 0;

  constructor(level: number, terminal: Terminal, redirect: boolean) {
    this.#level = level;
    this.#terminal = terminal;
    this.#redirect = redirect;
  }

  common(text: string): void {
    this.#print(MESSAGE.COMMON, text);
  }

  report(text: string): void {
    this.#print(MESSAGE.REPORT, text);
  }

  debug(text: string): void {
    this.#print(MESSAGE.DEBUG, text);
  }

  error(text: string): void {
    if ((this.#level & MESSAGE.ERROR) !== 0) this.#terminal.err(text);
  }

  /** Shows how far a step is, at most once a second before its end. */
  progress(step: string, done: number, total: number, startMs: number): void {
    if ((this.#level & MESSAGE.PROGRESS) === 0) return;
    const now = Date.now();
    if (done < total && now - this.#lastSecond < 1000) return;
    this.#lastSecond = done < total ? now : 0;
    const permille = done < total ? Math.floor((done * 1000) / total) : 1000;
    const percent = `${String(Math.floor(permille / 10)).padStart(3)}.${permille % 10}`;
    const eta = permille === 0 ? ' ' : `eta: ${duration(((now - startMs) * (1000 - permille)) / permille / 1000)}`;
    const spinner = SPINNER[this.#turn++ % SPINNER.length]!;
    this.#terminal.err(`\r${step.padEnd(NAME_WIDTH)}: [${percent} %] ${spinner}  ${eta.padStart(16)}`);
  }

  /** A line of its own between progress indicators. */
  progressLine(text: string): void {
    if ((this.#level & MESSAGE.PROGRESS) !== 0) this.#terminal.err(`\n${text}\n`);
  }

  /** Ends the line of a progress indicator. */
  progressEnd(): void {
    if ((this.#level & MESSAGE.PROGRESS) !== 0) this.#terminal.err('\n');
  }

  /** Reports how long a step took. */
  stepTime(step: string, startMs: number): void {
    this.report(`STEP [${step}] : ${((Date.now() - startMs) / 1000).toFixed(6)} seconds\n`);
  }

  #print(bit: number, text: string): void {
    if ((this.#level & bit) === 0) return;
    if (this.#redirect) this.#terminal.err(text);
    else this.#terminal.out(text);
  }
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  return `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`;
}

/** What the report counts. */
export interface Statistics {
  readonly maxPfn: number;
  readonly existing: number;
  readonly counts: ExclusionCounts;
  readonly zeroPages: number;
  /** Pages that an ELF dump really leaves out. */
  readonly elfExcluded: number | undefined;
  readonly bytesWritten: number;
}

/** Pages that no dump level keeps, by all reasons. */
export function excludedPages({ counts, zeroPages }: Pick<Statistics, 'counts' | 'zeroPages'>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, zeroPages);
}

/** The report of `--show-stats`. */
export function reportText(statistics: Statistics): string {
  const { existing, counts, zeroPages, elfExcluded, maxPfn, bytesWritten } = statistics;
  const excluded = excludedPages(statistics);
  const left = existing - (elfExcluded ?? excluded);
  const inElf = (pages: number): string[] => (elfExcluded === undefined ? [] : [`     in ELF format : ${hex(pages)}`]);
  return [
    '',
    `Original pages  : ${hex(existing)}`,
    `  Excluded pages   : ${hex(excluded)}`,
    ...inElf(elfExcluded ?? 0),
    `    Pages filled with zero  : ${hex(zeroPages)}`,
    `    Non-private cache pages : ${hex(counts.cache)}`,
    `    Private cache pages     : ${hex(counts.cachePrivate)}`,
    `    User process data pages : ${hex(counts.user)}`,
    `    Free pages              : ${hex(counts.free)}`,
    `    Hwpoison pages          : ${hex(counts.hwpoison)}`,
    `    Offline pages           : ${hex(counts.offline)}`,
    `  Remaining pages  : ${hex(existing - excluded)}`,
    ...inElf(left),
    ...(existing === 0 ? [] : [`  (The number of pages is reduced to ${Math.floor((left * 100) / existing)}%.)`]),
    `Memory Hole     : ${hex(maxPfn - existing)}`,
    '--------------------------------------------------',
    `Total pages     : ${hex(maxPfn)}`,
    `Write bytes     : ${bytesWritten}`,
    '',
    '',
  ].join('\n');
}

/** The table of `--mem-usage`. */
export function memUsageText(statistics: Statistics, pageSize: number): string {
  const { existing, counts, zeroPages } = statistics;
  return [
    '',
    'TYPE\t\tPAGES\t\t\tEXCLUDABLE\tDESCRIPTION',
    '----------------------------------------------------------------------',
    row('ZERO', '\t\t', zeroPages, 'yes', 'Pages filled with zero'),
    row('NON_PRI_CACHE', '\t', counts.cache, 'yes', 'Cache pages without private flag'),
    row('PRI_CACHE', '\t', counts.cachePrivate, 'yes', 'Cache pages with private flag'),
    row('USER', '\t\t', counts.user, 'yes', 'User process pages'),
    row('FREE', '\t\t', counts.free, 'yes', 'Free pages'),
    row('KERN_DATA', '\t', existing - excludedPages(statistics), 'no', 'Dumpable kernel data '),
    '',
    `page size:\t\t${String(pageSize).padEnd(16)}`,
    `Total pages on system:\t${String(existing).padEnd(16)}`,
    `Total size on system:\t${String(existing * pageSize).padEnd(16)} Byte`,
    '',
  ].join('\n');
}

function row(type: string, tabs: string, pages: number, excludable: string, description: string): string {
  return `${type}${tabs}${String(pages).padEnd(16)}\t${excludable}\t\t${description}`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(16, '0')}`;
}
