/** `kdump-lab run`: the whole two-kernel flow, with every part of it as an option. */
import { join } from 'node:path';

import { Command, InvalidArgumentError, Option } from 'commander';

import { UsageError } from '../../capture/formats/errors.ts';
import { writeFileAtomically } from '../../kernel-images/cache-folder.ts';
import { parseSize } from '../../kernel-images/command-line.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { type Flavour, FLAVOURS } from '../../kernel-images/kernel-package.ts';
import { flowFiles, runFlow } from '../lab/flow.ts';
import type { KexecEvent } from '../lab/kexec-trace.ts';
import { PROVOCATIONS } from '../lab/provocations.ts';
import { prepareRun, type PreparedRun } from '../lab/prepare.ts';
import type { Phase, RunReport } from '../lab/report.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO, checkScenario, type Scenario } from '../lab/scenario.ts';
import { TRIGGERS } from '../lab/triggers.ts';
import { DEFAULT_BACKEND, findBackend } from './backends.ts';
import { isSocket, parseControlSocket, type ControlOption } from './boot/controls.ts';
import { parseNic } from './boot/networks.ts';
import { EXIT_FAILURE, EXIT_INTERRUPTED } from './errors.ts';
import { interruptSignal } from './interrupt.ts';
import { ProgressLine } from './progress-line.ts';

/** Options as commander gives them. */
interface RunOptions {
  readonly arch: Architecture;
  readonly suite: string;
  readonly flavour: Flavour;
  readonly kernel?: string;
  readonly mirror?: string;
  readonly machine?: string;
  readonly cpu?: string;
  readonly smp: number;
  readonly memory: number;
  readonly crashkernel?: string;
  readonly append: string;
  readonly captureAppend: string;
  readonly diskBus?: Scenario['diskBus'];
  readonly diskSize?: number;
  readonly nic?: string;
  readonly mode: Scenario['mode'];
  readonly trigger: Scenario['trigger'];
  readonly trace?: string;
  readonly kexec: string;
  readonly collector: string;
  readonly kdumpConf?: string;
  readonly panic: string;
  readonly users: boolean;
  readonly fast: boolean;
  readonly timeout: number;
  readonly out: string;
  readonly console: boolean;
  readonly backend: string;
  readonly qmp: readonly ControlOption[];
  readonly monitor: readonly ControlOption[];
}

/** One line a name. */
function listNames(entries: Readonly<Record<string, { readonly what: string }>>): string {
  return Object.entries(entries)
    .map(([name, { what }]) => `  ${name.padEnd(16)}${what}`)
    .join('\n');
}

const EXAMPLES = `
Examples:
  kdump-lab run
  kdump-lab run --fast --suite trixie --out trixie-dump
  kdump-lab run --arch x86_64 --kexec '-p -s' --smp 2
  kdump-lab run --arch x86_64 --mode host --trigger pvpanic --panic oom
  kdump-lab run --kernel ./vmlinuz --collector cp --crashkernel 192M
  kdump-lab run --qmp unix:qmp.sock,server=on,wait=off       and then: kdump-lab dump --socket qmp.sock memory.elf

Names for --panic:
${listNames(PROVOCATIONS)}

Names for --trigger:
${listNames(TRIGGERS)}

Writes console.log, report.json and vmcore into the output folder. Exit status: 0 when the dump was saved, 130 when
interrupted, else 1; the reason is on stderr and in report.json.`;

/** The `run` command. */
export function runCommand(): Command {
  return addRunOptions(new Command('run'))
    .description('boot, crash, capture: the whole two-kernel flow')
    .option('--out <dir>', 'folder for console.log, vmcore and report.json', 'kdump-lab-out')
    .option('--no-console', 'do not show the guest console')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RunOptions) => {
      const report = await runScenario(scenarioFromOptions(options), options);
      process.exitCode = exitStatus(report);
    });
}

/** QEMU's options have one dash: `-qmp`, `-smp`, `-machine` mean what they mean with two. */
export function withTwoDashes(args: readonly string[]): string[] {
  const names = new Set(runCommand().options.map(({ long }) => long?.slice(1)));
  return args.map(arg => (names.has(arg) ? `-${arg}` : arg));
}

function addRunOptions(command: Command): Command {
  const defaults = DEFAULT_SCENARIO;
  return command
    .addOption(
      new Option('--arch <arch>', 'architecture').choices(['aarch64', 'x86_64']).default(defaults.architecture),
    )
    .option('--suite <suite>', 'Debian suite: bookworm, trixie, sid', defaults.suite)
    .addOption(new Option('--flavour <flavour>', 'Debian kernel flavour').choices(FLAVOURS).default(defaults.flavour))
    .option('--kernel <file>', 'kernel image instead of the newest one of the suite')
    .option('--mirror <url>', "Debian mirror (default: the one of apt's configuration)")
    .option('--machine <type>', 'machine, as QEMU names it (default: virt,gic-version=3 or q35)')
    .option('--cpu <model>', 'CPU model, as QEMU names it (default: cortex-a57 or qemu64)')
    .option('--smp <n>', 'number of CPUs, 1 to 8', parseInteger, defaults.cpus)
    .addOption(sizeOption('--memory <size>', 'RAM: 128M to 3G', defaults.memorySize))
    .option('--crashkernel <spec>', 'value of crashkernel= (default: sized by the kernel)')
    .option('--append <text>', "more words for the production kernel's command line", defaults.append)
    .option('--capture-append <text>', "more words for the capture kernel's command line", defaults.captureAppend)
    .addOption(
      new Option('--disk-bus <bus>', 'bus of the dump disk (default: mmio on virt and microvm, else pci)').choices([
        'mmio',
        'pci',
        'ide',
      ]),
    )
    .addOption(sizeOption('--disk-size <size>', 'size of the dump disk (default: RAM and a quarter)'))
    .option(
      '--nic <network>',
      "network card, as QEMU's -nic (default: none, but for a kdump.conf with nfs or ssh)",
      parseCard,
    )
    .addOption(
      new Option('--mode <mode>', "who loads the capture kernel: the guest's kexec, or the host, on panic")
        .choices(['guest', 'host'])
        .default(defaults.mode),
    )
    .addOption(
      new Option('--trigger <how>', 'host mode: what tells the host of the panic (see below)')
        .choices(Object.keys(TRIGGERS))
        .default(defaults.trigger),
    )
    .option(
      '--trace <channel>',
      'observe the guest: kexec, or kexec,json for a JSON line an event; on stderr, and all as kexec-trace.json in --out',
      parseTrace,
    )
    .option('--kexec <options>', "options of the guest's kexec", defaults.kexecOptions)
    .option('--collector <command>', 'what saves /proc/vmcore in the capture kernel', defaults.collector)
    .option('--kdump-conf <file>', 'a kdump.conf(5) that the capture kernel obeys, instead of --collector')
    .option('--panic <how>', 'shell command that panics the production kernel, or a name (see below)', defaults.panic)
    .option('--no-users', 'start no processes beside init')
    .option(
      '--fast',
      'shortcuts: kexec -i, cryptomgr.notests in both kernels, a device tree without seeds',
      defaults.fast,
    )
    .addOption(controlOption('--qmp <socket>', "QMP on a socket, as QEMU's -qmp", 'control'))
    .addOption(controlOption('--monitor <socket>', "the monitor on a socket, as QEMU's -monitor", 'readline'))
    .option('--timeout <seconds>', 'guest seconds after which to give up', parseNumber, defaults.timeoutSeconds)
    .addOption(new Option('--backend <name>', 'machine to run on').default(DEFAULT_BACKEND).hideHelp());
}

function sizeOption(flags: string, description: string, value?: number): Option {
  const option = new Option(flags, description).argParser(text => {
    try {
      return parseSize(text);
    } catch (error) {
      throw error instanceof UsageError ? new InvalidArgumentError(error.message) : error;
    }
  });
  return value === undefined ? option : option.default(value, `${value / 2 ** 20}M`);
}

/** `unix:PATH,server=on,wait=off`; may be given several times. */
function controlOption(flags: string, description: string, mode: ControlOption['mode']): Option {
  return new Option(flags, description)
    .argParser((text: string, before: readonly ControlOption[]) => {
      const option = `--${mode === 'control' ? 'qmp' : 'monitor'}`;
      if (text === 'none') return before;
      if (!isSocket(text)) throw new InvalidArgumentError('must be unix:PATH,server=on,wait=off or tcp:HOST:PORT,…');
      return [...before, parseControlSocket(text, mode, option)];
    })
    .default([], 'none');
}

/** The only channel, and its only form beside plain text. */
function parseTrace(text: string): string {
  if (text !== 'kexec' && text !== 'kexec,json') throw new InvalidArgumentError('must be kexec or kexec,json');
  return text;
}

/** `none` is what there is anyway. */
function parseCard(text: string): string | undefined {
  if (text === 'none') return undefined;
  parseNic(text, 0);
  return text;
}

function parseInteger(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('not a whole number');
  return Number(text);
}

function parseNumber(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('not a number');
  return Number(text);
}

function scenarioFromOptions(options: RunOptions): Scenario {
  const byArchitecture = ARCHITECTURE_DEFAULTS[options.arch];
  const machine = options.machine ?? byArchitecture.machine;
  return {
    architecture: options.arch,
    suite: options.suite,
    flavour: options.flavour,
    kernel: options.kernel,
    mirror: options.mirror,
    machine,
    cpu: options.cpu ?? byArchitecture.cpu,
    cpus: options.smp,
    memorySize: options.memory,
    crashkernel: options.crashkernel,
    append: options.append,
    captureAppend: options.captureAppend,
    diskBus: options.diskBus ?? (machine.startsWith('microvm') ? 'mmio' : byArchitecture.diskBus),
    diskSize: options.diskSize,
    nic: options.nic,
    mode: options.mode,
    trigger: options.trigger,
    traceKexec: options.trace !== undefined,
    kexecOptions: options.kexec,
    collector: options.collector,
    kdumpConf: options.kdumpConf,
    panic: options.panic,
    users: options.users,
    fast: options.fast,
    timeoutSeconds: options.timeout,
  };
}

/** Runs a scenario with everything shown that `options` wants, and says how it ended. @throws UsageError, ImageError, FormatError */
export async function runScenario(
  scenario: Scenario,
  options: {
    readonly out: string;
    readonly console: boolean;
    readonly backend: string;
    readonly trace?: string;
    readonly qmp?: readonly ControlOption[];
    readonly monitor?: readonly ControlOption[];
  },
): Promise<RunReport> {
  checkScenario(scenario);
  const backend = findBackend(options.backend);
  const controls = [...(options.qmp ?? []), ...(options.monitor ?? [])];
  const prepared = await prepareWithProgress(scenario);
  announce(prepared, options.out);
  using interrupt = interruptSignal();
  const events: KexecEvent[] = [];
  const report = await runFlow(
    prepared,
    options.out,
    config => backend({ ...config, controls }),
    {
      onConsole: bytes => {
        if (options.console) process.stdout.write(Uint8Array.from(bytes));
      },
      onPhase: phase => {
        if (!options.console) console.error(`kdump-lab: ${formatPhase(phase)}`);
      },
      onKexecEvent: event => {
        events.push(event);
        console.error(options.trace === 'kexec,json' ? JSON.stringify(event) : `kdump-lab: ${formatKexecEvent(event)}`);
      },
      onNote: note => console.error(`kdump-lab: note: ${note.text}`),
    },
    interrupt.signal,
  );
  if (scenario.traceKexec)
    writeFileAtomically(join(options.out, TRACE_FILE), `${JSON.stringify(events, undefined, 2)}\n`);
  printOutcome(report, options.out);
  return report;
}

/** What `--trace` leaves in the output folder. */
const TRACE_FILE = 'kexec-trace.json';

async function prepareWithProgress(scenario: Scenario): Promise<PreparedRun> {
  using progress = new ProgressLine();
  return prepareRun(scenario, event => progress.show(event));
}

function announce(prepared: PreparedRun, out: string): void {
  const { scenario, image, release, package: record } = prepared;
  const origin = record === undefined ? scenario.kernel : `${record.name} ${record.version}`;
  console.error(
    `kdump-lab: kernel ${release} (${image.format}, ${origin ?? ''}), ${scenario.cpus} CPU, ${scenario.memorySize / 2 ** 20} MiB, output in ${out}`,
  );
  if (scenario.fast) {
    console.error('kdump-lab: fast: kexec -i, cryptomgr.notests in both kernels, no seeds in the device tree');
  }
}

/** One line: `capture-init    guest 4.123 s, wall 1.2 s, 1,234 M instructions`. */
export function formatPhase(phase: Phase): string {
  const parts = [`wall ${phase.wallSeconds.toFixed(2)} s`];
  if (phase.guestSeconds !== null) parts.unshift(`guest ${phase.guestSeconds.toFixed(3)} s`);
  if (phase.instructions !== null)
    parts.push(`${Math.round(phase.instructions / 1e6).toLocaleString('en')} M instructions`);
  return `${phase.name.padEnd(16)}${parts.join(', ')}`;
}

/** One line: `kexec panic guest 0.489 s, 489 M instructions, CPU 0: …`. */
function formatKexecEvent({ name, guestSeconds, instructions, cpu, text }: KexecEvent): string {
  // What lies where, at the moment of the event before.
  if (name === 'image' || name === 'map') return `kexec ${name.padEnd(11)}   ${text}`;
  const when = `guest ${guestSeconds.toFixed(6)} s, ${(instructions / 1e6).toFixed(3)} M instructions, CPU ${cpu}`;
  return `kexec ${name.padEnd(11)} ${when}: ${text}`;
}

function printOutcome(report: RunReport, out: string): void {
  const files = flowFiles(out);
  if (report.vmcore !== null) {
    console.error(`kdump-lab: ${files.vmcore}: ${report.vmcore.size} bytes, saved by ${report.vmcore.collector}`);
  } else if (report.remote !== null) {
    console.error(`kdump-lab: ${report.remote.place}, saved by ${report.remote.collector}`);
  } else {
    console.error(`kdump-lab: ${report.failure ?? 'failed'} (console in ${files.console})`);
  }
}

/** Exit status for a report. */
export function exitStatus(report: RunReport): number {
  return { dumped: 0, failed: EXIT_FAILURE, interrupted: EXIT_INTERRUPTED }[report.outcome];
}
