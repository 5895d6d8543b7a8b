/** `kdump-lab demo`: the flow with Debian's arm64 cloud kernel and the shortcuts of `--fast`, then what the analyzer reads in the dump. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { Command, Option } from 'commander';

import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { flowFiles } from '../lab/flow.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO } from '../lab/scenario.ts';
import { DEFAULT_BACKEND } from './backends.ts';
import { EXIT_FAILURE } from './errors.ts';
import { exitStatus, formatPhase, runScenario } from './run.ts';

interface DemoOptions {
  readonly arch: Architecture;
  readonly suite: string;
  readonly out: string;
  readonly backend: string;
}

const SHOWN_COMMANDS = 'sys; bt; ps';
const LOG_LINES = 20;

/** The `demo` command. */
export function demoCommand(): Command {
  return new Command('demo')
    .description("the whole flow with Debian's cloud kernel (with --fast), then sys, bt, ps and the last lines of log")
    .addOption(
      new Option('--arch <arch>', 'architecture').choices(['aarch64', 'x86_64']).default(DEFAULT_SCENARIO.architecture),
    )
    .option('--suite <suite>', 'Debian suite: bookworm, trixie, sid', DEFAULT_SCENARIO.suite)
    .option('--out <dir>', 'folder for console.log, vmcore and report.json', 'kdump-lab-out')
    .addOption(new Option('--backend <name>', 'machine to run on').default(DEFAULT_BACKEND).hideHelp())
    .action(async (options: DemoOptions) => runDemo(options));
}

async function runDemo({ arch, suite, out, backend }: DemoOptions): Promise<void> {
  const scenario = { ...DEFAULT_SCENARIO, ...ARCHITECTURE_DEFAULTS[arch], architecture: arch, suite, fast: true };
  const report = await runScenario(scenario, { out, backend, console: true });
  process.exitCode = exitStatus(report);
  if (report.outcome !== 'dumped') return;
  for (const phase of report.phases) console.error(`kdump-lab: ${formatPhase(phase)}`);
  const { vmcore } = flowFiles(out);
  console.log(`\n$ kdump-lab crash ${vmcore} -c '${SHOWN_COMMANDS}'`);
  process.exitCode = analyze(vmcore, SHOWN_COMMANDS, 'inherit').status ?? EXIT_FAILURE;
  console.log(`\n$ kdump-lab crash ${vmcore} -c log | tail -n ${LOG_LINES}`);
  const log = analyze(vmcore, 'log', 'pipe').stdout;
  console.log(log.trimEnd().split('\n').slice(-LOG_LINES).join('\n'));
}

/** A process of its own: the analyzer reads the dump as anybody's would, without the machine's memory beside it. */
function analyze(vmcore: string, commands: string, stdout: 'inherit' | 'pipe') {
  const program = fileURLToPath(new URL('../kdump-lab.ts', import.meta.url));
  return spawnSync(process.execPath, [program, 'crash', vmcore, '-c', commands], {
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'inherit'],
    maxBuffer: 64 * 2 ** 20,
  });
}
