/** The configuration that the kernel was built with; `kernel/configs.c` (CONFIG_IKCONFIG). */
import { gunzipSync } from 'node:zlib';

import { asBuffer } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';

const START_MARK = 'IKCFG_ST';
const END_MARK = 'IKCFG_ED';
const MAX_COMPRESSED = 4 * 2 ** 20;
const MAX_TEXT = 64 * 2 ** 20;

/**
 * The text of `.config`, or undefined when the kernel does not carry it. The compressed data stand between two marks;
 * `kernel_config_data` names the first mark, since 5.1 what follows it (commit 13610aa908dc "kernel/configs: use .incbin
 * directive to embed config_data.gz").
 * @throws FormatError when the marks or the compressed data are damaged
 */
export function kernelConfig(program: Program): string | undefined {
  const symbol = program.symbols.find('kernel_config_data');
  if (symbol === undefined) return undefined;
  const bytes = asBuffer(program.memory.readAvailable(symbol, MAX_COMPRESSED));
  const start = bytes.subarray(0, START_MARK.length).toString('latin1') === START_MARK ? START_MARK.length : 0;
  const end = bytes.indexOf(END_MARK, start, 'latin1');
  if (end === -1) throw new FormatError('kernel_config_data does not end', { expected: END_MARK, found: 'nothing' });
  try {
    return gunzipSync(bytes.subarray(start, end), { maxOutputLength: MAX_TEXT }).toString('latin1');
  } catch (cause) {
    throw new FormatError('kernel_config_data is damaged', { cause });
  }
}
