/**
 * `kdump-lab makedumpfile`: makedumpfile(8) on the host, with its options, messages and exit codes.
 *
 * Reads every dump that the project reads. Differences: `-E` also works on kdump-compressed dumps, VA_BITS=52 kernels can
 * be filtered, a dump gets its final name only when it is complete (or flagged incomplete).
 */
import { existsSync, readFileSync, readSync, writeFileSync } from 'node:fs';

import {
  excludeZeroPages,
  filterSource,
  needKernel,
  openSource,
  writeElfCore,
  writeKdump,
} from '../../capture/create-dump.ts';
import type { FilteredPages, SourceDump } from '../../capture/create-dump.ts';
import { formatRecord, readLog, showsCallers } from '../../capture/dmesg.ts';
import { compressorOf } from '../../capture/formats/diskdump.ts';
import { FaultError, FormatError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { Vmcoreinfo } from '../../capture/formats/vmcoreinfo.ts';
import { FileSink, NoSpaceError, NullSink, describeHostError } from '../../capture/output/dump-sink.ts';
import type { DumpSink } from '../../capture/output/dump-sink.ts';
import { OwnedSink } from '../../capture/output/owned-sink.ts';
import { DUMP_LEVEL, MAX_DUMP_LEVEL } from '../../capture/page-classifier.ts';
import { noExclusions } from '../../capture/page-filter.ts';
import type { PfnRange } from '../../capture/page-bitmap.ts';
import { DEFAULT_SPLIT_BLOCK, checkParts, splitRanges } from '../../capture/split.ts';
import { excludeUnusedVmemmap } from '../../capture/unused-vmemmap.ts';
import { FlattenedSink, rearrange } from '../../capture/writer-flattened.ts';
import type { Erasure } from './makedumpfile/erase.ts';
import { Messages, PROCESS_TERMINAL, STEP, memUsageText, reportText, writeAll } from './makedumpfile/messages.ts';
import type { Terminal } from './makedumpfile/messages.ts';
import { ImpossibleValueError, parseOptions } from './makedumpfile/options.ts';
import type { Options } from './makedumpfile/options.ts';
import { HELP, VERSION } from './makedumpfile/texts.ts';
import { WrongReleaseError, openVmlinux } from './makedumpfile/vmlinux.ts';
import type { Vmlinux } from './makedumpfile/vmlinux.ts';

/** Exit codes: makedumpfile(8) "DIAGNOSTICS". */
export const EXIT = { COMPLETED: 0, FAILED: 1, WRONG_RELEASE: 2 } as const;

const HINT = "Commandline parameter is invalid.\nTry `makedumpfile --help' for more information.\n";
const NO_BYTES = new Uint8Array(0);

/** Runs the command. @returns the exit code */
export async function makedumpfile(args: readonly string[], terminal: Terminal = PROCESS_TERMINAL): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    return refuse(error, args, terminal);
  }
  if (options.mode === 'help' || options.mode === 'version') {
    terminal.out(options.mode === 'help' ? HELP : VERSION);
    return EXIT.COMPLETED;
  }
  if (options.checkParams) return EXIT.COMPLETED;
  const messages = new Messages(options.messageLevel, terminal, options.flatten);
  const code = await runReporting(new Job(options, messages), messages);
  messages.common('\n');
  if (code !== EXIT.COMPLETED) messages.common('makedumpfile Failed.\n');
  else if (options.mode !== 'mem-usage') messages.common('makedumpfile Completed.\n');
  return code;
}

/** Says what is wrong with a command line. */
function refuse(error: unknown, args: readonly string[], terminal: Terminal): number {
  if (!(error instanceof UsageError || error instanceof UnimplementedError)) throw error;
  const help = error instanceof ImpossibleValueError ? '' : HINT;
  const end = args.includes('--check-params') ? '' : '\nmakedumpfile Failed.\n';
  terminal.out(`${error.message}\n${help}${end}`);
  return EXIT.FAILED;
}

/** Runs a job and turns what the user can do something about into one line. */
async function runReporting(job: Job, messages: Messages): Promise<number> {
  try {
    return await job.run();
  } catch (error) {
    const isExpected = [UsageError, FormatError, FaultError, UnimplementedError, NoSpaceError].some(
      kind => error instanceof kind,
    );
    const isHostError = error instanceof Error && 'syscall' in error;
    if (!isExpected && !isHostError) throw error;
    messages.error(`${isExpected ? (error as Error).message : describeHostProblem(error as NodeJS.ErrnoException)}\n`);
    return error instanceof WrongReleaseError ? EXIT.WRONG_RELEASE : EXIT.FAILED;
  }
}

function describeHostProblem(error: NodeJS.ErrnoException): string {
  return error.path === undefined ? error.message : `Can't open ${error.path}. ${describeHostError(error)}`;
}

/** One run of the command. */
class Job {
  readonly #options: Options;
  readonly #messages: Messages;

  constructor(options: Options, messages: Messages) {
    this.#options = options;
    this.#messages = messages;
  }

  async run(): Promise<number> {
    const { mode, outputs } = this.#options;
    for (const path of outputs) this.#checkOutput(path);
    switch (mode) {
      case 'generate':
        return this.#generate();
      case 'rearrange':
        return this.#rearrange(outputs[0]!);
      case 'reassemble':
        return await this.#reassemble(outputs[0]!);
      case 'dmesg':
        return this.#dmesg();
      case 'mem-usage':
        return this.#memUsage();
      default:
        return await this.#create();
    }
  }

  #checkOutput(path: string): void {
    if (existsSync(path) && !this.#options.force)
      throw new UsageError(`Can't open the dump file (${path}). File exists`);
  }

  #generate(): number {
    using vmlinux = openVmlinux(this.#options.vmlinux!);
    const path = this.#options.vmcoreinfoFile!;
    writeFileSync(path, vmlinux.vmcoreinfoText());
    this.#messages.common(`\nThe vmcoreinfo is saved to ${path}.\n`);
    return EXIT.COMPLETED;
  }

  #rearrange(output: string): number {
    using sink = new OwnedSink(this.#fileSink(output));
    rearrange(readStandardInput, sink);
    sink.commit();
    this.#saved([output]);
    return EXIT.COMPLETED;
  }

  async #reassemble(output: string): Promise<number> {
    using source = openSource(this.#options.inputs);
    const [first] = checkParts(source.dump);
    const level = first!.subHeader.dump_level;
    const filtered: FilteredPages = {
      level,
      dumped: source.pages.available,
      counts: noExclusions(),
      warnings: [],
    };
    using sink = new OwnedSink(this.#fileSink(output));
    const eraseInfo = Buffer.concat(source.dump.diskDumps.map(file => file.eraseInfo()));
    await writeKdump(source, filtered, sink, {
      compressor: compressorOf(first!.header.status),
      asStored: true,
      threads: 0,
      erase: [],
      eraseInfo,
    });
    sink.commit();
    this.#saved([output]);
    return EXIT.COMPLETED;
  }

  #dmesg(): number {
    const [output] = this.#options.outputs;
    using source = this.#open();
    const kernel = needKernel(source);
    const withCaller = showsCallers(kernel.vmcoreinfo);
    const records = readLog(kernel, this.#options.partialDmesg);
    const log = Buffer.from(records.map(record => formatRecord(record, withCaller)).join(''), 'latin1');
    if (this.#options.flatten) writeAll(1, log);
    else {
      using sink = new OwnedSink(this.#fileSink(output!));
      sink.write(0, log);
      sink.commit();
      this.#messages.common(`\nThe dmesg log is saved to ${output}.\n`);
    }
    return EXIT.COMPLETED;
  }

  #memUsage(): number {
    using source = this.#open();
    const filtered = filterSource(source, MAX_DUMP_LEVEL);
    const statistics = {
      maxPfn: source.pages.exists.maxPfn,
      existing: source.pages.exists.count(),
      counts: filtered.counts,
      zeroPages: excludeZeroPages(source, filtered.dumped),
      elfExcluded: undefined,
      bytesWritten: 0,
    };
    this.#messages.common(memUsageText(statistics, source.dump.memory.pageSize));
    return EXIT.COMPLETED;
  }

  /** Tries the levels one after the other until the dump fits. */
  async #create(): Promise<number> {
    using source = this.#open();
    const messages = this.#messages;
    for (const warning of source.dump.warnings) messages.common(`${warning}\n`);
    this.#printVtop(source);
    const erasure = await this.#erasure();
    const { levels } = this.#options;
    for (const [index, level] of levels.entries()) {
      if (index > 0) messages.common(`Retry to create a dumpfile by dump_level(${level}).\n`);
      const code = await this.#createAtLevel(source, erasure, level, index === levels.length - 1);
      if (code !== undefined) return code;
    }
    return EXIT.FAILED;
  }

  /** @returns undefined when the dump did not fit and another level is to be tried */
  async #createAtLevel(
    source: SourceDump,
    erasure: Erasure,
    level: number,
    isLast: boolean,
  ): Promise<number | undefined> {
    const filtered = this.#filter(source, level);
    const output = new DumpOutput(this.#options, this.#messages, source, filtered, erasure);
    const names = this.#options.outputs;
    const paths = this.#options.flatten ? ['STDOUT'] : names;
    const parts = this.#options.split ? this.#cut(source, filtered, paths.length) : [undefined];
    const noSpace: NoSpaceError[] = [];
    for (const [index, path] of paths.entries()) {
      const problem = await output.write(path, () => this.#sink(path), parts[index], isLast);
      if (problem !== undefined) noSpace.push(problem);
    }
    if (noSpace.length > 0) return isLast ? this.#reportIncomplete(noSpace[0]!) : undefined;
    this.#messages.report(reportText(output.statistics));
    this.#saved(paths);
    return output.isComplete ? EXIT.COMPLETED : EXIT.FAILED;
  }

  /** The analyzer is loaded for those who erase only: it doubles the time to start. */
  async #erasure(): Promise<Erasure> {
    const { config, vmlinux, inputs } = this.#options;
    if (config === undefined) return { ranges: [], info: NO_BYTES, warnings: [] };
    const [{ parseEraseConfig }, { resolveErasure }] = await Promise.all([
      import('./makedumpfile/erase-config.ts'),
      import('./makedumpfile/erase.ts'),
    ]);
    const erasure = resolveErasure(parseEraseConfig(readFileSync(config, 'utf8'), config), inputs, vmlinux!);
    for (const warning of erasure.warnings) this.#messages.common(`WARNING: ${config}: ${warning}\n`);
    return erasure;
  }

  #reportIncomplete(noSpace: NoSpaceError): number {
    this.#messages.common(`\n${noSpace.message}\n`);
    if (!this.#options.flatten) this.#messages.common('This is an incomplete dumpfile, but might analyzable.\n');
    return EXIT.FAILED;
  }

  #cut(source: SourceDump, filtered: FilteredPages, parts: number): PfnRange[] {
    const blockSize = this.#options.splitBlockSize ?? DEFAULT_SPLIT_BLOCK;
    return splitRanges(filtered.dumped, parts, source.dump.memory.pageSize, blockSize);
  }

  #filter(source: SourceDump, level: number): FilteredPages {
    const messages = this.#messages;
    const before = source.dump.dumpLevel ?? 0;
    if ((level | before) !== level) {
      messages.common(
        `dump_level is changed to ${level | before}, because ${source.dump.path} was created by dump_level(${before}).`,
      );
    }
    const start = Date.now();
    const filtered = filterSource(source, level, (done, total) => messages.progress(STEP.FILTER, done, total, start));
    messages.stepTime(STEP.FILTER, start);
    for (const warning of filtered.warnings) messages.common(`WARNING: ${warning}\n`);
    if (!this.#options.excludeUnusedVm) return filtered;
    const removed = excludeUnusedVmemmap(needKernel(source), source.pages.exists, filtered.dumped);
    messages.progressLine(`Excluded ${removed} unused vmemmap pages`);
    return { ...filtered, withoutVmemmap: true };
  }

  #printVtop({ kernel }: SourceDump): void {
    const { vtop } = this.#options;
    if (vtop === undefined || kernel === undefined) return;
    const { space } = kernel.memory;
    const paddr = kernel.memory.translate(vtop);
    const steps = space.tables.walk(space.root, vtop).steps.map(({ level, entryPaddr, entry }) => {
      const [at, value] = [entryPaddr, entry].map(number => number.toString(16).padStart(16));
      return `  ${level} : ${at} => ${value}\n`;
    });
    const physical = paddr === undefined ? 'ffffffffffffffff' : paddr.toString(16);
    this.#messages.common(
      `\nTranslating virtual address ${vtop.toString(16)} to physical address.\n${steps.join('')}` +
        `VIRTUAL           PHYSICAL\n${vtop.toString(16).padStart(16)}  ${physical}\n\n`,
    );
  }

  #open(): SourceDump {
    const { inputs, vmcoreinfoFile, vmlinux: vmlinuxPath } = this.#options;
    if (vmcoreinfoFile !== undefined)
      return openSource(inputs, own =>
        mergeVmcoreinfo(readVmcoreinfo(vmcoreinfoFile), own, vmcoreinfoFile, inputs[0]!),
      );
    if (vmlinuxPath === undefined) return openSource(inputs);
    using vmlinux: Vmlinux = openVmlinux(vmlinuxPath);
    return openSource(inputs, own => {
      if (own !== undefined) vmlinux.checkMatches(own, inputs[0]!);
      return own ?? new Vmcoreinfo(vmlinux.vmcoreinfoText());
    });
  }

  #saved(paths: readonly string[]): void {
    const last = paths.at(-1)!;
    const text =
      paths.length === 1
        ? `The dumpfile is saved to ${last}.`
        : `The dumpfiles are saved to ${paths.slice(0, -1).join(', ')}, and ${last}.`;
    this.#messages.common(`\n${text}\n`);
  }

  #sink(path: string): DumpSink {
    const { flatten, dryRun, sizeLimit } = this.#options;
    if (dryRun) return new NullSink(path, sizeLimit);
    return flatten ? standardOutputSink(sizeLimit) : this.#fileSink(path);
  }

  #fileSink(path: string): DumpSink {
    return new FileSink(path, this.#options.sizeLimit);
  }
}

/** Writes the files of one dump and counts. */
class DumpOutput {
  /** Every page of the source could be read. */
  isComplete = true;
  readonly #options: Options;
  readonly #messages: Messages;
  readonly #source: SourceDump;
  readonly #filtered: FilteredPages;
  readonly #erasure: Erasure;
  readonly #toCopy: number;
  #zeroPages = 0;
  #elfExcluded: number | undefined;
  #bytesWritten = 0;

  constructor(options: Options, messages: Messages, source: SourceDump, filtered: FilteredPages, erasure: Erasure) {
    this.#erasure = erasure;
    this.#options = options;
    this.#messages = messages;
    this.#source = source;
    this.#filtered = filtered;
    if (options.elf && (filtered.level & DUMP_LEVEL.ZERO) !== 0) {
      const start = Date.now();
      this.#zeroPages = excludeZeroPages(source, filtered.dumped);
      messages.progress(STEP.ZERO, 1, 1, start);
      messages.stepTime(STEP.ZERO, start);
    }
    this.#toCopy = filtered.dumped.count();
  }

  get statistics(): Parameters<typeof reportText>[0] {
    const { exists } = this.#source.pages;
    return {
      maxPfn: exists.maxPfn,
      existing: exists.count(),
      counts: this.#filtered.counts,
      zeroPages: this.#zeroPages,
      elfExcluded: this.#elfExcluded,
      bytesWritten: this.#bytesWritten,
    };
  }

  /**
   * Writes one file.
   * @param keepIncomplete gives a file that did not fit its name, flagged incomplete
   * @returns what did not fit
   */
  async write(
    path: string,
    open: () => DumpSink,
    part: PfnRange | undefined,
    keepIncomplete: boolean,
  ): Promise<NoSpaceError | undefined> {
    using sink = new OwnedSink(open());
    const start = Date.now();
    const pages = part === undefined ? this.#toCopy : this.#filtered.dumped.count(part.start, part.end);
    const onProgress = (done: number): void => this.#messages.progress(STEP.COPY, done, pages, start);
    const result = this.#options.elf ? await this.#elf(sink, onProgress) : await this.#kdump(sink, part, onProgress);
    this.#bytesWritten += sink.bytesWritten;
    onProgress(pages);
    this.#messages.stepTime(STEP.COPY, start);
    this.#messages.progressEnd();
    if (result.unreadablePages > 0) {
      this.isComplete = false;
      this.#messages.error(`${path}: ${result.unreadablePages} pages could not be read: ${result.problem}\n`);
    }
    if (result.noSpace === undefined || keepIncomplete) sink.commit();
    return result.noSpace;
  }

  async #kdump(sink: DumpSink, part: PfnRange | undefined, onProgress: (pages: number) => void) {
    const { compressor, threads } = this.#options;
    const before = this.#source.dump.diskDumps[0]?.eraseInfo() ?? NO_BYTES;
    const eraseInfo = Buffer.concat([before, this.#erasure.info]);
    const options = { compressor, threads, erase: this.#erasure.ranges, eraseInfo, part, onProgress };
    const result = await writeKdump(this.#source, this.#filtered, sink, options);
    this.#zeroPages += result.zeroPages;
    return result;
  }

  async #elf(sink: DumpSink, onProgress: (pages: number) => void) {
    const options = { threads: this.#options.threads, erase: this.#erasure.ranges, onProgress };
    const result = await writeElfCore(this.#source, this.#filtered, sink, options);
    this.#elfExcluded = result.excludedPages;
    return result;
  }
}

function standardOutputSink(limit = Number.POSITIVE_INFINITY): DumpSink {
  let written = 0;
  return new FlattenedSink('STDOUT', bytes => {
    if (written + bytes.length > limit)
      throw new NoSpaceError(`Can't write the dump file(STDOUT). Size limit(${limit}) reached.`, 0);
    written += bytes.length;
    try {
      writeAll(1, bytes);
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error;
      throw new NoSpaceError(`Can't write the dump file(STDOUT). ${describeHostError(error)}`, 0);
    }
  });
}

/** Reads exactly so many bytes of standard input, fewer at its end. */
function readStandardInput(length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const count = readSync(0, bytes, done, length - done, null);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

function readVmcoreinfo(path: string): Vmcoreinfo {
  return new Vmcoreinfo(readFileSync(path, 'latin1'));
}

/** The dump's own lines win; a file of another kernel is refused. */
function mergeVmcoreinfo(file: Vmcoreinfo, own: Vmcoreinfo | undefined, path: string, dump: string): Vmcoreinfo {
  if (own === undefined) return file;
  if (file.osRelease !== own.osRelease) throw new WrongReleaseError(`${path} and ${dump} don't match.`);
  return new Vmcoreinfo(`${file.text}\n${own.text}`);
}
