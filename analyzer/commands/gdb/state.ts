/** What gdb remembers between commands. */
import { DEFAULT_PRINT_SETTINGS } from '../../types/print-value.ts';
import type { PrintSettings } from '../../types/print-value.ts';
import type { Value } from '../../types/value.ts';

/** Letters of the last `x`, which the next one takes when it has none. */
export interface ExamineFormat {
  readonly letter: string;
  /** Bytes of a unit. */
  readonly size: number;
}

/** `$name` variables, print settings, and where `x` and `list` go on. */
export class GdbState {
  readonly variables = new Map<string, Value>();
  print: PrintSettings = DEFAULT_PRINT_SETTINGS;
  examine: ExamineFormat = { letter: 'x', size: 4 };
  /** Address behind what `x` showed last. */
  nextAddress: bigint | undefined;
  /** Source file and line behind what `list` showed last. */
  nextLine: { readonly file: string; readonly line: number } | undefined;
}
