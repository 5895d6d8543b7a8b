/**
 * Free pages by the lists of the buddy allocator, for kernels whose `struct page` does not tell.
 *
 * Source: `Documentation/mm/physical_memory.rst` (Linux v6.12) for nodes and zones; `include/linux/mmzone.h`
 * `struct zone`, `struct free_area`. Pages in per-cpu lists are not in these lists, and stay in the dump.
 */
import { readU64 } from './formats/bytes.ts';
import { FaultError } from './formats/errors.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { PageArray } from './page-array.ts';
import type { PageBitmap } from './page-bitmap.ts';
import type { PageLayout } from './page-layout.ts';

/** Bounds on what a damaged kernel can claim. */
const MAX_NODES = 1024;
const MAX_ZONES = 16;

interface ZoneLayout {
  readonly nodeZones: number;
  readonly nrZones: number;
  readonly zoneSize: number;
  readonly spannedPages: number;
  readonly freeArea: number;
  readonly freeAreaSize: number;
  readonly freeList: number;
  readonly orders: number;
  readonly migrateTypes: number;
  readonly lru: number;
}

/** What the walk needs: memory, what VMCOREINFO says, the pages to remove from. */
interface FreeListInput {
  readonly memory: KernelMemory;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly dumped: PageBitmap;
}

/**
 * Removes the pages of all free lists.
 * @returns warnings, one line each
 */
export function excludeFreeLists(
  input: FreeListInput,
  layout: PageLayout,
  arrays: readonly PageArray[],
  counts: { free: number },
): string[] {
  const zones = zoneLayout(input.vmcoreinfo, layout);
  const nodes = findNodes(input.memory, input.vmcoreinfo);
  if (zones === undefined || nodes.length === 0)
    return ['VMCOREINFO describes neither free pages nor free lists: free pages are kept'];
  const toPfn = pageToPfn(arrays, layout.size);
  const warnings: string[] = [];
  for (const zone of nodes.flatMap(node => findZones(input.memory, zones, node))) {
    try {
      counts.free += excludeZone(input, zones, zone, toPfn);
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      warnings.push(`free lists of the zone at 0x${zone.toString(16)}: ${error.message}`);
    }
  }
  return warnings;
}

function zoneLayout(info: Vmcoreinfo, { lru }: PageLayout): ZoneLayout | undefined {
  const found = {
    nodeZones: info.offsetOf('pglist_data.node_zones'),
    nrZones: info.offsetOf('pglist_data.nr_zones'),
    zoneSize: info.sizeOf('zone'),
    spannedPages: info.offsetOf('zone.spanned_pages'),
    freeArea: info.offsetOf('zone.free_area'),
    freeAreaSize: info.sizeOf('free_area'),
    freeList: info.offsetOf('free_area.free_list'),
    orders: info.lengthOf('zone.free_area'),
    migrateTypes: info.lengthOf('free_area.free_list') ?? 1,
    lru,
  };
  return Object.values(found).every(value => value !== undefined) ? (found as ZoneLayout) : undefined;
}

/** Addresses of `struct pglist_data`: one for each node, or the only one. */
function findNodes(memory: KernelMemory, info: Vmcoreinfo): bigint[] {
  const only = info.symbol('contig_page_data');
  if (only !== undefined) return [only];
  const table = info.symbol('node_data');
  if (table === undefined) return [];
  const length = Math.min(info.lengthOf('node_data') ?? 1, MAX_NODES);
  const bytes = memory.read(table, 8 * length);
  return Array.from({ length }, (_, node) => readU64(bytes, 8 * node)).filter(address => address !== 0n);
}

/** Addresses of the zones of a node that span memory. */
function findZones(memory: KernelMemory, zones: ZoneLayout, node: bigint): bigint[] {
  const count = Math.min(memory.readU32(node + BigInt(zones.nrZones)), MAX_ZONES);
  return Array.from({ length: count }, (_, index) => node + BigInt(zones.nodeZones + index * zones.zoneSize)).filter(
    zone => memory.readU64(zone + BigInt(zones.spannedPages)) !== 0n,
  );
}

function excludeZone(
  { memory, dumped }: FreeListInput,
  zones: ZoneLayout,
  zone: bigint,
  toPfn: (page: bigint) => number | undefined,
): number {
  let removed = 0;
  for (let order = 0; order < zones.orders; order++) {
    for (let type = 0; type < zones.migrateTypes; type++) {
      const head = zone + BigInt(zones.freeArea + order * zones.freeAreaSize + zones.freeList + 16 * type);
      for (const entry of listEntries(memory, head, dumped.maxPfn)) {
        const pfn = toPfn(entry - BigInt(zones.lru));
        if (pfn === undefined) throw new FaultError(entry, 'the free list leaves the page array');
        removed += dumped.removeRange(pfn, pfn + 2 ** order);
      }
    }
  }
  return removed;
}

/** Entries of a list_head, as long as each one points back to the one before it. */
function* listEntries(memory: KernelMemory, head: bigint, limit: number): Generator<bigint> {
  let previous = head;
  for (let count = 0, entry = memory.readU64(head); entry !== head; count++) {
    const links = memory.read(entry, 16);
    if (readU64(links, 8) !== previous || count > limit) throw new FaultError(entry, 'the free list is broken');
    yield entry;
    previous = entry;
    entry = readU64(links, 0);
  }
}

/** Translates addresses of page structures to page frames. */
function pageToPfn(arrays: readonly PageArray[], size: number): (page: bigint) => number | undefined {
  return page => {
    const array = arrays.find(
      ({ address, startPfn, endPfn }) => page >= address && page < address + BigInt((endPfn - startPfn) * size),
    );
    return array === undefined ? undefined : array.startPfn + Math.floor(Number(page - array.address) / size);
  };
}
