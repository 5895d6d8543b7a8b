/**
 * Call frame information: how to get from a function's registers to its caller's.
 *
 * Source: DWARF 5 section 6.4 "Call Frame Information"; Linux Standard Base "Exception Frames" (`.eh_frame`).
 */
import { FormatError } from '../../../capture/formats/errors.ts';
import { readU8 } from '../../../capture/formats/bytes.ts';
import { findSection } from '../../../capture/formats/elf.ts';
import type { ElfFile } from '../../../capture/formats/elf.ts';
import { Cursor } from './cursor.ts';
import { DwarfSection } from './sections.ts';
import type { SectionAddresses } from './sections.ts';
import { UnwindRow, runProgram } from './frame-program.ts';
import type { CommonEntry } from './frame-program.ts';

const DW_EH_PE = {
  absptr: 0,
  udata2: 2,
  udata4: 3,
  udata8: 4,
  sdata2: 0xa,
  sdata4: 0xb,
  sdata8: 0xc,
  pcrel: 0x10,
} as const;
const OMITTED = 0xff;

/** A frame description entry: the code that it covers and where its program stands. */
interface FrameEntry {
  readonly start: bigint;
  readonly end: bigint;
  readonly common: CommonEntry;
  readonly from: number;
  readonly to: number;
}

/** The frame tables of a file: `.debug_frame`, and `.eh_frame` where that is absent. */
export class CallFrames {
  readonly #section: DwarfSection;
  readonly #isEh: boolean;
  readonly #base: bigint;
  #entries: readonly FrameEntry[] | undefined;

  constructor(elf: ElfFile, addresses?: SectionAddresses) {
    const debug = new DwarfSection(elf, '.debug_frame', addresses);
    this.#isEh = !debug.exists;
    this.#section = this.#isEh ? new DwarfSection(elf, '.eh_frame', addresses) : debug;
    const header = findSection(elf, '.eh_frame');
    const number = header === undefined ? -1 : elf.sections.indexOf(header);
    this.#base = addresses === undefined ? (header?.sh_addr ?? 0n) : addresses(number);
  }

  /** Tells whether there are any. */
  get exists(): boolean {
    return this.#section.exists;
  }

  /** Rules at a link-time address; undefined when nothing covers it. @throws FormatError */
  find(address: bigint): UnwindRow | undefined {
    this.#entries ??= this.#read();
    const entries = this.#entries;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (entries[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    const found = entries[low - 1];
    if (found === undefined || address >= found.end) return undefined;
    const program = new Cursor(this.#section.all(), found.from, found.to);
    return runProgram(found.common, program, found.start, address);
  }

  #read(): FrameEntry[] {
    const bytes = this.#section.all();
    const common = new Map<number, CommonEntry>();
    const found: FrameEntry[] = [];
    const cursor = new Cursor(bytes);
    while (cursor.offset + 8 <= bytes.length) {
      const start = cursor.offset;
      const { length, offsetSize } = cursor.initialLength();
      if (length === 0) continue;
      const body = cursor.offset;
      const end = body + length;
      const id = cursor.sectionOffset(offsetSize);
      const isCommon = this.#isEh ? id === 0 : id === (offsetSize === 4 ? 0xffff_ffff : 2 ** 64);
      if (!isCommon) {
        const owner = this.#isEh ? body - id : id;
        if (!common.has(owner)) common.set(owner, readCommon(bytes, owner, this.#isEh));
        found.push(this.#entry(cursor, common.get(owner)!, end));
      } else if (!common.has(start)) common.set(start, readCommon(bytes, start, this.#isEh));
      cursor.offset = end;
    }
    return found
      .filter(({ start, end }) => end > start)
      .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  }

  #entry(cursor: Cursor, common: CommonEntry, to: number): FrameEntry {
    const start = this.#isEh ? this.#pointer(cursor, common.encoding) : cursor.address();
    const size = this.#isEh ? this.#pointer(cursor, common.encoding & 0xf) : cursor.address();
    if (common.hasAugmentation) cursor.skip(cursor.uleb());
    return { start, end: start + size, common, from: cursor.offset, to };
  }

  /** A pointer as `.eh_frame` encodes it: absolute, or from where it stands. */
  #pointer(cursor: Cursor, encoding: number): bigint {
    if (encoding === OMITTED) return 0n;
    const at = this.#base + BigInt(cursor.offset);
    const value = readEncoded(cursor, encoding & 0xf);
    return BigInt.asUintN(64, (encoding & 0x70) === DW_EH_PE.pcrel ? at + value : value);
  }
}

function readEncoded(cursor: Cursor, format: number): bigint {
  switch (format) {
    case DW_EH_PE.udata2:
      return BigInt(cursor.u16());
    case DW_EH_PE.sdata2:
      return BigInt.asIntN(16, BigInt(cursor.u16()));
    case DW_EH_PE.udata4:
      return BigInt(cursor.u32());
    case DW_EH_PE.sdata4:
      return BigInt.asIntN(32, BigInt(cursor.u32()));
    case DW_EH_PE.absptr:
    case DW_EH_PE.udata8:
    case DW_EH_PE.sdata8:
      return cursor.address();
    default:
      throw new FormatError(`pointer encoding ${format} of a frame table`, { offset: cursor.offset });
  }
}

/** Reads a common information entry. @throws FormatError */
function readCommon(bytes: Uint8Array, offset: number, isEh: boolean): CommonEntry {
  const cursor = new Cursor(bytes, offset);
  const { length, offsetSize } = cursor.initialLength();
  const end = cursor.offset + length;
  cursor.skip(offsetSize);
  const version = cursor.u8();
  const augmentation = cursor.string();
  if (version >= 4) cursor.skip(2);
  const codeAlignment = cursor.uleb();
  const dataAlignment = cursor.sleb();
  const returnRegister = version === 1 ? cursor.u8() : cursor.uleb();
  const hasAugmentation = augmentation.startsWith('z');
  let encoding: number = DW_EH_PE.absptr;
  let isSignal = false;
  if (hasAugmentation) {
    const size = cursor.uleb();
    const data = cursor.offset;
    for (const letter of augmentation.slice(1)) {
      if (letter === 'R') encoding = readU8(bytes, cursor.offset++);
      else if (letter === 'L') cursor.offset++;
      else if (letter === 'P') readEncoded(cursor, cursor.u8() & 0xf);
      else if (letter === 'S') isSignal = true;
    }
    cursor.offset = data + size;
  }
  const program = bytes.subarray(cursor.offset, end);
  return {
    codeAlignment,
    dataAlignment,
    returnRegister,
    hasAugmentation: isEh && hasAugmentation,
    encoding,
    isSignal,
    program,
  };
}
