/** Swap areas and swap entries; `include/linux/swap.h`, `mm/swapfile.c`. */
import { mapPresent } from '../gaps.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { dentryPath } from './path.ts';

const MAX_SWAPFILES = 64;
/** `SWP_USED`, `SWP_WRITEOK`; `include/linux/swap.h`. */
const SWP = { USED: 1, WRITEOK: 2 } as const;
const S_IFBLK = 0o060000;
const S_IFMT = 0o170000;

/** A swap area. */
export interface SwapArea {
  /** Index in `swap_info[]`: the type in a swap entry. */
  readonly index: number;
  readonly address: bigint;
  readonly type: string;
  readonly pages: number;
  readonly used: number;
  readonly priority: number;
  readonly name: string;
}

/** `swap_info[]`: the areas in use. */
export function swapAreas(program: Program): SwapArea[] {
  const table = program.symbols.find('swap_info');
  if (table === undefined) return [];
  const areas: StructObject[] = [];
  for (let index = 0; index < MAX_SWAPFILES; index++) {
    const address = program.memory.readU64(table + BigInt(8 * index));
    if (address === 0n) break;
    areas.push(program.object('swap_info_struct', address));
  }
  const read = (area: StructObject, index: number): SwapArea | undefined =>
    (area.num('flags') & SWP.USED) === 0 ? undefined : describe(program, area, index);
  return mapPresent(program, 'swap areas', areas.entries(), ([index, area]) => read(area, index)).filter(
    area => area !== undefined,
  );
}

function describe(program: Program, area: StructObject, index: number): SwapArea {
  const file = area.follow('swap_file');
  const mode = file?.follow('f_inode')?.num('i_mode') ?? 0;
  return {
    index,
    address: area.address,
    type: (mode & S_IFMT) === S_IFBLK ? 'PARTITION' : 'FILE',
    pages: area.num('pages'),
    used: area.num(area.has('inuse_pages.counter') ? 'inuse_pages.counter' : 'inuse_pages'),
    priority: area.num('prio'),
    name: file === undefined ? '' : dentryPath(program, file.follow('f_path.dentry'), file.follow('f_path.mnt')),
  };
}

/** Where a page went that was swapped out. */
export interface SwapEntry {
  /** The swap area, undefined when the entry names none that exists. */
  readonly area: SwapArea | undefined;
  /** In pages. */
  readonly offset: bigint;
}

interface SwapLayout {
  readonly type: number;
  readonly typeBits: number;
  /** Extracts the offset. */
  readonly offset: (entry: bigint) => bigint;
}

const MASK_50 = (1n << 50n) - 1n;

/**
 * Bits of a swap entry in a page-table entry that is not present. x86_64 stores the offset inverted against L1TF since
 * 4.19. arm64 had the type in bits 3–7 until 6.9, in bits 6–10 since.
 */
const LAYOUTS: Readonly<Record<'aarch64' | 'x86_64', readonly SwapLayout[]>> = {
  x86_64: [{ type: 59, typeBits: 5, offset: entry => BigInt.asUintN(64, ~entry << 5n) >> 14n }],
  aarch64: [
    { type: 6, typeBits: 5, offset: entry => (entry >> 12n) & MASK_50 },
    { type: 3, typeBits: 5, offset: entry => (entry >> 8n) & MASK_50 },
  ],
};

/** Decodes a page-table entry that is neither present nor empty: by the layout that names an existing area and page. */
export function swapEntry(program: Program, entry: bigint): SwapEntry {
  const areas = swapAreas(program);
  const candidates = LAYOUTS[program.architecture].map(({ type, typeBits, offset }) => {
    const index = Number((entry >> BigInt(type)) & ((1n << BigInt(typeBits)) - 1n));
    return { area: areas.find(area => area.index === index), offset: offset(entry) };
  });
  return candidates.find(({ area, offset }) => area !== undefined && offset <= area.pages) ?? candidates[0]!;
}
