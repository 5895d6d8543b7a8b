/** The two-kernel flow on our machine and on QEMU, turn by turn, so that a busy host hits both. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { keptCodeFolder } from '../../scripts/lab/kept-code.ts';
import type { Phase, RunReport } from '../../scripts/lab/report.ts';
import type { Scenario } from '../../scripts/lab/scenario.ts';
import type { FlowRun } from './flow-run.ts';
import { mebibytes, median, ratio, seconds, table } from './table.ts';
import { measureCommand } from './usage.ts';

/** Names as `--backend` takes them; the second is the one to compare with. */
export type Backend = 'kdump-lab' | 'qemu';

/** Runs a scenario on each machine and prints the comparison. @returns folder of our last run */
export async function benchFlow(
  title: string,
  scenario: Partial<Scenario>,
  backends: readonly Backend[],
  runs: number,
  folder: string,
): Promise<string> {
  const results: Record<Backend, FlowRun[]> = { 'kdump-lab': [], qemu: [] };
  rmSync(keptCodeFolder(), { recursive: true, force: true });
  const first = await runOnce('kdump-lab', scenario, join(folder, 'kdump-lab'));
  for (let run = 0; run < runs; run++) {
    for (const backend of backends) results[backend].push(await runOnce(backend, scenario, join(folder, backend)));
  }
  const ours = results['kdump-lab'];
  const theirs = results.qemu;
  const { machine, kernel } = ours[0]!.report;
  console.log(`\n## Flow: ${title}\n`);
  console.log(`${kernel.release}, ${runs} run${runs === 1 ? '' : 's'} each, medians.\n`);
  const header = [
    'Phase ends at',
    machine,
    theirs[0]?.report.machine ?? 'QEMU: not installed',
    'ratio',
    'instructions',
  ];
  console.log(table(header, [...phaseRows(ours, theirs), ...totalRows(first, ours, theirs)]));
  return join(folder, 'kdump-lab');
}

/** As scripts/kdump-lab starts Node. */
const NODE_OPTION = '--no-wasm-inlining';

async function runOnce(backend: Backend, scenario: Partial<Scenario>, folder: string): Promise<FlowRun> {
  const program = join(import.meta.dirname, 'flow-run.ts');
  const { stdout, stderr, status } = await measureCommand(process.execPath, [
    NODE_OPTION,
    program,
    backend,
    JSON.stringify(scenario),
    folder,
  ]);
  if (status !== 0) throw new Error(`the run on ${backend} ended with status ${status}: ${stderr.trim()}`);
  const run = JSON.parse(stdout) as FlowRun;
  if (run.report.outcome !== 'dumped') throw new Error(`the run on ${backend} failed: ${run.report.failure}`);
  return run;
}

type Cells = readonly [name: string, ours: string, theirs: string, ratio: string, instructions: string];

/** How long each phase took: from its beginning to that of the next one. */
function phaseRows(ours: readonly FlowRun[], theirs: readonly FlowRun[]): Cells[] {
  const { phases } = ours[0]!.report;
  return phases.slice(1).map((phase, i): Cells => {
    const lengths = (runs: readonly FlowRun[]): number[] => runs.map(({ report }) => phaseSeconds(report, i + 1));
    const instructions = ((phase.instructions ?? 0) - (phases[i]!.instructions ?? 0)) / 1e6;
    return row(
      phase.name,
      lengths(ours),
      lengths(theirs),
      seconds,
      `${Math.round(instructions).toLocaleString('en')} M`,
    );
  });
}

function phaseSeconds({ phases }: RunReport, index: number): number {
  const at = (i: number): Phase | undefined => phases[i];
  return (at(index)?.wallSeconds ?? Number.NaN) - (at(index - 1)?.wallSeconds ?? Number.NaN);
}

function totalRows(first: FlowRun, ours: readonly FlowRun[], theirs: readonly FlowRun[]): Cells[] {
  const total = (ours[0]!.report.phases.at(-1)?.instructions ?? 0) / 1e6;
  const instructions = `${Math.round(total).toLocaleString('en')} M`;
  return [
    row('**wall time**', ours.map(wall), theirs.map(wall), seconds, instructions),
    row('**wall time, first run**', [wall(first)], theirs.map(wall), seconds, ''),
    row('**CPU time**', ours.map(cpu), theirs.map(cpu), seconds, ''),
    row('**peak RSS**', ours.map(peak), theirs.map(peak), mebibytes, ''),
  ];
}

const wall = (run: FlowRun): number => run.report.phases.at(-1)!.wallSeconds;
const cpu = (run: FlowRun): number => run.cpuSeconds;
const peak = (run: FlowRun): number => run.peakBytes;

function row(
  name: string,
  ours: readonly number[],
  theirs: readonly number[],
  format: (value: number) => string,
  instructions: string,
): Cells {
  const [mine, other] = [median(ours), theirs.length === 0 ? undefined : median(theirs)];
  return [name, format(mine), other === undefined ? '–' : format(other), ratio(mine, other), instructions];
}
