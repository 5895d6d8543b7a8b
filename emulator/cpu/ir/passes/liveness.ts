/**
 * Finds what of a block has to be computed: dead stores to state and dead values are left out, and every live value knows
 * how often it is used.
 */
import type { Block, Value } from '../block.ts';
import type { HelperDeclaration } from '../helper-declaration.ts';
import { OPS } from '../ops.ts';
import { FieldSet, type StateField } from '../state-field.ts';

/** Per position in `block.values`: how many live values (and the terminal) use it; for effects at least 1. 0 is dead. */
export type UseCounts = Uint16Array;

/** Counts the uses of each value. */
export function countUses(block: Block): UseCounts {
  const { values, terminal } = block;
  const uses = new Uint16Array(values.length);
  if (terminal.kind === 'branch') use(uses, terminal.condition);
  if (terminal.kind === 'indirect') use(uses, terminal.target);
  overwritten.clear();
  for (let position = values.length - 1; position >= 0; position--) {
    const value = values[position]!;
    if (isEffect(value)) uses[position]!++;
    if (uses[position] === 0) continue;
    for (const arg of value.args) use(uses, arg);
  }
  return uses;
}

function use(uses: UseCounts, { position }: Value): void {
  if (position >= 0) uses[position]!++;
}

/** The values that are not dead, in order. */
export function liveValues(block: Block): readonly Value[] {
  const uses = countUses(block);
  return block.values.filter(value => uses[value.position] !== 0);
}

const { get: GET, set: SET, load: LOAD, store: STORE, call: CALL } = OPS;

/** Fields that are written again before anybody can look at them, while a block is gone through backwards. */
const overwritten = new FieldSet();

function isEffect(value: Value): boolean {
  switch (value.op) {
    case SET: {
      const field = value.immediate as StateField;
      const dead = overwritten.has(field);
      overwritten.add(field);
      return !dead;
    }
    case GET:
      overwritten.delete(value.immediate as StateField);
      return false;
    case LOAD:
    case STORE:
      overwritten.clear();
      return true;
    case CALL: {
      const { effects } = value.immediate as HelperDeclaration;
      if (effects.state === 'none' && !effects.mayFault) return false;
      overwritten.clear();
      return true;
    }
    default:
      return false;
  }
}
