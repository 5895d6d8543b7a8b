/**
 * ORC: x86_64's tables for unwinding, read from the dump.
 *
 * Source: `Documentation/arch/x86/orc-unwinder.rst`, `arch/x86/include/asm/orc_types.h`. Three layouts of the flags word:
 * 4.14 to 6.2 `sp_reg:4 bp_reg:4 type:2 end:1`; 6.3 adds `signal`; since 6.4 `type:3 signal:1`
 * (commit fb799447ae29 "x86,objtool: Split UNWIND_HINT_EMPTY in two"). BTF's `struct orc_entry` tells which.
 */
import { readI32, readU16 } from '../../capture/formats/bytes.ts';
import { FaultError } from '../../capture/formats/errors.ts';
import { listModules } from '../linux/module.ts';
import type { Program } from '../program.ts';

/** `ORC_REG_*`. */
export const ORC_REG = {
  UNDEFINED: 0,
  PREV_SP: 1,
  DX: 2,
  DI: 3,
  BP: 4,
  SP: 5,
  R10: 6,
  R13: 7,
  BP_INDIRECT: 8,
  SP_INDIRECT: 9,
} as const;

/**
 * The numbers of 7.x kernels, by those above. Read off the tables of Debian's 7.2 kernel: every function begins with the
 * stack pointer as its base, realigned ones go over r10 or r13 and an indirect frame pointer. DI was not met there.
 */
const RENUMBERED: Readonly<{ [register: number]: number }> = {
  0: ORC_REG.UNDEFINED,
  2: ORC_REG.DX,
  3: ORC_REG.SP,
  4: ORC_REG.BP,
  6: ORC_REG.R10,
  7: ORC_REG.R13,
  8: ORC_REG.PREV_SP,
  9: ORC_REG.SP_INDIRECT,
  10: ORC_REG.BP_INDIRECT,
};
const RENUMBERED_SP = 3;

/** What stands at the frame's start. */
export type OrcType = 'undefined' | 'end' | 'call' | 'regs' | 'regs-partial';

/** How to find the caller from an instruction. */
export interface OrcEntry {
  readonly spOffset: number;
  readonly bpOffset: number;
  readonly spReg: number;
  readonly bpReg: number;
  readonly type: OrcType;
  /** The frame was interrupted, not called: the address is exact. */
  readonly signal: boolean;
}

const ENTRY_SIZE = 6;
const OLD_TYPES: readonly OrcType[] = ['call', 'regs', 'regs-partial', 'undefined'];
const NEW_TYPES: readonly OrcType[] = ['undefined', 'end', 'call', 'regs', 'regs-partial'];

interface Table {
  readonly start: bigint;
  readonly end: bigint;
  readonly ipTable: bigint;
  readonly entries: bigint;
  readonly count: number;
}

/** Searches the tables of the kernel and of its modules. */
export class OrcTables {
  readonly #program: Program;
  readonly #kernel: Table | undefined;
  readonly #newTypes: boolean;
  readonly #isRenumbered: boolean;
  #modules: readonly Table[] | undefined;

  constructor(program: Program) {
    this.#program = program;
    this.#kernel = kernelTable(program);
    this.#newTypes = program.types.findStruct('orc_entry')?.place('type')?.bitSize === 3;
    this.#isRenumbered = this.#firstBase() === RENUMBERED_SP;
  }

  /** The base register at the first instruction of a C function: the stack pointer, whatever its number. */
  #firstBase(): number | undefined {
    try {
      const start = this.#program.symbols.findInKernel('schedule');
      const at =
        start === undefined || this.#kernel === undefined ? undefined : this.#entryAddress(this.#kernel, start);
      return at === undefined ? undefined : readU16(this.#program.memory.readBytes(at, ENTRY_SIZE), 4) & 0xf;
    } catch (error) {
      if (error instanceof FaultError) return undefined;
      throw error;
    }
  }

  /** Tells whether the kernel has ORC tables. */
  get available(): boolean {
    return this.#kernel !== undefined;
  }

  /** The entry that covers an instruction. @throws FaultError when the tables are not in the dump */
  find(ip: bigint): OrcEntry | undefined {
    const kernel = this.#kernel;
    if (kernel === undefined) return undefined;
    if (ip >= kernel.start && ip < kernel.end) return this.#search(kernel, ip);
    this.#modules ??= moduleTables(this.#program);
    const table = this.#modules.find(({ start, end }) => ip >= start && ip < end);
    return table === undefined ? undefined : this.#search(table, ip);
  }

  #search(table: Table, ip: bigint): OrcEntry | undefined {
    const at = this.#entryAddress(table, ip);
    return at === undefined ? undefined : this.#decode(this.#program.memory.readBytes(at, ENTRY_SIZE));
  }

  #entryAddress(table: Table, ip: bigint): bigint | undefined {
    const { memory } = this.#program;
    let low = 0;
    let high = table.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = table.ipTable + BigInt(4 * middle);
      if (at + BigInt(memory.readI32(at)) <= ip) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : table.entries + BigInt(ENTRY_SIZE * (low - 1));
  }

  /** A register by the numbers of `ORC_REG`. */
  #register(number: number): number {
    return this.#isRenumbered ? (RENUMBERED[number] ?? ORC_REG.UNDEFINED) : number;
  }

  #decode(bytes: Uint8Array): OrcEntry {
    const flags = readU16(bytes, 4);
    const common = {
      spOffset: readI32(Uint8Array.of(0, 0, bytes[0]!, bytes[1]!), 0) >> 16,
      bpOffset: readI32(Uint8Array.of(0, 0, bytes[2]!, bytes[3]!), 0) >> 16,
      spReg: this.#register(flags & 0xf),
      bpReg: this.#register((flags >> 4) & 0xf),
    };
    if (this.#newTypes)
      return { ...common, type: NEW_TYPES[(flags >> 8) & 7] ?? 'undefined', signal: ((flags >> 11) & 1) === 1 };
    const end = ((flags >> 10) & 1) === 1;
    const type = OLD_TYPES[(flags >> 8) & 3]!;
    return {
      ...common,
      type: end && common.spReg === ORC_REG.UNDEFINED ? 'end' : type,
      signal: ((flags >> 11) & 1) === 1,
    };
  }
}

function kernelTable(program: Program): Table | undefined {
  const { symbols } = program;
  const [ipTable, ipEnd, entries] = ['__start_orc_unwind_ip', '__stop_orc_unwind_ip', '__start_orc_unwind'].map(n =>
    symbols.find(n),
  );
  if (ipTable === undefined || ipEnd === undefined || entries === undefined) return undefined;
  const count = Number((ipEnd - ipTable) / 4n);
  return { start: symbols.kernelStart, end: symbols.kernelEnd, ipTable, entries, count };
}

function moduleTables(program: Program): Table[] {
  if (!program.types.has('module', 'arch.num_orcs')) return [];
  const ranges = program.symbols.modules;
  return listModules(program).flatMap(module => {
    try {
      const range = ranges.find(({ name }) => name === module.string('name'))?.ranges[0];
      const count = module.num('arch.num_orcs');
      if (range === undefined || count === 0) return [];
      return [
        { ...range, ipTable: module.pointer('arch.orc_unwind_ip'), entries: module.pointer('arch.orc_unwind'), count },
      ];
    } catch (error) {
      if (error instanceof FaultError) return [];
      throw error;
    }
  });
}
