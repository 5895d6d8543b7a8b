/** `swap`: swap devices and files. */
import { swapAreas } from '../linux/swap.ts';
import type { SwapArea } from '../linux/swap.ts';
import { hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';

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
