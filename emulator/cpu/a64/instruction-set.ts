/**
 * All A64 instructions.
 *
 * To add a table: write `encodings/NAME.ts` with one or more records `{ 'manual name': 'diagram' }` (`as const satisfies Encodings`),
 * `semantics/NAME.ts` with a record `satisfies Semantics<typeof THOSE>` per record, and one `group(...)` line here. Rows that need a
 * feature get `{ feature: 'FEAT_X' }`; vector and floating-point rows get `{ simd: true }`, which does the CPACR_EL1.FPEN trap. The
 * table test checks each row: 32 bits, decodes to itself, no overlap that `over` does not declare.
 */
import { Decoder } from './decode.ts';
import type { A64Features } from './features.ts';
import type { Instruction } from './instruction.ts';

/** Every row. */
export const A64_INSTRUCTIONS: readonly Instruction[] = [];

const decoders = new WeakMap<A64Features, Decoder>();

/** The decoder for a set of features. */
export function decoderFor(features: A64Features): Decoder {
  const known = decoders.get(features);
  if (known) return known;
  const decoder = new Decoder(A64_INSTRUCTIONS, features);
  decoders.set(features, decoder);
  return decoder;
}
