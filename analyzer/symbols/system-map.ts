/** Symbols of a System.map: lines of link address, letter and name. */
import { readFileSync } from 'node:fs';

import { FormatError } from '../../capture/formats/errors.ts';
import { ListedSymbols } from './symbol-table.ts';

const LINE = /^([\da-f]{8,16}) (\S) (\S+)$/;
const LOWEST_RELOCATED = 0xff00_0000_0000_0000n;

/** Reads a System.map. @param offset what KASLR added to link addresses @throws FormatError when a line is none of its */
export function readSystemMap(path: string, offset: bigint): ListedSymbols {
  const symbols = [];
  for (const [number, line] of readFileSync(path, 'latin1').split('\n').entries()) {
    if (line === '') continue;
    const match = LINE.exec(line);
    if (match === null) {
      throw new FormatError(`line ${number + 1} is not of a System.map`, {
        file: path,
        expected: 'address letter name',
        found: line.slice(0, 40),
      });
    }
    const link = BigInt(`0x${match[1]!}`);
    const address = link >= LOWEST_RELOCATED ? BigInt.asUintN(64, link + offset) : link;
    symbols.push({ name: match[3]!, type: match[2]!, address, module: undefined });
  }
  return new ListedSymbols(symbols);
}
