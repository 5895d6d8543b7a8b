/** The slab views of `kmem`: rows of caches, listings of their slabs and objects. */
import { cacheSummary, cpuSlabs, nodePartial, nodeSlabs, readSlab } from '../linux/slab.ts';
import type { Slab } from '../linux/slab.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { hex, hex16 } from '../text/layout.ts';

/** Head of the caches' columns. */
export function slabHeader(): string {
  return 'CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME\n';
}

/** One cache in numbers. */
export function cacheRow(program: Program, cache: StructObject): string {
  const { name, objectSize, allocated, total, slabs, slabBytes } = cacheSummary(program, cache);
  const cells = [
    String(objectSize).padStart(8),
    String(allocated).padStart(10),
    String(total).padStart(9),
    String(slabs).padStart(6),
    `${slabBytes / 1024}k`.padStart(6),
  ];
  return `${hex16(cache.address)} ${cells.join(' ')}  ${name}\n`;
}

const SLAB_COLUMNS = '  SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE\n';

function slabRow(slab: Slab, node: number): string {
  const cells = [
    String(node).padStart(5),
    String(slab.objects).padStart(6),
    String(slab.allocated).padStart(10),
    String(slab.objects - slab.allocated).padStart(5),
  ];
  return `  ${hex16(slab.address)}  ${hex16(slab.memory)} ${cells.join(' ')}\n`;
}

/** Objects of a slab: free ones plain, allocated ones in brackets. */
function objectRows(cache: StructObject, slab: Slab): string {
  const size = BigInt(cache.num('size'));
  const first = slab.memory + BigInt(cache.has('red_left_pad') ? cache.num('red_left_pad') : 0);
  const rows = Array.from({ length: slab.objects }, (_, index) => {
    const object = first + BigInt(index) * size;
    const owner = slab.cpu === undefined ? '' : `(cpu ${slab.cpu} cache)`;
    return slab.free.has(object) ? `   ${hex(object)}  ${owner}\n` : `  [${hex(object)}]\n`;
  });
  return `  FREE / [ALLOCATED]\n${rows.join('')}`;
}

function slabBlock(cache: StructObject, slab: Slab): string {
  return `${SLAB_COLUMNS}${slabRow(slab, 0)}${objectRows(cache, slab)}`;
}

/** One object to show instead of all. */
export interface ObjectFocus {
  readonly slab: bigint;
  readonly address: bigint;
}

/** All slabs of a cache; with a focus, the slab and the object that an address lies in. */
export function slabListing(program: Program, cache: StructObject, focus?: ObjectFocus): string {
  if (focus !== undefined) return focusText(program, cache, focus);
  const out = [cacheRow(program, cache)];
  const local = cpuSlabs(program, cache);
  for (const { cpu, address, slab, partial } of local) {
    out.push(`CPU ${cpu} KMEM_CACHE_CPU:\n  ${hex(address)}\n`, `CPU ${cpu} SLAB:\n`);
    out.push(slab === undefined ? '  (empty)\n' : slabBlock(cache, slab), `CPU ${cpu} PARTIAL:\n`);
    out.push(partial.length === 0 ? '  (empty)\n' : partial.map(entry => slabBlock(cache, entry)).join(''));
  }
  const inUse = local.filter(({ slab }) => slab !== undefined).length;
  for (const { node, struct, slabs, partialCount } of nodeSlabs(program, cache)) {
    out.push(
      `KMEM_CACHE_NODE   NODE  SLABS  PARTIAL  PER-CPU\n${hex16(struct.address)} ${String(node).padStart(5)} ${String(slabs).padStart(6)} ${String(partialCount).padStart(8)} ${String(inUse).padStart(8)}\n`,
    );
    const partial = nodePartial(program, cache, struct);
    out.push(
      `NODE ${node} PARTIAL:\n`,
      partial.length === 0
        ? '  (empty)\n'
        : `${SLAB_COLUMNS}${partial.map(slab => `${slabRow(slab, node)}${objectRows(cache, slab)}`).join(SLAB_COLUMNS)}`,
    );
    out.push(`NODE ${node} FULL:\n  (not tracked)\n`);
  }
  return out.join('');
}

function focusText(program: Program, cache: StructObject, { slab: address, address: wanted }: ObjectFocus): string {
  const local = cpuSlabs(program, cache).flatMap(({ slab, partial }) =>
    slab === undefined ? partial : [slab, ...partial],
  );
  const slab = local.find(entry => entry.address === address) ?? readSlab(program, cache, address);
  const size = BigInt(cache.num('size'));
  const object = slab.memory + ((wanted - slab.memory) / size) * size;
  const text = slab.free.has(object) ? `   ${hex(object)}\n` : `  [${hex(object)}]\n`;
  return `${SLAB_COLUMNS}${slabRow(slab, 0)}  FREE / [ALLOCATED]\n${text}`;
}
