/**
 * `kdump-lab kdumpctl`: what kdumpctl(8) tells of a machine, told of a run of the lab: its report has what was reserved and used.
 *
 * Source: kdumpctl(8) of kdump-utils: subcommands, exit codes and the layout of `estimate`.
 * Not modelled: subcommands that act on an installed system (start, stop, restart, reload, rebuild, propagate, test, setup-crypttab).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Argument, Command, Option } from 'commander';

import { FormatError, UsageError } from '../../capture/formats/errors.ts';
import { parseKdumpConf, type KdumpConf } from '../../capture/kdump-conf.ts';
import { parseSize } from '../../kernel-images/command-line.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { explainCrashKernel, parseCrashKernel } from '../../kexec/crash-kernel.ts';
import type { CrashMemory, RunReport } from '../lab/report.ts';

/** kdumpctl's exit code for a machine whose capture kernel is not loaded. */
const NOT_OPERATIONAL = 3;
const MIB = 2 ** 20;
/** What is recommended beyond what was measured: other machines have more to do. */
const RESERVE = 16 * MIB;
const STEP = 16 * MIB;

/** What kdump-utils reserves by default; a kernel reads the ranges. */
const DEFAULT_CRASHKERNEL: Readonly<Record<Architecture, string>> = {
  aarch64: '2G-4G:256M,4G-64G:320M,64G-:576M',
  x86_64: '2G-64G:256M,64G-:512M',
};

const HELP = `
Subcommands status, showmem and estimate tell of a run (--out, as of 'kdump-lab run'); its report.json has what was reserved, and what
the capture kernel had left at the least.

Examples:
  kdump-lab kdumpctl check-config /etc/kdump.conf
  kdump-lab run --fast && kdump-lab kdumpctl estimate
  kdump-lab kdumpctl explain --memory 4G 1G-4G:192M,4G-64G:256M,64G-:512M`;

/** The `kdumpctl` command. */
export function kdumpctlCommand(): Command {
  const command = new Command('kdumpctl')
    .description("kdumpctl's questions, about a kdump.conf or a run of the lab")
    .addHelpText('after', HELP);
  command
    .command('check-config')
    .description('read and check a kdump.conf')
    .argument('[file]', 'the configuration', '/etc/kdump.conf')
    .action((file: string) => checkConfig(file));
  for (const [name, description, tell] of [
    ['status', 'whether a capture kernel was loaded (exit status 3: it was not)', tellStatus],
    ['showmem', 'how much memory was reserved', tellReserved],
    ['estimate', 'how much memory to reserve, by what the run used', tellEstimate],
  ] as const) {
    command
      .command(name)
      .description(description)
      .option('--out <dir>', 'output folder of the run', 'kdump-lab-out')
      .action(({ out }: { out: string }) => tell(readReport(out)));
  }
  addCrashkernelCommands(command);
  return command;
}

function addCrashkernelCommands(command: Command): void {
  command
    .command('get-default-crashkernel')
    .description("kdump-utils' default value of crashkernel=")
    .addOption(new Option('--arch <arch>', 'architecture').choices(['aarch64', 'x86_64']).default('aarch64'))
    .addArgument(new Argument('[mode]', 'how dumps are taken').choices(['kdump']))
    .action((_: unknown, { arch }: { arch: Architecture }) => print(DEFAULT_CRASHKERNEL[arch]));
  command
    .command('explain')
    .description('say what a value of crashkernel= means on a machine')
    .argument('<values...>', 'the parameters, with or without crashkernel=')
    .option('--memory <size>', 'memory of the machine', parseSize, 512 * MIB)
    .action((values: readonly string[], { memory }: { memory: number }) => explain(values, memory));
  command
    .command('reset-crashkernel')
    .description('refused: the lab has no boot loader')
    .allowUnknownOption()
    .argument('[options...]')
    .action(() => {
      throw new UsageError("reset-crashkernel: the lab has no boot loader: give 'run' a --crashkernel");
    });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function readReport(folder: string): RunReport {
  const path = join(folder, 'report.json');
  if (!existsSync(path)) throw new UsageError(`${path}: no such file: run 'kdump-lab run --out ${folder}' first`);
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as RunReport;
    if ((report as Partial<RunReport>).crashMemory !== undefined) return report;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new FormatError('not the report of a run of this version', { file: path });
}

function checkConfig(file: string): void {
  if (!existsSync(file)) throw new UsageError(`${file}: no such file`);
  const conf = parseKdumpConf(readFileSync(file, 'utf8'), file);
  for (const warning of conf.warnings) process.stderr.write(`kdump: ${file}: ${warning}\n`);
  for (const line of describeConf(conf)) print(line);
}

/** A directive a line, with the defaults of those that are not there. */
function describeConf(conf: KdumpConf): string[] {
  const { target } = conf;
  const place = {
    root: () => '(the root file system)',
    raw: () => `raw ${'device' in target ? target.device : ''}`,
    filesystem: () => ('device' in target && 'type' in target ? `${target.type} ${target.device}` : ''),
    nfs: () => `nfs ${'export' in target ? target.export : ''}`,
    ssh: () => ('destination' in target ? `ssh ${target.destination}, sshkey ${target.key}` : ''),
  }[target.kind]();
  return [
    `target: ${place}`,
    ...(target.kind === 'raw' ? [] : [`path: ${conf.path}`]),
    `core_collector: ${conf.coreCollector}`,
    `failure_action: ${conf.failureAction}`,
    `final_action: ${conf.finalAction}`,
    ...(conf.kdumpPre === undefined ? [] : [`kdump_pre: ${conf.kdumpPre}`]),
    ...(conf.kdumpPost === undefined ? [] : [`kdump_post: ${conf.kdumpPost}`]),
    ...(conf.extraBins.length === 0 ? [] : [`extra_bins: ${conf.extraBins.join(' ')}`]),
    ...(conf.extraModules.length === 0 ? [] : [`extra_modules: ${conf.extraModules.join(' ')}`]),
    `auto_reset_crashkernel: ${conf.autoResetCrashkernel ? 'yes' : 'no'}`,
    ...conf.unused.map(line => `without effect in the lab: ${line}`),
  ];
}

/** The capture kernel is loaded when the run came to its panic, or the host has started it. */
function tellStatus({ phases, crashMemory }: RunReport): void {
  const names = new Set(phases.map(({ name }) => name));
  const isLoaded = (names.has('kexec-load') && names.has('panic')) || names.has('capture-kernel');
  const isOperational = isLoaded && crashMemory.reserved !== 0;
  print(`kdump: Kdump is ${isOperational ? '' : 'not '}operational`);
  if (!isOperational) process.exitCode = NOT_OPERATIONAL;
}

function tellReserved({ crashMemory }: RunReport): void {
  print(`kdump: Reserved ${mebibytes(reservedOf(crashMemory))}MB memory for crash kernel`);
}

function reservedOf({ reserved }: CrashMemory): number {
  if (reserved !== null) return reserved;
  throw new UsageError('the run does not tell how much memory was reserved: its kernel did not come to kexec');
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / MIB);
}

/** Measured: all of the region that the capture kernel did not have available at the worst moment. */
export function recommendSize(memory: CrashMemory): number {
  const reserved = reservedOf(memory);
  if (memory.leastAvailable === null)
    throw new UsageError(
      'the capture kernel of this run did not come so far as to be measured: give --crashkernel more',
    );
  return Math.ceil((reserved - memory.leastAvailable + RESERVE) / STEP) * STEP;
}

function tellEstimate({ crashMemory }: RunReport): void {
  const { kernel, modules, initramfs } = crashMemory;
  const reserved = reservedOf(crashMemory);
  const recommended = recommendSize(crashMemory);
  const runtime = Math.max(0, recommended - kernel - modules - 2 * initramfs);
  print(`Reserved crashkernel:    ${mebibytes(reserved)}M
Recommended crashkernel: ${mebibytes(recommended)}M

Kernel image size:   ${mebibytes(kernel)}M
Kernel modules size: ${mebibytes(modules)}M
Initramfs size:      ${mebibytes(initramfs)}M
Runtime reservation: ${mebibytes(runtime)}M
Large modules: <none>`);
  if (reserved < recommended)
    print(`WARNING: Current crashkernel size is lower than recommended size ${mebibytes(recommended)}M.`);
}

function explain(values: readonly string[], memory: number): void {
  const words = values.map(value => (value.startsWith('crashkernel=') ? value : `crashkernel=${value}`));
  print(explainCrashKernel(parseCrashKernel(words.join(' '), memory)));
}
