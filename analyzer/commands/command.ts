/** What a command is: a declaration, a function from arguments to data, and the text of that data. */
import { FaultError, FormatError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import type { Session } from './session.ts';

/** One option. */
export interface OptionSpec {
  /** With its dashes: `-a`, `-32`; `-S=` has its argument behind the sign. */
  readonly flag: string;
  /** Name of the argument it takes, if any. */
  readonly takes?: string;
  readonly help: string;
}

/** An example in a command's help: what is typed and what it is good for. */
export interface Example {
  readonly line: string;
  readonly why: string;
}

/** A command. `Data` is what `--json` prints; plain data, addresses as bigint. */
export interface Command<Data = unknown> {
  readonly name: string;
  /** One line, no full stop. */
  readonly summary: string;
  /** Arguments as `help` prints them, without the name. */
  readonly synopsis: string;
  readonly options: readonly OptionSpec[];
  readonly description: string;
  readonly examples: readonly Example[];
  /** @throws UsageError, FaultError, FormatError, UnimplementedError: shown as one line */
  run(session: Session, args: Arguments): Data;
  /** The command's text, each line ended. */
  text(data: Data, session: Session): string;
  /** What `--json` prints instead of the data themselves. */
  json?(data: Data): unknown;
}

/** What a command came to. */
export interface CommandResult {
  readonly text: string;
  /** The error's line, without the command's name; undefined when all went well. */
  readonly error: string | undefined;
  /** Why, where the error's line does not say it. */
  readonly reason?: string | undefined;
  /** Empty for an error that stands alone. */
  readonly command: string;
}

/** A command called in a way that its synopsis does not allow: the answer is the synopsis. */
export class SynopsisError extends UsageError {}

/** An error that stands as it is, without the command's name in front. */
export class BareError extends UsageError {}

/** What a command had done when an error ended it: it is shown in front of the error. */
export class PartialError extends Error {
  readonly data: unknown;
  override readonly cause: Error;
  /** What stands between the two. */
  readonly separator: string;

  constructor(data: unknown, cause: Error, separator: string) {
    super(cause.message, { cause });
    this.name = 'PartialError';
    this.data = data;
    this.cause = cause;
    this.separator = separator;
  }
}

/** Bad input, unreadable memory and known gaps are shown; anything else is a bug of ours. */
export function isShowable(error: unknown): error is Error {
  return (
    error instanceof FaultError ||
    error instanceof UsageError ||
    error instanceof FormatError ||
    error instanceof UnimplementedError
  );
}

/** Does what crash leaves to gdb. @throws UsageError in crash's words, with the reason as its cause */
export function gdbRequest<T>(line: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (isShowable(error)) throw new UsageError(`gdb request failed: ${line}`, { cause: error });
    throw error;
  }
}

/**
 * Handles words one by one.
 * @param dataOf the command's data about those that were handled
 * @param separator stands between their text and the error
 * @throws PartialError when one fails behind others, or the error itself of the first
 */
export function inTurn<Word, Item, Data>(
  words: readonly Word[],
  one: (word: Word) => Item,
  dataOf: (items: readonly Item[]) => Data,
  separator = '',
): Data {
  const items: Item[] = [];
  for (const word of words) {
    try {
      items.push(one(word));
    } catch (error) {
      if (items.length === 0 || !isShowable(error)) throw error;
      throw new PartialError(dataOf(items), error, separator);
    }
  }
  return dataOf(items);
}

/** What is printed for a {@link SynopsisError}. */
export function usageText({ name, synopsis }: Pick<Command, 'name' | 'synopsis'>): string {
  return `Usage:\n  ${name} ${synopsis}\nEnter "help ${name}" for details.\n`;
}

/** @throws UsageError when more than one of the options is given */
export function refuseTogether(args: Arguments, flags: readonly string[], message: string): void {
  if (flags.filter(flag => args.has(flag)).length > 1) throw new UsageError(message);
}

/** Parsed arguments. */
export class Arguments {
  readonly positionals: readonly string[];
  readonly #options: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], options: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.#options = options;
  }

  /** The same options with other positionals. */
  withPositionals(positionals: readonly string[]): Arguments {
    return new Arguments(positionals, this.#options);
  }

  has(flag: string): boolean {
    return this.#options.has(flag);
  }

  /** The argument of an option, the last when it was given several times. */
  value(flag: string): string | undefined {
    return this.#options.get(flag)?.at(-1);
  }

  /** The arguments of an option that may be repeated. */
  values(flag: string): readonly string[] {
    return this.#options.get(flag) ?? [];
  }

  /** How often an option was given. */
  count(flag: string): number {
    return this.#options.get(flag)?.length ?? 0;
  }
}

/**
 * Parses words by a command's options: exact (`-32`), clustered (`-sx`), with arguments attached or following.
 * Options may stand anywhere; a negative number is no option.
 * @throws UsageError for an unknown option or a missing argument
 */
export function parseArguments(command: Pick<Command, 'options'>, words: readonly string[]): Arguments {
  const specs = new Map(command.options.map(spec => [spec.flag, spec]));
  const options = new Map<string, string[]>();
  const positionals: string[] = [];
  const add = (flag: string, value: string): void => void options.set(flag, [...(options.get(flag) ?? []), value]);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!/^-[A-Za-z0-9-]/.test(word) || (/^-\d+$/.test(word) && !specs.has(word))) {
      positionals.push(word);
      continue;
    }
    const [, named, given] = /^(-\w=)(.*)$/.exec(word) ?? [];
    if (named !== undefined && specs.has(named)) {
      add(named, given!);
      continue;
    }
    const exact = specs.get(word);
    if (exact !== undefined) {
      if (exact.takes !== undefined) index++;
      add(word, exact.takes === undefined ? '' : argumentOf(word, words[index]));
      continue;
    }
    index += parseCluster(specs, word, words[index + 1], add);
  }
  return new Arguments(positionals, options);
}

/** Splits `-sx` into its letters. Returns the number of following words used: 1 when the last letter takes one. */
function parseCluster(
  specs: ReadonlyMap<string, OptionSpec>,
  word: string,
  next: string | undefined,
  add: (flag: string, value: string) => void,
): number {
  for (let at = 1; at < word.length; at++) {
    const flag = `-${word[at]!}`;
    const spec = specs.get(flag);
    if (spec === undefined) throw new SynopsisError(`invalid option -- '${flag.slice(1)}'`);
    if (spec.takes === undefined) {
      add(flag, '');
      continue;
    }
    const attached = word.slice(at + 1);
    add(flag, attached === '' ? argumentOf(flag, next) : attached);
    return attached === '' ? 1 : 0;
  }
  return 0;
}

function argumentOf(flag: string, value: string | undefined): string {
  if (value === undefined) throw new SynopsisError(`option requires an argument -- '${flag.slice(1)}'`);
  return value;
}
