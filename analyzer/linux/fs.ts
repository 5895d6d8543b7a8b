/** Open files; `include/linux/fs.h`, `include/linux/fdtable.h`. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { dentryName, dentryPath } from './path.ts';
import type { Task } from './sched.ts';
import { socketProtocol } from './socket.ts';

/** sysctl_nr_open's largest value: no table of descriptors is longer. */
const MAX_FDS = 1024 * 1024;
/** A table of which more cannot be read is damaged: the rest of it is left out. */
const MAX_UNREADABLE = 256;

/** An open file of a task. */
export interface OpenFile {
  readonly fd: number;
  readonly file: StructObject;
  readonly dentry: StructObject | undefined;
  readonly inode: StructObject | undefined;
  /** REG, DIR, CHR, BLK, FIFO, SOCK, LNK, UNKN. */
  readonly type: string;
  /** Path, or what stands for it: a socket's protocol. */
  readonly path: string;
}

/** `S_IFMT` and its values; `include/uapi/linux/stat.h`. */
const S_IFMT = 0o170000;
const FILE_TYPES: Readonly<Record<number, string>> = {
  0o140000: 'SOCK',
  0o120000: 'LNK',
  0o100000: 'REG',
  0o060000: 'BLK',
  0o040000: 'DIR',
  0o020000: 'CHR',
  0o010000: 'FIFO',
};

/** Type of an inode in up to four letters. */
export function inodeType(inode: StructObject | undefined): string {
  return inode === undefined ? 'UNKN' : (FILE_TYPES[inode.num('i_mode') & S_IFMT] ?? 'UNKN');
}

/** The open files of a task in order of descriptors. Descriptors that cannot be read are left out. */
export function openFiles(program: Program, task: Task): OpenFile[] {
  const fdt = task.struct.follow('files')?.follow('fdt');
  if (fdt === undefined) return [];
  const count = Math.min(MAX_FDS, fdt.num('max_fds'));
  const table = fdt.pointer('fd');
  const used = program.memory.readAvailable(fdt.pointer('open_fds'), Math.ceil(count / 8));
  const open: OpenFile[] = [];
  for (let fd = 0, unreadable = 0; fd < count && unreadable < MAX_UNREADABLE; fd++) {
    if (((used[fd >> 3]! >> (fd & 7)) & 1) === 0) continue;
    try {
      const address = program.memory.readU64(table + BigInt(8 * fd));
      if (address !== 0n) open.push(describeFile(program, fd, program.object('file', address)));
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      unreadable++;
    }
  }
  return open;
}

/** What a `struct file` is of. */
export function describeFile(program: Program, fd: number, file: StructObject): OpenFile {
  const dentry = file.follow('f_path.dentry');
  const inode = file.has('f_inode') ? file.follow('f_inode') : dentry?.follow('d_inode');
  const type = inodeType(inode);
  return { fd, file, dentry, inode, type, path: pathText(program, file, dentry, inode, type) };
}

function pathText(
  program: Program,
  file: StructObject,
  dentry: StructObject | undefined,
  inode: StructObject | undefined,
  type: string,
): string {
  if (type === 'SOCK' && inode !== undefined) return socketProtocol(program, inode);
  if (type === 'FIFO' && dentry !== undefined && dentryName(dentry) === '') return '';
  return dentryPath(program, dentry, file.follow('f_path.mnt'));
}

/** Root and working directory of a task. */
export function taskDirectories(
  program: Program,
  task: Task,
): { root: string; cwd: string; rootDentry: bigint; cwdDentry: bigint } | undefined {
  const fs = task.struct.follow('fs');
  if (fs === undefined) return undefined;
  const path = (member: string): string =>
    dentryPath(program, fs.follow(`${member}.dentry`), fs.follow(`${member}.mnt`));
  return {
    root: path('root'),
    cwd: path('pwd'),
    rootDentry: fs.pointer('root.dentry'),
    cwdDentry: fs.pointer('pwd.dentry'),
  };
}
