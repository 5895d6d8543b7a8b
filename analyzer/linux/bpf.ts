/** Loaded BPF programs and maps; `include/linux/bpf.h`, `kernel/bpf/syscall.c` (Linux v4.15 to v6.12). */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { possibleCpus } from './cpumask.ts';
import { idrForEach } from './xarray.ts';

/** `struct bpf_prog` with what its `aux` says. */
export interface BpfProgram {
  readonly id: number;
  readonly struct: StructObject;
  readonly aux: StructObject | undefined;
  /** Without `BPF_PROG_TYPE_`. */
  readonly type: string;
  readonly name: string;
  /** Hexadecimal. */
  readonly tag: string;
  /** Ids of the maps that it uses. */
  readonly maps: readonly number[];
}

/** `struct bpf_map`. */
export interface BpfMap {
  readonly id: number;
  readonly struct: StructObject;
  /** Without `BPF_MAP_TYPE_`. */
  readonly type: string;
  readonly name: string;
}

const MAX_USED_MAPS = 4096;

/** `prog_idr`. */
export function bpfPrograms(program: Program, maps: readonly BpfMap[]): BpfProgram[] {
  return entries(program, 'prog_idr', 'bpf_prog').map(struct => {
    const aux = struct.follow('aux');
    return {
      id: aux?.num('id') ?? 0,
      struct,
      aux,
      type: enumName(program, 'bpf_prog_type', struct.num('type'), 'BPF_PROG_TYPE_'),
      name: aux?.string('name') ?? '',
      tag: Buffer.from(struct.memory.readBytes(struct.addressOf('tag'), 8)).toString('hex'),
      maps: usedMaps(aux, maps),
    };
  });
}

/** `map_idr`. */
export function bpfMaps(program: Program): BpfMap[] {
  return entries(program, 'map_idr', 'bpf_map').map(struct => ({
    id: struct.num('id'),
    struct,
    type: enumName(program, 'bpf_map_type', struct.num('map_type'), 'BPF_MAP_TYPE_'),
    name: struct.string('name'),
  }));
}

/** `bpf_prog_aux.used_maps`. */
function usedMaps(aux: StructObject | undefined, maps: readonly BpfMap[]): number[] {
  if (aux === undefined) return [];
  const table = aux.pointer('used_maps');
  const count = Math.min(aux.num('used_map_cnt'), MAX_USED_MAPS);
  const addresses = Array.from({ length: count }, (_, index) => aux.memory.readU64(table + BigInt(8 * index)));
  return addresses.flatMap(address => maps.filter(({ struct }) => struct.address === address).map(({ id }) => id));
}

function entries(program: Program, symbol: string, struct: string): StructObject[] {
  const address = program.symbols.find(symbol);
  if (address === undefined) return [];
  return [...idrForEach(program, program.object('idr', address))].map(({ pointer }) => program.object(struct, pointer));
}

function enumName(program: Program, tag: string, value: number, prefix: string): string {
  const found = program.types.findEnum(tag)?.enumerators.find(entry => Number(entry.value) === value);
  return found?.name.replace(prefix, '') ?? String(value);
}

const WORD = 8;

/** Bytes that a map's elements take, in whole pages: `bpf_map_memory_footprint` of the kernels that do not count them. */
export function mapMemory(program: Program, { struct, type }: BpfMap): number {
  const { pageSize } = program.space;
  const size = struct.num('value_size');
  const isPercpu = /^(?:PERCPU_(?:HASH|ARRAY|CGROUP_STORAGE)|LRU_PERCPU_HASH)$/.test(type);
  const holdsFiles = /^(?:PROG_ARRAY|PERF_EVENT_ARRAY|CGROUP_ARRAY|ARRAY_OF_MAPS|HASH_OF_MAPS)$/.test(type);
  const perCpu = roundUp(size, WORD) * possibleCpus(program).length;
  const value = isPercpu ? perCpu : holdsFiles ? 4 : size;
  return roundUp(struct.num('max_entries') * roundUp(struct.num('key_size') + value, WORD), pageSize);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
