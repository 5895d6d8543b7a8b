/**
 * The analyzer as a library: open a dump, read structures, walk tasks, unwind stacks, run commands for their data.
 *
 * ```ts
 * import { Program, Session, TaskTable, runLine } from 'kdump-lab/analyzer/index.ts';
 *
 * using program = new Program({ dump: ['vmcore'] }); // and vmlinux: 'vmlinux' for lines, locals and arguments
 * // Typed helpers: the kernel's own names.
 * const tasks = new TaskTable(program);
 * for (const task of tasks.all) process.stdout.write(`${task.pid} ${task.comm}\n`);
 * const uts = program.findGlobal('uts_namespace', 'init_uts_ns')?.embedded('name');
 * process.stdout.write(`${uts?.string('release')}\n`);
 * // Commands: their text, or their data as `--json` prints them.
 * const session = new Session(program);
 * const { text, error } = await runLine(session, 'ps -m');
 * const json = JSON.parse((await runLine(session, 'irq -s', true)).text) as { command: string; data: unknown };
 * ```
 *
 * What fails throws one of the errors of `capture/formats/errors.ts`: a FaultError is memory that the dump lacks.
 */
export { Program } from './program.ts';
export type { ProgramFiles } from './program.ts';
export { Task, TaskTable, runQueue, stateLetters } from './linux/sched.ts';
export { readLog } from './linux/printk.ts';
export type { LogRecord } from './linux/printk.ts';
export { listForEach, listForEachEntry, hlistForEachEntry } from './linux/list.ts';
export { xaForEach, idrForEach } from './linux/xarray.ts';
export { mapleForEach } from './linux/maple-tree.ts';
export { rbInorder, rbPreorder } from './linux/rbtree.ts';
export { listModules, moduleRanges } from './linux/module.ts';
export { onlineCpus, possibleCpus, presentCpus } from './linux/cpumask.ts';
export { openFiles } from './linux/fs.ts';
export { vmas } from './linux/vma.ts';
export { mounts } from './linux/mount.ts';
export { kmemCaches, cacheSummary, slabOfAddress } from './linux/slab.ts';
export { findPanicTask, panicMessage } from './linux/panic.ts';
export { userReader } from './linux/user-memory.ts';
export { unwind } from './unwind/unwind.ts';
export type { Backtrace, Frame, SavedRegisters, StackItem } from './unwind/frames.ts';
export { StructObject } from './types/object.ts';
export type { CType } from './types/types.ts';
export { StructType } from './types/types.ts';
export { MemoryReader } from './memory-reader.ts';
export { Session } from './commands/session.ts';
export { Arguments, parseArguments } from './commands/command.ts';
export type { Command, OptionSpec } from './commands/command.ts';
export { COMMANDS, loadCommand, registerCommand } from './commands/registry.ts';
export { runLine, toJson } from './shell.ts';
export type { LineResult } from './shell.ts';
export { DATA_SCHEMAS, lineSchema } from './schema/schema.ts';
export type { Schema } from './schema/schema.ts';
export { FaultError, FormatError, UnimplementedError, UsageError } from '../capture/formats/errors.ts';
