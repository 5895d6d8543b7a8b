/**
 * Line tables: address to source file and line.
 *
 * Source: DWARF 5 section 6.2 "Line Number Information", and the same of DWARF 2 to 4.
 */
import { FormatError } from '../../../capture/formats/errors.ts';
import { Cursor } from './cursor.ts';
import type { DwarfSection } from './sections.ts';

/** A row of the table: from `address` on, the code is of this line. */
export interface LineRow {
  readonly address: bigint;
  readonly file: number;
  readonly line: number;
  readonly isStatement: boolean;
  readonly endsSequence: boolean;
}

/** A compilation unit's table. */
export interface LineTable {
  readonly rows: readonly LineRow[];
  /** Path of a file number, the unit's directory in front. */
  readonly fileName: (file: number) => string;
  /** The same relative to the unit's directory, as gdb names it. */
  readonly shortName: (file: number) => string;
}

/** Sections that names may stand in. */
export interface LineStrings {
  readonly line: DwarfSection;
  readonly lineStr: DwarfSection;
  readonly str: DwarfSection;
}

/** Standard and extended opcodes. */
const DW_LNS = {
  copy: 1,
  advance_pc: 2,
  advance_line: 3,
  set_file: 4,
  set_column: 5,
  negate_stmt: 6,
  set_basic_block: 7,
  const_add_pc: 8,
  fixed_advance_pc: 9,
} as const;
const DW_LNE = { end_sequence: 1, set_address: 2 } as const;
const DW_LNCT = { path: 1, directory_index: 2 } as const;
const DW_FORM = {
  block2: 0x03,
  block4: 0x04,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  string: 0x08,
  block: 0x09,
  block1: 0x0a,
  data1: 0x0b,
  strp: 0x0e,
  udata: 0x0f,
  data16: 0x1e,
  line_strp: 0x1f,
} as const;
const MAX_ROWS = 10_000_000;

interface Header {
  readonly version: number;
  readonly minimumInstruction: number;
  readonly defaultIsStatement: boolean;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  readonly operandCounts: readonly number[];
  readonly directories: readonly string[];
  readonly files: readonly { readonly name: string; readonly directory: number }[];
  readonly program: Cursor;
}

/** Reads the table at an offset of `.debug_line`. @param directory the unit's `DW_AT_comp_dir` @throws FormatError */
export function readLineTable(strings: LineStrings, offset: number, directory: string): LineTable {
  const start = new Cursor(strings.line.read(offset, 12));
  const { length } = start.initialLength();
  const bytes = strings.line.read(offset, start.offset + length);
  const header = readHeader(bytes, strings);
  const rows = run(header);
  return {
    rows,
    fileName: file => filePath(header, file, directory),
    shortName: file => shortPath(header, file, directory),
  };
}

function shortPath(header: Header, file: number, directory: string): string {
  const path = filePath(header, file, directory);
  const base = header.version >= 5 ? (header.directories[0] ?? directory) : directory;
  return base !== '' && path.startsWith(`${base}/`) ? path.slice(base.length + 1) : path;
}

function filePath({ version, files, directories }: Header, file: number, directory: string): string {
  const entry = files[version >= 5 ? file : file - 1];
  if (entry === undefined) return '??';
  const folder =
    version >= 5 ? directories[entry.directory] : entry.directory === 0 ? directory : directories[entry.directory - 1];
  const base = version >= 5 ? (directories[0] ?? directory) : directory;
  const path = folder === undefined || folder === '' ? entry.name : `${folder}/${entry.name}`;
  if (entry.name.startsWith('/')) return entry.name;
  return path.startsWith('/') || folder === base ? path : `${base}/${path}`;
}

function readHeader(bytes: Uint8Array, strings: LineStrings): Header {
  const cursor = new Cursor(bytes);
  const { offsetSize } = cursor.initialLength();
  const version = cursor.u16();
  if (version < 2 || version > 5)
    throw new FormatError(`line table of version ${version}`, { expected: '2 to 5', found: `${version}` });
  if (version >= 5) cursor.skip(2);
  const headerLength = cursor.sectionOffset(offsetSize);
  const programStart = cursor.offset + headerLength;
  const minimumInstruction = cursor.u8();
  if (version >= 4) cursor.skip(1);
  const defaultIsStatement = cursor.u8() !== 0;
  const lineBase = cursor.i8();
  const lineRange = Math.max(1, cursor.u8());
  const opcodeBase = cursor.u8();
  const operandCounts = Array.from({ length: Math.max(0, opcodeBase - 1) }, () => cursor.u8());
  const names = version >= 5 ? namesOfVersion5(cursor, strings, offsetSize) : namesOfVersion4(cursor);
  return {
    version,
    minimumInstruction,
    defaultIsStatement,
    lineBase,
    lineRange,
    opcodeBase,
    operandCounts,
    ...names,
    program: new Cursor(bytes, programStart),
  };
}

function namesOfVersion4(cursor: Cursor): Pick<Header, 'directories' | 'files'> {
  const directories: string[] = [];
  for (let name = cursor.string(); name !== ''; name = cursor.string()) directories.push(name);
  const files: { name: string; directory: number }[] = [];
  for (let name = cursor.string(); name !== ''; name = cursor.string()) {
    files.push({ name, directory: cursor.uleb() });
    cursor.uleb();
    cursor.uleb();
  }
  return { directories, files };
}

function namesOfVersion5(
  cursor: Cursor,
  strings: LineStrings,
  offsetSize: 4 | 8,
): Pick<Header, 'directories' | 'files'> {
  const directories = entries(cursor, strings, offsetSize).map(({ name }) => name);
  return { directories, files: entries(cursor, strings, offsetSize) };
}

function entries(cursor: Cursor, strings: LineStrings, offsetSize: 4 | 8): { name: string; directory: number }[] {
  const formats = Array.from({ length: cursor.u8() }, () => [cursor.uleb(), cursor.uleb()] as const);
  const count = cursor.uleb();
  return Array.from({ length: count }, () => {
    let name = '';
    let directory = 0;
    for (const [content, form] of formats) {
      const value = readForm(cursor, form, strings, offsetSize);
      if (content === DW_LNCT.path) name = String(value);
      else if (content === DW_LNCT.directory_index) directory = Number(value);
    }
    return { name, directory };
  });
}

function readForm(cursor: Cursor, form: number, strings: LineStrings, offsetSize: 4 | 8): string | number {
  switch (form) {
    case DW_FORM.string:
      return cursor.string();
    case DW_FORM.line_strp:
      return strings.lineStr.string(cursor.sectionOffset(offsetSize));
    case DW_FORM.strp:
      return strings.str.string(cursor.sectionOffset(offsetSize));
    case DW_FORM.udata:
      return cursor.uleb();
    case DW_FORM.data1:
      return cursor.u8();
    case DW_FORM.data2:
      return cursor.u16();
    case DW_FORM.data4:
      return cursor.u32();
    default:
      skipForm(cursor, form);
      return 0;
  }
}

function skipForm(cursor: Cursor, form: number): void {
  if (form === DW_FORM.data16) cursor.skip(16);
  else if (form === DW_FORM.data8) cursor.skip(8);
  else if (form === DW_FORM.block) cursor.skip(cursor.uleb());
  else if (form === DW_FORM.block1) cursor.skip(cursor.u8());
  else if (form === DW_FORM.block2) cursor.skip(cursor.u16());
  else if (form === DW_FORM.block4) cursor.skip(cursor.u32());
  else throw new FormatError(`unknown form 0x${form.toString(16)} in a line table`);
}

/** The state machine's registers; DWARF 5 section 6.2.2. */
class Machine {
  readonly rows: LineRow[] = [];
  readonly #header: Header;
  #address = 0n;
  #file = 1;
  #line = 1;
  #isStatement: boolean;

  constructor(header: Header) {
    this.#header = header;
    this.#isStatement = header.defaultIsStatement;
  }

  special(opcode: number): void {
    const { opcodeBase, lineBase, lineRange } = this.#header;
    const adjusted = opcode - opcodeBase;
    this.#advance(Math.floor(adjusted / lineRange));
    this.#line += lineBase + (adjusted % lineRange);
    this.#emit(false);
  }

  standard(opcode: number, cursor: Cursor): void {
    switch (opcode) {
      case DW_LNS.copy:
        return this.#emit(false);
      case DW_LNS.advance_pc:
        return this.#advance(cursor.uleb());
      case DW_LNS.advance_line:
        this.#line += cursor.sleb();
        return undefined;
      case DW_LNS.set_file:
        this.#file = cursor.uleb();
        return undefined;
      case DW_LNS.negate_stmt:
        this.#isStatement = !this.#isStatement;
        return undefined;
      case DW_LNS.const_add_pc:
        return this.#advance(Math.floor((255 - this.#header.opcodeBase) / this.#header.lineRange));
      case DW_LNS.fixed_advance_pc:
        this.#address += BigInt(cursor.u16());
        return undefined;
      default:
        for (let count = this.#header.operandCounts[opcode - 1] ?? 0; count > 0; count--) cursor.uleb();
        return undefined;
    }
  }

  extended(cursor: Cursor): void {
    const length = cursor.uleb();
    const end = cursor.offset + length;
    const opcode = length === 0 ? 0 : cursor.u8();
    if (opcode === DW_LNE.end_sequence) {
      this.#emit(true);
      this.#address = 0n;
      this.#file = 1;
      this.#line = 1;
      this.#isStatement = this.#header.defaultIsStatement;
    } else if (opcode === DW_LNE.set_address) this.#address = cursor.address();
    cursor.offset = end;
  }

  #advance(operations: number): void {
    this.#address += BigInt(operations * this.#header.minimumInstruction);
  }

  #emit(endsSequence: boolean): void {
    this.rows.push({
      address: this.#address,
      file: this.#file,
      line: this.#line,
      isStatement: this.#isStatement,
      endsSequence,
    });
  }
}

function run(header: Header): LineRow[] {
  const machine = new Machine(header);
  const cursor = header.program;
  while (!cursor.atEnd && machine.rows.length < MAX_ROWS) {
    const opcode = cursor.u8();
    if (opcode >= header.opcodeBase) machine.special(opcode);
    else if (opcode === 0) machine.extended(cursor);
    else machine.standard(opcode, cursor);
  }
  return machine.rows;
}

/**
 * The row that covers an address: of the rows at the highest address at or below it, the last that begins a statement,
 * else the last. That is gdb's choice too.
 */
export function findRow(table: LineTable, address: bigint): LineRow | undefined {
  let best: LineRow | undefined;
  let sequenceStart = 0;
  for (const [index, row] of table.rows.entries()) {
    if (!row.endsSequence) continue;
    const inside = index > sequenceStart && table.rows[sequenceStart]!.address <= address && address < row.address;
    if (inside) best = rowInSequence(table.rows, sequenceStart, index, address) ?? best;
    sequenceStart = index + 1;
  }
  return best;
}

/** Where the code of a row ends: at the next row of the same sequence with a higher address and another line. */
export function rowEnd(table: LineTable, row: LineRow): bigint | undefined {
  const start = table.rows.indexOf(row);
  if (start === -1) return undefined;
  for (let index = start + 1; index < table.rows.length; index++) {
    const next = table.rows[index]!;
    const differs = next.line !== row.line || next.file !== row.file;
    if ((next.address > row.address && differs) || next.endsSequence) return next.address;
  }
  return undefined;
}

function rowInSequence(rows: readonly LineRow[], start: number, end: number, address: bigint): LineRow | undefined {
  let best: LineRow | undefined;
  for (let index = start; index < end && rows[index]!.address <= address; index++) {
    const row = rows[index]!;
    const isHigher = best === undefined || row.address > best.address;
    if (isHigher || row.isStatement || !best!.isStatement) best = row;
  }
  return best;
}
