/**
 * Random A64 test cases from the rows of the instruction table: short sequences of instructions that touch memory only in a
 * scratch area, and a register file to start from.
 *
 * Registers X25 to X28 are reserved: X25 is an address of code, X26 a small number, X27 an aligned and X28 any address of
 * scratch memory. Instructions write to none of them but as a pre- or post-indexed base.
 */
import type { Instruction } from '../../emulator/cpu/a64/instruction.ts';
import { randomWord } from './a64-words.ts';
import type { Random } from './random.ts';

/** The memory map of a case. */
export const CASE_MEMORY = {
  size: 0x80_0000,
  scratch: 0x10_0000,
  scratchSize: 0x1_0000,
  code: 0x40_0000,
  codeSize: 0x10_0000,
  /** Bytes of code a case may have. */
  slot: 64,
} as const;

/** Places in the array of registers: X0 to X30, SP, NZCV (bits 31 to 28), FPCR, FPSR, PC, then V0 to V31, two words each. */
export const REGISTER = { sp: 31, nzcv: 32, fpcr: 33, fpsr: 34, pc: 35, v: 36, count: 100 } as const;

export interface A64Case {
  readonly words: readonly number[];
  readonly rows: readonly string[];
  /** By `REGISTER`. */
  readonly registers: BigUint64Array;
}

const CODE_ADDRESS = 25;
const SMALL = 26;
const ALIGNED = 27;
const ANY_ALIGNMENT = 28;

/** Fields that name a register that is written (or only read, where it does no harm to say less). */
const TARGET_FIELDS = ['rd', 'rt', 'rt2', 'rs', 'ra'];
const STACK_POINTER_TARGETS = /^(ADD|SUB|AND|ORR|EOR) \((immediate|extended register)\)$/;
const NEEDS_ALIGNMENT = /^(LD|ST)L?A?X|^(STLR|STLLR|LDAR|LDLAR|LDAPR|SWP)$|^CAS|^LD(ADD|CLR|EOR|SET|[SU]MAX|[SU]MIN)$/;
const STORE_EXCLUSIVE = /^STL?X[RP]$/;
const CLREX = 0xd503_3f5f | 0;

/** Rows of which Unicorn 2.0.1 gets some forms wrong: fields that leave them out, and why. */
const PINNED: readonly { readonly row: RegExp; readonly fields: Record<string, number>; readonly reason: string }[] = [
  {
    row: /^LD[SU](MAX|MIN)$/,
    fields: { size: 3 },
    reason: 'below 64 bits it compares the whole register; unit tests have them',
  },
];

const isLoadStore = ({ pattern }: Instruction): boolean =>
  ((pattern.mask >>> 25) & 5) === 5 && ((pattern.value >>> 25) & 5) === 4;

/** Ends a block: B.cond to BLR, but no exception generation or system instruction. */
export const isBranch = ({ pattern }: Instruction): boolean => {
  const top = pattern.value >>> 25;
  return (top & 0x3e) === 0x0a || (top & 0x3e) === 0x1a || top === 0x2a || top === 0x6b;
};

/** A random register that an instruction may write. */
function target(random: Random, mayBe31: boolean): number {
  const n = random.below(mayBe31 ? 28 : 27);
  return n < 25 ? n : n + 4;
}

type FixedFields = Record<string, number>;

function hasField(row: Instruction, name: string): boolean {
  return row.pattern.fields.some(field => field.name === name);
}

/** Registers that are written: none of the reserved ones, and no combination that is CONSTRAINED UNPREDICTABLE. */
function targetFields(random: Random, row: Instruction): FixedFields {
  const fixed: FixedFields = {};
  for (const name of TARGET_FIELDS) {
    if (hasField(row, name)) fixed[name] = target(random, !STACK_POINTER_TARGETS.test(row.name));
  }
  if (row.name === 'CASP') for (const name of ['rs', 'rt']) fixed[name] = 2 * random.below(12);
  if (fixed['rt2'] !== undefined && fixed['rt2'] === fixed['rt']) fixed['rt2'] = (fixed['rt2'] + 1) % 25;
  if (STORE_EXCLUSIVE.test(row.name) && [fixed['rt'], fixed['rt2']].includes(fixed['rs'])) fixed['rs'] = 31;
  return fixed;
}

/** Addresses that stay in mapped memory. */
function addressFields(random: Random, row: Instruction): FixedFields {
  const fixed: FixedFields = {};
  if (isLoadStore(row)) {
    fixed['rn'] = NEEDS_ALIGNMENT.test(row.name) ? ALIGNED : ANY_ALIGNMENT;
    fixed['rm'] = SMALL;
    fixed['imm12'] = random.below(256);
  }
  if (row.name === 'DC ZVA') fixed['rt'] = ANY_ALIGNMENT;
  if (isBranch(row) && hasField(row, 'rn')) fixed['rn'] = CODE_ADDRESS;
  for (const name of ['imm26', 'imm19']) fixed[name] = random.below(0x2_0000) - 0x1_0000;
  return fixed;
}

function fixedFields(random: Random, row: Instruction): FixedFields {
  const fixed = { ...targetFields(random, row), ...addressFields(random, row) };
  for (const pin of PINNED) if (pin.row.test(row.name)) Object.assign(fixed, pin.fields);
  return fixed;
}

/** Words for one row; a store-exclusive comes behind the load-exclusive that it needs, more often than not. */
function wordsFor(random: Random, row: Instruction): number[] {
  const word = randomWord(random, row, fixedFields(random, row));
  if (!STORE_EXCLUSIVE.test(row.name)) return [word];
  // The load-exclusive is the store with L set, other targets, and no status register
  const load = (word & ~0x001f_fc1f) | (1 << 22) | (31 << 16) | (word & 0x20_0000) | (target(random, false) << 10) | 24;
  return random.below(4) === 0 ? [CLREX, word] : [CLREX, load, word];
}

/** A case of up to `length` instructions; a branch stands last only. */
export function randomCase(random: Random, rows: readonly Instruction[], length: number): A64Case {
  const words: number[] = [];
  const names: string[] = [];
  const count = 1 + random.below(length);
  for (let i = 0; i < count; i++) {
    const row = random.pick(rows);
    names.push(row.name);
    words.push(...wordsFor(random, row));
    if (isBranch(row)) break;
  }
  return { words, rows: names, registers: randomRegisters(random) };
}

function randomRegisters(random: Random): BigUint64Array {
  const registers = new BigUint64Array(REGISTER.count);
  for (let n = 0; n < 32; n++) registers[n] = random.interesting64();
  const middle = CASE_MEMORY.scratch + CASE_MEMORY.scratchSize / 4;
  registers[CODE_ADDRESS] = BigInt(CASE_MEMORY.code + 4 * random.below(CASE_MEMORY.codeSize / 4));
  registers[SMALL] = BigInt(random.below(256));
  registers[ALIGNED] = BigInt(middle + 64 * random.below(16));
  registers[ANY_ALIGNMENT] = BigInt(middle + (random.below(4) ? 16 * random.below(64) : random.below(1024)));
  registers[REGISTER.nzcv] = BigInt(random.below(16)) << 28n;
  for (let at = REGISTER.v; at < REGISTER.count; at++) registers[at] = random.interesting64();
  return registers;
}
