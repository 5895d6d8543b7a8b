/** The options of the command line `crash`: those of crash(8), `-c` and `--json`. */
import { FaultError, FormatError, UsageError } from '../../capture/formats/errors.ts';
import { FileSource } from '../../capture/formats/byte-source.ts';
import { isElf } from '../../capture/formats/elf.ts';
import { namesLiveMemory } from '../live/live-memory.ts';
import { looksLikeDump } from '../../capture/sources/dump-file.ts';

/** What the command line asks for. */
export interface CliOptions {
  readonly dump: readonly string[];
  readonly vmlinux: string | undefined;
  readonly systemMap: string | undefined;
  /** Files of commands to run first. */
  readonly inputFiles: readonly string[];
  /** Commands of `-c`; undefined without it. */
  readonly commands: readonly string[] | undefined;
  /** Flags that were given, with their dashes. */
  readonly flags: ReadonlySet<string>;
  /** Arguments of options, the last when one was given several times. */
  readonly values: ReadonlyMap<string, string>;
}

interface OptionRow {
  readonly names: readonly string[];
  readonly takes?: string;
  /** The argument may be left out. */
  readonly optional?: boolean;
  /** Undefined for options of crash that need nothing to be done here. */
  readonly help?: string;
}

const OPTIONS: readonly OptionRow[] = [
  { names: ['-c'], takes: 'COMMANDS', help: "run commands, separated by ';' or lines, and exit" },
  { names: ['-i'], takes: 'FILE', help: 'run the commands of a file first' },
  { names: ['-s'], help: 'no greeting' },
  { names: ['--json'], help: "print each command's data as JSON, one object a line" },
  {
    names: ['--json-schema'],
    takes: 'COMMAND',
    optional: true,
    help: 'print the JSON schema of that output, and exit',
  },
  { names: ['-S'], takes: 'FILE', optional: true, help: 'symbols from a System.map; without FILE that of /boot' },
  { names: ['--minimal'], help: 'only log, dis, rd, sym, eval, set, extend and exit: for damaged dumps' },
  { names: ['--active'], help: 'only the tasks that ran on the CPUs' },
  { names: ['--no_panic'], help: 'do not look for the task that panicked; start at the idle task of CPU 0' },
  { names: ['--no_modules'], help: 'leave out the symbols and types of modules' },
  { names: ['--zero_excluded'], help: 'read pages that were filtered out as zeros' },
  { names: ['--hex'], help: 'integers in hexadecimal, as set radix 16' },
  { names: ['--dec'], help: 'integers in decimal (default)' },
  { names: ['--no_crashrc'], help: 'do not read .crashrc and .kcrashrc' },
  { names: ['--no_scroll'], help: 'do not stop after a screenful' },
  { names: ['--more'], help: 'scroll with more' },
  { names: ['--less'], help: 'scroll with less (default)' },
  { names: ['--CRASHPAGER'], help: 'scroll with the command of the variable CRASHPAGER' },
  { names: ['-e'], takes: 'vi|emacs', help: 'editing mode: emacs only' },
  { names: ['-d'], takes: 'LEVEL', help: 'debug level, as set debug' },
  { names: ['--osrelease'], takes: 'DUMP', help: "print the kernel's release and exit" },
  { names: ['--log'], takes: 'DUMP', help: "print the kernel's log and exit" },
  { names: ['-t'], help: 'print when the system crashed and exit' },
  { names: ['-h', '--help'], takes: 'COMMAND', optional: true, help: 'this text, or the help of a command' },
  { names: ['-v', '--version'], help: 'the version' },
  { names: ['--mod'], takes: 'DIR' },
  { names: ['--src'], takes: 'DIR' },
  { names: ['--cpus'], takes: 'N' },
  { names: ['--hash'], takes: 'N' },
  { names: ['--kaslr'], takes: 'OFFSET|auto' },
  { names: ['--offline'], takes: 'show|hide' },
  { names: ['-m', '--machdep'], takes: 'OPTION=VALUE' },
  { names: ['-p'], takes: 'BYTES' },
  ...['-f', '-L', '-x', '--smp', '--readnow', '--no_kallsyms', '--no_ikconfig', '--no_ikconf', '--no_data_debug'].map(
    name => ({ names: [name] }),
  ),
  ...['--no_kmem_cache', '--no_elf_notes', '--no_strip', '--kmem_cache_delay', '--buildinfo'].map(name => ({
    names: [name],
  })),
];

/** Options of crash for systems that are not read here. */
const REFUSED: Readonly<Record<string, string>> = {
  '-k': 'LKCD dumps are not read',
  '-g': 'there is no gdb inside',
  '-o': 'Xen dumps are not read',
  '--hyper': 'Xen dumps are not read',
  '--p2m_mfn': 'Xen dumps are not read',
  '--xen_phys_start': 'Xen dumps are not read',
  '--memory_module': 'live systems are not read',
  '--memory_device': 'live systems are not read',
  '--reloc': '32-bit x86 is not read',
  '--kvmhost': "libvirt's dumps are not read",
  '--kvmio': "libvirt's dumps are not read",
};

/** The text of `--help`. */
export function usageText(): string {
  const rows = OPTIONS.filter(({ help }) => help !== undefined).map(({ names, takes, optional, help }) => {
    const argument = takes === undefined ? '' : optional === true ? ` [${takes}]` : ` ${takes}`;
    return `  ${`${names.join(', ')}${argument}`.padEnd(26)} ${help}\n`;
  });
  const silent = OPTIONS.filter(({ help }) => help === undefined).flatMap(({ names }) => names);
  return `usage: crash [options] [vmlinux] [System.map] VMCORE [more files of a split dump]
       crash [options] [vmlinux] [live:]RAM@ADDRESS[,RAM@ADDRESS]
       crash [options] [vmlinux] live:gdb:HOST:PORT   (a machine with a gdb stub: -gdb tcp::PORT)
${rows.join('')}Taken and not needed: ${silent.join(' ')}
Exit status: 0, or 1 when the dump could not be opened or a command of -c, -i or a pipe failed.
`;
}

/**
 * Splits the arguments into options and files.
 * @throws UsageError for an unknown option, a missing argument, or one that cannot be served
 */
export function parseOptions(args: readonly string[]): CliOptions {
  const { files, flags, given } = readWords(args);
  const values = new Map([...given].map(([name, all]) => [name, all.at(-1)!]));
  const map = values.get('-S') ?? (flags.has('-S') ? SYSTEM_MAP_OF_HOST : undefined);
  return {
    ...sortFiles(files, map),
    inputFiles: given.get('-i') ?? [],
    commands: given.get('-c')?.flatMap(splitCommands),
    flags,
    values,
  };
}

interface Words {
  readonly files: string[];
  readonly flags: Set<string>;
  readonly given: Map<string, string[]>;
}

function readWords(args: readonly string[]): Words {
  const words: Words = { files: [], flags: new Set(), given: new Map() };
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!;
    if (!word.startsWith('-') || word === '-') words.files.push(word);
    else index += readOption(words, word, args[index + 1]);
  }
  return words;
}

/** Returns the number of following words that the option uses. */
function readOption({ flags, given }: Words, word: string, next: string | undefined): 0 | 1 {
  const [written, attached] = splitLong(word);
  const row = rowOf(written);
  const [name] = row.names;
  flags.add(name!);
  const value = row.takes === undefined ? undefined : (attached ?? takeArgument(row, next));
  if (value === undefined) return 0;
  given.set(name!, [...(given.get(name!) ?? []), value]);
  return attached === undefined ? 1 : 0;
}

const SYSTEM_MAP_OF_HOST = '/boot/System.map';

/** `--kaslr=auto` as well as `--kaslr auto`. */
function splitLong(word: string): [name: string, attached: string | undefined] {
  const equals = word.startsWith('--') ? word.indexOf('=') : -1;
  return equals === -1 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function rowOf(name: string): OptionRow {
  const row = OPTIONS.find(({ names }) => names.includes(name));
  if (row !== undefined) return row;
  const reason = REFUSED[name];
  throw new UsageError(reason === undefined ? `unknown option ${name}` : `option ${name}: ${reason}`);
}

/** @returns undefined when an optional argument is not there: the next word is an option, a dump or another file */
function takeArgument(row: OptionRow, next: string | undefined): string | undefined {
  if (row.optional === true) return next === undefined || !isArgumentOf(row.names[0]!, next) ? undefined : next;
  if (next === undefined) throw new UsageError(`option ${row.names[0]!} wants an argument`);
  return next;
}

function isArgumentOf(name: string, word: string): boolean {
  if (word.startsWith('-')) return false;
  return name === '-S' ? isSystemMap(word) : /^[\w*?]+$/.test(word);
}

/** Splits at `;` and line ends, outside quotes. */
export function splitCommands(text: string): string[] {
  const parts = text.match(/(?:'[^']*'|"[^"]*"|[^;\n'"]|['"])+/g) ?? [];
  return parts.map(part => part.trim()).filter(part => part !== '');
}

/** Lines of an address, a letter and a name. */
function isSystemMap(path: string): boolean {
  try {
    using source = new FileSource(path);
    const start = Buffer.from(source.read(0, Math.min(source.size, 256))).toString('latin1');
    return /^[\da-f]{8,16} [a-zA-Z?] \S+\n/.test(start);
  } catch (error) {
    if (error instanceof UsageError || error instanceof FormatError || error instanceof FaultError) return false;
    throw error;
  }
}

/** Tells dumps, the vmlinux and a System.map apart, in whatever order they were given. */
function sortFiles(
  files: readonly string[],
  mapOption: string | undefined,
): Pick<CliOptions, 'dump' | 'vmlinux' | 'systemMap'> {
  const dump = files.filter(file => namesLiveMemory(file) || looksLikeDump(file));
  const others = files.filter(file => !dump.includes(file));
  const maps = others.filter(isSystemMap);
  const [vmlinux, second] = others.filter(file => !maps.includes(file));
  if (second !== undefined) throw new UsageError(`${second}: only one vmlinux can be given`);
  if (vmlinux !== undefined && !startsAsElf(vmlinux))
    throw new UsageError(`${vmlinux}: not a dump, a vmlinux or a System.map`);
  return { dump, vmlinux, systemMap: mapOption ?? maps[0] };
}

function startsAsElf(path: string): boolean {
  using source = new FileSource(path);
  return isElf(source.read(0, Math.min(source.size, 64)));
}
