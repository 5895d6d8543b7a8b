/** Where kernel stacks lie; `arch/{arm64,x86}/include/asm/{thread_info,memory,page_64_types}.h`. */
import { readIfPresent, readOr } from '../gaps.ts';
import type { Program } from '../program.ts';
import type { Task } from '../linux/sched.ts';
import type { StackRange } from './frames.ts';

/** THREAD_SIZE: from the union that the compiler sized by it, else the default of the architecture. */
export function threadSize(program: Program): bigint {
  const declared = program.types.findStruct('thread_union')?.size ?? 0;
  if (declared >= 8192 && (declared & (declared - 1)) === 0) return BigInt(declared);
  // stacks in vmalloc space are whole pages; only arm64 has larger ones
  const isMapped = program.types.has('task_struct', 'stack_vm_area');
  return BigInt(isMapped && program.architecture === 'aarch64' ? Math.max(16_384, program.space.pageSize) : 16_384);
}

/** A task's own kernel stack. */
export function taskStack(program: Program, task: Task): StackRange {
  const start = task.stack;
  return { name: 'process stack', start, end: start + threadSize(program) };
}

/** Stacks of a CPU other than that of its task. */
export function cpuStacks(program: Program, cpu: number): StackRange[] {
  return program.architecture === 'aarch64' ? aarch64Stacks(program, cpu) : x86Stacks(program, cpu);
}

function aarch64Stacks(program: Program, cpu: number): StackRange[] {
  const stacks: StackRange[] = [];
  const irq = program.percpuAddress('irq_stack_ptr', cpu);
  const size = threadSize(program);
  const irqStart = irq === undefined ? undefined : readIfPresent(() => program.memory.readU64(irq));
  if (irqStart !== undefined) stacks.push(sized('IRQ stack', irqStart, size));
  const overflow = program.percpuAddress('overflow_stack', cpu);
  if (overflow !== undefined) stacks.push(sized('OVERFLOW stack', overflow, 4096n));
  return stacks.filter(({ start }) => start !== 0n);
}

function sized(name: string, start: bigint, size: bigint): StackRange {
  return { name, start, end: start + size };
}

/** `struct cea_exception_stacks`: names of crash's for the members. */
export const EXCEPTION_STACKS: readonly (readonly [member: string, name: string])[] = [
  ['DF', 'DOUBLEFAULT'],
  ['NMI', 'NMI'],
  ['DB', 'DEBUG'],
  ['MCE', 'MCE'],
  ['VC', 'VC'],
  ['VC2', 'VC2'],
];

function x86Stacks(program: Program, cpu: number): StackRange[] {
  const stacks: StackRange[] = [];
  const irqEnd = readIfPresent(() => x86IrqStackTop(program, cpu));
  const IRQ_STACK_SIZE = 16_384n;
  if (irqEnd !== undefined && irqEnd !== 0n)
    stacks.push({ name: 'IRQ stack', start: irqEnd - IRQ_STACK_SIZE, end: irqEnd });
  const area = program.percpuAddress('cea_exception_stacks', cpu);
  const base =
    area === undefined
      ? 0n
      : readOr(
          () => program.memory.readU64(area),
          () => 0n,
        );
  if (base !== 0n) stacks.push(...exceptionStacks(program, base));
  return stacks;
}

/** `hardirq_stack_ptr` is the top minus one word; `pcpu_hot` held it from 6.2 to 6.14. */
function x86IrqStackTop(program: Program, cpu: number): bigint | undefined {
  const WORD = 8n;
  const own = program.percpuAddress('hardirq_stack_ptr', cpu);
  if (own !== undefined) return alignTop(program.memory.readU64(own) + WORD);
  const hot = program.percpuAddress('pcpu_hot', cpu);
  if (hot === undefined || !program.types.has('pcpu_hot', 'hardirq_stack_ptr')) return undefined;
  return alignTop(program.object('pcpu_hot', hot).pointer('hardirq_stack_ptr') + WORD);
}

/** The stack ends at a page: whether the pointer was the top or one word below, this is the top. */
function alignTop(address: bigint): bigint {
  return address & ~0xfffn;
}

function exceptionStacks(program: Program, base: bigint): StackRange[] {
  const type = program.types.findStruct('cea_exception_stacks');
  if (type === undefined) return [];
  const layout = program.object('cea_exception_stacks', base);
  return EXCEPTION_STACKS.filter(([member]) => layout.has(`${member}_stack`)).map(([member, name]) => {
    const start = layout.addressOf(`${member}_stack`);
    return { name: `${name} exception stack`, start, end: start + BigInt(layout.lengthOf(`${member}_stack`)) };
  });
}
