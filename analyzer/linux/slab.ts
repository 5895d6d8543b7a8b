/** SLUB; `mm/slub.c`, `mm/slab.h`. The other allocators (SLAB, SLOB) left the kernel in 6.8 and 6.4. */
import { untilGap } from '../gaps.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import { onlineCpus } from './cpumask.ts';
import { listForEach, listForEachEntry } from './list.ts';
import { nodes } from './mm.ts';
import { pageFlagBit } from './page-flags.ts';
import { pageAddress, pfnOfPage } from './page.ts';

const MAX_CACHES = 100_000;
const MAX_SLABS = 10_000_000;
const MAX_OBJECTS = 65_536;

/** One slab: a compound page of objects. */
export interface Slab {
  /** Address of its `struct slab`, the same as of its first `struct page`. */
  readonly address: bigint;
  readonly memory: bigint;
  readonly objects: number;
  readonly allocated: number;
  readonly free: ReadonlySet<bigint>;
  /** CPU whose free list holds the free objects, for a CPU's current slab. */
  readonly cpu: number | undefined;
}

/** A cache's numbers. */
export interface CacheSummary {
  readonly cache: StructObject;
  readonly name: string;
  readonly objectSize: number;
  readonly allocated: number;
  readonly total: number;
  readonly slabs: number;
  readonly slabBytes: number;
}

/** All caches in the order of `slab_caches`: newest first. */
export function kmemCaches(program: Program): StructObject[] {
  const head = program.symbols.find('slab_caches') ?? headByExport(program);
  if (head === undefined) return [];
  return [...untilGap(program, 'slab caches', listForEachEntry(program, head, 'kmem_cache', 'list', MAX_CACHES))];
}

/** `slab_caches` when no symbol names it: the one member of the ring that lies in the kernel image. */
function headByExport(program: Program): bigint | undefined {
  const table = program.symbols.find('kmalloc_caches') ?? program.symbols.find('names_cachep');
  if (table === undefined) return undefined;
  const first = firstPointer(program, table);
  if (first === undefined) return undefined;
  const start = program.object('kmem_cache', first).addressOf('list');
  const { kernelStart } = program.symbols;
  const imageEnd = kernelStart + (1n << 28n);
  return [...listForEach(program, start, MAX_CACHES)].find(link => link >= kernelStart && link < imageEnd);
}

function firstPointer(program: Program, table: bigint): bigint | undefined {
  for (let index = 0; index < 64; index++) {
    const value = program.memory.readU64(table + BigInt(8 * index));
    if (value !== 0n) return value;
  }
  return undefined;
}

/** Objects of a slab and how many are in use: `struct slab` since 5.17 (commit d122019bf061 "mm: Split slab into its own type"). */
function slabType(program: Program): string {
  return program.types.findStruct('slab')?.place('slab_cache') === undefined ? 'page' : 'slab';
}

/** `page_address` of a slab. */
function slabMemory(program: Program, slab: bigint): bigint {
  const pfn = pfnOfPage(program, slab);
  return pfn === undefined ? 0n : program.space.directMap(pfn * program.space.pageSize);
}

/** Follows a free list. SLAB_FREELIST_HARDENED: the pointer is XORed with a secret and with its own swapped address. */
function freeObjects(program: Program, cache: StructObject, first: bigint, into: Set<bigint>): void {
  const offset = BigInt(cache.num('offset'));
  const random = cache.has('random') ? cache.pointer('random') : undefined;
  for (let object = first; object !== 0n && !into.has(object) && into.size < MAX_OBJECTS;) {
    into.add(object);
    const at = object + offset;
    const stored = program.memory.readU64(at);
    object = random === undefined ? stored : BigInt.asUintN(64, stored ^ random ^ swap64(at));
  }
}

function swap64(value: bigint): bigint {
  let swapped = 0n;
  for (let index = 0n; index < 8n; index++) swapped = (swapped << 8n) | ((value >> (8n * index)) & 0xffn);
  return swapped;
}

/** Reads a slab. @param cpuFreelist the free list that a CPU took over, for its current slab */
export function readSlab(program: Program, cache: StructObject, address: bigint, cpu?: number, cpuFreelist = 0n): Slab {
  const slab = program.object(slabType(program), address);
  const free = new Set<bigint>();
  freeObjects(program, cache, slab.pointer('freelist'), free);
  freeObjects(program, cache, cpuFreelist, free);
  const objects = slab.num('objects');
  return {
    address,
    memory: slabMemory(program, address),
    objects,
    allocated: Math.max(0, objects - free.size),
    free,
    cpu,
  };
}

/** What a CPU holds of a cache. */
export interface CpuSlabs {
  readonly cpu: number;
  readonly address: bigint;
  readonly slab: Slab | undefined;
  readonly partial: readonly Slab[];
}

/** `struct kmem_cache_cpu` of every online CPU. */
export function cpuSlabs(program: Program, cache: StructObject): CpuSlabs[] {
  if (!cache.has('cpu_slab')) return [];
  const base = cache.pointer('cpu_slab');
  return onlineCpus(program).map(cpu => {
    const address = BigInt.asUintN(64, base + (program.percpuOffsets[cpu] ?? 0n));
    const local = program.object('kmem_cache_cpu', address);
    const member = local.has('slab') ? 'slab' : 'page';
    const current = local.pointer(member);
    const slab = current === 0n ? undefined : readSlab(program, cache, current, cpu, local.pointer('freelist'));
    return { cpu, address, slab, partial: partialSlabs(program, cache, local) };
  });
}

function partialSlabs(program: Program, cache: StructObject, local: StructObject): Slab[] {
  if (!local.has('partial')) return [];
  const found: Slab[] = [];
  const type = slabType(program);
  for (
    let at = local.pointer('partial');
    at !== 0n && found.length < MAX_SLABS && !found.some(({ address }) => address === at);
  ) {
    found.push(readSlab(program, cache, at));
    at = program.object(type, at).pointer('next');
  }
  return found;
}

/** `struct kmem_cache_node` of a node. */
export interface NodeSlabs {
  readonly node: number;
  readonly struct: StructObject;
  readonly slabs: number;
  readonly objects: number;
  readonly partialCount: number;
}

/** The arrays of a cache are only as long as the machine has nodes, whatever their type says. */
function onlineNodes(program: Program): number[] {
  return nodes(program).map(node => node.num('node_id'));
}

/** `get_node`: `node[]` until 6.19, then `per_node[].node` beside the node's barn of sheaves. */
function nodePointer(program: Program, cache: StructObject, node: number): bigint {
  if (cache.has('per_node')) return cache.pointer(`per_node[${node}].node`);
  return program.memory.readU64(cache.addressOf('node') + BigInt(8 * node));
}

/** Free objects that sheaves keep: those of each CPU, and the full ones of each node's barn (since 6.18). */
function sheafObjects(program: Program, cache: StructObject): number {
  if (!cache.has('cpu_sheaves') || cache.pointer('cpu_sheaves') === 0n) return 0;
  let objects = 0;
  for (const cpu of onlineCpus(program)) {
    const address = BigInt.asUintN(64, cache.pointer('cpu_sheaves') + (program.percpuOffsets[cpu] ?? 0n));
    const local = program.object('slub_percpu_sheaves', address);
    for (const name of ['main', 'spare', 'rcu_free']) objects += local.follow(name)?.num('size') ?? 0;
  }
  for (const node of cache.has('per_node') ? onlineNodes(program) : []) {
    const barn = cache.follow(`per_node[${node}].barn`);
    if (barn === undefined) continue;
    for (const sheaf of listForEachEntry(program, barn.addressOf('sheaves_full'), 'slab_sheaf', 'barn_list', MAX_SLABS))
      objects += sheaf.num('size');
  }
  return objects;
}

/** Nodes of a cache that exist. */
export function nodeSlabs(program: Program, cache: StructObject): NodeSlabs[] {
  const found: NodeSlabs[] = [];
  for (const node of onlineNodes(program)) {
    const address = nodePointer(program, cache, node);
    if (address < 0xff00_0000_0000_0000n) continue;
    const struct = program.object('kmem_cache_node', address);
    const counted = struct.has('nr_slabs');
    found.push({
      node,
      struct,
      slabs: counted ? struct.num('nr_slabs.counter') : 0,
      objects: counted ? struct.num('total_objects.counter') : 0,
      partialCount: struct.num('nr_partial'),
    });
  }
  return found;
}

/** Slabs on a node's partial list. */
export function nodePartial(program: Program, cache: StructObject, node: StructObject): Slab[] {
  const type = slabType(program);
  const member = program.types.has(type, 'slab_list') ? 'slab_list' : 'lru';
  return [...listForEachEntry(program, node.addressOf('partial'), type, member, MAX_SLABS)].map(slab =>
    readSlab(program, cache, slab.address),
  );
}

/** `kmem_cache.oo`: objects in the low 16 bits, order above. */
export function slabOrder(cache: StructObject): number {
  return cache.num('oo.x') >> 16;
}

/** Numbers of a cache: free objects are those of the CPUs' slabs and of the partial lists. */
export function cacheSummary(program: Program, cache: StructObject): CacheSummary {
  const nodes = nodeSlabs(program, cache);
  const total = nodes.reduce((sum, { objects }) => sum + objects, 0);
  const slabs = nodes.reduce((sum, node) => sum + node.slabs, 0);
  const local = cpuSlabs(program, cache).flatMap(({ slab, partial }) =>
    slab === undefined ? partial : [slab, ...partial],
  );
  const partial = nodes.flatMap(({ struct }) => nodePartial(program, cache, struct));
  const inSlabs = [...local, ...partial].reduce((sum, slab) => sum + slab.objects - slab.allocated, 0);
  const free = inSlabs + sheafObjects(program, cache);
  return {
    cache,
    name: cache.stringAt('name', 128),
    objectSize: cache.num('object_size'),
    allocated: Math.max(0, total - free),
    total,
    slabs,
    slabBytes: program.space.pageSize * 2 ** slabOrder(cache),
  };
}

/** The cache and slab that an address of the direct map lies in, or undefined. */
export function slabOfAddress(program: Program, address: bigint): { cache: StructObject; slab: bigint } | undefined {
  const { pageOffset, pageSize } = program.space;
  if (address < pageOffset) return undefined;
  try {
    const paddr = program.space.translate(address);
    if (paddr === undefined || program.space.directMap(paddr) !== address) return undefined;
    const page = pageAddress(program, Math.floor(paddr / pageSize));
    const head = page === undefined ? undefined : compoundHead(program, page);
    if (head === undefined || !isSlab(program, head)) return undefined;
    const cache = program.object(slabType(program), head).follow('slab_cache');
    return cache === undefined ? undefined : { cache, slab: head };
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

/**
 * `compound_head`: bit 0 of the member marks a tail page. Since 7.0 the member is `compound_info`, and where
 * `struct page` has a size of a power of two it holds a mask: the head's address is the tail's under it.
 */
export function compoundHead(program: Program, page: bigint): bigint {
  const struct = program.object('page', page);
  const value = struct.pointer(struct.has('compound_info') ? 'compound_info' : 'compound_head');
  if ((value & 1n) === 0n) return page;
  const hole = BigInt.asUintN(64, ~value) | 1n;
  const isMask = struct.has('compound_info') && (hole & (hole + 1n)) === 0n;
  return isMask ? page & value : value - 1n;
}

/** `PageSlab`: a flag until 6.9, then a page type (commit 46df8e73a4a3 "mm: free up PG_slab"). */
function isSlab(program: Program, head: bigint): boolean {
  const page = program.object('page', head);
  const bit = pageFlagBit(program, 'slab');
  if (bit !== undefined) return ((page.pointer('flags') >> BigInt(bit)) & 1n) === 1n;
  const type = Number(BigInt.asUintN(32, page.big('page_type')));
  const current = program.types.enumerator('pagetype', 'PGTY_slab');
  if (current !== undefined) return type >>> 24 === current;
  const PAGE_TYPE_BASE = 0xf000_0000;
  const old = program.types.enumerator('pagetype', 'PG_slab');
  return old !== undefined && (type & (PAGE_TYPE_BASE | old)) >>> 0 === PAGE_TYPE_BASE;
}
