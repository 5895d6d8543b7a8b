/**
 * Stacks followed by ORC (x86_64) and by frame records (arm64) against DWARF's call frame information, which the kernel's
 * build makes independently of both: every sleeping task, every frame. Needs the kernels' debug vmlinux.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { TaskTable } from '../../../analyzer/linux/sched.ts';
import type { Task } from '../../../analyzer/linux/sched.ts';
import { Program } from '../../../analyzer/program.ts';
import { unwindDwarf } from '../../../analyzer/unwind/dwarf.ts';
import { stoppedRegisters } from '../../../analyzer/unwind/stopped-registers.ts';
import { unwind } from '../../../analyzer/unwind/unwind.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

const DUMPS = [
  { name: 'aarch64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-arm64' },
  { name: 'x86_64-6.1', vmlinux: 'vmlinux-6.1.0-56-cloud-amd64' },
] as const;

function findVmlinux(name: string): string | undefined {
  const folders = [process.env['KDUMP_LAB_VMLINUX'], '/usr/lib/debug/boot'].filter(folder => folder !== undefined);
  return folders.map(folder => join(folder, name)).find(path => existsSync(path));
}

for (const { name, vmlinux } of DUMPS) {
  const folder = findDumpFolder(name);
  const kernel = findVmlinux(vmlinux);
  if (folder === undefined || kernel === undefined) {
    test.skip(`${name}: no reference dump, or ${vmlinux} is not in KDUMP_LAB_VMLINUX or /usr/lib/debug/boot`);
    continue;
  }
  describe(name, () => {
    test('DWARF finds the frames of every sleeping task', () => {
      using program = new Program({ dump: [join(folder, 'vmcore')], vmlinux: kernel });
      const tasks = new TaskTable(program);
      const sleeping = tasks.all.filter(task => !tasks.isActive(task));
      expect(sleeping.length).toBeGreaterThan(50);
      expect(sleeping.map(task => dwarfFrames(tasks, task))).toEqual(sleeping.map(task => frames(tasks, task)));
    });
  });
}

/** Return addresses of a backtrace. */
function frames(tasks: TaskTable, task: Task): string[] {
  // arm64's are shown with the address of the call.
  const behind = tasks.program.architecture === 'aarch64' ? 4n : 0n;
  return unwind(tasks, task)
    .items.filter(item => item.kind === 'frame')
    .map(({ pc }) => (pc + behind).toString(16));
}

/** As far as frame records go: on arm64 the first frame of a kernel thread has none. */
function dwarfFrames(tasks: TaskTable, task: Task): string[] {
  const { program } = tasks;
  const isFirst = (pc: bigint): boolean => program.symbols.lookup(pc - 1n)?.symbol.name === 'ret_from_fork';
  return unwindDwarf(program, stoppedRegisters(tasks, task))
    .filter(({ pc }) => program.architecture === 'x86_64' || !isFirst(pc))
    .map(({ pc }) => pc.toString(16));
}
