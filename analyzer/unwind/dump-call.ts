/**
 * The call on an x86_64 stack with which crash begins the trace of a task that ran when the kernel panicked.
 *
 * Source: crash 9.0.2, `x86_64_get_dumpfile_stack_frame`.
 */
import type { Program } from '../program.ts';
import type { StackRange } from './frames.ts';

/** A word of a stack that is a return address into one of some functions. */
export interface CallOnStack {
  readonly name: string;
  readonly slot: bigint;
  readonly pc: bigint;
}

/** Those of a stack, lowest first. */
export function callsOn(program: Program, stack: StackRange, names: readonly string[]): CallOnStack[] {
  const functions = names.flatMap(name => {
    const [symbol] = program.symbols.findAll(name);
    const end = symbol && program.symbols.endOf(symbol);
    return symbol === undefined || end === undefined ? [] : [{ name, start: symbol.address, end }];
  });
  const bytes = program.memory.readAvailable(stack.start, Number(stack.end - stack.start));
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  const found: CallOnStack[] = [];
  words.forEach((pc, index) => {
    const called = functions.find(({ start, end }) => pc > start && pc < end);
    if (called !== undefined) found.push({ name: called.name, slot: stack.start + BigInt(8 * index), pc });
  });
  return found;
}

/** Functions on the stack of a CPU that takes a dump, or is stopped for one. */
export const DUMP_FUNCTIONS = [
  'machine_kexec',
  'crash_nmi_callback',
  'crash_kexec',
  'panic',
  'die',
  'sysrq_handle_crash',
];

/** The call that crash begins with: it looks upward, and goes on behind a `panic`, the first `crash_kexec`, a `die` within sysrq. */
export function dumpCall(calls: readonly CallOnStack[], panicked: boolean): CallOnStack | undefined {
  const firstKexec = calls.find(({ name }) => name === 'crash_kexec');
  const lastSysrq = calls.findLastIndex(({ name }) => name === 'sysrq_handle_crash');
  const ends = (call: CallOnStack, index: number): boolean =>
    call.name === 'machine_kexec' ||
    (call.name === 'crash_nmi_callback' && !panicked) ||
    (call.name === 'crash_kexec' && call !== firstKexec) ||
    (call.name === 'die' && index > lastSysrq);
  return calls.find(ends) ?? calls.findLast(({ name }) => name === 'panic') ?? firstKexec;
}
