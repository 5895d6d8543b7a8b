/** Total division: WebAssembly's traps on zero and on overflow, the IR's does not. */
import type { RegionCode } from './region-code.ts';

type Division = 'i32.div_s' | 'i32.div_u' | 'i64.div_s' | 'i64.div_u';

/** Replaces dividend and divisor on the stack with the quotient: x / 0 = 0, the most negative / -1 = the most negative. */
export function emitDivision(region: RegionCode, name: Division): void {
  const { code } = region;
  const type = name.startsWith('i32') ? 'i32' : 'i64';
  const dividend = region.temporary(type);
  const divisor = region.temporary(type);
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
