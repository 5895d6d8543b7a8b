/**
 * What a row of the opcode map is. A group is two records: rows (`opcode-map/*.ts`), `{ 'opcode': 'MNEMONIC operands attributes' }` in
 * the notation of the SDM's opcode map, and semantics (`semantics/*.ts`) by mnemonic. A mnemonic without semantics does not compile.
 *
 * An opcode is written as in the SDM's instruction pages: mandatory prefix (`NP`, `66`, `F3`, `F2`; none of them when prefixes keep
 * their general meaning), `VEX` forms as `VEX.128.66.W0` (parts may be left out), opcode bytes, `+r` for a register in the low bits,
 * `/0` to `/7`, `mem` or `reg` for the kind of r/m operand, `o64` and `i64` for rows that exist only in, or outside of, 64-bit mode.
 *
 * Operands: an addressing letter and a size, as in Intel SDM vol. 2 "Key to Abbreviations" of the opcode map:
 *
 *     E r/m general   G reg general   M memory only   R r/m register only   Z register in the opcode's low bits
 *     B VEX.vvvv general   I immediate   J relative   O moffs   A far pointer   S segment   C control   D debug   X DS:rSI   Y ES:rDI
 *     V reg XMM   W r/m XMM   U r/m XMM register only   H VEX.vvvv XMM   L XMM in imm8   P reg MMX   Q r/m MMX   N r/m MMX register only
 *     b w d q dq  1 2 4 8 16 bytes     v operand size   z operand size, at most 4   y 4, or 8 with REX.W   x 16, or 32 with VEX.256
 *     p far pointer   bs sign-extended byte   ss sd ps pd scalar and packed floats
 *     1, AL, CL, AX, DX, rAX, ES … GS: themselves
 */
import type { X64FeatureName } from './features.ts';
import type { Operand } from './operands.ts';
import type { Translation } from './translation.ts';

/** Rows of a group. */
export type OpcodeRows = Readonly<Record<string, string>>;

type MnemonicOf<Row> = Row extends `${infer Mnemonic} ${string}` ? Mnemonic : Row;

/** The mnemonics of a group. */
export type Mnemonics<R extends OpcodeRows> = MnemonicOf<R[keyof R]> & string;

/** Emits IR for an instruction with these operands; a row has as many as it names. */
export type InstructionSemantics = (t: Translation, a: Operand, b: Operand, c: Operand, d: Operand) => void;

/** An opcode that is allocated and that we do not execute: #UD for the guest. */
export interface Unimplemented {
  readonly unimplemented: string;
}

/** Marks a mnemonic that is not executed. @param reason why, for whoever wonders */
export function unimplemented(reason: string): Unimplemented {
  return { unimplemented: reason };
}

/** A meaning for every mnemonic of a group. */
export type Semantics<R extends OpcodeRows> = {
  readonly [M in Mnemonics<R>]: InstructionSemantics | Unimplemented;
};

/** Which mandatory prefix a row demands; `undefined` when prefixes keep their general meaning. */
export type MandatoryPrefix = 'NP' | '66' | 'F3' | 'F2';

/** VEX conditions of a row. */
export interface VexForm {
  /** VEX.L, or undefined for either. */
  readonly length: 128 | 256 | undefined;
  readonly w: 0 | 1 | undefined;
}

/** An operand as a row names it. */
export interface OperandSpec {
  /** Addressing letter, or `fixed` for a named register or constant. */
  readonly letter: string;
  /** Size letters, or the name of the register. */
  readonly size: string;
}

/** Which of the vector and floating-point register files an instruction uses. */
export type VectorUnit = 'x87' | 'mmx' | 'sse' | 'avx';

/** Conditions that hold for all rows of a group. */
export interface GroupConditions {
  readonly feature?: X64FeatureName;
  readonly unit?: VectorUnit;
}

/** Attributes of rows that are no features: `lig` ignores VEX.L, `d64` and `f64` have 64-bit operands in 64-bit mode. */
const ATTRIBUTES = ['lock', 'd64', 'f64', 'cpl0', 'lig'] as const;
export type RowAttribute = (typeof ATTRIBUTES)[number];

/** A row of the opcode map, parsed. */
export interface Instruction {
  readonly key: string;
  readonly text: string;
  readonly mnemonic: string;
  readonly operands: readonly OperandSpec[];
  /** 0 one-byte map, 1 `0F`, 2 `0F 38`, 3 `0F 3A`. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  readonly prefix: MandatoryPrefix | undefined;
  readonly vex: VexForm | undefined;
  /** VEX.vvvv names an operand; it must be 0 otherwise. */
  readonly usesVvvv: boolean;
  /** ModRM.reg, or undefined for any. */
  readonly reg: number | undefined;
  /** The whole ModRM byte, or undefined for any. */
  readonly modrm: number | undefined;
  readonly mod: 'mem' | 'reg' | undefined;
  readonly mode: 'o64' | 'i64' | undefined;
  readonly attributes: ReadonlySet<RowAttribute>;
  /** Attributes f64 and d64, and the operands that are immediates: what the decoder asks of every instruction. */
  readonly isFixed64: boolean;
  readonly isDefault64: boolean;
  readonly immediates: readonly OperandSpec[];
  readonly features: readonly X64FeatureName[];
  /** Registers outside the general ones that the instruction uses, and whose availability is checked first. */
  readonly unit: VectorUnit | undefined;
  readonly semantics: InstructionSemantics | Unimplemented;
}

/** Parses the rows of a group. */
export function group<const R extends OpcodeRows>(
  rows: R,
  semantics: Semantics<R>,
  conditions: GroupConditions = {},
): readonly Instruction[] {
  return Object.entries(rows).flatMap(([key, text]) => {
    const [mnemonic, ...rest] = text.split(' ');
    return parseRow(key, text, semantics[mnemonic as Mnemonics<R>], mnemonic!, rest, conditions);
  });
}

const IMMEDIATE_LETTERS = 'IJOAL';

function isAttribute(word: string): boolean {
  return /^[a-z0-9_]+$/.test(word) && word !== '1';
}

function parseRow(
  key: string,
  text: string,
  semantics: InstructionSemantics | Unimplemented,
  mnemonic: string,
  rest: readonly string[],
  { feature, unit }: GroupConditions,
): Instruction[] {
  const attributes = new Set(rest.filter(word => (ATTRIBUTES as readonly string[]).includes(word)) as RowAttribute[]);
  const features = rest.filter(word => isAttribute(word) && !attributes.has(word as RowAttribute)) as X64FeatureName[];
  const operands = rest.filter(word => !isAttribute(word)).flatMap(word => word.split(',').map(parseOperand));
  const mod = operands.some(({ letter }) => letter === 'M')
    ? 'mem'
    : operands.some(({ letter }) => 'RUN'.includes(letter))
      ? 'reg'
      : undefined;
  const { opcodes, ...where } = parseKey(key);
  return opcodes.map(opcode => ({
    key,
    text,
    mnemonic,
    operands,
    ...where,
    opcode,
    usesVvvv: operands.some(({ letter }) => letter === 'H' || letter === 'B'),
    mod: where.mod ?? mod,
    attributes,
    isFixed64: attributes.has('f64'),
    isDefault64: attributes.has('d64'),
    immediates: operands.filter(({ letter }) => IMMEDIATE_LETTERS.includes(letter)),
    features: feature ? [feature, ...features] : features,
    unit: (where.vex === undefined ? unit : undefined) ?? unitOf(operands, where.vex !== undefined) ?? unit,
    semantics,
  }));
}

const FIXED_OPERAND = /^(1|AL|CL|AX|DX|rAX|ES|CS|SS|DS|FS|GS|XMM0|ST0)$/;

function parseOperand(text: string): OperandSpec {
  return FIXED_OPERAND.test(text) ? { letter: 'fixed', size: text } : { letter: text[0]!, size: text.slice(1) };
}

/** The register file that operands say. VEX-encoded integer instructions use none. */
function unitOf(operands: readonly OperandSpec[], vex: boolean): VectorUnit | undefined {
  const has = (letters: string): boolean => operands.some(({ letter }) => letters.includes(letter));
  if (has('VWUHL')) return vex ? 'avx' : 'sse';
  return has('PQN') ? 'mmx' : undefined;
}

type Where = Pick<Instruction, 'map' | 'prefix' | 'vex' | 'reg' | 'modrm' | 'mod' | 'mode'> & {
  opcodes: readonly number[];
};

function parseKey(key: string): Where {
  const words = key.split(' ');
  const vex = words[0]!.startsWith('VEX') ? words.shift()!.split('.') : undefined;
  const prefix = takePrefix(words, vex);
  const bytes = words.filter(word => /^[0-9A-F]{2}(\+r)?$/.test(word));
  const map = takeMap(bytes);
  const first = Number.parseInt(bytes[0]!, 16);
  const reg = words.find(word => /^\/[0-7]$/.test(word));
  return {
    map,
    prefix,
    vex: vex && { length: vexLength(vex), w: vexW(vex) },
    opcodes: bytes[0]!.endsWith('+r') ? Array.from({ length: 8 }, (_, i) => first + i) : [first],
    reg: reg === undefined ? undefined : Number(reg[1]),
    modrm: bytes[1] === undefined ? undefined : Number.parseInt(bytes[1], 16),
    mod: words.includes('mem') ? 'mem' : words.includes('reg') ? 'reg' : undefined,
    mode: words.includes('o64') ? 'o64' : words.includes('i64') ? 'i64' : undefined,
  };
}

const MANDATORY_PREFIX = /^(NP|66|F3|F2)$/;

/** The mandatory prefix of a key, taken off its words; VEX forms have it among their parts. */
function takePrefix(words: string[], vex: readonly string[] | undefined): MandatoryPrefix | undefined {
  if (vex) return (vex.find(part => MANDATORY_PREFIX.test(part)) ?? 'NP') as MandatoryPrefix;
  return words.length > 1 && MANDATORY_PREFIX.test(words[0]!) ? (words.shift() as MandatoryPrefix) : undefined;
}

function vexLength(parts: readonly string[]): 128 | 256 | undefined {
  return parts.includes('128') ? 128 : parts.includes('256') ? 256 : undefined;
}

function vexW(parts: readonly string[]): 0 | 1 | undefined {
  return parts.includes('W0') ? 0 : parts.includes('W1') ? 1 : undefined;
}

/** Takes the escape bytes off. */
function takeMap(bytes: string[]): 0 | 1 | 2 | 3 {
  if (bytes.length === 1 || !bytes[0]!.startsWith('0F')) return 0;
  bytes.shift();
  const escape = bytes.length > 1 ? bytes[0]! : '';
  if (escape !== '38' && escape !== '3A') return 1;
  bytes.shift();
  return escape === '38' ? 2 : 3;
}
