/** `mount`: mounted file systems. */
import { UsageError } from '../../capture/formats/errors.ts';
import { mounts } from '../linux/mount.ts';
import type { Mount } from '../linux/mount.ts';
import { hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import { tasksOf } from './select-tasks.ts';

interface MountData {
  readonly mounts: readonly Mount[];
}

/** `mount`. */
export const mount: Command<MountData> = {
  name: 'mount',
  summary: 'mounted file systems',
  synopsis: '[-n pid | task] [mount | superblock | device | directory | type]',
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
    const [task] = args.has('-n') ? tasksOf(session, [args.value('-n')!]) : [session.current];
    const all = mounts(session.program, task!);
    const { positionals } = args;
    return {
      mounts: positionals.length === 0 ? all : all.filter(entry => positionals.some(word => matches(entry, word))),
    };
  },
  text: data => `     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME\n${data.mounts.map(row).join('')}`,
};

function matches(entry: Mount, word: string): boolean {
  const addresses = [entry.struct.address, entry.superBlock.address].map(address => address.toString(16));
  return [...addresses, entry.type, entry.device, entry.directory].includes(word.replace(/^0x/, ''));
}

/** Type and device share a column of 17 characters. */
function row({ struct, superBlock, type, device, directory }: Mount): string {
  return `${hex16(struct.address)} ${hex16(superBlock.address)} ${`${type.padEnd(6)} ${device}`.padEnd(16)} ${directory}\n`;
}
