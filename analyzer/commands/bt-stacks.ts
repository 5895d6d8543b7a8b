/** `bt -v` and `bt -E`: what is looked for on the stacks of all tasks and CPUs. */
import { FaultError } from '../../capture/formats/errors.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import { exceptionFrameText } from '../text/registers.ts';
import type { StackRange } from '../unwind/frames.ts';
import { exceptionFrames } from '../unwind/search.ts';
import { cpuStacks, taskStack } from '../unwind/stacks.ts';
import { taskHeader } from './select-tasks.ts';
import type { Session } from './session.ts';

/** `STACK_END_MAGIC` at the far end of every task's stack; `include/uapi/linux/magic.h`. */
const STACK_END_MAGIC = 0x57ac6e9dn;

/** Tasks whose stack has run over its end. */
export function overflowText(session: Session): string {
  const { program, tasks } = session;
  // Where thread_info lies on the stack the mark stands behind it.
  const inTask = program.types.has('task_struct', 'thread_info');
  const behind = inTask ? 0n : BigInt(program.types.findStruct('thread_info')?.size ?? 0);
  const found = tasks.all.flatMap(task => {
    try {
      const { start } = taskStack(program, task);
      const mark = program.memory.readU64(start + behind);
      const isIntact = mark === STACK_END_MAGIC || task.pid === 0;
      return isIntact
        ? []
        : [`${taskHeader(task)}\n  possible stack overflow: ${start.toString(16)}: ${mark.toString(16)}\n`];
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      return [];
    }
  });
  return found.length === 0 ? 'No stack overflows detected\n' : found.join('');
}

/** crash looks on these stacks only; on arm64 on the IRQ stacks. */
const SEARCHED = {
  aarch64: ['IRQ'],
  x86_64: ['IRQ', 'DOUBLEFAULT', 'NMI', 'DEBUG'],
} as const;

interface CpuStack {
  readonly cpu: number;
  readonly stack: StackRange;
}

/** Saved registers on the stacks of the CPUs, IRQ stacks first. @param cpus all when undefined */
export function cpuExceptionsText(session: Session, cpus: readonly number[] | undefined): string {
  const { program } = session;
  const searched: readonly string[] = SEARCHED[program.architecture];
  const stacks = possibleCpus(program)
    .filter(cpu => cpus?.includes(cpu) ?? true)
    .flatMap(cpu =>
      cpuStacks(program, cpu)
        .filter(({ name }) => searched.includes(name.split(' ')[0]!))
        .map(stack => ({ cpu, stack })),
    );
  const ordered = [...stacks.filter(isIrq), ...stacks.filter(entry => !isIrq(entry))];
  return ordered.map(entry => stackExceptionsText(session, entry)).join('');
}

function isIrq({ stack }: CpuStack): boolean {
  return stack.name.startsWith('IRQ');
}

function stackExceptionsText({ program }: Session, { cpu, stack }: CpuStack): string {
  const isArm = program.architecture === 'aarch64';
  const texts = exceptionFrames(program, stack).map(frame => `\n${exceptionFrameText(program, frame)}`);
  const gap = isArm && texts.length === 0 ? '' : '\n';
  return `CPU ${cpu} ${stack.name.toUpperCase()}:${gap}${texts.length === 0 ? '(none found)\n' : texts.join('')}\n`;
}
