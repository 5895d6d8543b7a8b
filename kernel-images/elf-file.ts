/**
 * The little that staging needs of ELF files: interpreter, needed libraries, and sections of modules.
 *
 * Sources: ELF gABI "Program Header", "Dynamic Section", "Section Header".
 */
import { cString, readSize64, readU16, readU32 } from '../capture/formats/bytes.ts';
import { FormatError } from '../capture/formats/errors.ts';

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

/** What the dynamic linker has to find for a program or library. */
export interface DynamicNeeds {
  /** `/lib/ld-linux-aarch64.so.1`; undefined for libraries and static programs. */
  readonly interpreter: string | undefined;
  /** `DT_NEEDED` names in order. */
  readonly libraries: readonly string[];
}

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly fileSize: number;
}

/** Whether the bytes begin as a 64-bit little-endian ELF file. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 64 && readU32(bytes, 0) === 0x464c457f && bytes[4] === 2 && bytes[5] === 1;
}

/** Reads the interpreter and the needed libraries. @throws FormatError */
export function readDynamicNeeds(bytes: Uint8Array, file: string): DynamicNeeds {
  if (!isElf(bytes)) throw new FormatError('not a 64-bit ELF file', { file, offset: 0 });
  try {
    const headers = readProgramHeaders(bytes);
    const interp = headers.find(header => header.type === PT_INTERP);
    const dynamic = headers.find(header => header.type === PT_DYNAMIC);
    return {
      interpreter: interp === undefined ? undefined : cString(bytes, interp.offset, interp.fileSize),
      libraries: dynamic === undefined ? [] : readNeeded(bytes, headers, dynamic),
    };
  } catch (error) {
    throw new FormatError('damaged ELF file', { file, cause: error });
  }
}

function readProgramHeaders(bytes: Uint8Array): ProgramHeader[] {
  const [phoff, phentsize, phnum] = [readSize64(bytes, 32), readU16(bytes, 54), readU16(bytes, 56)];
  return Array.from({ length: phnum }, (_, i) => {
    const at = phoff + i * phentsize;
    return {
      type: readU32(bytes, at),
      offset: readSize64(bytes, at + 8),
      vaddr: readSize64(bytes, at + 16),
      fileSize: readSize64(bytes, at + 32),
    };
  });
}

function readNeeded(bytes: Uint8Array, headers: readonly ProgramHeader[], dynamic: ProgramHeader): string[] {
  const names: number[] = [];
  let strtab = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.fileSize; at += 16) {
    const tag = readSize64(bytes, at);
    if (tag === 0) break;
    if (tag === DT_NEEDED) names.push(readSize64(bytes, at + 8));
    if (tag === DT_STRTAB) strtab = readSize64(bytes, at + 8);
  }
  const segment = headers.find(
    ({ type, vaddr, fileSize }) => type === PT_LOAD && strtab >= vaddr && strtab < vaddr + fileSize,
  );
  if (segment === undefined) return [];
  return names.map(name => cString(bytes, strtab - segment.vaddr + segment.offset + name, 256));
}

/** Finds a section by name. @returns its bytes, or undefined */
export function findSection(bytes: Uint8Array, name: string): Uint8Array | undefined {
  if (!isElf(bytes)) return undefined;
  const [shoff, shentsize, shnum, shstrndx] = [
    readSize64(bytes, 40),
    readU16(bytes, 58),
    readU16(bytes, 60),
    readU16(bytes, 62),
  ];
  if (shoff + shnum * shentsize > bytes.length || shstrndx >= shnum) return undefined;
  const section = (index: number) => {
    const at = shoff + index * shentsize;
    return { name: readU32(bytes, at), offset: readSize64(bytes, at + 24), size: readSize64(bytes, at + 32) };
  };
  const strings = section(shstrndx);
  for (let i = 0; i < shnum; i++) {
    const { name: nameOffset, offset, size } = section(i);
    if (cString(bytes, strings.offset + nameOffset, 64) === name && offset + size <= bytes.length) {
      return bytes.subarray(offset, offset + size);
    }
  }
  return undefined;
}
