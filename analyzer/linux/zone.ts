/** Memory zones and their free lists; `include/linux/mmzone.h`. */
import { mapPresent, untilGap } from '../gaps.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { listForEach } from './list.ts';
import { nodes } from './mm.ts';

const MAX_FREE_BLOCKS = 100_000_000;

/** A zone and where it belongs. */
export interface Zone {
  readonly node: number;
  readonly index: number;
  readonly struct: StructObject;
  readonly name: string;
  readonly spanned: number;
  readonly present: number;
  readonly startPfn: number;
}

/** All zones of all nodes, empty ones too. */
export function zones(program: Program): Zone[] {
  return nodes(program).flatMap(node => {
    const count = Math.min(8, node.lengthOf('node_zones'));
    return mapPresent(program, 'zones', Array(count).keys(), index => {
      const struct = node.embedded(`node_zones[${index}]`);
      return {
        node: node.num('node_id'),
        index,
        struct,
        name: struct.stringAt('name', 32),
        spanned: struct.num('spanned_pages'),
        present: struct.num('present_pages'),
        startPfn: struct.num('zone_start_pfn'),
      };
    });
  });
}

/** One free list: blocks of 2^order pages of a migrate type. */
export interface FreeList {
  readonly order: number;
  readonly migrateType: number;
  /** Address of the list's head. */
  readonly head: bigint;
  /** Addresses of the first page structure of each block. */
  readonly blocks: readonly bigint[];
}

/** The free lists of a zone, by order and migrate type. */
export function freeLists(program: Program, zone: Zone): FreeList[] {
  const { struct } = zone;
  const orders = Math.min(64, struct.lengthOf('free_area'));
  const types = Math.min(16, struct.lengthOf('free_area[0].free_list'));
  const link = BigInt(
    program.object('page', 0n).offsetOf(program.types.has('page', 'buddy_list') ? 'buddy_list' : 'lru'),
  );
  const found: FreeList[] = [];
  for (let order = 0; order < orders; order++) {
    for (let migrateType = 0; migrateType < types; migrateType++) {
      const head = struct.addressOf(`free_area[${order}].free_list[${migrateType}]`);
      const walk = untilGap(program, 'free lists', listForEach(program, head, MAX_FREE_BLOCKS));
      const blocks = [...walk].map(address => address - link);
      found.push({ order, migrateType, head, blocks });
    }
  }
  return found;
}
