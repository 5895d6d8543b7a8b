/** What a dump lacks leaves a gap in a listing and does not end it. */
import { FaultError } from '../capture/formats/errors.ts';
import type { Program } from './program.ts';

/** What `read` gives; what `otherwise` gives where memory cannot be read. */
export function readOr<T, U>(read: () => T, otherwise: (fault: FaultError) => U): T | U {
  try {
    return read();
  } catch (error) {
    if (error instanceof FaultError) return otherwise(error);
    throw error;
  }
}

/** What `read` gives; undefined where memory cannot be read. */
export function readIfPresent<T>(read: () => T): T | undefined {
  return readOr(read, () => undefined);
}

/** What `read` gives; undefined, and a warning about `what`, where memory cannot be read. */
export function readOrWarn<T>(program: Program, what: string, read: () => T): T | undefined {
  return readOr(read, fault => {
    program.warnOfGap(what, fault);
    return undefined;
  });
}

/** The items up to where the way to the next one cannot be read, which is a warning about `what`. */
export function* untilGap<T>(program: Program, what: string, items: Iterable<T>): Generator<T> {
  const iterator = items[Symbol.iterator]();
  for (;;) {
    const next = readOrWarn(program, what, () => iterator.next());
    if (next === undefined || next.done === true) return;
    yield next.value;
  }
}

/** What `read` makes of each item; items of which that cannot be read are left out with a warning about `what`. */
export function mapPresent<T, U>(program: Program, what: string, items: Iterable<T>, read: (item: T) => U): U[] {
  const found: U[] = [];
  let lost = 0;
  let first: FaultError | undefined;
  for (const item of untilGap(program, what, items)) {
    readOr(
      () => void found.push(read(item)),
      fault => {
        lost++;
        first ??= fault;
      },
    );
  }
  if (first !== undefined) program.warnOfGap(what, first, `${lost} of ${lost + found.length} left out: `);
  return found;
}
