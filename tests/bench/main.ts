/**
 * `npm run bench`: our machine against QEMU, our analyzer against crash and drgn, on the same inputs and in one go.
 * On a host with other work only the ratios mean something.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { ARCHITECTURE_DEFAULTS } from '../../scripts/lab/scenario.ts';
import { benchAnalyzer } from './analyzer.ts';
import { benchFlow, type Backend } from './flow.ts';
import { benchMakedumpfile } from './makedumpfile.ts';
import { benchMicro } from './micro.ts';
import { measureCommand } from './usage.ts';
import { findDumpFolder } from '../support/crash-reference.ts';

const PARTS = ['flow', 'default', 'analyzer', 'makedumpfile', 'micro'] as const;
type Part = (typeof PARTS)[number];
const ARCHITECTURES = ['aarch64', 'x86_64'] as const satisfies readonly Architecture[];

const USAGE = `usage: npm run bench -- [options]
  --parts LIST     of ${PARTS.join(',')} (default: all)
                     flow      the two-kernel flow with --fast
                     default   the flow as tutorials do it
                     analyzer  kdump-lab crash, crash, drgn (of KDUMP_LAB_DRGN, PATH or Python)
                     makedumpfile  kdump-lab makedumpfile beside Debian's, on an x86_64 dump with all pages and on large ones
                               made of it (14 GB of space in TMPDIR)
                     micro     loops without an operating system
  --arch LIST      of aarch64,x86_64 (default: both), for flow, default and micro
  --runs N         runs of each part on each program (default: 3)
  --suite SUITE    Debian suite of the kernel (default: bookworm)
  --smp N          CPUs (default: 1)
  --dump FILE      dump for the analyzers (default: the one that a flow has saved)
  --vmlinux FILE   with the debug information of that dump's kernel, for crash and drgn
  --no-qemu        without QEMU`;

const { values } = parseArgs({
  options: {
    parts: { type: 'string', default: PARTS.join(',') },
    arch: { type: 'string', default: ARCHITECTURES.join(',') },
    runs: { type: 'string', default: '3' },
    suite: { type: 'string', default: 'bookworm' },
    smp: { type: 'string', default: '1' },
    dump: { type: 'string' },
    vmlinux: { type: 'string' },
    'no-qemu': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

if (values.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const parts = chosen('--parts', values.parts, PARTS);
  const architectures = chosen('--arch', values.arch, ARCHITECTURES);
  const runs = positiveInteger('--runs', values.runs);
  const qemu = values['no-qemu'] ? undefined : version('qemu-system-aarch64');
  const backends: readonly Backend[] = qemu === undefined ? ['kdump-lab'] : ['kdump-lab', 'qemu'];
  console.log(
    `Host: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; Node ${process.version}; ${qemu ?? 'no QEMU'}`,
  );
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-'));
  try {
    await runParts(parts, architectures, backends, runs, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runParts(
  parts: readonly Part[],
  architectures: readonly Architecture[],
  backends: readonly Backend[],
  runs: number,
  folder: string,
): Promise<void> {
  const scenario = { suite: values.suite, cpus: positiveInteger('--smp', values.smp) };
  let { dump } = values;
  for (const architecture of architectures) {
    const hardware = { ...scenario, architecture, ...ARCHITECTURE_DEFAULTS[architecture] };
    for (const part of ['flow', 'default'] as const) {
      if (!parts.includes(part)) continue;
      const fast = part === 'flow';
      const title = `${architecture}, ${fast ? '--fast' : 'default'}`;
      const output = await benchFlow(title, { ...hardware, fast }, backends, runs, join(folder, architecture, part));
      dump ??= join(output, 'vmcore');
    }
  }
  if (parts.includes('analyzer')) {
    if (dump === undefined) throw new Error('the part analyzer needs a dump: --dump FILE, or the part flow before it');
    await benchAnalyzer(dump, values.vmlinux, runs);
  }
  if (parts.includes('makedumpfile')) {
    await benchMakedumpfile(values.dump ?? (await wholeDump(folder)), runs);
  }
  if (!parts.includes('micro')) return;
  for (const architecture of architectures) await benchMicro(architecture, backends, runs);
}

/** A dump with all pages: the reference one, or one that is made now. */
async function wholeDump(folder: string): Promise<string> {
  const reference = findDumpFolder('x86_64-6.1');
  if (reference !== undefined) return join(reference, 'vmcore');
  const out = join(folder, 'whole');
  const launcher = join(import.meta.dirname, '../../scripts/kdump-lab');
  const run = await measureCommand(launcher, ['run', '--arch', 'x86_64', '--fast', '--collector', 'cp', '--out', out]);
  if (run.status !== 0) throw new Error(`no dump for the part makedumpfile: ${run.stderr}`);
  return join(out, 'vmcore');
}

function chosen<Name extends string>(option: string, list: string, known: readonly Name[]): readonly Name[] {
  const names = list.split(',');
  const unknown = names.find(name => !known.some(candidate => candidate === name));
  if (unknown !== undefined) throw new Error(`${option} ${unknown}: there are ${known.join(', ')}`);
  return known.filter(name => names.includes(name));
}

function positiveInteger(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`${option} ${text}: must be a whole number above 0`);
  return Number(text);
}

/** First line of `PROGRAM --version`; undefined when it is not installed. */
function version(program: string): string | undefined {
  const { stdout, error } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return error === undefined ? stdout.split('\n')[0]!.replace(/ \(.*\)/, '') : undefined;
}
