/** `doctor`: is the dump whole, and what did its dump level remove? Not one of crash's commands. */
import { FaultError, FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { onlineCpus } from '../linux/cpumask.ts';
import { presentMemory } from '../linux/mm.ts';
import { listModules } from '../linux/module.ts';
import { readLog } from '../linux/printk.ts';
import type { Program } from '../program.ts';
import { bytesText } from '../text/layout.ts';
import { taskStack } from '../unwind/stacks.ts';
import type { Command } from './command.ts';
import type { Session } from './session.ts';

interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'note' | 'bad';
  readonly detail: string;
}

interface DoctorData {
  readonly findings: readonly Finding[];
}

/** `doctor`. */
export const doctor: Command<DoctorData> = {
  name: 'doctor',
  summary: 'checks that the dump is complete, and names what was filtered out of it',
  synopsis: '',
  options: [],
  description:
    'Each check is `ok`, `note` (something is missing on purpose) or `bad` (the dump is damaged or cut short).',
  examples: [{ line: 'doctor', why: 'before trusting that something is not there' }],
  run: session => ({ findings: CHECKS.map(([check, run]) => ({ check, ...guarded(() => run(session)) })) }),
  text: ({ findings }) =>
    findings.map(({ check, verdict, detail }) => `${verdict.padEnd(5)} ${check.padEnd(18)} ${detail}\n`).join(''),
};

type Check = (session: Session) => Pick<Finding, 'verdict' | 'detail'>;

const CHECKS: readonly (readonly [check: string, run: Check])[] = [
  ['file', fileCheck],
  ['dump level', levelCheck],
  ['pages', pagesCheck],
  ['registers', registersCheck],
  ['build id', buildIdCheck],
  [
    'symbols',
    ({ program }) =>
      ok(`${program.symbols.kernel.count} of the kernel, ${program.symbols.extra.count} recovered otherwise`),
  ],
  [
    'types',
    ({ program }) =>
      program.btf === undefined
        ? bad('no BTF: structures cannot be read')
        : ok(`BTF with ${program.btf.endId - 1} types`),
  ],
  ['tasks', tasksCheck],
  ['kernel stacks', stacksCheck],
  ['log', ({ program }) => ok(`${readLog(program).length} records`)],
  ['modules', ({ program }) => ok(`${listModules(program).length} loaded`)],
];

function ok(detail: string): Pick<Finding, 'verdict' | 'detail'> {
  return { verdict: 'ok', detail };
}

function note(detail: string): Pick<Finding, 'verdict' | 'detail'> {
  return { verdict: 'note', detail };
}

function bad(detail: string): Pick<Finding, 'verdict' | 'detail'> {
  return { verdict: 'bad', detail };
}

function guarded(run: () => Pick<Finding, 'verdict' | 'detail'>): Pick<Finding, 'verdict' | 'detail'> {
  try {
    return run();
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError || error instanceof UnimplementedError)
      return bad(error.message);
    throw error;
  }
}

function fileCheck({ program: { dump } }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const format = `${dump.format}${dump.flattened ? ', flattened' : ''}`;
  if (dump.incomplete) return bad(`${format}: the tool could not write all of it`);
  const missing = firstMissingPage(dump.memory);
  if (missing !== undefined)
    return bad(`${format}, cut short: pages from physical address 0x${missing.toString(16)} on are missing`);
  return dump.warnings.length > 0 ? note(`${format}: ${dump.warnings.join('; ')}`) : ok(format);
}

/** Pages stand in the file in order of their numbers: where a file that is cut short ends, by bisection. */
function firstMissingPage(memory: MemorySource): number | undefined {
  if (isReadableFrom(memory, lastPage(memory))) return undefined;
  let [low, high] = [0, memory.maxPfn];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isReadableFrom(memory, middle)) low = middle + 1;
    else high = middle;
  }
  return low * memory.pageSize;
}

function lastPage(memory: MemorySource): number {
  let pfn = memory.maxPfn - 1;
  while (pfn > 0 && !memory.hasPage(pfn)) pfn--;
  return pfn;
}

/** Tells whether the first page from a frame on that the dump says it has can be read. */
function isReadableFrom(memory: MemorySource, first: number): boolean {
  let pfn = first;
  while (pfn < memory.maxPfn && !memory.hasPage(pfn)) pfn++;
  if (pfn >= memory.maxPfn) return false;
  try {
    memory.readPage(pfn);
    return true;
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return false;
    throw error;
  }
}

/** makedumpfile's levels are sums of these; makedumpfile(8) `-d`. */
const LEVEL_BITS: readonly (readonly [bit: number, pages: string])[] = [
  [1, 'zero'],
  [2, 'page cache'],
  [4, 'private page cache'],
  [8, 'user'],
  [16, 'free'],
];

function levelCheck({ program: { dump } }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const level = dump.dumpLevel;
  if (level === undefined) return ok('the format does not say');
  if (level === 0) return ok('0: nothing was filtered out');
  const removed = LEVEL_BITS.filter(([bit]) => (level & bit) !== 0).map(([, pages]) => pages);
  return note(`${level}: without pages that are ${removed.join(', ')}`);
}

function pagesCheck({ program }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const { memory } = program.dump;
  let pages = 0;
  for (let pfn = 0; pfn < memory.maxPfn; pfn++) if (memory.hasPage(pfn)) pages++;
  return ok(`${pages} pages, ${bytesText(pages * memory.pageSize)} of ${bytesText(presentMemory(program))}`);
}

function registersCheck({ program }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const [cpus, notes] = [onlineCpus(program).length, program.crashRegisters.length];
  return notes < cpus ? note(`${notes} of ${cpus} CPUs saved their registers`) : ok(`${notes} CPUs`);
}

function buildIdCheck({ program }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const id = program.vmcoreinfo.buildId;
  if (id === undefined) return ok('the kernel does not say');
  return ok(program.vmlinux === undefined ? id : `${id}, the same in the vmlinux`);
}

function tasksCheck({ tasks }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const unreadable = tasks.all.filter(task => !isReadable(() => task.comm)).length;
  return unreadable > 0 ? bad(`${unreadable} of ${tasks.all.length} cannot be read`) : ok(`${tasks.all.length}`);
}

function stacksCheck({ program, tasks }: Session): Pick<Finding, 'verdict' | 'detail'> {
  const missing = tasks.all.filter(task => !isReadable(() => readStack(program, taskStack(program, task)))).length;
  return missing > 0 ? bad(`${missing} of ${tasks.all.length} are not in the dump`) : ok('all are in the dump');
}

function readStack(program: Program, { start, end }: { start: bigint; end: bigint }): void {
  program.memory.readBytes(start, Number(end - start));
}

function isReadable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof FaultError || error instanceof FormatError) return false;
    throw error;
  }
}
