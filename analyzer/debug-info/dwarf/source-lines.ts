/** Source lines of a file's code. */
import { FormatError } from '../../../capture/formats/errors.ts';
import { findRow, readLineTable, rowEnd } from './line-table.ts';
import type { LineTable } from './line-table.ts';
import { DW_AT } from './constants.ts';
import type { DwarfUnits } from './units.ts';

/** A place in the source. */
export interface SourceLine {
  /** Path as the compiler recorded it, the unit's directory in front. */
  readonly file: string;
  readonly line: number;
  /** Path relative to the unit's directory. */
  readonly shortFile: string;
  /** Link-time addresses of the line's code around the address asked for. */
  readonly start: bigint;
  readonly end: bigint;
}

/** Finds source lines by address; tables are read unit by unit and kept. */
export class SourceLines {
  readonly #units: DwarfUnits;
  readonly #tables = new Map<number, LineTable | undefined>();

  constructor(units: DwarfUnits) {
    this.#units = units;
  }

  /** The line of a link-time address, or undefined when nothing tells. */
  find(address: bigint): SourceLine | undefined {
    if (!this.#units.hasLines) return undefined;
    const unit = this.#units.unitAt(address);
    const table = unit === undefined ? undefined : this.table(unit);
    const row = table === undefined ? undefined : findRow(table, address);
    if (row === undefined || table === undefined) return undefined;
    return {
      file: table.fileName(row.file),
      shortFile: table.shortName(row.file),
      line: row.line,
      start: row.address,
      get end() {
        return rowEnd(table, row) ?? row.address;
      },
    };
  }

  /** The table of the unit at an offset; undefined when it has none. */
  table(unit: number): LineTable | undefined {
    if (!this.#tables.has(unit)) this.#tables.set(unit, this.#read(unit));
    return this.#tables.get(unit);
  }

  /** A damaged unit has no lines; the others keep theirs. */
  #read(unit: number): LineTable | undefined {
    try {
      const root = this.#units.unit(unit).root;
      const lineTable = root?.sectionOffset(DW_AT.stmt_list);
      if (lineTable === undefined) return undefined;
      return readLineTable(this.#units, lineTable, root?.string(DW_AT.comp_dir) ?? '');
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }
}
