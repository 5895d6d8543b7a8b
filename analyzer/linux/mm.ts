/** Memory of the machine and of processes; `include/linux/mm_types.h`, `include/linux/mmzone.h`. */
import { mapPresent } from '../gaps.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import type { Task, TaskTable } from './sched.ts';
import { percpuCounterSum } from './percpu-counter.ts';

/** `pglist_data` of every node. */
export function nodes(program: Program): StructObject[] {
  const table = program.symbols.find('node_data');
  if (table !== undefined) return nodesOfTable(program, table);
  const single = program.findGlobal('pglist_data', 'contig_page_data');
  return single === undefined ? [] : [single];
}

const MAX_NODES = 1024;

function nodesOfTable(program: Program, table: bigint): StructObject[] {
  const found: StructObject[] = [];
  const online = onlineNodes(program);
  for (const node of online) {
    const address = program.memory.readU64(table + BigInt(8 * node));
    if (address !== 0n) found.push(program.object('pglist_data', address));
  }
  return found;
}

/** `node_states[N_ONLINE]`. */
function onlineNodes(program: Program): number[] {
  const states = program.symbols.find('node_states') ?? program.vmcoreinfo.symbol('node_online_map');
  if (states === undefined) return [0];
  const size = program.types.findStruct('nodemask_t')?.size ?? 8;
  const N_ONLINE = program.types.enumerator('node_states', 'N_ONLINE') ?? 1;
  const isTable = program.symbols.find('node_states') !== undefined;
  const mask = program.memory.readBytes(states + BigInt(isTable ? size * N_ONLINE : 0), Math.min(size, MAX_NODES / 8));
  return Array.from({ length: mask.length * 8 }, (_, bit) => bit).filter(
    bit => ((mask[bit >> 3]! >> (bit & 7)) & 1) === 1,
  );
}

/** Bytes of RAM that the nodes have. */
export function presentMemory(program: Program): number {
  const ofNodes = mapPresent(program, 'nodes', nodes(program), node => node.num('node_present_pages'));
  const pages = ofNodes.reduce((sum, count) => sum + count, 0);
  return pages * program.space.pageSize;
}

/** `totalram_pages()`. */
export function totalRamPages(program: Program): number {
  const address = program.symbols.find('_totalram_pages') ?? program.symbols.find('totalram_pages');
  return address === undefined
    ? presentMemory(program) / program.space.pageSize
    : Number(program.memory.readU64(address));
}

/** Pages below `high_memory`: what crash takes for all of memory in its percentages. */
export function highestPfn(program: Program): number {
  const variable = program.symbols.find('high_memory');
  const end = variable === undefined ? undefined : program.space.translate(program.memory.readU64(variable) - 1n);
  return end === undefined ? program.dump.memory.maxPfn : Math.ceil((end + 1) / program.space.pageSize);
}

/** Sizes of a process in KiB, as `ps` shows them. */
export interface TaskMemory {
  readonly virtualKiB: number;
  readonly residentKiB: number;
  /** Of the memory below the highest page. */
  readonly percent: number;
}

const NOTHING: TaskMemory = { virtualKiB: 0, residentKiB: 0, percent: 0 };
/** MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES of `mm->rss_stat`. */
const RESIDENT_COUNTERS = [0, 1, 3] as const;

/** Reads a task's memory use. Kernel threads have none; what cannot be read counts as none. */
export function taskMemory(tasks: TaskTable, task: Task): TaskMemory {
  const { program } = tasks;
  try {
    const { mm } = task;
    if (mm === undefined) return NOTHING;
    const pageKiB = program.space.pageSize / 1024;
    const resident = Math.max(0, residentPages(tasks, task, mm));
    const percent = (resident * 100) / highestPfn(program);
    return { virtualKiB: mm.num('total_vm') * pageKiB, residentKiB: resident * pageKiB, percent };
  } catch (error) {
    if (error instanceof FaultError) return NOTHING;
    throw error;
  }
}

/** `get_mm_rss`, with what the threads have not yet added (SPLIT_RSS_COUNTING, until 6.1). */
function residentPages(tasks: TaskTable, task: Task, mm: StructObject): number {
  if (mm.has('rss_stat[0].count')) {
    return sumOf(index => percpuCounterSum(tasks.program, mm.embedded(`rss_stat[${index}]`)));
  }
  const shared = sumOf(index => mm.num(`rss_stat.count[${index}].counter`));
  if (!task.struct.has('rss_stat.count')) return shared;
  const threads = tasks.threadsOf(task.tgid);
  return threads.reduce((sum, thread) => sum + threadPages(thread), shared);
}

function threadPages(thread: Task): number {
  return sumOf(index => thread.struct.num(`rss_stat.count[${index}]`));
}

function sumOf(count: (index: number) => number): number {
  let sum = 0;
  for (const index of RESIDENT_COUNTERS) sum += count(index);
  return sum;
}
