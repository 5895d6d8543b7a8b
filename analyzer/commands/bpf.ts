/** `bpf`: loaded BPF programs and maps. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { disassemble } from '../disassembler.ts';
import { bpfMaps, bpfPrograms, mapMemory } from '../linux/bpf.ts';
import type { BpfMap, BpfProgram } from '../linux/bpf.ts';
import { dateText, uptimeSeconds, wallClockSeconds } from '../linux/timekeeping.ts';
import { BPF_INSN_SIZE, bpfLines } from '../text/bpf-instructions.ts';
import { center, hex, hex16, lines } from '../text/layout.ts';
import { printValue } from '../types/print-value.ts';
import type { StructObject } from '../types/object.ts';
import { refuseTogether } from './command.ts';
import type { Arguments, Command } from './command.ts';
import type { Session } from './session.ts';

interface BpfData {
  readonly programs: readonly BpfProgram[];
  readonly maps: readonly BpfMap[];
  readonly show: {
    readonly programDetails: boolean;
    readonly mapDetails: boolean;
    readonly compiled: boolean;
    /** The byte code: as text, or with its bytes. */
    readonly code: 'none' | 'text' | 'bytes';
    readonly structures: boolean;
    readonly radix: 10 | 16;
  };
}

/** `bpf`. */
export const bpf: Command<BpfData> = {
  name: 'bpf',
  summary: 'loaded BPF programs and maps',
  synopsis: '[[-p ID | -P] [-tTj]] [[-m ID] | -M] [-s] [-xd]',
  options: [
    { flag: '-p', takes: 'ID', help: 'a program with its sizes, load time, licence, name and user' },
    { flag: '-P', help: 'all programs with these' },
    { flag: '-m', takes: 'ID', help: 'a map with its sizes, name and user' },
    { flag: '-M', help: 'all maps with these' },
    { flag: '-t', help: 'with -p and -P: the byte code' },
    { flag: '-T', help: 'as -t, with the bytes of each instruction' },
    { flag: '-j', help: 'with -p and -P: the compiled code' },
    { flag: '-s', help: 'the structures of the kernel' },
    { flag: '-x', help: 'with -s: integers in hexadecimal' },
    { flag: '-d', help: 'with -s: integers in decimal' },
  ],
  description: 'Lists programs and maps by id. Nothing is printed when there are none.',
  examples: [
    { line: 'bpf', why: 'who watches this kernel' },
    { line: 'bpf -p 20 -t', why: 'what a program does' },
  ],
  run(session, args) {
    checkOptions(args);
    if (args.positionals.length > 0) throw new UsageError(`invalid argument: ${args.positionals[0]!}`);
    const both = !['-p', '-P', '-m', '-M'].some(flag => args.has(flag));
    const maps = bpfMaps(session.program);
    const programs = bpfPrograms(session.program, maps);
    const wantsPrograms = both || args.has('-p') || args.has('-P');
    const wantsMaps = both || args.has('-m') || args.has('-M');
    return {
      programs: wantsPrograms ? chosen(programs, args, '-p', '-P', 'program') : [],
      maps: wantsMaps ? chosen(maps, args, '-m', '-M', 'map') : [],
      show: shownOf(session, args),
    };
  },
  json: ({ programs, maps }) => ({
    programs: programs.map(({ aux, ...program }) => ({ ...program, aux: aux?.address })),
    maps,
  }),
  text(data, session) {
    const { programs, maps, show } = data;
    const programText = listed(programs, programHeader(session), show.programDetails, entry =>
      programBlock(session, data, entry),
    );
    const mapText = listed(maps, mapHeader(session), show.mapDetails, entry => mapBlock(session, data, entry));
    return [programText, mapText].filter(text => text !== '').join('\n');
  },
};

function shownOf(session: Session, args: Arguments): BpfData['show'] {
  const has = (...flags: readonly string[]): boolean => flags.some(flag => args.has(flag));
  return {
    programDetails: has('-p', '-P'),
    mapDetails: has('-m', '-M'),
    compiled: has('-j'),
    code: has('-T') ? 'bytes' : has('-t') ? 'text' : 'none',
    structures: has('-s'),
    radix: has('-x') ? 16 : has('-d') ? 10 : session.settings.radix,
  };
}

/** Options and the ones of which they need one, with what is said without. */
const NEEDS: readonly (readonly [flags: readonly string[], needed: readonly string[], message: string])[] = [
  [['-j'], ['-p', '-P'], '-j option only applicable with -p or -P'],
  [['-t', '-T'], ['-p', '-P'], '-t option only applicable with -p or -P'],
  [['-s'], ['-p', '-P', '-m', '-M'], '-s option requires either -p, -P, -m or -M'],
  [['-x'], ['-s'], '-x option requires -s'],
  [['-d'], ['-s'], '-d option requires -s'],
];

/** @throws UsageError for options without what they belong to */
function checkOptions(args: Arguments): void {
  refuseTogether(args, ['-d', '-x'], '-d and -x are mutually exclusive');
  const has = (flag: string): boolean => args.has(flag);
  const wrong = NEEDS.find(([flags, needed]) => flags.some(has) && !needed.some(has));
  if (wrong !== undefined) throw new UsageError(wrong[2]);
}

/** All, or the one that an option names. @throws UsageError when there is none of that id */
function chosen<Entry extends { readonly id: number }>(
  all: readonly Entry[],
  args: Arguments,
  one: string,
  every: string,
  what: string,
): readonly Entry[] {
  const id = args.value(one);
  if (id === undefined) return all;
  const found = all.filter(entry => String(entry.id) === id);
  if (found.length === 0) throw new UsageError(`invalid ${what} ID: ${id}`);
  return args.has(every) ? all : found;
}

/** A list under one head; with details each entry has its own. */
function listed<Entry>(
  all: readonly Entry[],
  header: string,
  withDetails: boolean,
  block: (entry: Entry) => string,
): string {
  if (all.length === 0) return '';
  return withDetails ? all.map(entry => header + block(entry)).join('\n') : header + all.map(block).join('');
}

const MAX_TYPE_WIDTH = 13;
const PREFIX_LENGTH = 'BPF_PROG_TYPE_'.length;

/** Width of a column of types: the longest enumerator without its prefix. */
function typeWidth({ program }: Session, tag: string): number {
  const names = program.types.findEnum(tag)?.enumerators ?? [];
  return Math.max(0, ...names.map(({ name }) => name.length - PREFIX_LENGTH));
}

function programHeader(session: Session): string {
  const width = Math.min(MAX_TYPE_WIDTH, typeWidth(session, 'bpf_prog_type'));
  return `${center('ID', 4)} ${center('BPF_PROG', 16)} ${center('BPF_PROG_AUX', 16)} ${center('BPF_PROG_TYPE', width)}       TAG        USED_MAPS\n`;
}

function mapHeader(session: Session): string {
  return `${center('ID', 4)} ${center('BPF_MAP', 16)} ${center('BPF_MAP_TYPE', typeWidth(session, 'bpf_map_type'))} MAP_FLAGS\n`;
}

function programBlock(session: Session, { show }: BpfData, entry: BpfProgram): string {
  const { id, struct, aux, type, tag, maps } = entry;
  const width = Math.min(MAX_TYPE_WIDTH, typeWidth(session, 'bpf_prog_type'));
  const row = `${center(String(id), 4)} ${hex16(struct.address)} ${hex16(aux?.address ?? 0n)} ${center(type, width)} ${tag} ${center(maps.join(','), 9)} \n`;
  return [
    row,
    show.programDetails ? programDetails(session, entry) : '',
    show.compiled ? `\n${compiledText(session, struct)}` : '',
    show.code === 'none' ? '' : `\n${codeText(session, struct, show.code === 'bytes')}`,
    show.structures ? `\n${structText(session, struct, show.radix)}` : '',
    show.structures && aux !== undefined ? `\n${structText(session, aux, show.radix)}` : '',
  ].join('');
}

function programDetails(session: Session, { struct, aux, name }: BpfProgram): string {
  const { program } = session;
  const locked = struct.has('pages') ? String(struct.num('pages') * program.space.pageSize) : '(unknown)';
  const loaded = aux?.has('load_time') === true ? loadTime(session, aux.big('load_time')) : '(unknown)';
  return lines([
    `     XLATED: ${struct.num('len') * BPF_INSN_SIZE}  JITED: ${struct.num('jited_len')}  MEMLOCK: ${locked}`,
    `     LOAD_TIME: ${loaded}`,
    `     GPL_COMPATIBLE: ${struct.num('gpl_compatible') === 0 ? 'no' : 'yes'}  NAME: ${nameText(name)}  UID: ${userText(aux)}`,
  ]);
}

/** When a time since boot was, ns. crash takes its own host's boot time; this is the dump's. */
function loadTime({ program }: Session, sinceBoot: bigint): string {
  const now = wallClockSeconds(program);
  if (now === undefined) return '(unknown)';
  return dateText(Math.floor(now - uptimeSeconds(program) + Number(sinceBoot) / 1e9)).replace(' UTC', '');
}

function nameText(name: string): string {
  return name === '' ? '(unused)' : `"${name}"`;
}

function userText(owner: StructObject | undefined): string {
  const user = owner?.has('user') === true ? owner.follow('user') : undefined;
  return user === undefined ? '(unknown)' : String(user.num('uid.val'));
}

const MAX_CODE = 2 ** 20;

function compiledText({ program }: Session, struct: StructObject): string {
  const length = Math.min(struct.num('jited_len'), MAX_CODE);
  if (length === 0) return '(program not jited)\n';
  const start = struct.pointer('bpf_func');
  const bytes = program.memory.readBytes(start, length);
  const symbolAt = (address: bigint): string | undefined => program.symbols.format(address);
  return lines(
    disassemble(program.architecture, bytes, start, symbolAt).map(
      ({ address, text }) => `   0x${hex(address)}:\t${text}`,
    ),
  );
}

function codeText(session: Session, struct: StructObject, withBytes: boolean): string {
  const { program } = session;
  const length = Math.min(struct.num('len') * BPF_INSN_SIZE, MAX_CODE);
  const bytes = program.memory.readBytes(struct.addressOf('insnsi'), length);
  const maps = bpfMaps(program);
  const names = {
    immediate: (value: bigint): string => {
      const map = maps.find(entry => entry.struct.address === value);
      return map === undefined ? `0x${hex(value)}` : `map[id:${map.id}]`;
    },
    call: (immediate: number): string => helperName(session, immediate),
  };
  return bpfLines(bytes, names)
    .map(({ index, text, bytes: own }) => {
      const raw = Array.from(own, byte => byte.toString(16).padStart(2, '0')).join(' ');
      return `${String(index).padStart(4)}: ${text}\n${withBytes ? `       ${raw}\n` : ''}`;
    })
    .join('');
}

/** By `func_id_str[]`, or for what the verifier has patched by the distance from `__bpf_call_base`. */
function helperName({ program }: Session, immediate: number): string {
  const base = program.symbols.find('__bpf_call_base');
  const place = base === undefined ? undefined : program.symbols.lookup(BigInt.asUintN(64, base + BigInt(immediate)));
  if (place?.offset === 0) return place.symbol.name;
  const table = program.symbols.find('func_id_str');
  const end = program.types.enumerator('bpf_func_id', '__BPF_FUNC_MAX_ID') ?? 0;
  if (table === undefined || immediate < 0 || immediate >= end) return 'unknown';
  try {
    return program.memory.readString(program.memory.readU64(table + BigInt(8 * immediate)), 64);
  } catch (error) {
    if (error instanceof FaultError) return 'unknown';
    throw error;
  }
}

function mapBlock(session: Session, { show }: BpfData, entry: BpfMap): string {
  const { id, struct, type } = entry;
  const flags = struct.num('map_flags').toString(16).padStart(8, '0');
  const row = `${center(String(id), 4)} ${hex16(struct.address)} ${center(type, typeWidth(session, 'bpf_map_type'))}  ${flags} \n`;
  const details = show.mapDetails ? mapDetails(session, entry) : '';
  return row + details + (show.structures ? `\n${structText(session, struct, show.radix)}` : '');
}

function mapDetails({ program }: Session, map: BpfMap): string {
  const { struct, name } = map;
  const pages = ['memory.pages', 'pages'].find(path => struct.has(path));
  const locked = pages === undefined ? mapMemory(program, map) : struct.num(pages) * program.space.pageSize;
  const owner = struct.has('memory.user') ? struct.embedded('memory') : struct;
  const user = owner.has('user') ? userText(owner) : '(unused)';
  return lines([
    `     KEY_SIZE: ${struct.num('key_size')}  VALUE_SIZE: ${struct.num('value_size')}  MAX_ENTRIES: ${struct.num('max_entries')}  MEMLOCK: ${locked}`,
    `     NAME: ${nameText(name)}  UID: ${user}`,
  ]);
}

function structText(session: Session, { type, address, memory }: StructObject, radix: 10 | 16): string {
  const bytes = memory.readBytes(address, type.size);
  return `struct ${type.name} ${printValue(type, bytes, 0, { ...session.printContext(radix), base: address })}\n`;
}
