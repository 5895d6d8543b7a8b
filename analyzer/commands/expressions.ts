/** C expressions in commands: variables of the kernel with their types, gdb's value history. */
import { UsageError } from '../../capture/formats/errors.ts';
import { VARIABLE_TYPES } from '../symbols/variable-types.ts';
import type { MemoryReader } from '../memory-reader.ts';
import { evaluate, findEnumerator, parseType } from '../types/expression.ts';
import type { Scope } from '../types/expression.ts';
import { FunctionType, VOID, stripTypedefs } from '../types/types.ts';
import type { CType } from '../types/types.ts';
import { INT, LONG, bitsOf, pointerTo } from '../types/value.ts';
import type { Value } from '../types/value.ts';
import { registerName, stoppedRegisters } from '../unwind/stopped-registers.ts';
import type { Session } from './session.ts';

/** What an address of code that no prototype is known of points to. */
const NO_PROTOTYPE = new FunctionType(
  () => VOID,
  () => [],
  false,
);

/** What C takes a function for that is not declared. */
const NO_DECLARATION = new FunctionType(
  () => INT,
  () => [],
);

/** Type of a kernel variable: from a vmlinux, BTF's per-cpu section, or the list of well-known ones. */
export function variableType(session: Session, name: string): CType | undefined {
  const { program } = session;
  for (const symbol of program.symbols.findAll(name)) {
    const fromDwarf = program.debug.variableType(symbol);
    if (fromDwarf !== undefined) return fromDwarf;
  }
  const percpu = program.percpuVariables.get(name);
  if (percpu !== undefined) return percpu.type;
  const known = Object.hasOwn(VARIABLE_TYPES, name) ? VARIABLE_TYPES[name] : undefined;
  return known === undefined ? undefined : parseType(known, program.types);
}

/** A variable or function by name; with a file, the one that it defines. @throws UsageError when its type is not known */
export function findVariable(session: Session, name: string, file?: string): Value | undefined {
  const { program } = session;
  const all = program.symbols.findAll(name);
  const symbol = file === undefined ? all[0] : all.find(({ address }) => isOfFile(session, address, file));
  if (symbol === undefined) return findEnumerator(program.types, name);
  const isText = /[tTwW]/.test(symbol.type);
  // Variables stand among the text, too: page tables on arm64, init_task on x86_64 in 7.x.
  const prototype = isText ? program.types.findFunction(name) : undefined;
  const type = prototype ?? variableType(session, name) ?? (isText ? NO_DECLARATION : undefined);
  if (type === undefined) throw new UsageError(`'${name}' has unknown type; cast it to its declared type`);
  return { type, address: symbol.address };
}

function isOfFile(session: Session, address: bigint, file: string): boolean {
  const path = session.program.debug.line(address)?.file;
  return path !== undefined && (path === file || path.endsWith(`/${file}`));
}

/** A register of the current task where it was stopped: `$rip`, `$sp`, `$x0`. */
function registerValue(session: Session, name: string): Value | undefined {
  const { architecture } = session.program;
  if (!/^\$[a-z]\w*$/.test(name)) return undefined;
  const value = stoppedRegisters(session.tasks, session.current).get(registerName(architecture, name.slice(1)));
  if (value === undefined) return undefined;
  if (/^\$(?:rip|pc)$/.test(name)) return { type: pointerTo(NO_PROTOTYPE), bits: value };
  return { type: /^\$(?:rsp|rbp|sp|fp)$/.test(name) ? pointerTo(VOID) : LONG, bits: value };
}

/** What expressions of a session may refer to. */
export function scopeOf(session: Session): Scope {
  const { program } = session;
  return {
    memory: program.memory,
    types: program.types,
    find: (name, file) => findVariable(session, name, file),
    history: name => session.history(name) ?? registerValue(session, name),
    assign: (name, value) => void session.gdb.variables.set(name, frozen(program.memory, value)),
  };
}

/** A scalar as it is now; structures stay where they are in memory. */
function frozen(memory: MemoryReader, value: Value): Value {
  const { kind } = stripTypedefs(value.type);
  const isScalar = kind === 'int' || kind === 'enum' || kind === 'pointer' || kind === 'float';
  return isScalar ? { type: value.type, bits: bitsOf(memory, value) } : value;
}

/** Evaluates a C expression in the session. @param memory where the values are, if not in the kernel's @throws UsageError, FaultError */
export function evaluateExpression(session: Session, text: string, memory?: MemoryReader): Value {
  const scope = scopeOf(session);
  return evaluate(text, memory === undefined ? scope : { ...scope, memory });
}

/** Tells whether a name is that of a per-cpu variable whose type is known. */
export function isPercpu(session: Session, name: string): boolean {
  const { symbols, percpuVariables } = session.program;
  const address = symbols.find(name);
  const [start, end] = [symbols.find('__per_cpu_start'), symbols.find('__per_cpu_end')];
  const inside = address !== undefined && start !== undefined && end !== undefined && address >= start && address < end;
  return (inside || percpuVariables.has(name)) && variableType(session, name) !== undefined;
}
