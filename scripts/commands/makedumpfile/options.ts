/**
 * The command line of makedumpfile(8), version 1.7.9: options, and which of them go together.
 */
import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';

import type { Compressor } from '../../../capture/formats/compression.ts';
import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { MAX_DUMP_LEVEL } from '../../../capture/page-classifier.ts';

/** What to do. */
export type Mode = 'create' | 'rearrange' | 'reassemble' | 'dmesg' | 'mem-usage' | 'generate' | 'help' | 'version';

/** A checked command line. */
export interface Options {
  readonly mode: Mode;
  readonly compressor: Compressor | undefined;
  /** `-d`: the levels to try, one after the other. */
  readonly levels: readonly number[];
  readonly elf: boolean;
  /** `-e`: leave out the structures of left-out pages. */
  readonly excludeUnusedVm: boolean;
  readonly flatten: boolean;
  readonly force: boolean;
  readonly split: boolean;
  /** In bytes; undefined for the default. */
  readonly splitBlockSize: number | undefined;
  readonly threads: number;
  /** `-L`, in bytes. */
  readonly sizeLimit: number | undefined;
  readonly vmlinux: string | undefined;
  /** `-i`: read, or `-g`: written. */
  readonly vmcoreinfoFile: string | undefined;
  readonly config: string | undefined;
  readonly vtop: bigint | undefined;
  readonly partialDmesg: boolean;
  readonly dryRun: boolean;
  readonly checkParams: boolean;
  readonly messageLevel: number;
  /** The dump to read, or the parts to reassemble. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Bits of `--message-level`. */
export const MESSAGE = { PROGRESS: 1, COMMON: 2, ERROR: 4, DEBUG: 8, REPORT: 16 } as const;
const DEFAULT_MESSAGE_LEVEL = 7;
const MAX_MESSAGE_LEVEL = 31;

const OPTIONS = {
  zlib: { type: 'boolean', short: 'c' },
  lzo: { type: 'boolean', short: 'l' },
  snappy: { type: 'boolean', short: 'p' },
  zstd: { type: 'boolean', short: 'z' },
  'dump-level': { type: 'string', short: 'd' },
  'size-limit': { type: 'string', short: 'L' },
  elf: { type: 'boolean', short: 'E' },
  flatten: { type: 'boolean', short: 'F' },
  rearrange: { type: 'boolean', short: 'R' },
  force: { type: 'boolean', short: 'f' },
  vmlinux: { type: 'string', short: 'x' },
  'read-vmcoreinfo': { type: 'string', short: 'i' },
  'generate-vmcoreinfo': { type: 'string', short: 'g' },
  'block-order': { type: 'string', short: 'b' },
  debug: { type: 'boolean', short: 'D' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
  'exclude-xen-user-domain': { type: 'boolean', short: 'X' },
  'exclude-unused-vm': { type: 'boolean', short: 'e' },
  config: { type: 'string' },
  split: { type: 'boolean' },
  'splitblock-size': { type: 'string' },
  reassemble: { type: 'boolean' },
  'num-threads': { type: 'string' },
  'cyclic-buffer': { type: 'string' },
  'work-dir': { type: 'string' },
  'non-mmap': { type: 'boolean' },
  'dump-dmesg': { type: 'boolean' },
  'partial-dmesg': { type: 'boolean' },
  'mem-usage': { type: 'boolean' },
  'message-level': { type: 'string' },
  vtop: { type: 'string' },
  'check-params': { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  'show-stats': { type: 'boolean' },
  eppic: { type: 'string' },
  'xen-syms': { type: 'string' },
  'xen-vmcoreinfo': { type: 'string' },
  xen_phys_start: { type: 'string' },
  diskset: { type: 'string', multiple: true },
  extension: { type: 'string', multiple: true },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

/** makedumpfile's options that this one does not have, and why. */
const ABSENT: Readonly<Record<string, string>> = {
  'exclude-xen-user-domain': 'Xen dumps (-X)',
  eppic: 'eppic macros',
  'xen-syms': 'Xen dumps',
  'xen-vmcoreinfo': 'Xen dumps',
  xen_phys_start: 'Xen dumps',
  diskset: 'sadump dumps (--diskset)',
  extension: 'makedumpfile extensions',
};

/** A value that is impossible: makedumpfile then does not point to its help. */
export class ImpossibleValueError extends UsageError {}

/** The long names above that makedumpfile itself knows only as letters. */
const LETTER_ONLY = new Set(
  Object.entries(OPTIONS).flatMap(([name, option]) => ('short' in option && name !== 'help' ? [name] : [])),
);

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.map(unabbreviated),
      options: OPTIONS,
      allowPositionals: true,
      tokens: true,
      strict: true,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split('\n')[0]! : String(error), { cause: error });
  }
}

/** `getopt_long` takes the beginning of a long name when only one name begins so. */
function unabbreviated(arg: string): string {
  const [, given, value = ''] = /^--([\w-]+)(=.*)?$/s.exec(arg) ?? [];
  if (given === undefined || given in OPTIONS) return arg;
  const names = Object.keys(OPTIONS).filter(name => name.startsWith(given) && !LETTER_ONLY.has(name));
  return names.length === 1 ? `--${names[0]!}${value}` : arg;
}

/**
 * Reads a command line.
 * @throws UsageError when options are wrong or do not go together
 * @throws UnimplementedError for options of makedumpfile that are missing here
 */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals, tokens } = parse(args);
  const names = tokens.filter(token => token.kind === 'option');
  for (const { name, rawName } of names) checkName(name, rawName);
  const mode = modeOf(values);
  const options: Options = {
    mode,
    compressor: names.map(({ name }) => COMPRESSORS.find(compressor => compressor === name)).findLast(Boolean),
    levels: parseLevels(values['dump-level']),
    ...flags(values),
    splitBlockSize: optional(values['splitblock-size'], text => integer(text) * 1024),
    threads: Math.max(0, optional(values['num-threads'], integer) ?? 0),
    sizeLimit: optional(values['size-limit'], parseSize),
    vmlinux: values.vmlinux,
    vmcoreinfoFile: values['generate-vmcoreinfo'] ?? values['read-vmcoreinfo'],
    config: values.config,
    vtop: optional(values.vtop, parseAddress),
    messageLevel: parseMessageLevel(values),
    ...files(mode, values, positionals),
  };
  if (options.excludeUnusedVm && values['work-dir'] === undefined) throw new UsageError('-e requires --work-dir');
  checkCombination(options, values['read-vmcoreinfo'] !== undefined);
  return options;
}

const COMPRESSORS = ['zlib', 'lzo', 'snappy', 'zstd'] as const;

function optional<T>(text: string | undefined, parseText: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parseText(text);
}

function checkName(name: string, rawName: string): void {
  if (rawName.startsWith('--') && LETTER_ONLY.has(name)) throw new UsageError(`Unknown option '${rawName}'`);
  const absent = ABSENT[name];
  if (absent !== undefined) throw new UnimplementedError(absent, 'makedumpfile(8)');
}

function flags(
  values: Values,
): Pick<
  Options,
  'elf' | 'excludeUnusedVm' | 'flatten' | 'force' | 'split' | 'partialDmesg' | 'dryRun' | 'checkParams'
> {
  return {
    elf: values.elf === true,
    excludeUnusedVm: values['exclude-unused-vm'] === true,
    flatten: values.flatten === true,
    force: values.force === true,
    split: values.split === true,
    partialDmesg: values['partial-dmesg'] === true,
    dryRun: values['dry-run'] === true,
    checkParams: values['check-params'] === true,
  };
}

function modeOf(values: Values): Mode {
  if (values.help === true) return 'help';
  if (values.version === true) return 'version';
  if (values['generate-vmcoreinfo'] !== undefined) return 'generate';
  if (values.rearrange === true) return 'rearrange';
  if (values.reassemble === true) return 'reassemble';
  if (values['dump-dmesg'] === true) return 'dmesg';
  return values['mem-usage'] === true ? 'mem-usage' : 'create';
}

/** How many files each mode takes, and how many of them it reads. */
const FILES: Readonly<Record<Mode | 'flatten' | 'split', { least: number; most: number; reads: number }>> = {
  help: { least: 0, most: Number.POSITIVE_INFINITY, reads: 0 },
  version: { least: 0, most: Number.POSITIVE_INFINITY, reads: 0 },
  generate: { least: 0, most: 0, reads: 0 },
  rearrange: { least: 1, most: 1, reads: 0 },
  // All but the last.
  reassemble: { least: 2, most: Number.POSITIVE_INFINITY, reads: -1 },
  'mem-usage': { least: 1, most: 1, reads: 1 },
  dmesg: { least: 2, most: 2, reads: 1 },
  create: { least: 2, most: 2, reads: 1 },
  flatten: { least: 1, most: 1, reads: 1 },
  split: { least: 3, most: Number.POSITIVE_INFINITY, reads: 1 },
};

/** Which positional arguments are read and which are written. */
function files(mode: Mode, values: Values, names: readonly string[]): Pick<Options, 'inputs' | 'outputs'> {
  const isFlat = (mode === 'create' || mode === 'dmesg') && values.flatten === true;
  const isSplit = mode === 'create' && values.split === true;
  const shape = FILES[isFlat ? 'flatten' : isSplit ? 'split' : mode];
  if (names.length < shape.least || names.length > shape.most) throw new UsageError('The number of files is wrong.');
  return { inputs: names.slice(0, shape.reads), outputs: names.slice(shape.reads) };
}

/** What goes wrong when options are used together. */
type Rule = readonly [isBroken: (options: Options, readsInfo: boolean) => boolean, message: string];

const compresses = ({ compressor }: Options): boolean => compressor !== undefined;
const makesDump = (options: Options): boolean =>
  compresses(options) || options.elf || options.levels.some(level => level > 0);
const copies = ({ mode }: Options): boolean => mode === 'rearrange' || mode === 'reassemble';

const RULES: readonly Rule[] = [
  [o => compresses(o) && o.elf, '-E cannot be used with a compression option.'],
  [(o, readsInfo) => readsInfo && o.vmlinux !== undefined, '-i cannot be used with -x.'],
  [o => o.flatten && o.split, '-F cannot be used with --split.'],
  [o => o.config !== undefined && o.vmlinux === undefined, '--config needs -x VMLINUX.'],
  [o => o.threads > 0 && o.split, '--num-threads cannot used with --split.'],
  [o => o.threads > 0 && o.elf, '--num-threads cannot used with ELF format.'],
  [o => o.split && o.elf, 'Options for splitting dumpfile cannot be used with Elf format.'],
  [o => o.partialDmesg && o.mode !== 'dmesg', '--partial-dmesg needs --dump-dmesg.'],
  [o => o.dryRun && o.mode === 'dmesg', '--dry-run cannot be used with --dump-dmesg.'],
  [o => o.dryRun && o.mode === 'reassemble', '--dry-run cannot be used with --reassemble.'],
  [o => o.dryRun && o.mode === 'generate', '--dry-run cannot be used with -g.'],
  [o => o.mode === 'generate' && o.vmlinux === undefined, '-g needs -x VMLINUX.'],
  [(o, readsInfo) => o.mode === 'generate' && (makesDump(o) || readsInfo), '-g makes no dump: only -x goes with it.'],
  [o => copies(o) && (makesDump(o) || o.flatten), 'The dump is copied as it is: -c, -d, -E, -F do not apply.'],
];

function checkCombination(options: Options, readsInfo: boolean): void {
  const broken = RULES.find(([isBroken]) => isBroken(options, readsInfo));
  if (broken !== undefined) throw new UsageError(broken[1]);
}

function parseLevels(text: string | undefined): number[] {
  if (text === undefined) return [0];
  return text.split(',').map(part => {
    const level = /^\d+$/.test(part) ? Number(part) : Number.NaN;
    if (!(level <= MAX_DUMP_LEVEL)) throw new ImpossibleValueError(`Dump_level(${part}) is invalid.`);
    return level;
  });
}

const SIZE_SUFFIXES = 'kmgtpe';

/** A size with the kernel's suffixes K to E. */
export function parseSize(text: string): number {
  const match = /^(0x[\da-f]+|\d+)([kmgtpe])?$/i.exec(text);
  const power = match?.[2] === undefined ? 0 : SIZE_SUFFIXES.indexOf(match[2].toLowerCase()) + 1;
  const size = match === null ? 0 : Number(match[1]) * 1024 ** power;
  if (size > 0) return size;
  throw new ImpossibleValueError(`Limit size(${text}) is invalid.`);
}

function parseAddress(text: string): bigint {
  if (/^(0x[\da-f]{1,16}|\d{1,20})$/i.test(text)) return BigInt.asUintN(64, BigInt(text));
  if (/^[\da-f]{1,16}$/i.test(text)) return BigInt(`0x${text}`);
  throw new UsageError(`Virtual address(${text}) is invalid.`);
}

function parseMessageLevel(values: Values): number {
  const text = values['message-level'];
  let level = text === undefined ? DEFAULT_MESSAGE_LEVEL : integer(text);
  if (level < 0 || level > MAX_MESSAGE_LEVEL) throw new ImpossibleValueError(`Message_level(${text}) is invalid.`);
  if (values.debug === true) level |= MESSAGE.DEBUG;
  if (values['show-stats'] === true) level |= MESSAGE.REPORT;
  return values['check-params'] === true ? DEFAULT_MESSAGE_LEVEL : level;
}

function integer(text: string): number {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`${text} is not a number.`);
}
