/**
 * Finds the debug information that was split off a stripped file.
 *
 * Source: GDB manual "Debugging Information in Separate Files": by build id under `.build-id`, by the name in
 * `.gnu_debuglink` beside the file, in its `.debug` folder, and under the global folder; last what debuginfod's clients keep.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';

import { FileSource } from '../../capture/formats/byte-source.ts';
import { alignUp, cString, readU32 } from '../../capture/formats/bytes.ts';
import { SHT, buildIdOf, findSection, parseElf, sectionBytes } from '../../capture/formats/elf.ts';
import type { ElfFile } from '../../capture/formats/elf.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import { cachePath } from './debuginfod-cache.ts';

/** Where distributions install debug information. */
export const DEBUG_FOLDER = '/usr/lib/debug';

/** Tells whether a file has DWARF of its own. */
export function hasDebugInfo(elf: ElfFile): boolean {
  const section = findSection(elf, '.debug_info') ?? findSection(elf, '.zdebug_info');
  return section !== undefined && section.sh_type !== SHT.NOBITS && section.sh_size > 0;
}

/** Opens the separate debug file of a stripped one, or nothing when it is not found. @param folder global debug folder */
export function findDebugFile(elf: ElfFile, folder = DEBUG_FOLDER): ElfFile | undefined {
  const buildId = buildIdOf(elf);
  const fetched = buildId === undefined ? [] : [{ path: cachePath(buildId), crc: undefined }];
  for (const { path, crc } of [...byBuildId(buildId, folder), ...byDebugLink(elf, folder), ...fetched]) {
    const found = openMatching(path, buildId, crc);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Candidate {
  readonly path: string;
  /** CRC-32 of the whole file, as `.gnu_debuglink` has it. */
  readonly crc: number | undefined;
}

/** `.build-id/ab/cdef….debug`. */
export function buildIdPath(buildId: string, folder = DEBUG_FOLDER): string {
  return join(folder, '.build-id', buildId.slice(0, 2), `${buildId.slice(2)}.debug`);
}

function byBuildId(buildId: string | undefined, folder: string): Candidate[] {
  return buildId === undefined ? [] : [{ path: buildIdPath(buildId, folder), crc: undefined }];
}

function byDebugLink(elf: ElfFile, folder: string): Candidate[] {
  const section = findSection(elf, '.gnu_debuglink');
  if (section === undefined) return [];
  const bytes = sectionBytes(elf, section);
  const name = cString(bytes);
  const at = alignUp(name.length + 1, 4);
  if (name === '' || at + 4 > bytes.length) return [];
  const crc = readU32(bytes, at);
  const own = dirname(resolve(elf.source.name));
  return [join(own, name), join(own, '.debug', name), join(folder, own, name)].map(path => ({ path, crc }));
}

/** Opens a candidate that is there, has debug information, and is of the same build. */
function openMatching(path: string, buildId: string | undefined, crc: number | undefined): ElfFile | undefined {
  if (!existsSync(path)) return undefined;
  const source = new FileSource(path);
  try {
    const elf = parseElf(source);
    const theirs = buildIdOf(elf);
    const same = buildId !== undefined && theirs !== undefined ? theirs === buildId : crc === crc32(readFileSync(path));
    if (same && hasDebugInfo(elf)) return elf;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  source[Symbol.dispose]();
  return undefined;
}
