/** Unpacked parts of Debian packages in the cache, so that a package is decompressed once. */
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { ImageError } from '../capture/formats/errors.ts';
import { cacheFolder, discardTemporary, temporaryName } from './cache-folder.ts';
import { unpackDeb, type PackageEntry } from './debian/deb-archive.ts';
import type { PackageArchive, PackageRecord } from './debian/package-index.ts';

/** What to take out of a package. */
export interface Selection {
  /** Names the selection in the cache: another name unpacks again. */
  readonly name: string;
  /** Picks files by path; paths are those of `withoutUsr`. */
  readonly wanted: (path: string) => boolean;
}

/** Undoes the merge of `/usr`: packages disagree on which of `/lib` and `/usr/lib` they name. */
export function withoutUsr(path: string): string {
  return path.replace(/^\/usr\/(?=s?bin\/|lib)/, '/');
}

/** Where a package's files are once they are unpacked. */
export function unpackedFolder(archive: PackageArchive, record: PackageRecord, selection: Selection): string {
  const cache = archive.options.cache ?? cacheFolder();
  return join(cache, 'unpacked', `${record.name}-${record.sha256.slice(0, 12)}-${selection.name}`);
}

/** Fetches and unpacks a package, or finds it in the cache. @returns the folder that holds the files @throws ImageError, FormatError */
export async function unpackIntoCache(
  archive: PackageArchive,
  record: PackageRecord,
  selection: Selection,
): Promise<string> {
  const folder = unpackedFolder(archive, record, selection);
  if (existsSync(folder)) return folder;
  const path = await archive.fetch(record);
  const entries = await unpackDeb(readFileSync(path), basename(path), name => selection.wanted(withoutUsr(name)));
  storeFolder(folder, entries);
  return folder;
}

function storeFolder(folder: string, entries: readonly PackageEntry[]): void {
  const temporary = temporaryName(folder);
  try {
    mkdirSync(temporary, { recursive: true });
    for (const entry of entries) storeEntry(temporary, entry);
    renameSync(temporary, folder);
  } catch (error) {
    // Another run may have been faster: its folder has the same contents.
    if (!existsSync(folder))
      throw new ImageError(`cannot unpack into the cache: ${String(error)}`, { file: folder, cause: error });
  } finally {
    discardTemporary(temporary);
  }
}

function storeEntry(root: string, entry: PackageEntry): void {
  const relative = withoutUsr(entry.path);
  // Packages are signed, but a path that leaves the folder has no business here.
  if (relative.split('/').includes('..'))
    throw new ImageError(`the package holds a path outside of its root: ${entry.path}`);
  const path = join(root, relative);
  mkdirSync(dirname(path), { recursive: true });
  if (entry.type === 'file') writeFileSync(path, entry.bytes);
  // Links that matter here are those between versions of a library in one folder.
  if (entry.type === 'symlink' && !entry.target.includes('/')) symlinkSync(entry.target, path);
}
