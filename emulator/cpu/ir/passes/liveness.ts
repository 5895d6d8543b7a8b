/**
 * Finds what of a block has to be computed: dead stores to state and dead values are left out, and every live value knows
 * how often it is used.
 */
import type { Block, Value } from '../block.ts';
import type { HelperDeclaration } from '../helper-declaration.ts';
import { OPS } from '../ops.ts';
import type { StateField } from '../state-field.ts';

/** Per position in `block.values`: how many live values (and the terminal) use it; for effects at least 1. 0 is dead. */
export type UseCounts = Uint16Array;

/** Counts the uses of each value. */
export function countUses(block: Block): UseCounts {
  const { values, terminal } = block;
  const uses = new Uint16Array(values.length);
  const use = (value: Value): void => {
    if (value.position >= 0) uses[value.position]!++;
  };
  if (terminal.kind === 'branch') use(terminal.condition);
  if (terminal.kind === 'indirect') use(terminal.target);
  /** Fields that are written again before anybody can look at them. */
  const overwritten = new Set<StateField>();
  for (let position = values.length - 1; position >= 0; position--) {
    const value = values[position]!;
    if (isEffect(value, overwritten)) uses[position]!++;
    if (uses[position] !== 0) value.args.forEach(use);
  }
  return uses;
}

/** The values that are not dead, in order. */
export function liveValues(block: Block): readonly Value[] {
  const uses = countUses(block);
  return block.values.filter(value => uses[value.position] !== 0);
}

function isEffect(value: Value, overwritten: Set<StateField>): boolean {
  switch (value.op) {
    case OPS.set: {
      const field = value.immediate as StateField;
      const dead = overwritten.has(field);
      overwritten.add(field);
      return !dead;
    }
    case OPS.get:
      overwritten.delete(value.immediate as StateField);
      return false;
    case OPS.load:
    case OPS.store:
      overwritten.clear();
      return true;
    case OPS.call: {
      const { effects } = value.immediate as HelperDeclaration;
      if (effects.state === 'none' && !effects.mayFault) return false;
      overwritten.clear();
      return true;
    }
    default:
      return false;
  }
}
