/** Total division: WebAssembly's traps on zero and on overflow, the IR's does not. */
import type { CodeWriter } from '../../../wasm/code-writer.ts';

/** A function under construction. */
export interface DivisionTarget {
  readonly code: CodeWriter;
  temporary(type: 'i32' | 'i64'): number;
}

type Division = 'i32.div_s' | 'i32.div_u' | 'i64.div_s' | 'i64.div_u';

/** Replaces dividend and divisor on the stack with the quotient: x / 0 = 0, the most negative / -1 = the most negative. */
export function emitDivision(target: DivisionTarget, name: Division): void {
  const { code } = target;
  const type = name.startsWith('i32') ? 'i32' : 'i64';
  const dividend = target.temporary(type);
  const divisor = target.temporary(type);
  const constant = (value: number): void => (type === 'i32' ? code.i32(value) : code.i64(BigInt(value)));
  code.set(divisor);
  code.set(dividend);
  code.get(divisor);
  code.op(`${type}.eqz`);
  code.if(type);
  constant(0);
  code.else();
  if (name.endsWith('_u')) {
    code.get(dividend);
    code.get(divisor);
    code.op(name);
  } else {
    code.get(divisor);
    constant(-1);
    code.op(`${type}.eq`);
    code.if(type);
    constant(0);
    code.get(dividend);
    code.op(`${type}.sub`);
    code.else();
    code.get(dividend);
    code.get(divisor);
    code.op(name);
    code.end();
  }
  code.end();
}
