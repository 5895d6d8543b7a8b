/** Sections of sparse memory and memory blocks; `include/linux/mmzone.h`, `drivers/base/memory.c`. */
import type { Program } from '../program.ts';
import { mapPresent, readOrWarn } from '../gaps.ts';
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
  const type = program.types.findStruct('mem_section');
  const bits = vmcoreinfo.number('SECTION_SIZE_BITS');
  const roots = sectionRoots(program);
  if (roots === 0n || type === undefined || bits === undefined) return [];
  const pagesPerSection = 2 ** Number(bits) / space.pageSize;
  const perRoot = Math.floor(space.pageSize / type.size);
  const count = Math.min(MAX_SECTIONS, Math.ceil(program.dump.memory.maxPfn / pagesPerSection));
  const found: MemSection[] = [];
  for (let number = 0; number < count; number++) {
    const slot = roots + 8n * BigInt(Math.floor(number / perRoot));
    const root = readOrWarn(program, 'sections of memory', () => memory.readU64(slot)) ?? 0n;
    if (root === 0n) continue;
    const section = new StructObject(memory, type, root + BigInt((number % perRoot) * type.size));
    const value = readOrWarn(program, 'sections of memory', () => section.pointer('section_mem_map')) ?? 0n;
    const state = SECTION_FLAGS.filter(([bit]) => (value & bit) !== 0n).map(([, letter]) => letter);
    if (value === 0n) continue;
    const pfn = number * pagesPerSection;
    const codedMap = BigInt.asUintN(64, value & MAP_MASK);
    const map = BigInt.asUintN(64, codedMap + BigInt(pfn) * BigInt(pageStructSize(program)));
    found.push({ number, address: section.address, codedMap, map, state: state.join(''), pfn });
  }
  return found;
}

/** Address of the table of roots: VMCOREINFO gives the value of the pointer `mem_section`, symbols its place. */
function sectionRoots({ memory, symbols, vmcoreinfo }: Program): bigint {
  const known = vmcoreinfo.symbol('mem_section');
  if (known !== undefined) return known;
  const pointer = symbols.find('mem_section');
  return pointer === undefined ? 0n : memory.readU64(pointer);
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

/** `MEM_ONLINE` and others as macros; `include/linux/memory.h`. Kernels of 7.x have `enum memory_block_state` instead. */
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
  const entries = xaForEach(program, program.object('xarray', table));
  return mapPresent(program, 'memory blocks', entries, ({ pointer }) => {
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
      state: stateName(program, state),
      startSection,
    };
  });
}

function stateName(program: Program, state: number): string {
  const named = program.types
    .findEnum('memory_block_state')
    ?.enumerators.find(({ value }) => Number(value) === state)?.name;
  return named?.replace(/^MEM_/, '') ?? STATES[state] ?? String(state);
}
