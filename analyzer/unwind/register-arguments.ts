/**
 * Arguments that saved registers hold without a vmlinux: those of a system call at the registers of user space, those of a
 * function that an exception met at its first instruction. The types come from BTF.
 *
 * Sources: System V Application Binary Interface, AMD64 Architecture Processor Supplement, "Parameter Passing" and "Linux
 * Kernel conventions"; Procedure Call Standard for the Arm 64-bit Architecture, "Parameter passing"; syscall(2).
 *
 * Not modelled: arguments on the stack and in vector registers, structures by value; registers of frames that have run on.
 */
import { UnimplementedError } from '../../capture/formats/errors.ts';
import { systemCalls } from '../linux/system-calls.ts';
import type { Program } from '../program.ts';
import { VOID, stripTypedefs } from '../types/types.ts';
import type { FunctionType } from '../types/types.ts';
import type { SavedRegisters, StackItem } from './frames.ts';

/** A call whose arguments are known. */
export interface KnownCall {
  readonly kind: 'system call' | 'function';
  /** Of the system call without its prefix, or of the function. */
  readonly name: string;
  readonly arguments: readonly KnownArgument[];
  /** The prototype was found: these are all arguments. Else they are all registers that may hold one. */
  readonly isExact: boolean;
}

export interface KnownArgument {
  readonly name: string | undefined;
  readonly value: bigint;
  readonly isPointer: boolean;
}

const REGISTERS = {
  x86_64: { call: ['di', 'si', 'dx', 'cx', 'r8', 'r9'], system: ['di', 'si', 'dx', 'r10', 'r8', 'r9'] },
  aarch64: {
    call: ['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7'],
    system: ['orig_x0', 'x1', 'x2', 'x3', 'x4', 'x5'],
  },
} as const;

/** The call at saved registers, or undefined when nothing sure is known. @param earlier the items shown in front of them, innermost first */
export function knownCall(
  program: Program,
  registers: SavedRegisters,
  earlier: readonly StackItem[],
): KnownCall | undefined {
  return registers.user ? systemCall(program, registers, earlier) : enteredFunction(program, registers);
}

function systemCall(program: Program, registers: SavedRegisters, earlier: readonly StackItem[]): KnownCall | undefined {
  const number = systemCallNumber(program, registers, earlier);
  if (number === undefined) return undefined;
  const name = nameOnStack(program, earlier) ?? systemCallName(program, number);
  const values = valuesOf(registers, REGISTERS[program.architecture].system);
  if (name === undefined) return { kind: 'system call', name: `number ${number}`, arguments: values, isExact: false };
  const prototype = [`__do_sys_${name}`, `ksys_${name}`, `__se_sys_${name}`]
    .map(candidate => program.types.findFunction(candidate))
    .find(found => found !== undefined);
  return withPrototype('system call', name, values, prototype);
}

/**
 * Exceptions from user space leave no number on arm64 (`NO_SYSCALL`); on x86_64 their error code stands in its place, and
 * only the entry point tells.
 */
function systemCallNumber(
  program: Program,
  { values }: SavedRegisters,
  earlier: readonly StackItem[],
): number | undefined {
  if (program.architecture === 'aarch64') {
    const number = Number(BigInt.asIntN(32, values.get('syscallno') ?? -1n));
    return number < 0 ? undefined : number;
  }
  const before = earlier.at(-1);
  if (before?.kind !== 'frame') return undefined;
  const entry = program.symbols.lookup(before.pc)?.symbol.name ?? '';
  const number = BigInt.asIntN(64, values.get('orig_ax') ?? -1n);
  return entry.startsWith('entry_SYSCALL_64') && number >= 0n && number < 4096n ? Number(number) : undefined;
}

/** The system call's own function is among the outermost frames, unless the call was inlined. */
function nameOnStack(program: Program, earlier: readonly StackItem[]): string | undefined {
  const OUTERMOST = 8;
  return earlier
    .slice(-OUTERMOST)
    .map(item => (item.kind === 'frame' ? program.symbols.lookup(item.pc)?.symbol.name : undefined))
    .map(name => /^__(?:x64|arm64)_sys_(\w+)$/.exec(name ?? '')?.[1])
    .findLast(name => name !== undefined);
}

function systemCallName(program: Program, number: number): string | undefined {
  try {
    const call = systemCalls(program).find(entry => entry.number === number);
    return call?.name.replace(/^(?:__(?:x64|arm64|do)_)?sys_/, '');
  } catch (error) {
    if (error instanceof UnimplementedError) return undefined;
    throw error;
  }
}

/** At a function's first instruction its arguments are still where its caller put them. */
function enteredFunction(program: Program, registers: SavedRegisters): KnownCall | undefined {
  const isArm = program.architecture === 'aarch64';
  const pc = registers.values.get(isArm ? 'pc' : 'ip');
  const place = pc === undefined ? undefined : program.symbols.lookup(pc);
  if (place === undefined || place.offset !== 0) return undefined;
  const { name } = place.symbol;
  const values = valuesOf(registers, REGISTERS[program.architecture].call);
  const prototype = program.types.findFunction(name);
  return prototype === undefined ? undefined : withPrototype('function', name, values, prototype);
}

function valuesOf({ values }: SavedRegisters, names: readonly string[]): KnownArgument[] {
  return names.map(name => ({ name: undefined, value: values.get(name) ?? 0n, isPointer: true }));
}

const PLAIN_KINDS: ReadonlySet<string> = new Set(['int', 'enum', 'pointer']);

/** Arguments by a prototype, as far as registers and plain types go. */
function withPrototype(
  kind: KnownCall['kind'],
  name: string,
  values: readonly KnownArgument[],
  prototype: FunctionType | undefined,
): KnownCall {
  const parameters = prototype?.parameters ?? [];
  const arePlain = parameters.every(({ type }) => type !== undefined && PLAIN_KINDS.has(stripTypedefs(type).kind));
  if (prototype === undefined || !arePlain || parameters.length > values.length)
    return { kind, name, arguments: values, isExact: false };
  const known = parameters.map((parameter, index): KnownArgument => {
    const bare = stripTypedefs(parameter.type ?? VOID);
    const isPointer = bare.kind === 'pointer';
    const raw = BigInt.asUintN(8 * bare.size, values[index]!.value);
    const isSigned = (bare.kind === 'int' || bare.kind === 'enum') && bare.signed;
    return { name: parameter.name, value: isSigned ? BigInt.asIntN(8 * bare.size, raw) : raw, isPointer };
  });
  return { kind, name, arguments: known, isExact: true };
}

/** One line, without indent. */
export function callText({ kind, name, arguments: all, isExact }: KnownCall): string {
  const values = all.map(({ name: label, value, isPointer }) => {
    const text = isPointer ? `0x${value.toString(16)}` : String(value);
    return label === undefined || label === '' ? text : `${label}=${text}`;
  });
  return isExact ? `${kind} ${name}(${values.join(', ')})` : `${kind} ${name}, argument registers ${values.join(' ')}`;
}
