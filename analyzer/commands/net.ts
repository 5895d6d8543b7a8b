/** `net`: network devices, neighbours, sockets. */
import { UsageError } from '../../capture/formats/errors.ts';
import { openFiles } from '../linux/fs.ts';
import { arpEntries, netDevices } from '../linux/net.ts';
import type { Neighbour, NetDevice } from '../linux/net.ts';
import { describeSocket, socketOfInode } from '../linux/socket.ts';
import type { SocketDescription } from '../linux/socket.ts';
import { printValue } from '../types/print-value.ts';
import type { StructObject } from '../types/object.ts';
import { hex, hex16 } from '../text/layout.ts';
import type { Task } from '../linux/sched.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { parseNumber } from './numbers.ts';
import { taskHeader, forTasks, tasksOfWord } from './select-tasks.ts';
import type { Session } from './session.ts';

interface Sockets {
  readonly header: string;
  readonly sockets: readonly {
    readonly fd: number;
    readonly struct: StructObject;
    readonly description: SocketDescription;
  }[];
}

interface NetData {
  readonly devices?: readonly NetDevice[];
  readonly neighbours?: readonly Neighbour[];
  readonly tasks?: readonly Sockets[];
  readonly full?: boolean;
  readonly radix?: 10 | 16;
  /** With -N: dotted. */
  readonly address?: string;
}

/** `net`. */
export const net: Command<NetData> = {
  name: 'net',
  summary: 'network devices, neighbours, sockets',
  synopsis: '[-a] | [-n [pid | task]] | [-N addr] | [[-s | -S] [-xd] [-R ref] [pid | task]...]',
  options: [
    { flag: '-a', help: 'the ARP table' },
    { flag: '-n', help: "devices of a task's namespace" },
    { flag: '-N', takes: 'address', help: 'an IPv4 address as dotted text' },
    { flag: '-s', help: 'sockets of a task' },
    { flag: '-S', help: 'sockets of a task with their structures' },
    { flag: '-R', takes: 'reference', help: 'with -s and -S: only this descriptor or address' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Without options lists the devices of the initial namespace with their addresses.',
  examples: [{ line: 'net -s 140', why: 'who a process talks to' }],
  run(session, args) {
    if (args.has('-N')) return { address: dotted(parseNumber(args.value('-N')!)) };
    const neighbours = args.has('-a') ? { neighbours: arpEntries(session.program) } : {};
    if (!args.has('-s') && !args.has('-S')) return { ...neighbours, ...devicesOf(session, args) };
    const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
    const reference = args.value('-R');
    return forTasks(
      session,
      args.positionals,
      task => socketsOf(session, task, reference),
      all => {
        const tasks = reference === undefined ? all : all.filter(({ sockets }) => sockets.length > 0);
        return { ...neighbours, tasks, full: args.has('-S'), radix };
      },
    );
  },
  text(data, session) {
    if (data.address !== undefined) return `${data.address}\n`;
    const neighbours = data.neighbours === undefined ? '' : neighboursText(data.neighbours);
    if (data.devices !== undefined)
      return `${neighbours}   NET_DEVICE     NAME       IP ADDRESS(ES)\n${data.devices.map(({ struct, name, addresses }) => `${hex16(struct.address)}  ${name.padEnd(10)} ${addresses.join(', ')}\n`).join('')}`;
    return neighbours + (data.tasks ?? []).map(task => socketsText(session, task, data)).join('\n');
  },
};

/** The devices, of a task's namespace with -n; none when only -a was given. */
function devicesOf(session: Session, args: Arguments): Pick<NetData, 'devices'> {
  refuseTaskOptions(args);
  if (args.has('-a') && !args.has('-n')) return {};
  return { devices: netDevices(session.program, namespaceOf(session, args.has('-n') ? args.positionals : undefined)) };
}

/** @throws SynopsisError for what belongs to -s and -S */
function refuseTaskOptions(args: Arguments): void {
  const wantsTasks = args.positionals.length > 0 && !args.has('-n');
  if (wantsTasks || ['-R', '-x', '-d'].some(flag => args.has(flag)))
    throw new SynopsisError('tasks and -R, -x, -d need -s or -S');
}

function dotted(value: bigint): string {
  return [0n, 8n, 16n, 24n].map(shift => String((value >> shift) & 0xffn)).join('.');
}

/** The task that stands behind -n. */
function taskOfOption(session: Session, word: string | undefined): Task {
  return word === undefined ? session.current : tasksOfWord(session, word)[0]!;
}

function namespaceOf(session: Session, words: readonly string[] | undefined): StructObject {
  const own =
    words === undefined ? undefined : taskOfOption(session, words[0])?.struct.follow('nsproxy')?.follow('net_ns');
  const namespace = own ?? session.program.findGlobal('net', 'init_net');
  if (namespace === undefined) throw new UsageError('the kernel has no network namespace');
  return namespace;
}

function neighboursText(all: readonly Neighbour[]): string {
  if (all.length === 0) return 'no entries in the ARP table\n';
  const rows = all.map(
    entry =>
      `${hex16(entry.address)} ${entry.ip.padEnd(15)} ${entry.hardwareType.padEnd(10)} ${entry.hardwareAddress.padEnd(18)} ${entry.device.padEnd(7)} ${entry.state}\n`,
  );
  return `NEIGHBOUR        IP ADDRESS      HW TYPE    HW ADDRESS         DEVICE  STATE\n${rows.join('')}`;
}

function socketsOf(session: Session, task: Task, reference: string | undefined): Sockets {
  const { program } = session;
  const all = openFiles(program, task)
    .filter(({ type, inode }) => type === 'SOCK' && inode !== undefined)
    .map(({ fd, inode }) => {
      const struct = socketOfInode(program, inode!);
      return { fd, struct, description: describeSocket(program, struct) };
    });
  const wanted =
    reference === undefined
      ? all
      : all.filter(
          ({ fd, description }) =>
            String(fd) === reference || hex(description.socket) === reference || hex(description.sock) === reference,
        );
  return { header: taskHeader(task), sockets: wanted };
}

function socketsText(session: Session, { header, sockets }: Sockets, data: NetData): string {
  if (sockets.length === 0) return `${header}\nNo open sockets.\n`;
  if (data.full === true)
    return `${header}\n${sockets.map(socket => fullText(session, socket, data.radix ?? 10)).join('\n')}`;
  return `${header}\nFD      SOCKET            SOCK       FAMILY:TYPE SOURCE-PORT DESTINATION-PORT\n${sockets.map(({ fd, description }) => socketRow(fd, description)).join('')}`;
}

function socketRow(fd: number, { socket, sock, family, type, source, destination }: SocketDescription): string {
  // crash ends both addresses of an IPv6 stream with a blank of their own.
  const end = `${family}:${type}` === 'INET6:STREAM' ? ' ' : '';
  const ends = source === '' ? '' : ` ${source}${end} ${destination}${end}`;
  return `${String(fd).padStart(2)} ${hex16(socket)} ${hex16(sock)} ${`${family}:${type}`.padEnd(12)}${ends}\n`;
}

function fullText(session: Session, { fd, struct, description }: Sockets['sockets'][number], radix: 10 | 16): string {
  const { program } = session;
  const value = (name: string, address: bigint): string => {
    const type = program.types.struct(name);
    return `struct ${name} ${printValue(type, program.memory.readBytes(address, type.size), 0, { ...session.printContext(radix), base: address })}\n`;
  };
  const internet = description.family.startsWith('INET');
  const sock =
    description.sock === 0n
      ? ''
      : value(internet || description.family === 'UNIX' ? 'inet_sock' : 'sock', description.sock);
  return `FD       SOCKET             SOCK\n${String(fd).padStart(2)}  ${hex16(description.socket)}  ${hex16(description.sock)}\n\n${value('socket', struct.address)}${sock}`;
}
