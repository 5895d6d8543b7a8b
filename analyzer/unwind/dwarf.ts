/**
 * Unwinding by DWARF's call frame information, with the registers of each frame: what arguments and locals need, and a
 * judge for the other unwinders.
 *
 * Source: DWARF 5 section 6.4 "Call Frame Information".
 */
import { FaultError, FormatError } from '../../capture/formats/errors.ts';
import type { DebugInfo } from '../debug-info/dwarf/debug-info.ts';
import { computeValue } from '../debug-info/dwarf/evaluate.ts';
import type { EvaluationContext } from '../debug-info/dwarf/evaluate.ts';
import type { RegisterRule, UnwindRow } from '../debug-info/dwarf/frame-program.ts';
import { linkAddress } from '../debug-info/debug-files.ts';
import type { Program } from '../program.ts';
import { DWARF_REGISTERS, STACK_POINTER } from './dwarf-registers.ts';
import { MAX_FRAMES } from './frames.ts';

/** A physical frame. */
export interface DwarfFrame {
  /** Address of the instruction, or the one that the call returns to. */
  readonly pc: bigint;
  /** `pc` is where something happened, not where a call returns to. */
  readonly exact: boolean;
  /** Values by DWARF's number; what is not known is absent. */
  readonly registers: ReadonlyMap<number, bigint>;
  readonly info: DebugInfo;
  /** Canonical frame address: the stack pointer before the call. */
  readonly cfa: bigint | undefined;
}

/** Registers by name (`struct pt_regs`) as DWARF numbers them. */
export function numbered(program: Program, named: ReadonlyMap<string, bigint>): Map<number, bigint> {
  const registers = new Map<number, bigint>();
  for (const [number, name] of DWARF_REGISTERS[program.architecture].entries()) {
    const value = named.get(name);
    if (value !== undefined) registers.set(number, value);
  }
  return registers;
}

/** Follows frames from where registers are known until nothing describes the code. Every walk is bounded. */
export function unwindDwarf(program: Program, start: ReadonlyMap<string, bigint>): DwarfFrame[] {
  const frames: DwarfFrame[] = [];
  let pc = start.get('pc') ?? start.get('ip');
  let registers = numbered(program, start);
  let exact = true;
  while (pc !== undefined && frames.length < MAX_FRAMES) {
    const found = describe(program, pc, exact, registers);
    if (found === undefined) break;
    const { frame, row } = found;
    frames.push(frame);
    const caller = row === undefined || frame.cfa === undefined ? undefined : stepOut(program, frame, row);
    // A stack grows downwards: a caller's frame lies higher.
    if (caller === undefined || !isAbove(frames, frame.cfa!)) break;
    ({ pc, registers } = caller);
    exact = row?.isSignal === true;
  }
  return frames;
}

function isAbove(frames: readonly DwarfFrame[], cfa: bigint): boolean {
  const before = frames.at(-2)?.cfa;
  return before === undefined || cfa > before;
}

function describe(
  program: Program,
  pc: bigint,
  exact: boolean,
  registers: ReadonlyMap<number, bigint>,
): { frame: DwarfFrame; row: UnwindRow | undefined } | undefined {
  const info = program.debug.at(pc);
  if (info === undefined) return undefined;
  try {
    const row = info.frames.find(linkAddress(info, exact ? pc : pc - 1n));
    const bare = { pc, exact, registers, info, cfa: undefined };
    const cfa = row === undefined ? undefined : cfaOf(program, bare, row);
    return { frame: { ...bare, cfa }, row };
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof FaultError)) throw error;
    return undefined;
  }
}

/** What expressions of the call frame information may ask for. */
function ruleContext(program: Program, frame: DwarfFrame): EvaluationContext {
  return {
    register: number => frame.registers.get(number),
    cfa: () => frame.cfa,
    frameBase: () => undefined,
    entryValue: () => undefined,
    read: (address, size) => program.memory.readUnsigned(address, size),
    indexedAddress: () => 0n,
    bias: frame.info.bias,
  };
}

function cfaOf(program: Program, frame: DwarfFrame, row: UnwindRow): bigint | undefined {
  if (row.cfa.kind === 'expression') return computeValue(row.cfa.expression, ruleContext(program, frame));
  const base = frame.registers.get(row.cfa.register);
  return base === undefined ? undefined : BigInt.asUintN(64, base + BigInt(row.cfa.offset));
}

function stepOut(
  program: Program,
  frame: DwarfFrame,
  row: UnwindRow,
): { pc: bigint; registers: Map<number, bigint> } | undefined {
  const { architecture } = program;
  const registers = new Map<number, bigint>([[STACK_POINTER[architecture], frame.cfa!]]);
  try {
    // Also registers that a call may change keep their values: the compiler says of none that it holds a variable
    // behind a call, unless it knows that the callee leaves it alone.
    for (const number of DWARF_REGISTERS[architecture].keys()) {
      if (number === STACK_POINTER[architecture] || number === row.returnRegister) continue;
      const value = ruled(program, frame, row.rules.get(number) ?? { kind: 'same' }, number);
      if (value !== undefined) registers.set(number, value);
    }
    const rule = row.rules.get(row.returnRegister) ?? { kind: 'same' };
    const target = ruled(program, frame, rule, row.returnRegister);
    if (target === undefined || target === 0n) return undefined;
    return { pc: withoutPac(program, target), registers };
  } catch (error) {
    if (!(error instanceof FaultError || error instanceof FormatError)) throw error;
    return undefined;
  }
}

function ruled(program: Program, frame: DwarfFrame, rule: RegisterRule, number: number): bigint | undefined {
  switch (rule.kind) {
    case 'undefined':
      return undefined;
    case 'same':
      return frame.registers.get(number);
    case 'offset':
      return program.memory.readU64(BigInt.asUintN(64, frame.cfa! + BigInt(rule.offset)));
    case 'value offset':
      return BigInt.asUintN(64, frame.cfa! + BigInt(rule.offset));
    case 'register':
      return frame.registers.get(rule.register);
    case 'expression': {
      const address = computeValue(rule.expression, ruleContext(program, frame));
      return address === undefined ? undefined : program.memory.readU64(address);
    }
    default:
      return computeValue(rule.expression, ruleContext(program, frame));
  }
}

/** A return address without its authentication code: bit 55 tells what the bits above were. */
function withoutPac(program: Program, address: bigint): bigint {
  const mask = program.pacMask;
  return mask === 0n ? address : (address >> 55n) & 1n ? address | mask : address & ~mask;
}
