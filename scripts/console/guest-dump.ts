/**
 * Dumps of a machine's memory at somebody's request: the monitor's `dump-guest-memory` and QMP's share this.
 *
 * Source: QEMU "QMP Reference Manual", `dump-guest-memory`, `query-dump`. The machine stands while it is dumped. A file gets its name
 * when it is whole; a dump that fails leaves nothing.
 */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

import { dumpGuestMemory, type GuestDumpOptions } from '../../capture/dump-guest-memory.ts';
import { FormatError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import { FileSink, NoSpaceError } from '../../capture/output/dump-sink.ts';
import { OwnedSink } from '../../capture/output/owned-sink.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import { FlattenedFileSink } from '../../capture/writer-flattened.ts';

/** Formats by the names that QMP has for them. */
export const DUMP_FORMATS = {
  elf: { format: 'elf', flattened: false },
  'kdump-zlib': { format: 'zlib', flattened: true },
  'kdump-lzo': { format: 'lzo', flattened: true },
  'kdump-snappy': { format: 'snappy', flattened: true },
  'kdump-raw-zlib': { format: 'zlib', flattened: false },
  'kdump-raw-lzo': { format: 'lzo', flattened: false },
  'kdump-raw-snappy': { format: 'snappy', flattened: false },
} as const satisfies Readonly<Record<string, Pick<GuestDumpOptions, 'format'> & { readonly flattened: boolean }>>;
export type DumpFormat = keyof typeof DUMP_FORMATS;

/** One dump. */
export interface DumpRequest {
  readonly path: string;
  readonly format: DumpFormat;
  /** Program headers for virtual memory, too. */
  readonly paging: boolean;
  readonly range: PhysicalRange | undefined;
}

/** What is needed of a machine. */
export interface DumpableMachine {
  readonly paused: boolean;
  pause(): void;
  resume(): void;
  /** Memory and registers; read while the machine stands. */
  machineState(): MachineState;
}

/** Where the last dump is. Sizes are in bytes of the guest's memory. */
export interface DumpProgress {
  readonly status: 'none' | 'active' | 'completed' | 'failed';
  readonly completed: number;
  readonly total: number;
  /** Why it failed. */
  readonly error: string | undefined;
}

const PAGE_SIZE = 4096;

/** @throws UsageError, UnimplementedError */
export function parseDumpFormat(name: string): DumpFormat {
  if (name in DUMP_FORMATS) return name as DumpFormat;
  if (name === 'win-dmp') throw new UnimplementedError('win-dmp: a crash dump of a Windows guest');
  throw new UsageError(`${name}: not a format of dumps; there are ${Object.keys(DUMP_FORMATS).join(', ')}`);
}

/** Dumps one machine, one dump at a time. */
export class GuestDumper {
  /** Told when a dump has ended, well or not. */
  onCompleted: (progress: DumpProgress) => void = () => undefined;
  readonly #machine: DumpableMachine;
  #progress: DumpProgress = { status: 'none', completed: 0, total: 0, error: undefined };

  constructor(machine: DumpableMachine) {
    this.#machine = machine;
  }

  get progress(): DumpProgress {
    return this.#progress;
  }

  get isActive(): boolean {
    return this.#progress.status === 'active';
  }

  /**
   * Writes a dump; a machine that ran goes on afterwards.
   * @returns what is worth knowing about it, one line each
   * @throws UsageError, FormatError, NoSpaceError, which `progress` tells, too
   */
  async dump(request: DumpRequest): Promise<readonly string[]> {
    if (this.isActive) throw new UsageError('There is a dump in process, please wait.');
    this.#progress = { status: 'active', completed: 0, total: 0, error: undefined };
    const ran = !this.#machine.paused;
    this.#machine.pause();
    try {
      const warnings = await this.#write(request);
      this.#progress = { ...this.#progress, status: 'completed', completed: this.#progress.total };
      return warnings;
    } catch (error) {
      this.#progress = { ...this.#progress, status: 'failed', error: (error as Error).message };
      throw error;
    } finally {
      if (ran) this.#machine.resume();
      this.onCompleted(this.#progress);
    }
  }

  async #write({ path, format, paging, range }: DumpRequest): Promise<readonly string[]> {
    if (!existsSync(dirname(path))) throw new UsageError(`${path}: there is no such folder`);
    const { format: pageFormat, flattened } = DUMP_FORMATS[format];
    const file = new FileSink(path);
    using sink = new OwnedSink(flattened ? new FlattenedFileSink(file) : file);
    return await dumpGuestMemory(this.#machine.machineState(), sink, {
      format: pageFormat,
      paging,
      range,
      onProgress: (pages, total) => {
        this.#progress = { ...this.#progress, completed: pages * PAGE_SIZE, total: total * PAGE_SIZE };
      },
    });
  }
}

/** Whether an error is about the request or the host, and one line says it. */
export function isDumpProblem(error: unknown): error is Error {
  return (
    [UsageError, FormatError, UnimplementedError, NoSpaceError].some(kind => error instanceof kind) ||
    (error instanceof Error && 'syscall' in error)
  );
}

const COMPRESSED: Readonly<Record<string, 'zlib' | 'lzo' | 'snappy'>> = { z: 'zlib', l: 'lzo', s: 'snappy' };

/**
 * Reads the arguments of the monitor's command: `[-p] [-d] [-z|-l|-s|-w] [-R] FILE [BEGIN LENGTH]`.
 * @throws UsageError, UnimplementedError
 */
export function parseDumpArguments(args: readonly string[]): DumpRequest & { readonly detach: boolean } {
  const letters = args.filter(isLetters).flatMap(arg => arg.slice(1).split(''));
  const [path, begin, length, extra] = args.filter(arg => !isLetters(arg));
  const unknown = letters.find(letter => !'pdzlswR'.includes(letter));
  if (unknown !== undefined) throw new UsageError(`dump-guest-memory: -${unknown} is no option of it`);
  if (letters.includes('w')) parseDumpFormat('win-dmp');
  if (path === undefined || extra !== undefined)
    throw new UsageError('dump-guest-memory: [-p] [-d] [-z|-l|-s] [-R] FILE [BEGIN LENGTH]');
  return checkDumpRequest({
    path: path.replace(/^file:/, ''),
    format: formatOf(letters),
    paging: letters.includes('p'),
    range: begin === undefined ? undefined : parseRange(begin, length),
    detach: letters.includes('d'),
  });
}

function isLetters(arg: string): boolean {
  return /^-[a-zA-Z]+$/.test(arg);
}

function formatOf(letters: readonly string[]): DumpFormat {
  const compressors = [...new Set(letters.filter(letter => letter in COMPRESSED))];
  if (compressors.length > 1) throw new UsageError('dump-guest-memory: only one of -z, -l and -s can be given');
  const compressor = COMPRESSED[compressors[0] ?? ''];
  return compressor === undefined
    ? 'elf'
    : parseDumpFormat(`kdump-${letters.includes('R') ? 'raw-' : ''}${compressor}`);
}

/** @throws UsageError for what QEMU refuses, too */
export function checkDumpRequest<T extends DumpRequest>(request: T): T {
  if (request.format !== 'elf' && (request.paging || request.range !== undefined))
    throw new UsageError("kdump-compressed format doesn't support paging or filter");
  return request;
}

/** @throws UsageError */
function parseRange(begin: string, length: string | undefined): PhysicalRange {
  const [start, size] = [begin, length ?? ''].map(text =>
    /^(0x[\da-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN,
  );
  if (Number.isSafeInteger(start) && Number.isSafeInteger(size) && size! > 0)
    return { start: start!, end: start! + size! };
  throw new UsageError(`dump-guest-memory: ${begin} ${length ?? ''}: not a physical address and a length in bytes`);
}

/** `info dump`. */
export function describeProgress({ status, completed, total, error }: DumpProgress): string[] {
  const lines = [`Status: ${status}`];
  if (status === 'active') lines.push(`Finished: ${total === 0 ? '0.00' : ((100 * completed) / total).toFixed(2)} %`);
  if (error !== undefined) lines.push(`Error: ${error}`);
  return lines;
}
