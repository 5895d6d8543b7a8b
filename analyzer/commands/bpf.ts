/** `bpf`: loaded BPF programs and maps. */
import { UsageError } from '../../capture/formats/errors.ts';
import { idrForEach } from '../linux/xarray.ts';
import type { StructObject } from '../types/object.ts';
import { hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import type { Session } from './session.ts';

interface BpfData {
  readonly programs: readonly {
    readonly id: number;
    readonly struct: StructObject;
    readonly type: string;
    readonly name: string;
    readonly tag: string;
  }[];
  readonly maps: readonly {
    readonly id: number;
    readonly struct: StructObject;
    readonly type: string;
    readonly name: string;
  }[];
}

/** `bpf`. */
export const bpf: Command<BpfData> = {
  name: 'bpf',
  summary: 'loaded BPF programs and maps',
  synopsis: '[[-p ID | -P] [-tTj]] [[-m ID] | -M] [-s] [-xd]',
  options: [
    { flag: '-p', takes: 'ID', help: 'a program' },
    { flag: '-P', help: 'all programs' },
    { flag: '-m', takes: 'ID', help: 'a map' },
    { flag: '-M', help: 'all maps' },
    { flag: '-s', help: 'accepted' },
    { flag: '-x', help: 'accepted' },
    { flag: '-d', help: 'accepted' },
    { flag: '-t', help: 'accepted: instructions are not translated' },
    { flag: '-T', help: 'accepted: instructions are not translated' },
    { flag: '-j', help: 'accepted: compiled code can be shown with dis' },
  ],
  description: 'Lists programs and maps by id. Nothing is printed when there are none.',
  examples: [{ line: 'bpf', why: 'who watches this kernel' }],
  run(session, args) {
    const onlyMaps = args.has('-m') || args.has('-M');
    const onlyPrograms = args.has('-p') || args.has('-P');
    const programs = onlyMaps
      ? []
      : listPrograms(session).filter(({ id }) => !args.has('-p') || id === Number(args.value('-p')));
    const maps = onlyPrograms
      ? []
      : listMaps(session).filter(({ id }) => !args.has('-m') || id === Number(args.value('-m')));
    if (args.has('-p') && programs.length === 0) throw new UsageError(`invalid program ID: ${args.value('-p')!}`);
    if (args.has('-m') && maps.length === 0) throw new UsageError(`invalid map ID: ${args.value('-m')!}`);
    return { programs, maps };
  },
  text({ programs, maps }) {
    const programRows = programs.map(
      ({ id, struct, type, tag, name }) =>
        `${String(id).padStart(5)}  ${hex16(struct.address)}  ${hex16(struct.pointer('aux'))}  ${type.padEnd(18)} ${tag}  ${name}\n`,
    );
    const mapRows = maps.map(
      ({ id, struct, type, name }) =>
        `${String(id).padStart(5)}  ${hex16(struct.address)}  ${type.padEnd(18)} ${name}\n`,
    );
    const first =
      programs.length === 0
        ? ''
        : `   ID      BPF_PROG        BPF_PROG_AUX    BPF_PROG_TYPE      TAG               NAME\n${programRows.join('')}`;
    const second = maps.length === 0 ? '' : `   ID      BPF_MAP       BPF_MAP_TYPE       NAME\n${mapRows.join('')}`;
    return [first, second].filter(text => text !== '').join('\n');
  },
};

function entries(session: Session, symbol: string, struct: string): StructObject[] {
  const { program } = session;
  const address = program.symbols.find(symbol);
  if (address === undefined) return [];
  return [...idrForEach(program, program.object('idr', address))].map(({ pointer }) => program.object(struct, pointer));
}

function enumName(session: Session, enumTag: string, value: number, prefix: string): string {
  const found = session.program.types.findEnum(enumTag)?.enumerators.find(entry => Number(entry.value) === value);
  return found?.name.replace(prefix, '') ?? String(value);
}

function listPrograms(session: Session): BpfData['programs'] {
  return entries(session, 'prog_idr', 'bpf_prog').map(struct => {
    const aux = struct.follow('aux');
    const tag = Buffer.from(struct.memory.readBytes(struct.addressOf('tag'), 8)).toString('hex');
    return {
      id: aux?.num('id') ?? 0,
      struct,
      type: enumName(session, 'bpf_prog_type', struct.num('type'), 'BPF_PROG_TYPE_'),
      name: aux?.string('name') ?? '',
      tag,
    };
  });
}

function listMaps(session: Session): BpfData['maps'] {
  return entries(session, 'map_idr', 'bpf_map').map(struct => ({
    id: struct.num('id'),
    struct,
    type: enumName(session, 'bpf_map_type', struct.num('map_type'), 'BPF_MAP_TYPE_'),
    name: struct.string('name'),
  }));
}
