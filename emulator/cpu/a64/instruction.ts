/**
 * What a row of the instruction tables is: an encoding, its meaning, and the conditions under which it exists.
 *
 * A group is two records over the same names: encodings (`encodings/*.ts`) and semantics (`semantics/*.ts`). A row without
 * semantics, or semantics that read a field which the encoding does not have, do not compile. `instruction-set.ts` lists the groups.
 */
import { type Fields, type Pattern, parsePattern } from './encodings/pattern.ts';
import type { A64FeatureName } from './features.ts';
import type { Translation } from './translation.ts';

/** Encodings of a group: manual's name of the instruction → diagram. */
export type Encodings = Readonly<Record<string, string>>;

/** Meaning of one encoding: emits IR for an instruction with these fields. */
export type SemanticsOf<P extends string> = (t: Translation, fields: Fields<P>) => void;

/** An encoding that the architecture allocates and that we do not execute: UNDEFINED for the guest. */
export interface Unimplemented {
  readonly unimplemented: string;
}

/** Marks a row that is not executed. @param reason why, for whoever wonders */
export function unimplemented(reason: string): Unimplemented {
  return { unimplemented: reason };
}

/** A meaning for every encoding of a group. */
export type Semantics<E extends Encodings> = { readonly [N in keyof E]: SemanticsOf<E[N]> | Unimplemented };

interface Conditions<E extends Encodings> {
  /** Feature without which no row of the group exists. */
  readonly feature?: A64FeatureName;
  /** Features by row, where they differ within the group. */
  readonly features?: { readonly [N in keyof E]?: A64FeatureName };
  /** The rows use the vector registers: they trap when CPACR_EL1.FPEN says so. */
  readonly simd?: boolean;
  /** Names of rows that those of the group win over where they overlap; a winner has more fixed bits. */
  readonly over?: readonly string[];
}

/** A row of the instruction table. */
export interface Instruction {
  readonly name: string;
  /** The diagram. */
  readonly encoding: string;
  readonly pattern: Pattern;
  readonly feature: A64FeatureName | undefined;
  readonly simd: boolean;
  readonly over: readonly string[];
  readonly semantics: ((t: Translation, fields: never) => void) | Unimplemented;
}

/** Makes the rows of a group. */
export function group<const E extends Encodings>(
  encodings: E,
  semantics: Semantics<E>,
  conditions: Conditions<E> = {},
): readonly Instruction[] {
  return Object.entries(encodings).map(([name, encoding]) => ({
    name,
    encoding,
    pattern: parsePattern(encoding),
    feature: conditions.features?.[name] ?? conditions.feature,
    simd: conditions.simd ?? false,
    over: conditions.over ?? [],
    semantics: semantics[name]! as Instruction['semantics'],
  }));
}
