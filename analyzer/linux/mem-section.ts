/** Sections of sparse memory and memory blocks; `include/linux/mmzone.h`, `drivers/base/memory.c`. */
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import { pageStructSize } from './page.ts';
import { xaForEach } from './xarray.ts';

/** Flags in the low bits of `section_mem_map`, and their letters. */
const SECTION_FLAGS: readonly (readonly [bit: bigint, letter: string])[] = [
  [1n, 'P'],
  [2n, 'M'],
  [4n, 'O'],
  [8n, 'E'],
];
/** Below the address of the map; the address of a `struct page` array is aligned far higher. */
const MAP_MASK = ~0x3fn;
const MAX_SECTIONS = 2 ** 20;

/** A section that is present. */
export interface MemSection {
  readonly number: number;
  readonly address: bigint;
  /** The map as it is stored: where frame 0's page would stand. */
  readonly codedMap: bigint;
  /** The first page structure of the section. */
  readonly map: bigint;
  /** P present, M has a map, O online, E early. */
  readonly state: string;
  readonly pfn: number;
}

/** The present sections, through `mem_section[root][index]` of SPARSEMEM_EXTREME; none without sparse memory. */
export function memSections(program: Program): MemSection[] {
  const { memory, vmcoreinfo, space } = program;
  const table = program.symbols.find('mem_section') ?? vmcoreinfo.symbol('mem_section');
  const type = program.types.findStruct('mem_section');
  const bits = vmcoreinfo.number('SECTION_SIZE_BITS');
  if (table === undefined || type === undefined || bits === undefined) return [];
  // VMCOREINFO gives the value of the pointer, symbols its address.
  const isPointer = program.symbols.find('mem_section') !== undefined;
  const roots = isPointer ? memory.readU64(table) : table;
  const pagesPerSection = 2 ** Number(bits) / space.pageSize;
  const perRoot = Math.floor(space.pageSize / type.size);
  const count = Math.min(MAX_SECTIONS, Math.ceil(program.dump.memory.maxPfn / pagesPerSection));
  const found: MemSection[] = [];
  for (let number = 0; number < count; number++) {
    const root = roots === 0n ? 0n : memory.readU64(roots + 8n * BigInt(Math.floor(number / perRoot)));
    if (root === 0n) continue;
    const section = new StructObject(memory, type, root + BigInt((number % perRoot) * type.size));
    const value = section.pointer('section_mem_map');
    const state = SECTION_FLAGS.filter(([bit]) => (value & bit) !== 0n).map(([, letter]) => letter);
    if (value === 0n) continue;
    const pfn = number * pagesPerSection;
    const codedMap = BigInt.asUintN(64, value & MAP_MASK);
    const map = BigInt.asUintN(64, codedMap + BigInt(pfn) * BigInt(pageStructSize(program)));
    found.push({ number, address: section.address, codedMap, map, state: state.join(''), pfn });
  }
  return found;
}

/** A unit of hot-pluggable memory. */
export interface MemoryBlock {
  readonly address: bigint;
  readonly name: string;
  /** First and last physical address. */
  readonly start: number;
  readonly last: number;
  readonly node: number;
  readonly state: string;
  readonly startSection: number;
}

/** `MEM_ONLINE` and others; `include/linux/memory.h`. */
const STATES: Readonly<Record<number, string>> = {
  1: 'ONLINE',
  2: 'GOING_OFFLINE',
  4: 'OFFLINE',
  8: 'GOING_ONLINE',
  16: 'CANCEL_ONLINE',
  32: 'CANCEL_OFFLINE',
};

/** The blocks of `memory_blocks`, an XArray since 5.8 (commit 4fb6eabf1037); none on kernels without it. */
export function memoryBlocks(program: Program): MemoryBlock[] {
  const table = program.symbols.find('memory_blocks');
  const bits = program.vmcoreinfo.number('SECTION_SIZE_BITS');
  const sections = program.symbols.find('sections_per_block');
  if (table === undefined || bits === undefined || program.types.findStruct('memory_block') === undefined) return [];
  const perBlock = sections === undefined ? 1 : program.memory.readI32(sections);
  const sectionSize = 2 ** Number(bits);
  return [...xaForEach(program, program.object('xarray', table))].map(({ pointer }) => {
    const block = program.object('memory_block', pointer);
    const startSection = block.num('start_section_nr');
    const start = startSection * sectionSize;
    const state = block.num('state');
    return {
      address: block.address,
      name: block.stringAt('dev.kobj.name', 64),
      start,
      last: start + perBlock * sectionSize - 1,
      node: block.has('nid') ? block.num('nid') : 0,
      state: STATES[state] ?? String(state),
      startSection,
    };
  });
}
