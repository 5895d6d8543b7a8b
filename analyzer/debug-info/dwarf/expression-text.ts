/** DWARF expressions as text, as gdb's `info scope` and `info address` write them. */
import { Cursor } from './cursor.ts';
import { DW_OP } from './operations.ts';
import { DWARF_REGISTERS } from '../../unwind/dwarf-registers.ts';

type Architecture = 'aarch64' | 'x86_64';

/** gdb's name of a register by DWARF's number. */
export function gdbRegisterName(architecture: Architecture, number: number): string {
  const name = DWARF_REGISTERS[architecture][number] ?? `r${number}`;
  return architecture === 'x86_64' && !/^r\d/.test(name) ? `r${name}` : name;
}

/** A place that a few words say: a register, static storage, a constant. Undefined for others. */
export function plainPlace(expression: Uint8Array, architecture: Architecture, bias: bigint): string | undefined {
  const cursor = new Cursor(expression);
  if (cursor.atEnd) return 'optimized out';
  const opcode = cursor.u8();
  if (opcode === DW_OP.fbreg) return framePlace(cursor, architecture);
  if (expression.at(-1) === DW_OP.stack_value) return constantPlace(opcode, cursor);
  if (isRegister(opcode) && cursor.atEnd) return `a variable in $${gdbRegisterName(architecture, opcode - DW_OP.reg0)}`;
  if (opcode !== DW_OP.addr || expression.length !== 9) return undefined;
  return `static storage at address 0x${BigInt.asUintN(64, cursor.address() + bias).toString(16)}`;
}

function isRegister(opcode: number): boolean {
  return opcode >= DW_OP.reg0 && opcode <= DW_OP.reg31;
}

function framePlace(cursor: Cursor, architecture: Architecture): string | undefined {
  const offset = cursor.sleb();
  const register = architecture === 'aarch64' ? 'sp' : 'rsp';
  return cursor.atEnd ? `a variable at frame base reg $${register} offset ${offset}` : undefined;
}

function constantPlace(opcode: number, cursor: Cursor): string | undefined {
  const value = constantOf(opcode, cursor);
  return value !== undefined && cursor.offset === cursor.end - 1 ? `the constant ${value}` : undefined;
}

function constantOf(opcode: number, cursor: Cursor): bigint | undefined {
  if (opcode >= DW_OP.lit0 && opcode <= DW_OP.lit31) return BigInt(opcode - DW_OP.lit0);
  return OPERANDS[opcode]?.constant === true ? OPERANDS[opcode].read(cursor) : undefined;
}

interface Operand {
  readonly constant: boolean;
  readonly read: (cursor: Cursor) => bigint;
}

const constant = (read: Operand['read']): Operand => ({ constant: true, read });
const other = (read: Operand['read']): Operand => ({ constant: false, read });

/** Operands of the operations that have one. */
const OPERANDS: Readonly<{ [opcode: number]: Operand }> = {
  [DW_OP.addr]: other(cursor => cursor.address()),
  [DW_OP.const1u]: constant(cursor => BigInt(cursor.u8())),
  [DW_OP.const1s]: constant(cursor => BigInt(cursor.i8())),
  [DW_OP.const2u]: constant(cursor => BigInt(cursor.u16())),
  [DW_OP.const2s]: constant(cursor => BigInt.asIntN(16, BigInt(cursor.u16()))),
  [DW_OP.const4u]: constant(cursor => BigInt(cursor.u32())),
  [DW_OP.const4s]: constant(cursor => BigInt.asIntN(32, BigInt(cursor.u32()))),
  [DW_OP.const8u]: constant(cursor => cursor.address()),
  [DW_OP.const8s]: constant(cursor => BigInt.asIntN(64, cursor.address())),
  [DW_OP.constu]: constant(cursor => cursor.bigUleb()),
  [DW_OP.consts]: constant(cursor => cursor.bigSleb()),
  [DW_OP.plus_uconst]: other(cursor => cursor.bigUleb()),
  [DW_OP.fbreg]: other(cursor => cursor.bigSleb()),
  [DW_OP.pick]: other(cursor => BigInt(cursor.u8())),
  [DW_OP.deref_size]: other(cursor => BigInt(cursor.u8())),
  [DW_OP.piece]: other(cursor => cursor.bigUleb()),
  [DW_OP.convert]: other(cursor => cursor.bigUleb()),
  [DW_OP.GNU_convert]: other(cursor => cursor.bigUleb()),
  [DW_OP.addrx]: other(cursor => cursor.bigUleb()),
  [DW_OP.bra]: other(cursor => BigInt.asIntN(16, BigInt(cursor.u16()))),
  [DW_OP.skip]: other(cursor => BigInt.asIntN(16, BigInt(cursor.u16()))),
};

const NAMES = new Map<number, string>(Object.entries(DW_OP).map(([name, code]) => [code, name]));

/** One operation a line, offset in front; blocks inside are indented. */
export function expressionText(expression: Uint8Array, architecture: Architecture, bias: bigint, indent = 4): string {
  const cursor = new Cursor(expression);
  const out: string[] = [];
  while (!cursor.atEnd) {
    const at = cursor.offset;
    out.push(`${' '.repeat(indent)}${String(at).padStart(2)}: ${operationText(cursor, architecture, bias, indent)}\n`);
    if (!NAMES.has(expression[at]!) && !isNumbered(expression[at]!)) break;
  }
  return out.join('');
}

function isNumbered(opcode: number): boolean {
  return opcode >= DW_OP.lit0 && opcode <= DW_OP.breg31;
}

function operationText(cursor: Cursor, architecture: Architecture, bias: bigint, indent: number): string {
  const opcode = cursor.u8();
  if (opcode >= DW_OP.lit0 && opcode <= DW_OP.lit31) return `DW_OP_lit${opcode - DW_OP.lit0}`;
  if (opcode >= DW_OP.reg0 && opcode <= DW_OP.reg31) {
    const number = opcode - DW_OP.reg0;
    return `DW_OP_reg${number} [$${gdbRegisterName(architecture, number)}]`;
  }
  if (opcode >= DW_OP.breg0 && opcode <= DW_OP.breg31) {
    const number = opcode - DW_OP.breg0;
    return `DW_OP_breg${number} ${cursor.bigSleb()} [$${gdbRegisterName(architecture, number)}]`;
  }
  const name = `DW_OP_${NAMES.get(opcode) ?? `0x${opcode.toString(16)}`}`;
  if (opcode === DW_OP.entry_value || opcode === DW_OP.GNU_entry_value) {
    const length = cursor.uleb();
    const start = cursor.offset;
    cursor.skip(length);
    const inner = expressionText(cursor.bytes.subarray(start, start + length), architecture, bias, indent + 2);
    return `${name}\n${inner.replace(/( +)(\d+):/g, (_, blanks: string, digits: string) => `${blanks}${Number(digits) + start}:`).trimEnd()}`;
  }
  if (opcode === DW_OP.addr) return `${name} 0x${BigInt.asUintN(64, cursor.address() + bias).toString(16)}`;
  const operand = OPERANDS[opcode];
  return operand === undefined ? name : `${name} ${operand.read(cursor)}`;
}
