/** `swap`: swap devices and files. */
import { dentryPath } from '../linux/path.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';

const MAX_SWAPFILES = 64;
/** `SWP_USED`, `SWP_WRITEOK`; `include/linux/swap.h`. */
const SWP = { USED: 1, WRITEOK: 2 } as const;
const S_IFBLK = 0o060000;
const S_IFMT = 0o170000;

/** A swap area. */
export interface SwapArea {
  readonly address: bigint;
  readonly type: string;
  readonly pages: number;
  readonly used: number;
  readonly priority: number;
  readonly name: string;
}

interface SwapData {
  readonly areas: readonly SwapArea[];
  readonly pageKiB: number;
}

/** `swap`. */
export const swap: Command<SwapData> = {
  name: 'swap',
  summary: 'swap devices and files',
  synopsis: '',
  options: [],
  description: 'Lists each swap area with its size, use and priority.',
  examples: [{ line: 'swap', why: 'is there swap, and is it full' }],
  run: session => ({ areas: swapAreas(session.program), pageKiB: session.program.space.pageSize / 1024 }),
  text({ areas, pageKiB }) {
    const rows = areas.map(({ address, type, pages, used, priority, name }) => {
      const percent = pages === 0 ? 0 : Math.floor((used * 100) / pages);
      return `${hex16(address)}  ${type.padStart(6)} ${`${pages * pageKiB}k`.padStart(11)} ${`${used * pageKiB}k`.padStart(8)} ${`${percent}%`.padStart(8)} ${String(priority).padStart(4)}  ${name}\n`;
    });
    return `SWAP_INFO_STRUCT    TYPE       SIZE       USED     PCT  PRI  FILENAME\n${rows.join('')}`;
  },
};

/** `swap_info[]`: the areas in use. */
export function swapAreas(program: Program): SwapArea[] {
  const table = program.symbols.find('swap_info');
  if (table === undefined) return [];
  const found: SwapArea[] = [];
  for (let index = 0; index < MAX_SWAPFILES; index++) {
    const address = program.memory.readU64(table + BigInt(8 * index));
    if (address === 0n) break;
    const area = program.object('swap_info_struct', address);
    if ((area.num('flags') & SWP.USED) !== 0) found.push(describe(program, area));
  }
  return found;
}

function describe(program: Program, area: StructObject): SwapArea {
  const file = area.follow('swap_file');
  const mode = file?.follow('f_inode')?.num('i_mode') ?? 0;
  return {
    address: area.address,
    type: (mode & S_IFMT) === S_IFBLK ? 'PARTITION' : 'FILE',
    pages: area.num('pages'),
    used: area.num(area.has('inuse_pages.counter') ? 'inuse_pages.counter' : 'inuse_pages'),
    priority: area.num('prio'),
    name: file === undefined ? '' : dentryPath(program, file.follow('f_path.dentry'), file.follow('f_path.mnt')),
  };
}
