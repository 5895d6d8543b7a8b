/**
 * The error kinds of the project, in the one module that everybody may import.
 *
 * Guest conditions are values and never reach this file. What is thrown is one of: bad input (FormatError, UsageError,
 * ImageError), unreadable dump memory (FaultError), a known gap (UnimplementedError), or a bug of ours (AssertionError).
 */

/** What a FormatError knows about the place and the nature of the damage. */
export interface FormatErrorDetails {
  /** Path or name of the input. */
  readonly file?: string | undefined;
  /** Byte offset in the input at which the unexpected value stands. */
  readonly offset?: number | undefined;
  /** What a sound input has there. */
  readonly expected?: string | undefined;
  /** What this input has there. */
  readonly found?: string | undefined;
  readonly cause?: unknown;
}

/** Says that an input does not follow its format: where, what was expected and what was found. */
export class FormatError extends Error {
  readonly file: string | undefined;
  readonly offset: number | undefined;
  readonly expected: string | undefined;
  readonly found: string | undefined;

  constructor(message: string, details: FormatErrorDetails = {}) {
    super(formatMessage(message, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'FormatError';
    this.file = details.file;
    this.offset = details.offset;
    this.expected = details.expected;
    this.found = details.found;
  }
}

function formatMessage(message: string, details: FormatErrorDetails): string {
  const place = [];
  if (details.file !== undefined) place.push(details.file);
  if (details.offset !== undefined) place.push(`offset 0x${details.offset.toString(16)}`);
  const contrast = [];
  if (details.expected !== undefined) contrast.push(`expected ${details.expected}`);
  if (details.found !== undefined) contrast.push(`found ${details.found}`);
  const head = place.length === 0 ? message : `${place.join(', ')}: ${message}`;
  return contrast.length === 0 ? head : `${head} (${contrast.join(', ')})`;
}

/** Says that the user asked for something that does not exist or does not fit together. */
export class UsageError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UsageError';
  }
}

/** Says that a kernel, initramfs, disk or firmware image cannot be used on the machine it is meant for. */
export class ImageError extends Error {
  /** Path or name of the image, if it has one. */
  readonly file: string | undefined;

  constructor(message: string, details: { readonly file?: string | undefined; readonly cause?: unknown } = {}) {
    super(
      details.file === undefined ? message : `${details.file}: ${message}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = 'ImageError';
    this.file = details.file;
  }
}

/** Says that memory of a dump cannot be read: not in the dump, filtered out at its dump level, or not mapped. */
export class FaultError extends Error {
  /** The address asked for: physical as `number`, virtual as `bigint`. */
  readonly address: bigint | number;
  readonly reason: string;

  constructor(address: bigint | number, reason: string) {
    super(`cannot read ${typeof address === 'bigint' ? 'vaddr' : 'paddr'} 0x${address.toString(16)}: ${reason}`);
    this.name = 'FaultError';
    this.address = address;
    this.reason = reason;
  }
}

/** Says that something real is missing here; `source` names the document and title that describe it. */
export class UnimplementedError extends Error {
  readonly what: string;
  readonly source: string | undefined;

  constructor(what: string, source?: string) {
    super(source === undefined ? `not implemented: ${what}` : `not implemented: ${what} (${source})`);
    this.name = 'UnimplementedError';
    this.what = what;
    this.source = source;
  }
}

/** Says that the program contradicts itself: a bug of ours, never caught. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`);
    this.name = 'AssertionError';
  }
}

/** Checks what must be true if the program is right. @throws AssertionError */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a point that an exhaustive switch cannot reach. @throws AssertionError */
export function assertNever(value: never, what = 'value'): never {
  throw new AssertionError(`unexpected ${what}: ${String(value)}`);
}
