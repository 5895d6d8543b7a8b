/** `mount`: mounted file systems. */
import { readU64 } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { mounts } from '../linux/mount.ts';
import type { Mount } from '../linux/mount.ts';
import { hex16 } from '../text/layout.ts';
import type { Program } from '../program.ts';
import type { Command } from './command.ts';
import { parseHex } from './numbers.ts';
import { tasksOfWord } from './select-tasks.ts';

interface MountData {
  readonly mounts: readonly Mount[];
}

/** `mount`. */
export const mount: Command<MountData> = {
  name: 'mount',
  summary: 'mounted file systems',
  synopsis: '[-n pid | task] [mount | vfsmount | superblock | device | directory | type | dentry | inode]',
  options: [
    { flag: '-f', help: 'open files (kernels before 3.19)' },
    { flag: '-i', help: 'dirty inodes (kernels before 2.6.32)' },
    { flag: '-n', takes: 'task', help: "this task's namespace" },
  ],
  description: 'Lists the mounts of a namespace with their superblock, type, device and directory.',
  examples: [{ line: 'mount -n 140 ext4', why: 'one type of file system, as a task sees it' }],
  run(session, args) {
    for (const [flag, member] of [
      ['-f', 's_files'],
      ['-i', 's_dirty'],
    ] as const) {
      if (!args.has(flag) || session.program.types.has('super_block', member)) continue;
      throw new UsageError(
        `the super_block.${member} linked list does not exist in this kernel\nmount: ${flag} option not supported or applicable on this architecture or kernel`,
      );
    }
    const [task] = args.has('-n') ? tasksOfWord(session, args.value('-n')!) : [session.current];
    const all = mounts(session.program, task!);
    const { positionals } = args;
    return {
      mounts:
        positionals.length === 0
          ? all
          : all.filter(entry => positionals.some(word => matches(session.program, entry, word))),
    };
  },
  text: data =>
    data.mounts.length === 0
      ? ''
      : `     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME\n${data.mounts.map(row).join('')}`,
};

function matches(program: Program, entry: Mount, word: string): boolean {
  const { struct, superBlock, type, device, directory } = entry;
  if ([type, device, directory].includes(word)) return true;
  const address = /^(?:0x)?[\da-f]{8,16}$/i.test(word) ? parseHex(word) : undefined;
  if (address === undefined) return false;
  if ([struct.address, struct.embedded('mnt').address, superBlock.address].includes(address)) return true;
  return superBlocksOf(program, address).includes(superBlock.address);
}

/** What an address would have as superblock if it were a dentry's or an inode's. */
function superBlocksOf(program: Program, address: bigint): bigint[] {
  return (['dentry.d_sb', 'inode.i_sb'] as const).flatMap(path => {
    const [struct = '', member = ''] = path.split('.');
    const at = program.object(struct, address).addressOf(member);
    const bytes = program.memory.readAvailable(at, 8);
    return bytes.length === 8 ? [readU64(bytes, 0)] : [];
  });
}

/** Type and device share a column of 17 characters. */
function row({ struct, superBlock, type, device, directory }: Mount): string {
  return `${hex16(struct.address)} ${hex16(superBlock.address)} ${`${type.padEnd(6)} ${device}`.padEnd(16)} ${directory}\n`;
}
