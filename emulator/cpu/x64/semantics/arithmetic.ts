/** Two-operand arithmetic and logic, increments, and exchanges with arithmetic. Source: Intel SDM vol. 2 "Instruction Set Reference". */
import type { Value } from '../../ir/block.ts';
import type { IntType } from '../../ir/types.ts';
import type { IntSize } from '../flags.ts';
import type { Semantics } from '../instruction.ts';
import type { ARITHMETIC, CARRY_CHAINS } from '../opcode-map/arithmetic.ts';
import type { Operand } from '../operands.ts';
import { GPR, X64_STATE } from '../state.ts';
import type { Translation } from '../translation.ts';

type Int = Value<IntType>;
type Compute = (t: Translation, size: IntSize, a: Int, b: Int) => Int;

/** Computes a result from both operands, with its flags. */
function binary(compute: Compute): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const size = t.size(a);
    const left = t.read(a, true);
    const right = t.readAs(b, size);
    t.write(a, compute(t, size, left, right));
  };
}

/** As `binary`, for results from which the flags are a function. */
function logical(compute: (t: Translation, a: Int, b: Int) => Int): (t: Translation, a: Operand, b: Operand) => void {
  return binary((t, size, a, b) => {
    const result = compute(t, a, b);
    t.flags.logical(size, result);
    return result;
  });
}

function isSameRegister(a: Operand, b: Operand): boolean {
  return (
    a.kind === 'register' && b.kind === 'register' && a.number === b.number && a.high === b.high && a.size === b.size
  );
}

const xor = logical((t, a, b) => t.ir.xor(a, b));
const sub = binary((t, size, a, b) => t.flags.sub(size, a, b));

/**
 * Compares the accumulator with the destination; stores the source when equal, else loads the accumulator. A register that is not
 * written keeps its upper half; memory is written in any case.
 */
function compareExchange(t: Translation, destination: Operand, source: Operand): void {
  const { ir } = t;
  const size = t.size(destination);
  const old = t.read(destination, true);
  const accumulator = t.gpr(GPR.AX, size);
  const equal = ir.eq(accumulator, old);
  const stored = ir.select(equal, t.read(source), old);
  if (destination.kind === 'register') writeWhen(t, equal, destination.number, () => t.write(destination, stored));
  else t.write(destination, stored);
  writeWhen(t, ir.eqz(equal), GPR.AX, () => t.setGpr(GPR.AX, size, old));
  t.flags.sub(size, accumulator, old);
}

/** Writes a general register when a condition holds. */
function writeWhen(t: Translation, condition: Value<'i32'>, number: number, write: () => void): void {
  const { ir } = t;
  const field = X64_STATE.r[number]!;
  const before = ir.get(field);
  write();
  ir.set(field, ir.select(condition, ir.get(field), before));
}

/** CMPXCHG8B and CMPXCHG16B: halves of 4 or 8 bytes. */
function compareExchangePair(t: Translation, destination: Operand): void {
  const { ir } = t;
  const size: IntSize = t.insn.operandSize === 8 ? 8 : 4;
  if (size === 8 && !t.features.has('cx16')) return t.undefined();
  const address = t.address(destination);
  const high = t.addressAt(destination, size);
  if (size === 8) t.requireAligned16(address);
  const oldLow = t.load(address, size, true);
  const oldHigh = t.load(high, size, true);
  const sameLow = ir.eq(oldLow, t.gpr(GPR.AX, size));
  const equal = ir.and(sameLow, ir.eq(oldHigh, t.gpr(GPR.DX, size)));
  t.store(address, size, ir.select(equal, t.gpr(GPR.BX, size), oldLow));
  t.store(high, size, ir.select(equal, t.gpr(GPR.CX, size), oldHigh));
  const unequal = ir.eqz(equal);
  writeWhen(t, unequal, GPR.AX, () => t.setGpr(GPR.AX, size, oldLow));
  writeWhen(t, unequal, GPR.DX, () => t.setGpr(GPR.DX, size, oldHigh));
  t.flags.setZ(equal);
}

export const arithmetic: Semantics<typeof ARITHMETIC> = {
  ADD: binary((t, size, a, b) => t.flags.add(size, a, b)),
  ADC: binary((t, size, a, b) => t.flags.addWithCarry(size, a, b)),
  SUB: (t, a, b) => {
    // SUB r,r is 0 whatever r holds, as XOR r,r is: neither reads the register
    if (isSameRegister(a, b)) return t.write(a, t.flags.sub(t.size(a), t.int(t.size(a), 0), t.int(t.size(a), 0)));
    sub(t, a, b);
  },
  SBB: binary((t, size, a, b) => t.flags.subWithBorrow(size, a, b)),
  AND: logical((t, a, b) => t.ir.and(a, b)),
  OR: logical((t, a, b) => t.ir.or(a, b)),
  XOR: (t, a, b) => {
    if (!isSameRegister(a, b)) return xor(t, a, b);
    t.flags.logical(t.size(a), t.int(t.size(a), 0));
    t.write(a, t.int(t.size(a), 0));
  },
  CMP: (t, a, b) => void t.flags.sub(t.size(a), t.read(a), t.readAs(b, t.size(a))),
  TEST: (t, a, b) => {
    const value = t.read(a);
    const same = isSameRegister(a, b);
    t.flags.logical(t.size(a), same ? value : t.ir.and(value, t.readAs(b, t.size(a))));
  },
  NOT: (t, a) => t.write(a, t.flags.truncate(t.size(a), t.ir.not(t.read(a, true)))),
  NEG: (t, a) => {
    const size = t.size(a);
    t.write(a, t.flags.sub(size, t.int(size, 0), t.read(a, true)));
  },
  INC: (t, a) => t.write(a, t.flags.increment(t.size(a), t.read(a, true))),
  DEC: (t, a) => t.write(a, t.flags.decrement(t.size(a), t.read(a, true))),
  XADD: (t, a, b) => {
    const size = t.size(a);
    const old = t.read(a, true);
    const sum = t.flags.add(size, old, t.read(b));
    if (a.kind === 'memory') {
      t.write(a, sum);
      t.write(b, old);
    } else {
      t.write(b, old);
      t.write(a, sum);
    }
  },
  CMPXCHG: compareExchange,
  CMPXCHG8B: compareExchangePair,
};

/** ADCX, ADOX: an addition with carry that keeps its carry in one flag and leaves the others. */
function carryChain(flag: 'C' | 'O'): (t: Translation, a: Operand, b: Operand) => void {
  return (t, a, b) => {
    const { ir, flags } = t;
    const left = t.read(a);
    const right = t.read(b);
    const carry = flags.condition(flag === 'C' ? 2 : 0);
    const partial = ir.add(left, right);
    const sum = ir.add(partial, left.type === 'i64' ? ir.toI64(carry) : carry);
    t.write(a, sum);
    const out = ir.or(ir.ltU(partial, left), ir.ltU(sum, partial));
    if (flag === 'C') flags.setC(out);
    else flags.setO(out);
  };
}

export const carryChains: Semantics<typeof CARRY_CHAINS> = {
  ADCX: carryChain('C'),
  ADOX: carryChain('O'),
};
