/** `files`: open files of tasks; `fuser`: who uses a file. */
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { inodeType, openFiles, taskDirectories } from '../linux/fs.ts';
import type { OpenFile } from '../linux/fs.ts';
import { mounts } from '../linux/mount.ts';
import { dentryName, dentryPath, isPseudo } from '../linux/path.ts';
import { vmas } from '../linux/vma.ts';
import { xaForEach } from '../linux/xarray.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { pageHeader, pageLine } from '../text/page-line.ts';
import { hex16 } from '../text/layout.ts';
import type { Task } from '../linux/sched.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import { parseHex } from './numbers.ts';
import { taskHeader, forTasks } from './select-tasks.ts';
import type { Session } from './session.ts';

interface TaskFiles {
  readonly header: string;
  readonly root: string;
  readonly cwd: string;
  readonly files: readonly OpenFile[];
}

interface FilesData {
  readonly tasks?: readonly TaskFiles[];
  readonly cached?: boolean;
  readonly reference?: string;
  readonly text?: string;
  /** With `-p`: the inode and its pages. */
  readonly inode?: bigint;
  readonly pages?: readonly StructObject[];
  /** With `-d`. */
  readonly dentry?: {
    readonly address: bigint;
    readonly inode: bigint;
    readonly superBlock: bigint;
    readonly path: string;
  };
}

/** `files`. */
export const files: Command<FilesData> = {
  name: 'files',
  summary: 'open files of tasks',
  synopsis: '[-d dentry] | [-p inode] | [-c] [-R reference] [pid | task]...',
  options: [
    { flag: '-d', takes: 'dentry', help: 'what a dentry is of' },
    { flag: '-p', takes: 'inode', help: 'the pages of an inode that are cached' },
    { flag: '-c', help: 'number of cached pages of each file' },
    { flag: '-R', takes: 'reference', help: 'only files with this path, descriptor or address' },
  ],
  description:
    'Shows root and working directory and each open descriptor. A socket shows its protocol in place of a path.',
  examples: [
    { line: 'files 135', why: 'what a task has open' },
    { line: 'files -p ffff325bc306d870', why: "a file's page cache" },
  ],
  run(session, args) {
    if (args.has('-d')) return dentryData(session, parseHex(args.value('-d')!));
    if (args.has('-p')) return cachedPages(session, parseHex(args.value('-p')!));
    const reference = args.value('-R');
    const rest = { cached: args.has('-c'), ...(reference === undefined ? {} : { reference }) };
    return forTasks(
      session,
      args.positionals,
      task => filesOf(session, task),
      tasks => ({ tasks, ...rest }),
    );
  },
  json({ text, pages, ...data }) {
    return text === undefined ? data : { ...data, ...(pages === undefined ? {} : { pages: pages.map(pageData) }) };
  },
  text(data) {
    if (data.text !== undefined) return data.text;
    return (data.tasks ?? []).map(task => taskText(task, data)).join(data.reference === undefined ? '\n\n' : '\n');
  },
};

function filesOf(session: Session, task: Task): TaskFiles {
  const directories = taskDirectories(session.program, task);
  return {
    header: taskHeader(task),
    root: directories?.root ?? '',
    cwd: directories?.cwd ?? '',
    files: openFiles(session.program, task),
  };
}

function taskText({ header, root, cwd, files: all }: TaskFiles, data: FilesData): string {
  const directories =
    root === '' ? 'No open files\n' : `ROOT: ${root}    CWD: ${cwd}${data.reference === undefined ? '' : ' '}\n`;
  if (root === '') return `${header}\n${directories}`;
  const chosen = all.filter(file => data.reference === undefined || matches(file, data.reference));
  if (data.reference !== undefined && chosen.length === 0) return '';
  if (chosen.length === 0) return `${header}\n${directories}No open files\n`;
  const head =
    data.cached === true
      ? ` FD      INODE          I_MAPPING     NRPAGES TYPE PATH\n`
      : ` FD       FILE            DENTRY           INODE       TYPE PATH\n`;
  const rows = chosen.map(file => (data.cached === true ? cachedRow(file) : fileRow(file)));
  return `${header}\n${directories}${head}${rows.join('')}${data.reference === undefined ? '' : '\n\n'}`;
}

function matches(file: OpenFile, reference: string): boolean {
  if (file.path.includes(reference) || String(file.fd) === reference) return true;
  if (!/^(?:0x)?[\da-f]{8,16}$/i.test(reference)) return false;
  const address = parseHex(reference);
  return [file.file.address, file.dentry?.address, file.inode?.address].includes(address);
}

function fileRow({ fd, file, dentry, inode, type, path }: OpenFile): string {
  return `${String(fd).padStart(3)} ${hex16(file.address)} ${hex16(dentry?.address ?? 0n)} ${hex16(inode?.address ?? 0n)} ${type.padEnd(4)} ${path}\n`;
}

function cachedRow({ fd, inode, type, path }: OpenFile): string {
  const mapping = inode?.follow('i_mapping');
  const pages = mapping?.num('nrpages') ?? 0;
  return `${String(fd).padStart(3)} ${hex16(inode?.address ?? 0n)} ${hex16(mapping?.address ?? 0n)} ${String(pages).padStart(7)} ${type.padEnd(4)} ${path}\n`;
}

function dentryData(session: Session, address: bigint): FilesData {
  const { program } = session;
  const dentry = program.object('dentry', address);
  const inode = dentry.follow('d_inode');
  const sb = inode?.pointer('i_sb') ?? dentry.pointer('d_sb');
  const path = isPseudo(dentry) ? dentryName(dentry) : mountedPath(session, dentry);
  const text = `     DENTRY           INODE           SUPERBLK     TYPE PATH\n${hex16(address)} ${hex16(inode?.address ?? 0n)} ${hex16(sb)} ${inodeType(inode).padEnd(4)} ${path}\n`;
  return { text, dentry: { address, inode: inode?.address ?? 0n, superBlock: sb, path } };
}

/** Path of a dentry of which the mount is not known: through the first mount of its file system. */
function mountedPath(session: Session, dentry: StructObject): string {
  const { program } = session;
  const sb = dentry.pointer('d_sb');
  const mount = mounts(program, session.current).find(({ superBlock }) => superBlock.address === sb);
  return dentryPath(program, dentry, mount?.struct.embedded('mnt'));
}

function pageData(page: StructObject): unknown {
  return {
    page: page.address,
    index: page.num('index'),
    flags: page.pointer('flags'),
    count: page.num('_refcount.counter'),
  };
}

const MAX_PAGES = 10_000_000;

function cachedPages(session: Session, address: bigint): FilesData {
  const { program } = session;
  const inode = program.object('inode', address);
  const mapping = inode.follow('i_mapping');
  const count = mapping?.num('nrpages') ?? 0;
  const head = `     INODE        NRPAGES\n${hex16(address)}  ${String(count).padStart(7)}\n\n`;
  const pages: StructObject[] = [];
  if (mapping === undefined || count === 0) return { text: head, inode: address, pages };
  for (const { pointer } of xaForEach(program, mapping.embedded('i_pages'))) {
    if ((pointer & 1n) === 0n) pages.push(program.object('page', pointer));
    if (pages.length >= MAX_PAGES) break;
  }
  const rows = pages.map(page => pageLine(program, page));
  return { text: `${head}${pageHeader(program)}${rows.join('')}`, inode: address, pages };
}

interface User {
  readonly pid: number;
  readonly task: bigint;
  readonly comm: string;
  readonly usage: readonly string[];
}

interface FuserData {
  readonly name: string;
  readonly users: readonly User[];
}

/** `fuser`. */
export const fuser: Command<FuserData> = {
  name: 'fuser',
  summary: 'tasks that use a file',
  synopsis: '[pathname | inode | dentry]',
  options: [],
  description: 'Finds tasks that have a file open (fd), mapped (mmap), or as root or working directory.',
  examples: [{ line: 'fuser /mnt/open.log', why: 'why a file system is busy' }],
  run(session, args) {
    const [name] = args.positionals;
    if (name === undefined) throw new SynopsisError('no file given');
    if (!name.startsWith('/') && !/^(?:0x)?[\da-f]{8,}$/i.test(name)) throw new UsageError(`invalid argument: ${name}`);
    return {
      name,
      users: session.tasks.all.map(task => userOf(session, task, name)).filter(user => user.usage.length > 0),
    };
  },
  text({ name, users }) {
    if (users.length === 0) return `No users of ${name} found\n`;
    // crash's column has no room for the end of a long name
    const rows = users.map(
      ({ pid, task, comm, usage }) =>
        `${String(pid).padStart(5)}  ${hex16(task)}  ${`"${comm}"`.slice(0, 15).padEnd(16)} ${usage.map(word => `${word} `).join('')}\n`,
    );
    return ` PID         TASK        COMM             USAGE\n${rows.join('')}\n`;
  },
};

/** Tells whether a file is the one that was asked for, by its path or one of its addresses. */
type IsWanted = (path: string, ...addresses: readonly (bigint | undefined)[]) => boolean;

function userOf(session: Session, task: Task, name: string): User {
  const address = /^(?:0x)?[\da-f]{8,16}$/i.test(name) ? parseHex(name) : undefined;
  const is: IsWanted = (path, ...addresses) => (address === undefined ? path === name : addresses.includes(address));
  return { pid: task.pid, task: task.address, comm: task.comm, usage: usageOf(session.program, task, is) };
}

/** How a task uses a file; what cannot be read counts as no use. */
function usageOf(program: Program, task: Task, is: IsWanted): string[] {
  try {
    const checks: readonly (readonly [string, boolean])[] = [
      ...directoryUse(program, task, is),
      ['fd', openFiles(program, task).some(file => is(file.path, file.dentry?.address, file.inode?.address))],
      ...memoryUse(program, task, is),
    ];
    return checks.filter(([, used]) => used).map(([usage]) => usage);
  } catch (error) {
    if (error instanceof FaultError) return [];
    throw error;
  }
}

function directoryUse(program: Program, task: Task, is: IsWanted): (readonly [string, boolean])[] {
  const directories = taskDirectories(program, task);
  if (directories === undefined) return [];
  return [
    ['root', is(directories.root, directories.rootDentry)],
    ['cwd', is(directories.cwd, directories.cwdDentry)],
  ];
}

function memoryUse(program: Program, task: Task, is: IsWanted): (readonly [string, boolean])[] {
  const { mm } = task;
  if (mm === undefined) return [];
  const isFile = (file: StructObject, path: string): boolean =>
    is(path, file.pointer('f_path.dentry'), file.pointer('f_inode'));
  return [['mmap', [...vmas(program, mm)].some(({ path, file }) => file !== undefined && isFile(file, path))]];
}
