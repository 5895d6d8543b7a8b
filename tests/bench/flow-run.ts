/**
 * One run of the flow on one machine, in a process of its own: `flow-run.ts BACKEND SCENARIO-AS-JSON FOLDER`.
 * Prints a `FlowRun` as JSON. What is fetched and built before power-on is not counted.
 */
import { findBackend } from '../../scripts/commands/backends.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import type { RunReport } from '../../scripts/lab/report.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';
import { UsageMeter, type Usage } from './usage.ts';

/** What a run says of itself. */
export interface FlowRun extends Usage {
  readonly report: RunReport;
}

const [backend = '', scenario = '', folder = ''] = process.argv.slice(2);
const prepared = await prepareRun({ ...DEFAULT_SCENARIO, ...(JSON.parse(scenario) as Partial<Scenario>) });
const meter = new UsageMeter({ ownMemory: backend === 'kdump-lab' });
const report = await runFlow(prepared, folder, findBackend(backend));
const run: FlowRun = { ...meter.stop(), report };
process.stdout.write(JSON.stringify(run));
