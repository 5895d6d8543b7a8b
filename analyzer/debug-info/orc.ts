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
  #modules: readonly Table[] | undefined;

  constructor(program: Program) {
    this.#program = program;
    this.#kernel = kernelTable(program);
    this.#newTypes = program.types.findStruct('orc_entry')?.place('type')?.bitSize === 3;
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
    const { memory } = this.#program;
    let low = 0;
    let high = table.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = table.ipTable + BigInt(4 * middle);
      if (at + BigInt(memory.readI32(at)) <= ip) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    return this.#decode(memory.readBytes(table.entries + BigInt(ENTRY_SIZE * (low - 1)), ENTRY_SIZE));
  }

  #decode(bytes: Uint8Array): OrcEntry {
    const flags = readU16(bytes, 4);
    const common = {
      spOffset: readI32(Uint8Array.of(0, 0, bytes[0]!, bytes[1]!), 0) >> 16,
      bpOffset: readI32(Uint8Array.of(0, 0, bytes[2]!, bytes[3]!), 0) >> 16,
      spReg: flags & 0xf,
      bpReg: (flags >> 4) & 0xf,
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
