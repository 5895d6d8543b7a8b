/** Per-cpu variables; `include/asm-generic/percpu.h`, `mm/percpu.c`. */
import type { Program } from '../program.ts';
import { possibleCpus } from './cpumask.ts';

/** Reads `__per_cpu_offset[]` up to the highest possible CPU. On a kernel without SMP the only offset is 0. */
export function percpuOffsets(program: Program): bigint[] {
  const table = program.symbols.find('__per_cpu_offset');
  if (table === undefined) return [0n];
  const count = Math.max(0, ...possibleCpus(program)) + 1;
  return Array.from({ length: count }, (_, cpu) => program.memory.readU64(table + BigInt(8 * cpu)));
}
