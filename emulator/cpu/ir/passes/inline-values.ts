/**
 * Decides which values are computed where they are used instead of being kept: pure ones with one use, and reads of
 * registers in locals that are not written before the last use.
 */
import type { Block, Value } from '../block.ts';
import type { HelperDeclaration } from '../helper-declaration.ts';
import { OPS } from '../ops.ts';
import type { StateField } from '../state-field.ts';
import type { UseCounts } from './liveness.ts';

/** By position in `block.values`: 1 for values that belong into the expression that uses them. */
export function inlineValues(block: Block, uses: UseCounts): Uint8Array {
  const inline = new Uint8Array(block.values.length);
  const scan = new BackwardScan(block);
  for (let position = block.values.length - 1; position >= 0; position--) {
    if (uses[position] === 0) continue;
    const value = block.values[position]!;
    inline[position] = Number(scan.mayInline(value, uses[position]!));
    scan.pass(value, inline[position] === 1);
  }
  return inline;
}

const { get: GET, set: SET, call: CALL } = OPS;

/** What is known about the code behind a position while going through a block backwards. */
class BackwardScan {
  /** By position: where the value is needed last. A value that is part of an expression is needed where that is computed. */
  readonly #lastUse: Int32Array;
  /** By field index: position of the next write. */
  readonly #nextWrite: (number | undefined)[] = [];
  /** Position of the next helper call that may change every register. */
  #nextCall = Number.POSITIVE_INFINITY;

  constructor({ values, terminal }: Block) {
    this.#lastUse = new Int32Array(values.length).fill(-1);
    if (terminal.kind === 'branch') this.#need(terminal.condition, values.length);
    if (terminal.kind === 'indirect') this.#need(terminal.target, values.length);
  }

  mayInline(value: Value, uses: number): boolean {
    if (value.op === GET) {
      const field = value.immediate as StateField;
      const written = Math.min(this.#nextWrite[field.index] ?? Number.POSITIVE_INFINITY, this.#nextCall);
      return field.inLocals && this.#lastUse[value.position]! <= written;
    }
    return value.op.effect === 'pure' && uses === 1;
  }

  /** Takes note of a live value: what it writes, and what it needs. */
  pass(value: Value, inline: boolean): void {
    if (value.op === SET) this.#nextWrite[(value.immediate as StateField).index] = value.position;
    if (value.op === CALL && (value.immediate as HelperDeclaration).effects.state === 'all') {
      this.#nextCall = value.position;
    }
    const at = inline ? this.#lastUse[value.position]! : value.position;
    for (const arg of value.args) this.#need(arg, at);
  }

  #need(value: Value, at: number): void {
    if (value.position >= 0 && this.#lastUse[value.position]! < at) this.#lastUse[value.position] = at;
  }
}
