/** Counters of memory use; `include/linux/vmstat.h`, `mm/vmstat.c`. */
import { mapPresent } from '../gaps.ts';
import type { Program } from '../program.ts';
import { onlineCpus } from './cpumask.ts';

/** A named counter. */
export interface Counter {
  readonly name: string;
  readonly value: number;
}

/** Reads an array of 64-bit counters whose indices an enumeration names. */
function counters(program: Program, enumName: string, end: string, address: bigint): Counter[] {
  const type = program.types.findEnum(enumName);
  if (type === undefined) return [];
  const limit = type.enumerators.find(({ name }) => name === end)?.value ?? BigInt(type.enumerators.length);
  // Of several names for one index the last is the counter's own: NR_LRU_BASE, NR_INACTIVE_ANON.
  const names = new Map(type.enumerators.map(({ name, value }) => [value, name]));
  const found: Counter[] = [];
  for (const [value, name] of names) {
    if (value >= limit) continue;
    found.push({ name, value: Number(BigInt.asIntN(64, program.memory.readU64(address + 8n * value))) });
  }
  return found;
}

/** `vm_zone_stat[]`. */
export function zoneCounters(program: Program, address = program.symbols.find('vm_zone_stat')): Counter[] {
  return address === undefined ? [] : counters(program, 'zone_stat_item', 'NR_VM_ZONE_STAT_ITEMS', address);
}

/** `vm_node_stat[]`. */
export function nodeCounters(program: Program): Counter[] {
  const address = program.symbols.find('vm_node_stat');
  return address === undefined ? [] : counters(program, 'node_stat_item', 'NR_VM_NODE_STAT_ITEMS', address);
}

/** `vm_event_states`, summed over CPUs. */
export function eventCounters(program: Program): Counter[] {
  const sums = new Map<string, number>();
  const ofCpu = (cpu: number): Counter[] => {
    const address = program.percpuAddress('vm_event_states', cpu);
    return address === undefined ? [] : counters(program, 'vm_event_item', 'NR_VM_EVENT_ITEMS', address);
  };
  for (const { name, value } of mapPresent(program, 'events of CPUs', onlineCpus(program), ofCpu).flat())
    sums.set(name, (sums.get(name) ?? 0) + value);
  return [...sums].map(([name, value]) => ({ name, value }));
}

/** A counter by name from zones or nodes; negative sums, which races leave, count as zero. */
export function vmCounter(program: Program, name: string): number {
  const all = [...zoneCounters(program), ...nodeCounters(program)];
  return Math.max(0, all.find(counter => counter.name === name)?.value ?? 0);
}
