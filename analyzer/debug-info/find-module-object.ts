/** Finds the object files of modules as installed: `kernel/drivers/block/virtio_blk.ko` somewhere under a folder. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { DEBUG_FOLDER } from './find-debug-file.ts';

const MAX_FILES = 200_000;

/** Folders that crash searches when none is given. */
export function moduleFolders(release: string): string[] {
  return [`/lib/modules/${release}`, join(DEBUG_FOLDER, 'lib/modules', release)];
}

/** Paths of all module objects under folders, by the name that the kernel gives the module. */
export function findModuleObjects(folders: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const pending = folders.toReversed();
  for (let count = 0; pending.length > 0 && count < MAX_FILES; count++) {
    const folder = pending.pop()!;
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) pending.push(path);
      const name = /^(.+)\.ko(?:\.debug)?$/.exec(entry.name)?.[1]?.replaceAll('-', '_');
      if (name === undefined || entry.isDirectory()) continue;
      found.set(name, [...(found.get(name) ?? []), path]);
    }
  }
  return found;
}

/** A folder that cannot be read holds nothing. */
function entriesOf(folder: string): { name: string; isDirectory(): boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error) return [];
    throw error;
  }
}
