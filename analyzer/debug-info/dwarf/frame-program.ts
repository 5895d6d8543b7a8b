/** The programs of call frame information: rules for registers at an address; DWARF 5 section 6.4.2 "Call Frame Instructions". */
import { FormatError } from '../../../capture/formats/errors.ts';
import { Cursor } from './cursor.ts';

/** What a common information entry says for its frames. */
export interface CommonEntry {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly returnRegister: number;
  readonly hasAugmentation: boolean;
  /** Of addresses in `.eh_frame`. */
  readonly encoding: number;
  /** The frame is that of a signal or interrupt: its address is exact. */
  readonly isSignal: boolean;
  readonly program: Uint8Array;
}

/** Where a register of the caller is. Offsets are from the CFA. */
export type RegisterRule =
  | { readonly kind: 'undefined' | 'same' }
  | { readonly kind: 'offset' | 'value offset'; readonly offset: number }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'expression' | 'value expression'; readonly expression: Uint8Array };

/** What the canonical frame address is. */
export type CfaRule =
  | { readonly kind: 'register'; readonly register: number; readonly offset: number }
  | { readonly kind: 'expression'; readonly expression: Uint8Array };

/** The rules at one address. */
export class UnwindRow {
  cfa: CfaRule = { kind: 'register', register: 0, offset: 0 };
  rules = new Map<number, RegisterRule>();
  readonly returnRegister: number;
  readonly isSignal: boolean;

  constructor({ returnRegister, isSignal }: Pick<CommonEntry, 'returnRegister' | 'isSignal'>) {
    this.returnRegister = returnRegister;
    this.isSignal = isSignal;
  }
}

const DW_CFA = {
  advance_loc: 0x40,
  offset: 0x80,
  restore: 0xc0,
  nop: 0x00,
  set_loc: 0x01,
  advance_loc1: 0x02,
  advance_loc2: 0x03,
  advance_loc4: 0x04,
  offset_extended: 0x05,
  restore_extended: 0x06,
  undefined: 0x07,
  same_value: 0x08,
  register: 0x09,
  remember_state: 0x0a,
  restore_state: 0x0b,
  def_cfa: 0x0c,
  def_cfa_register: 0x0d,
  def_cfa_offset: 0x0e,
  def_cfa_expression: 0x0f,
  expression: 0x10,
  offset_extended_sf: 0x11,
  def_cfa_sf: 0x12,
  def_cfa_offset_sf: 0x13,
  val_offset: 0x14,
  val_offset_sf: 0x15,
  val_expression: 0x16,
  AARCH64_negate_ra_state: 0x2d,
  GNU_args_size: 0x2e,
  GNU_negative_offset_extended: 0x2f,
} as const;

const MAX_STATES = 1000;

/** Runs the programs of an entry up to an address. @throws FormatError */
export function runProgram(common: CommonEntry, program: Cursor, start: bigint, address: bigint): UnwindRow {
  const machine = new FrameMachine(common, start, address);
  machine.run(new Cursor(common.program));
  machine.keepInitial();
  machine.run(program);
  return machine.row;
}

class FrameMachine {
  readonly row: UnwindRow;
  readonly #common: CommonEntry;
  readonly #target: bigint;
  #location: bigint;
  #initial = new Map<number, RegisterRule>();
  readonly #states: { cfa: CfaRule; rules: Map<number, RegisterRule> }[] = [];

  constructor(common: CommonEntry, start: bigint, target: bigint) {
    this.row = new UnwindRow(common);
    this.#common = common;
    this.#location = start;
    this.#target = target;
  }

  /** Rules that `DW_CFA_restore` returns to. */
  keepInitial(): void {
    this.#initial = new Map(this.row.rules);
  }

  run(cursor: Cursor): void {
    while (!cursor.atEnd && this.#location <= this.#target) this.#step(cursor);
  }

  #step(cursor: Cursor): void {
    const byte = cursor.u8();
    const low = byte & 0x3f;
    switch (byte & 0xc0) {
      case DW_CFA.advance_loc:
        this.#advance(low);
        break;
      case DW_CFA.offset:
        this.#factored(low, cursor.uleb());
        break;
      case DW_CFA.restore:
        this.#restore(low);
        break;
      default:
        this.#extended(byte, cursor);
    }
  }

  #advance(delta: number): void {
    this.#location += BigInt(delta * this.#common.codeAlignment);
  }

  #factored(register: number, offset: number): void {
    this.row.rules.set(register, { kind: 'offset', offset: offset * this.#common.dataAlignment });
  }

  #restore(register: number): void {
    const rule = this.#initial.get(register);
    if (rule === undefined) this.row.rules.delete(register);
    else this.row.rules.set(register, rule);
  }

  /** Instructions with an opcode of their own byte. */
  readonly #instructions: Readonly<{ [opcode: number]: (cursor: Cursor) => void }> = {
    [DW_CFA.nop]: () => {},
    [DW_CFA.set_loc]: cursor => void (this.#location = cursor.address()),
    [DW_CFA.advance_loc1]: cursor => this.#advance(cursor.u8()),
    [DW_CFA.advance_loc2]: cursor => this.#advance(cursor.u16()),
    [DW_CFA.advance_loc4]: cursor => this.#advance(cursor.u32()),
    [DW_CFA.offset_extended]: cursor => this.#factored(cursor.uleb(), cursor.uleb()),
    [DW_CFA.offset_extended_sf]: cursor => this.#factored(cursor.uleb(), cursor.sleb()),
    [DW_CFA.restore_extended]: cursor => this.#restore(cursor.uleb()),
    [DW_CFA.undefined]: cursor => this.#set(cursor.uleb(), { kind: 'undefined' }),
    [DW_CFA.same_value]: cursor => this.#set(cursor.uleb(), { kind: 'same' }),
    [DW_CFA.register]: cursor => this.#set(cursor.uleb(), { kind: 'register', register: cursor.uleb() }),
    [DW_CFA.remember_state]: () => this.#remember(),
    [DW_CFA.restore_state]: () => this.#recall(),
    [DW_CFA.def_cfa]: cursor => this.#cfa(cursor.uleb(), cursor.uleb()),
    [DW_CFA.def_cfa_sf]: cursor => this.#cfa(cursor.uleb(), cursor.sleb() * this.#common.dataAlignment),
    [DW_CFA.def_cfa_register]: cursor => this.#cfa(cursor.uleb(), this.#cfaOffset),
    [DW_CFA.def_cfa_offset]: cursor => this.#cfa(this.#cfaRegister, cursor.uleb()),
    [DW_CFA.def_cfa_offset_sf]: cursor => this.#cfa(this.#cfaRegister, cursor.sleb() * this.#common.dataAlignment),
    [DW_CFA.def_cfa_expression]: cursor => void (this.row.cfa = { kind: 'expression', expression: block(cursor) }),
    [DW_CFA.expression]: cursor => this.#set(cursor.uleb(), { kind: 'expression', expression: block(cursor) }),
    [DW_CFA.val_expression]: cursor =>
      this.#set(cursor.uleb(), { kind: 'value expression', expression: block(cursor) }),
    [DW_CFA.val_offset]: cursor => this.#valueOffset(cursor.uleb(), cursor.uleb()),
    [DW_CFA.val_offset_sf]: cursor => this.#valueOffset(cursor.uleb(), cursor.sleb()),
    [DW_CFA.AARCH64_negate_ra_state]: () => {},
    [DW_CFA.GNU_args_size]: cursor => void cursor.uleb(),
    [DW_CFA.GNU_negative_offset_extended]: cursor => this.#factored(cursor.uleb(), -cursor.uleb()),
  };

  #extended(opcode: number, cursor: Cursor): void {
    const instruction = this.#instructions[opcode];
    if (instruction === undefined)
      throw new FormatError(`unknown call frame instruction 0x${opcode.toString(16)}`, { offset: cursor.offset });
    instruction(cursor);
  }

  #set(register: number, rule: RegisterRule): void {
    this.row.rules.set(register, rule);
  }

  #valueOffset(register: number, offset: number): void {
    this.#set(register, { kind: 'value offset', offset: offset * this.#common.dataAlignment });
  }

  get #cfaRegister(): number {
    return this.row.cfa.kind === 'register' ? this.row.cfa.register : 0;
  }

  get #cfaOffset(): number {
    return this.row.cfa.kind === 'register' ? this.row.cfa.offset : 0;
  }

  #cfa(register: number, offset: number): void {
    this.row.cfa = { kind: 'register', register, offset };
  }

  #remember(): void {
    if (this.#states.length >= MAX_STATES) throw new FormatError('call frame states nest too deep');
    this.#states.push({ cfa: this.row.cfa, rules: new Map(this.row.rules) });
  }

  #recall(): void {
    const state = this.#states.pop();
    if (state === undefined) return;
    this.row.cfa = state.cfa;
    this.row.rules = state.rules;
  }
}

function block(cursor: Cursor): Uint8Array {
  const length = cursor.uleb();
  const start = cursor.offset;
  cursor.skip(length);
  return cursor.bytes.subarray(start, start + length);
}
