/** C expressions in commands: variables of the kernel with their types, gdb's value history. */
import { UsageError } from '../../capture/formats/errors.ts';
import { VARIABLE_TYPES } from '../symbols/variable-types.ts';
import { evaluate, findEnumerator, parseType } from '../types/expression.ts';
import type { Scope } from '../types/expression.ts';
import { FunctionType } from '../types/types.ts';
import type { CType } from '../types/types.ts';
import type { Value } from '../types/value.ts';
import { INT } from '../types/value.ts';
import type { Session } from './session.ts';

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

/** A variable or function by name. @throws UsageError when its type is not known */
export function findVariable(session: Session, name: string): Value | undefined {
  const { program } = session;
  const symbol = program.symbols.findAll(name)[0];
  if (symbol === undefined) return findEnumerator(program.types, name);
  if (/[tTwW]/.test(symbol.type))
    return {
      type:
        program.types.findFunction(name) ??
        new FunctionType(
          () => INT,
          () => [],
        ),
      address: symbol.address,
    };
  const type = variableType(session, name);
  if (type === undefined) throw new UsageError(`'${name}' has unknown type; cast it to its declared type`);
  return { type, address: symbol.address };
}

/** Evaluates a C expression in the session. @throws UsageError, FaultError */
export function evaluateExpression(session: Session, text: string): Value {
  const { program } = session;
  const scope: Scope = {
    memory: program.memory,
    types: program.types,
    find: name => findVariable(session, name),
    history: name => session.history(name),
  };
  return evaluate(text, scope);
}
