/** Frames as the source has them: inlined functions apart, with arguments and locals where DWARF can tell their values. */
import { FaultError, FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import { linkAddress } from '../debug-info/debug-files.ts';
import { DW_AT } from '../debug-info/dwarf/constants.ts';
import { nameOf, origin, typed } from '../debug-info/dwarf/debug-info.ts';
import type { Die } from '../debug-info/dwarf/die.ts';
import { computeValue, locate } from '../debug-info/dwarf/evaluate.ts';
import type { EvaluationContext, Location } from '../debug-info/dwarf/evaluate.ts';
import { callSite, callTarget, callValue, functionsAt, localsOf, parametersOf } from '../debug-info/dwarf/functions.ts';
import type { FunctionScope } from '../debug-info/dwarf/functions.ts';
import { locationAt } from '../debug-info/dwarf/location-lists.ts';
import { DW_OP } from '../debug-info/dwarf/operations.ts';
import type { Program } from '../program.ts';
import { sizeOf, stripTypedefs } from '../types/types.ts';
import type { CType } from '../types/types.ts';
import type { Value } from '../types/value.ts';
import type { DwarfFrame } from './dwarf.ts';

/** An argument or local variable of a frame. */
export interface FrameVariable {
  readonly name: string;
  readonly type: CType;
  /** Undefined when the compiler kept none, or it is not known any more. */
  readonly value: Value | undefined;
  /** What the function was called with, when the caller tells. */
  readonly entryValue: Value | undefined;
}

/** A function on the stack, inlined ones included. */
export interface SourceFrame {
  readonly physical: DwarfFrame;
  readonly name: string;
  readonly inlined: boolean;
  /** The innermost function of its physical frame: where the address stands. */
  readonly innermost: boolean;
  readonly file: string | undefined;
  readonly line: number | undefined;
  /** The address is the first of its line. */
  readonly atLineStart: boolean;
  readonly parameters: readonly FrameVariable[];
  readonly locals: () => readonly FrameVariable[];
}

/** The functions of physical frames, innermost first. */
export function sourceFrames(program: Program, frames: readonly DwarfFrame[]): SourceFrame[] {
  return frames.flatMap((_, index) => tolerant(() => expand(program, frames, index)) ?? []);
}

/** Debug information that is damaged, or memory that is missing, costs what depends on it. */
function tolerant<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError || error instanceof FaultError || error instanceof UnimplementedError)
      return undefined;
    throw error;
  }
}

/** Where a frame's code is looked up: a return address may already belong to the next line or function. */
function lookupAddress({ pc, exact, info }: DwarfFrame): bigint {
  return linkAddress(info, exact ? pc : pc - 1n);
}

function expand(program: Program, frames: readonly DwarfFrame[], index: number): SourceFrame[] {
  const physical = frames[index]!;
  const address = lookupAddress(physical);
  const scopes = functionsAt(physical.info, address).toReversed();
  const row = physical.info.lines.find(address);
  const place = program.symbols.lookup(physical.pc);
  if (scopes.length === 0) {
    const name = program.symbols.formatInside(physical.pc)?.replace(/\+\d+$/, '') ?? place?.symbol.name ?? '??';
    const at = { file: row?.file, line: row?.line, atLineStart: row?.start === address };
    return [{ physical, name, inlined: false, innermost: true, ...at, parameters: [], locals: () => [] }];
  }
  return scopes.map((scope, depth) => {
    const inner = scopes[depth - 1];
    const reader = new VariableReader(program, frames, index, scopes.at(-1)!);
    return {
      physical,
      name: scope.name,
      inlined: scope.inlined,
      innermost: depth === 0,
      file: inner === undefined ? row?.shortFile : inner.callFile,
      line: inner === undefined ? row?.line : inner.callLine,
      atLineStart: depth === 0 && row?.start === address,
      parameters: parametersOf(scope).map(die => reader.read(die)),
      locals: () => localsOf(scope).map(die => reader.read(die)),
    };
  });
}

/** Reads variables of one physical frame. */
class VariableReader {
  readonly #program: Program;
  readonly #frames: readonly DwarfFrame[];
  readonly #index: number;
  readonly #function: FunctionScope;

  constructor(program: Program, frames: readonly DwarfFrame[], index: number, outer: FunctionScope) {
    this.#program = program;
    this.#frames = frames;
    this.#index = index;
    this.#function = outer;
  }

  get #frame(): DwarfFrame {
    return this.#frames[this.#index]!;
  }

  read(die: Die): FrameVariable {
    const { types } = this.#frame.info;
    const type = types.typeOf(typed(die));
    return {
      name: nameOf(die),
      type,
      value: tolerant(() => this.#value(die, type)),
      entryValue: tolerant(() => this.#entryValue(die, type)),
    };
  }

  #value(die: Die, type: CType): Value | undefined {
    const constant = die.integer(DW_AT.const_value) ?? origin(die)?.integer(DW_AT.const_value);
    if (constant !== undefined) return scalarOf(type, constant);
    const holder = die.has(DW_AT.location) ? die : origin(die);
    const expression = holder === undefined ? undefined : locationAt(holder, lookupAddress(this.#frame));
    if (expression === undefined) return undefined;
    return this.#valueAt(locate(expression, this.#context()), type);
  }

  #valueAt(location: Location, type: CType): Value | undefined {
    switch (location.kind) {
      case 'memory':
        return { type, address: location.address };
      case 'register': {
        const bits = this.#frame.registers.get(location.register);
        return bits === undefined || sizeOf(type) > 8 ? undefined : scalarOf(type, bits);
      }
      case 'value':
        return scalarOf(type, location.value);
      case 'bytes':
        return valueOfBytes(type, location.bytes);
      case 'pieces': {
        const parts = location.pieces.map(({ size, location: part }) => this.#bytesOf(part, size));
        return parts.every(part => part !== undefined) ? valueOfBytes(type, Buffer.concat(parts)) : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Bytes of a part of a variable. @throws FaultError */
  #bytesOf(location: Location, size: number): Uint8Array | undefined {
    if (location.kind === 'memory') return this.#program.memory.readBytes(location.address, size);
    if (location.kind === 'bytes') return location.bytes.subarray(0, size);
    const bits = location.kind === 'register' ? this.#frame.registers.get(location.register) : undefined;
    const value = location.kind === 'value' ? location.value : bits;
    if (value === undefined || size > 8) return undefined;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
    return bytes.subarray(0, size);
  }

  /** What the caller passed, for a parameter that came in a register. */
  #entryValue(die: Die, type: CType): Value | undefined {
    const [range] = this.#function.die.ranges;
    const entry = range === undefined || !die.has(DW_AT.location) ? undefined : locationAt(die, range.start);
    const isRegister = entry?.length === 1 && entry[0]! >= DW_OP.reg0 && entry[0]! <= DW_OP.reg31;
    const bits = isRegister ? this.#passed(entry) : undefined;
    return bits === undefined ? undefined : scalarOf(type, bits);
  }

  /** Value of a register when the function was called, by what the caller's code is known to have put there. */
  #passed(register: Uint8Array): bigint | undefined {
    const caller = this.#frames[this.#index + 1];
    if (caller === undefined || caller.exact) return undefined;
    const scopes = functionsAt(caller.info, lookupAddress(caller));
    const site = callSite(scopes, linkAddress(caller.info, caller.pc));
    const expression = site === undefined ? undefined : callValue(site, register);
    if (site === undefined || expression === undefined) return undefined;
    const reader = new VariableReader(this.#program, this.#frames, this.#index + 1, scopes[0]!);
    if (!reader.#calls(site, this.#function, this.#frame.info.bias)) return undefined;
    return computeValue(expression, reader.#context());
  }

  /** Tells whether a call site calls a function: what it calls may have jumped on to another. */
  #calls(site: Die, callee: FunctionScope, bias: bigint): boolean {
    const target = callTarget(site);
    if (target.name !== undefined) return target.name === callee.name;
    const address = target.address === undefined ? undefined : computeValue(target.address, this.#context());
    const [range] = callee.die.ranges;
    return address !== undefined && range !== undefined && address === BigInt.asUintN(64, range.start + bias);
  }

  #context(): EvaluationContext {
    const frame = this.#frame;
    const context: EvaluationContext = {
      register: number => frame.registers.get(number),
      cfa: () => frame.cfa,
      frameBase: () => {
        const base = locationAt(this.#function.die, lookupAddress(frame), DW_AT.frame_base);
        return base === undefined ? undefined : computeValue(base, context);
      },
      entryValue: expression => this.#passed(expression),
      read: (address, size) => this.#program.memory.readUnsigned(address, size),
      indexedAddress: index => this.#function.die.unit.indexedAddress(index),
      bias: frame.info.bias,
    };
    return context;
  }
}

function scalarOf(type: CType, bits: bigint): Value {
  const size = Math.max(1, Math.min(8, sizeOf(type)));
  const cut = BigInt.asUintN(8 * size, bits);
  const { kind } = stripTypedefs(type);
  if (kind !== 'struct' && kind !== 'union' && kind !== 'array') return { type, bits: cut };
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(cut);
  return { type, bytes: bytes.subarray(0, size) };
}

function valueOfBytes(type: CType, bytes: Uint8Array): Value {
  const whole = Buffer.alloc(Math.max(8, sizeOf(type)));
  whole.set(bytes.subarray(0, whole.length));
  const { kind } = stripTypedefs(type);
  if (kind === 'struct' || kind === 'union' || kind === 'array')
    return { type, bytes: whole.subarray(0, sizeOf(type)) };
  return { type, bits: BigInt.asUintN(8 * sizeOf(type), whole.readBigUInt64LE()) };
}
