/** A file tree in memory (memfs): where an initramfs is put together before it is packed. */
import { dirname } from 'node:path/posix';

import { Volume, createFsFromVolume } from 'memfs';

/** The `fs` of one tree. */
export type FileTree = ReturnType<typeof createFsFromVolume>;

/** An empty tree. */
export function createFileTree(): FileTree {
  return createFsFromVolume(new Volume());
}

/** Writes a file and the folders above it. */
export function addFile(tree: FileTree, path: string, contents: Uint8Array | string, mode = 0o644): void {
  tree.mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  tree.writeFileSync(path, contents, { mode });
}

/** Makes a symbolic link and the folders above it. */
export function addSymlink(tree: FileTree, path: string, target: string): void {
  tree.mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  tree.symlinkSync(target, path);
}
