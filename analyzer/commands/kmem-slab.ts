/** The slab views of `kmem`: rows of caches, listings of their slabs and objects. */
import { readIfPresent } from '../gaps.ts';
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { cacheSummary, cpuSlabs, kmemCaches, nodePartial, nodeSlabs, readSlab, slabOfAddress } from '../linux/slab.ts';
import type { Slab } from '../linux/slab.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { hex, hex16, lines } from '../text/layout.ts';
import type { Arguments } from './command.ts';
import { parseCpus } from './cpus.ts';
import type { View } from './view.ts';
import { parseAddress } from './numbers.ts';
import type { Session } from './session.ts';

/** Head of the caches' columns. */
function slabHeader(): string {
  return 'CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME\n';
}

/** One cache in numbers. */
function cacheRow(program: Program, cache: StructObject): string {
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

/**
 * Objects of a slab: free ones plain, allocated ones in brackets.
 * @param withPads the addresses of the objects themselves, not of the red zones in front of them
 */
function objectRows(cache: StructObject, slab: Slab, withPads: boolean): string {
  const size = BigInt(cache.num('size'));
  const pad = BigInt(cache.has('red_left_pad') ? cache.num('red_left_pad') : 0);
  const first = slab.memory + pad;
  const shownPad = withPads ? 0n : pad;
  const rows = Array.from({ length: slab.objects }, (_, index) => {
    const object = first + BigInt(index) * size;
    const owner = slab.cpu === undefined ? '' : `(cpu ${slab.cpu} cache)`;
    const shown = hex(object - shownPad);
    return slab.free.has(object) ? `   ${shown}  ${owner}\n` : `  [${shown}]\n`;
  });
  return `  FREE / [ALLOCATED]\n${rows.join('')}`;
}

function slabBlock(cache: StructObject, slab: Slab, withPads: boolean): string {
  return `${SLAB_COLUMNS}${slabRow(slab, 0)}${objectRows(cache, slab, withPads)}`;
}

/** All slabs of a cache. @param cpus only the slabs of these CPUs are listed, when given */
function slabListing(
  program: Program,
  cache: StructObject,
  cpus: readonly number[] | undefined,
  withPads: boolean,
): string {
  const out = [cacheRow(program, cache)];
  const local = cpuSlabs(program, cache);
  for (const { cpu, address, slab, partial } of local) {
    if (cpus !== undefined && !cpus.includes(cpu)) continue;
    out.push(`CPU ${cpu} KMEM_CACHE_CPU:\n  ${hex(address)}\n`, `CPU ${cpu} SLAB:\n`);
    out.push(slab === undefined ? '  (empty)\n' : slabBlock(cache, slab, withPads), `CPU ${cpu} PARTIAL:\n`);
    out.push(partial.length === 0 ? '  (empty)\n' : partial.map(entry => slabBlock(cache, entry, withPads)).join(''));
  }
  const shown = local.filter(({ cpu, slab }) => slab !== undefined && (cpus === undefined || cpus.includes(cpu)));
  for (const { node, struct, slabs, partialCount } of nodeSlabs(program, cache)) {
    out.push(
      `KMEM_CACHE_NODE   NODE  SLABS  PARTIAL  PER-CPU\n${hex16(struct.address)} ${String(node).padStart(5)} ${String(slabs).padStart(6)} ${String(partialCount).padStart(8)} ${String(shown.length).padStart(8)}\n`,
    );
    const partial = nodePartial(program, cache, struct);
    out.push(
      `NODE ${node} PARTIAL:\n`,
      partial.length === 0
        ? '  (empty)\n'
        : `${SLAB_COLUMNS}${partial.map(slab => `${slabRow(slab, node)}${objectRows(cache, slab, withPads)}`).join(SLAB_COLUMNS)}`,
    );
    out.push(`NODE ${node} FULL:\n  (not tracked)\n`);
  }
  return out.join('');
}

/** `kmem -s`, `-S`, `-S=cpus` and `-r`: caches by name or address, or the slab of an address. */
export function slabsView(session: Session, args: Arguments): View {
  const { program } = session;
  const cpus = args.has('-S=') ? parseCpus(session, args.value('-S=')!) : undefined;
  const full = args.has('-S') || (cpus !== undefined && !args.has('-s'));
  const wanted = args.positionals;
  if (args.has('-r') && !program.types.has('kmem_cache', 'memcg_params'))
    throw new UsageError('-r option not supported or applicable on this architecture or kernel');
  if (wanted[0] === 'list') return cacheNames(program);
  const caches = chosenCaches(program, args);
  const named = wanted.length === 0 ? undefined : namedObjects(session, caches, wanted, full);
  if (named !== undefined) return named;
  const withPads = session.settings.variables.get('redzone') === 'off';
  const show = (cache: StructObject): string =>
    full ? slabListing(program, cache, cpus, withPads) : cacheRow(program, cache);
  const blocks = caches.map(({ cache, isIgnored }) =>
    isIgnored ? ignoredRow(cache) : tolerant(() => show(cache), cache.address),
  );
  return {
    data: caches.filter(({ isIgnored }) => !isIgnored).map(({ cache }) => cacheData(program, cache, full)),
    text: full ? blocks.map(block => `${slabHeader()}${block}`).join('\n') : `${slabHeader()}${blocks.join('')}`,
  };
}

function ignoredRow(cache: StructObject): string {
  return `${`${hex16(cache.address)} [IGNORED]`.padEnd(60)}  ${cache.stringAt('name', 128)}\n`;
}

/** `kmem -s list`: all caches by name. */
function cacheNames(program: Program): View {
  const data = kmemCaches(program).map(cache => ({ address: cache.address, name: cache.stringAt('name', 128) }));
  return { data, text: lines(data.map(({ address, name }) => `${hex16(address)} ${name}`)) };
}

interface ChosenCache {
  readonly cache: StructObject;
  readonly isIgnored: boolean;
}

function chosenCaches(program: Program, args: Arguments): ChosenCache[] {
  const excluded = args.values('-I').flatMap(text => text.split(','));
  const wanted = args.positionals.map(word => word.replace(/^0x/i, ''));
  return kmemCaches(program)
    .map(cache => ({ cache, name: readIfPresent(() => cache.stringAt('name', 128)) ?? '' }))
    .filter(({ cache, name }) => wanted.length === 0 || wanted.includes(name) || wanted.includes(hex(cache.address)))
    .map(({ cache, name }) => ({ cache, isIgnored: excluded.includes(name) }));
}

/** What `--json` gives of a cache; a fault stands in its place. */
function cacheData(program: Program, cache: StructObject, full: boolean): unknown {
  try {
    const summary = { address: cache.address, ...cacheSummary(program, cache) };
    return full ? { ...summary, slabs: slabsOf(program, cache) } : summary;
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return { address: cache.address, fault: error.message };
  }
}

/** The slabs that lists lead to: those of the CPUs and the partial ones of the nodes. */
function slabsOf(program: Program, cache: StructObject): unknown[] {
  const ofCpus = cpuSlabs(program, cache).flatMap(({ slab, partial }) =>
    slab === undefined ? partial : [slab, ...partial],
  );
  const ofNodes = nodeSlabs(program, cache).flatMap(({ struct }) => nodePartial(program, cache, struct));
  return [...ofCpus, ...ofNodes].map(({ free, ...slab }) => ({ ...slab, free: [...free] }));
}

function tolerant(read: () => string, address: bigint): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `${hex16(address)}  (${error.message})\n`;
  }
}

/** A slab object, or the place of one. */
export interface SlabObject {
  readonly place: {
    readonly cache: string;
    readonly cacheAddress: bigint;
    readonly slab: bigint;
    readonly object: bigint;
    readonly allocated: boolean;
  };
  /** Lines of the cache and the slab. */
  readonly head: string;
  /** Lines of all objects of the slab. */
  readonly all: string;
}

/** The slab object that an address lies in, or undefined. @throws FaultError when the slab cannot be read */
export function objectAt(program: Program, address: bigint): SlabObject | undefined {
  const found = slabOfAddress(program, address);
  if (found === undefined) return undefined;
  const { cache } = found;
  const local = cpuSlabs(program, cache).flatMap(({ slab, partial }) =>
    slab === undefined ? partial : [slab, ...partial],
  );
  const slab = local.find(entry => entry.address === found.slab) ?? readSlab(program, cache, found.slab);
  const size = BigInt(Math.max(1, cache.num('size')));
  const object = slab.memory + ((address - slab.memory) / size) * size;
  return {
    place: {
      cache: cache.stringAt('name', 128),
      cacheAddress: cache.address,
      slab: slab.address,
      object,
      allocated: !slab.free.has(object),
    },
    head: `${slabHeader()}${cacheRow(program, cache)}${SLAB_COLUMNS}${slabRow(slab, 0)}`,
    all: objectRows(cache, slab, false),
  };
}

/** An object with its cache and slab. */
export function objectText({ head, place: { object, allocated } }: SlabObject): string {
  return `${head}  FREE / [ALLOCATED]\n${allocated ? `  [${hex(object)}]` : `   ${hex(object)}`}\n`;
}

/** With `-S` all objects of the slab, with `-s` the one at the address. */
/** Addresses in slabs, alone or behind a cache's name; undefined when caches are meant. */
function namedObjects(
  session: Session,
  caches: readonly ChosenCache[],
  wanted: readonly string[],
  full: boolean,
): View | undefined {
  if (caches.length === 0) return objectsView(session, wanted, full);
  if (caches.length > 1) throw new UsageError('only one kmem_cache reference is allowed');
  const addresses = wanted.filter(
    word => /^(?:0x)?[\da-f]{8,}$/i.test(word) && objectAt(session.program, parseAddress(session, word)) !== undefined,
  );
  const isBehindName = addresses.length > 0 && wanted.length > addresses.length;
  return isBehindName ? ignoringCache(session, caches[0]!.cache, addresses) : undefined;
}

/** Objects tell their cache themselves. */
function ignoringCache(session: Session, cache: StructObject, addresses: readonly string[]): View {
  const name = cache.stringAt('name', 128);
  const notes = addresses.map(address => `kmem: ignoring pre-selected ${name} cache for address: ${address}\n`);
  const { data, text } = objectsView(session, addresses, false);
  return { data, text: notes.join('') + text };
}

function objectsView(session: Session, words: readonly string[], full: boolean): View {
  const found = words.map(word => {
    if (!/^(?:0x)?[\da-f]+$/i.test(word)) throw new UsageError(`no slab cache of that name: ${word}`);
    const object = objectAt(session.program, parseAddress(session, word));
    if (object === undefined) throw new UsageError(`address is not allocated in slab subsystem: ${word}`);
    return object;
  });
  return {
    data: found.map(({ place }) => place),
    text: found.map(object => (full ? object.head + object.all : objectText(object))).join('\n'),
  };
}
