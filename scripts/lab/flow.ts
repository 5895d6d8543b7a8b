/**
 * The whole flow on one machine: production kernel, kexec, panic, capture kernel, dump on the disk, dump on the host.
 *
 * Files appear in the output folder under their final names when they are whole.
 */
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { UsageError, assertNever } from '../../capture/formats/errors.ts';
import { discardTemporary, temporaryName, writeFileAtomically } from '../../kernel-images/cache-folder.ts';
import { makeExt4 } from '../../kernel-images/ext4/make.ts';
import { ConsoleLog } from './console-log.ts';
import { ConsoleWatch, type ConsoleEvent, type PhaseName } from './console-watch.ts';
import { withAdvice } from './failure-advice.ts';
import { HangWatch } from './hang-watch.ts';
import type { KexecEvent } from './kexec-trace.ts';
import type { LabMachine, LabMachineConfig, LabMachineFactory, LabStop } from './lab-machine.ts';
import type { PreparedRun } from './prepare.ts';
import { PROVOCATIONS } from './provocations.ts';
import { hashBytes, hashFile, type CrashMemory, type Note, type Phase, type RunReport } from './report.ts';
import type { Scenario } from './scenario.ts';
import { takeDump } from './take-dump.ts';

/** Who wants to know how a run goes. */
export interface FlowListener {
  onPhase?(phase: Phase): void;
  onNote?(note: Note): void;
  onConsole?(bytes: Uint8Array): void;
  onKexecEvent?(event: KexecEvent): void;
}

/** What a run leaves behind. */
export interface FlowFiles {
  readonly folder: string;
  readonly console: string;
  readonly report: string;
  readonly vmcore: string;
  /** The log of the crashed kernel, which kdump.conf's way of saving extracts. */
  readonly dmesg: string;
}

/** Names of a run's files. */
export function flowFiles(folder: string): FlowFiles {
  return {
    folder,
    console: join(folder, 'console.log'),
    report: join(folder, 'report.json'),
    vmcore: join(folder, 'vmcore'),
    dmesg: join(folder, 'vmcore-dmesg.txt'),
  };
}

/**
 * Runs a prepared scenario.
 * @param signal aborts the run: the report then says `interrupted`
 * @returns the report, which is also in the folder; what the guest does wrong is in it and not thrown
 * @throws UsageError when the folder cannot be written
 */
export async function runFlow(
  prepared: PreparedRun,
  folder: string,
  createMachine: LabMachineFactory,
  listener: FlowListener = {},
  signal?: AbortSignal,
): Promise<RunReport> {
  const files = prepareFolder(folder);
  const disk = temporaryName(join(folder, 'disk.img'));
  try {
    makeDisk(prepared, disk);
    const machine = createMachine(machineConfig(prepared, disk));
    const observed = await observe(machine, prepared, files, listener, signal);
    const report = await makeReport(prepared, machine, observed, files, disk);
    writeFileAtomically(files.report, `${JSON.stringify(report, undefined, 2)}\n`);
    return report;
  } catch (error) {
    throw hostError(error, folder);
  } finally {
    discardTemporary(disk);
  }
}

function prepareFolder(folder: string): FlowFiles {
  const files = flowFiles(folder);
  try {
    mkdirSync(folder, { recursive: true });
    for (const path of [files.console, files.report, files.vmcore, files.dmesg]) rmSync(path, { force: true });
  } catch (error) {
    throw hostError(error, folder);
  }
  return files;
}

/** Turns what the host's file system refuses into one clear line. */
function hostError(error: unknown, folder: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const reasons: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOTDIR: 'not a folder',
    EEXIST: 'not a folder',
  };
  const reason = typeof code === 'string' ? reasons[code] : undefined;
  return reason === undefined ? error : new UsageError(`cannot write to ${folder}: ${reason}`, { cause: error });
}

function makeDisk({ scenario, disk }: PreparedRun, path: string): void {
  const size = scenario.diskSize ?? defaultDiskSize(scenario);
  if (disk.kind === 'ext4') makeExt4(path, size, disk);
  else {
    writeFileSync(path, '');
    truncateSync(path, size);
  }
}

/** RAM, a quarter more for headers and file system, in whole MiB; the file is sparse. */
function defaultDiskSize(scenario: Scenario): number {
  return Math.ceil((scenario.memorySize * 1.25) / 2 ** 20) * 2 ** 20;
}

function machineConfig(prepared: PreparedRun, disk: string): LabMachineConfig {
  const { architecture, machine, cpu, cpus, memorySize, diskBus, nic, trigger } = prepared.scenario;
  return {
    architecture,
    machine,
    cpu,
    cpus,
    memorySize,
    diskBus,
    nic,
    disk,
    kernel: prepared.kernelPath,
    initrd: prepared.initramfs.production,
    commandLine: prepared.productionCommandLine,
    seeds: prepared.seeds,
    traceKexec: prepared.scenario.traceKexec,
    trigger,
    provocation: PROVOCATIONS[prepared.scenario.panic]?.host,
    capture:
      prepared.scenario.mode === 'guest'
        ? undefined
        : {
            kernel: prepared.image.bytes,
            initrd: prepared.initramfs.capture,
            commandLine: prepared.captureCommandLine,
          },
  };
}

/** What came out of a machine. */
interface Observation {
  readonly stop: LabStop;
  readonly phases: Phase[];
  readonly notes: Note[];
  collector: string;
  /** Where the dump is on the disk. */
  place: string | undefined;
  halted: boolean;
  reserved: number | undefined;
  readonly memory: { readonly total: number; readonly available: number }[];
  failure: string | undefined;
}

async function observe(
  machine: LabMachine,
  prepared: PreparedRun,
  files: FlowFiles,
  listener: FlowListener,
  signal: AbortSignal | undefined,
): Promise<Observation> {
  const start = performance.now();
  const seen = {
    phases: [] as Phase[],
    notes: [...prepared.notes],
    collector: '',
    place: undefined as string | undefined,
    halted: false,
    reserved: undefined as number | undefined,
    memory: [] as { total: number; available: number }[],
    failure: undefined as string | undefined,
  };
  const enter = (name: PhaseName) => {
    const { guestSeconds, instructions } = machine.progress();
    const phase = {
      name,
      guestSeconds: guestSeconds ?? null,
      wallSeconds: (performance.now() - start) / 1000,
      instructions: instructions ?? null,
    };
    seen.phases.push(phase);
    listener.onPhase?.(phase);
  };
  const giveUp = (text: string) => {
    seen.failure ??= text;
    machine.interrupt(text);
  };
  const handle = (event: ConsoleEvent) => {
    if (event.kind === 'phase') enter(event.name);
    else if (event.kind === 'collector') seen.collector = event.command;
    else if (event.kind === 'reserved') seen.reserved = event.size;
    else if (event.kind === 'memory') seen.memory.push(event);
    else if (event.kind === 'saved') seen.place = event.place;
    else if (event.kind === 'halted') {
      seen.halted = true;
      machine.interrupt('the guest has halted');
    } else if (event.kind === 'note') {
      seen.notes.push({ code: event.code, text: event.text });
      listener.onNote?.(event);
    } else if (event.kind === 'dead') {
      // A kernel that is dead would spin until the time is over.
      giveUp(event.text);
    } else {
      seen.failure ??= event.text;
    }
  };
  for (const note of prepared.notes) listener.onNote?.(note);
  enter('power-on');
  const stop = await runMachine(machine, prepared, files, { ...listener, onEvent: handle, giveUp }, signal);
  enter('stop');
  return { ...seen, stop };
}

async function runMachine(
  machine: LabMachine,
  prepared: PreparedRun,
  files: FlowFiles,
  listener: FlowListener & { readonly onEvent: (event: ConsoleEvent) => void; readonly giveUp: (text: string) => void },
  signal: AbortSignal | undefined,
): Promise<LabStop> {
  const watch = new ConsoleWatch();
  const log = new ConsoleLog(files.console);
  const abort = () => machine.interrupt('interrupted');
  using hangWatch = new HangWatch(machine, listener.giveUp);
  const onConsole = (bytes: Uint8Array) => {
    hangWatch.noteOutput();
    if (!log.write(bytes)) machine.interrupt('the console log cannot be written');
    listener.onConsole?.(bytes);
    for (const event of watch.push(bytes)) listener.onEvent(event);
  };
  signal?.addEventListener('abort', abort);
  try {
    const running = machine.run(
      { onConsole, onKexecEvent: event => listener.onKexecEvent?.(event) },
      { guestSeconds: prepared.scenario.timeoutSeconds },
    );
    if (signal?.aborted === true) abort();
    return await running;
  } finally {
    signal?.removeEventListener('abort', abort);
    log.finish();
  }
}

async function makeReport(
  prepared: PreparedRun,
  machine: LabMachine,
  observed: Observation,
  files: FlowFiles,
  disk: string,
): Promise<RunReport> {
  const saved = await findSaved(observed, files, disk);
  const isDumped = saved.vmcore !== null || saved.remote !== null;
  const failure = isDumped ? undefined : describeFailure(observed, prepared.scenario);
  const { image, initramfs } = prepared;
  return {
    format: 1,
    outcome: isDumped ? 'dumped' : isInterrupted(observed) ? 'interrupted' : 'failed',
    failure: failure ?? null,
    machine: machine.name,
    scenario: prepared.scenario,
    kernel: {
      release: prepared.release,
      format: image.format,
      sha256: hashBytes(image.bytes).sha256,
      package: prepared.package?.name ?? null,
      version: prepared.package?.version ?? null,
    },
    commandLines: { production: prepared.productionCommandLine, capture: prepared.captureCommandLine },
    programs: prepared.programs,
    initramfs: { production: hashBytes(initramfs.production), capture: hashBytes(initramfs.capture) },
    crashMemory: crashMemoryOf(prepared, observed),
    notes: observed.notes,
    phases: observed.phases,
    stop: observed.stop,
    console: await hashFile(files.console),
    ...saved,
  };
}

/** The dump on the dump disk, or where it went over the network: `ssh user@server:/path`, `nfs server:/export/path`. */
async function findSaved(
  observed: Observation,
  files: FlowFiles,
  disk: string,
): Promise<Pick<RunReport, 'vmcore' | 'remote'>> {
  const { place = '/vmcore', collector } = observed;
  if (!isSaved(observed)) return { vmcore: null, remote: null };
  if (/^(ssh|nfs) /.test(place)) return { vmcore: null, remote: { place, collector } };
  const file = await takeDump(files, disk, place);
  return { vmcore: file === undefined ? null : { ...file, collector }, remote: null };
}

const KIB = 1024;

function crashMemoryOf({ image, moduleSize, initramfs }: PreparedRun, { reserved, memory }: Observation): CrashMemory {
  const isKnown = memory.length > 0;
  return {
    reserved: reserved ?? null,
    total: isKnown ? memory[0]!.total * KIB : null,
    leastAvailable: isKnown ? Math.min(...memory.map(({ available }) => available)) * KIB : null,
    kernel: image.memorySize,
    modules: moduleSize,
    initramfs: initramfs.capture.length,
  };
}

/** With kdump.conf the machine may end in any way; without, only by powering off. */
function isSaved({ failure, stop, place, halted }: Observation): boolean {
  if (failure !== undefined) return false;
  return stop.kind === 'power-off' || (place !== undefined && (halted || stop.kind === 'reset'));
}

function isInterrupted(observed: Observation): boolean {
  return observed.failure === undefined && observed.stop.kind === 'interrupted';
}

function describeFailure({ failure, stop, phases }: Observation, scenario: Scenario): string {
  if (failure !== undefined) return withAdvice(failure, scenario);
  const last = phases.at(-2)?.name ?? 'power-on';
  switch (stop.kind) {
    case 'power-off':
      return `the guest powered off after ${last} without saving a dump`;
    case 'reset':
      return stop.cause === undefined
        ? `the guest reset itself after ${last}`
        : `the guest was reset by a ${stop.cause} after ${last}`;
    case 'timeout':
      return `the guest was not done after ${stop.guestSeconds} guest seconds (last seen: ${last})`;
    case 'interrupted':
      return stop.reason;
    case 'failed':
      return stop.message;
    default:
      return assertNever(stop);
  }
}
