/** CPU masks; `include/linux/cpumask.h`. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { stripTypedefs } from '../types/types.ts';

/** CONFIG_NR_CPUS is at most this on the architectures read here. */
const MAX_CPUS = 8192;

/** Numbers of the set bits of a mask. @param bits bits to read */
export function readCpumask(program: Program, address: bigint, bits: number): number[] {
  const cpus: number[] = [];
  for (let word = 0; word < Math.ceil(bits / 64); word++) {
    const value = program.memory.readU64(address + BigInt(8 * word));
    for (let bit = 0; bit < 64 && word * 64 + bit < bits; bit++) {
      if (((value >> BigInt(bit)) & 1n) === 1n) cpus.push(word * 64 + bit);
    }
  }
  return cpus;
}

/** The CPUs of a `cpumask_var_t`: the mask itself, or with CONFIG_CPUMASK_OFFSTACK a pointer to it. */
export function cpumaskVar(program: Program, struct: StructObject, member: string, bits: number): number[] {
  const place = struct.type.place(member);
  const isPointer = place !== undefined && stripTypedefs(place.type).kind === 'pointer';
  const address = isPointer ? struct.pointer(member) : struct.addressOf(member);
  return address === 0n ? [] : readCpumask(program, address, bits);
}

/** `__cpu_possible_mask`; without it, CPU 0. */
export function possibleCpus(program: Program): number[] {
  return namedMask(program, '__cpu_possible_mask') ?? [0];
}

/**
 * The CPUs that ran when the kernel crashed: `__cpu_online_mask`, and those that left their registers in the dump. arm64
 * takes the others offline when it stops them (since 6.11, and in stable kernels).
 */
export function onlineCpus(program: Program): number[] {
  const possible = possibleCpus(program);
  const online = onlineMask(program) ?? possible;
  const noted = program.crashRegisters.length;
  return noted > online.length ? possible.slice(0, noted) : online;
}

/** `__cpu_online_mask` as it is: `stop_this_cpu` takes a CPU out of it. */
export function onlineMask(program: Program): number[] | undefined {
  return namedMask(program, '__cpu_online_mask');
}

/** `__cpu_present_mask`. */
export function presentCpus(program: Program): number[] {
  return namedMask(program, '__cpu_present_mask') ?? possibleCpus(program);
}

function namedMask(program: Program, symbol: string): number[] | undefined {
  const address = program.symbols.find(symbol);
  if (address === undefined) return undefined;
  const bits = Math.min(MAX_CPUS, 8 * (program.types.findStruct('cpumask')?.size ?? 8));
  try {
    const cpus = readCpumask(program, address, bits);
    return cpus.length === 0 ? undefined : cpus;
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

/** CPUs as the kernel lists them: `0-1,4`. */
export function cpuListText(cpus: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const cpu of cpus) {
    const range = ranges.at(-1);
    if (range !== undefined && cpu === range[1] + 1) range[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
