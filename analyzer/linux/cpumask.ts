/** CPU masks; `include/linux/cpumask.h`. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';

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
  const online = namedMask(program, '__cpu_online_mask') ?? possible;
  const noted = program.crashRegisters.length;
  return noted > online.length ? possible.slice(0, noted) : online;
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
