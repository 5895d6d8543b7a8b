/** `include/linux/percpu_counter.h`. */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { onlineCpus } from './cpumask.ts';

/** `percpu_counter_sum`: the shared count and what each CPU has not yet added. */
export function percpuCounterSum(program: Program, counter: StructObject): number {
  let sum = counter.num('count');
  const local = counter.pointer('counters');
  if (local === 0n) return sum;
  for (const cpu of onlineCpus(program)) {
    const offset = program.percpuOffsets[cpu];
    if (offset !== undefined) sum += program.memory.readI32(BigInt.asUintN(64, local + offset));
  }
  return sum;
}
