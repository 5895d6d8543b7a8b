/**
 * Debian's programs for the guest, with the libraries that their dynamic linker will look for.
 *
 * Sources: ELF gABI "Dynamic Section" (DT_NEEDED); `ld.so(8)`; Debian Policy, title "Shared libraries" (a library package is named
 * after its SONAME: libdw.so.1 is in libdw1).
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

import { ImageError } from '../../capture/formats/errors.ts';
import type { PackageArchive, PackageRecord } from '../debian/package-index.ts';
import { readDynamicNeeds } from '../elf-file.ts';
import type { Architecture } from '../kernel-image.ts';
import { unpackIntoCache, type Selection } from '../unpacked-package.ts';

/** A file to stage. */
export interface StagedProgramFile {
  /** Path in the guest. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Some programs and everything that they need to start. */
export interface ProgramSet {
  readonly files: readonly StagedProgramFile[];
  /** Debian versions by package name, for the report. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Debian's multiarch folder names. */
export const TRIPLETS: Readonly<Record<Architecture, string>> = {
  aarch64: 'aarch64-linux-gnu',
  x86_64: 'x86_64-linux-gnu',
};

const PROGRAMS: Selection = { name: 'programs', wanted: path => /^\/s?bin\//.test(path) };
const LIBRARIES: Selection = {
  name: 'libraries',
  wanted: path => /^\/lib(64)?\/(.*\/)?(lib|ld-)[^/]*\.so[^/]*$/.test(path) && !path.includes('/gconv/'),
};

/**
 * Fetches a program and its libraries.
 * @param program path without `/usr`: `/sbin/kexec`
 * @throws UsageError, ImageError
 */
export async function fetchProgram(
  archive: PackageArchive,
  architecture: Architecture,
  packageName: string,
  program: string,
): Promise<ProgramSet> {
  const record = archive.get(packageName);
  const file = join(await unpackIntoCache(archive, record, PROGRAMS), program);
  const alternative = file.replace('/sbin/', '/bin/');
  const found = [file, alternative].find(path => existsSync(path));
  if (found === undefined) throw new ImageError(`package ${packageName} ${record.version} has no ${program}`);
  const bytes = readFileSync(found);
  const finder = new LibraryFinder(archive, architecture, record);
  await finder.addNeeds(bytes, program);
  return {
    files: [{ path: program, bytes }, ...finder.files.values()],
    versions: { [packageName]: record.version, ...finder.versions },
  };
}

/** Collects the libraries of one program, breadth of packages first, depth of needs second. */
class LibraryFinder {
  readonly files = new Map<string, StagedProgramFile>();
  readonly versions: Record<string, string> = {};
  readonly #archive: PackageArchive;
  readonly #triplet: string;
  readonly #root: PackageRecord;

  constructor(archive: PackageArchive, architecture: Architecture, root: PackageRecord) {
    this.#archive = archive;
    this.#triplet = TRIPLETS[architecture];
    this.#root = root;
  }

  async addNeeds(bytes: Uint8Array, file: string): Promise<void> {
    const { interpreter, libraries } = readDynamicNeeds(bytes, file);
    if (interpreter !== undefined)
      await this.#add(interpreter.slice(interpreter.lastIndexOf('/') + 1), interpreter, file);
    // The linker itself is needed by name too, but it is there already.
    for (const name of libraries)
      if (!name.startsWith('ld-')) await this.#add(name, `/lib/${this.#triplet}/${name}`, file);
  }

  async #add(soname: string, path: string, neededBy: string): Promise<void> {
    if (this.files.has(soname)) return;
    const bytes = await this.#find(soname);
    if (bytes === undefined)
      throw new ImageError(`no package of ${this.#root.name}'s dependencies has ${soname} (needed by ${neededBy})`);
    this.files.set(soname, { path, bytes });
    await this.addNeeds(bytes, soname);
  }

  async #find(soname: string): Promise<Uint8Array | undefined> {
    for (const record of this.#candidates(soname)) {
      const folder = await unpackIntoCache(this.#archive, record, LIBRARIES);
      for (const place of [`lib/${this.#triplet}`, 'lib', 'lib64']) {
        const path = join(folder, place, soname);
        if (!existsSync(path)) continue;
        this.versions[record.name] = record.version;
        return readFileSync(realpathSync(path));
      }
    }
    return undefined;
  }

  /** Packages that may hold a library: first by the naming rule, then all library packages among the dependencies. */
  *#candidates(soname: string): Generator<PackageRecord> {
    const seen = new Set<string>();
    for (const name of [...namesBySoname(soname), ...libraryDependencies(this.#archive, this.#root)]) {
      const record = seen.has(name) ? undefined : this.#archive.find(name);
      seen.add(name);
      if (record !== undefined) yield record;
    }
  }
}

/** `libdw.so.1` → `libdw1`, `libdw1t64` (the 64-bit time_t transition renamed some); the linker is in `libc6`. */
function namesBySoname(soname: string): string[] {
  if (soname.startsWith('ld-linux') || soname === 'libc.so.6') return ['libc6'];
  if (soname === 'libz.so.1') return ['zlib1g'];
  const match = /^(lib.+)\.so\.(\d+)/.exec(soname);
  if (match === null) return [];
  const stem = match[1]!.toLowerCase();
  const name = /\d$/.test(stem) ? `${stem}-${match[2]!}` : `${stem}${match[2]!}`;
  return [name, `${name}t64`];
}

function libraryDependencies(archive: PackageArchive, root: PackageRecord): string[] {
  const found: string[] = [];
  const queue = [root];
  for (let record = queue.shift(); record !== undefined; record = queue.shift()) {
    for (const name of record.depends.map(alternatives => alternatives[0]!)) {
      if (!/^(lib|zlib)/.test(name) || found.includes(name)) continue;
      found.push(name);
      const next = archive.find(name);
      if (next !== undefined) queue.push(next);
    }
  }
  return found;
}
