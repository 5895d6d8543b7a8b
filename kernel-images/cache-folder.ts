/** The user's cache: downloads, package indexes and unpacked kernels. Everything in it can be deleted at any time. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** `KDUMP_LAB_CACHE`, else `XDG_CACHE_HOME/kdump-lab`, else `~/.cache/kdump-lab`. */
export function cacheFolder(env: Readonly<NodeJS.ProcessEnv> = process.env): string {
  const own = env['KDUMP_LAB_CACHE'];
  if (own !== undefined && own !== '') return own;
  const xdg = env['XDG_CACHE_HOME'];
  // XDG Base Directory Specification: relative paths are to be ignored.
  return join(xdg?.startsWith('/') === true ? xdg : join(homedir(), '.cache'), 'kdump-lab');
}

const unfinished = new Set<string>();
process.on('exit', () => {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
});

/** A sibling name for a file or folder that is being written; what is left of it when the program ends is deleted. */
export function temporaryName(path: string): string {
  const name = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  unfinished.add(name);
  return name;
}

/** Deletes a temporary, or what the last rename left of it. */
export function discardTemporary(name: string): void {
  rmSync(name, { recursive: true, force: true });
  unfinished.delete(name);
}

/** Writes a whole file under a temporary name and renames it: the final name never holds half a file. */
export function writeFileAtomically(path: string, contents: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, contents);
    renameSync(temporary, path);
  } finally {
    discardTemporary(temporary);
  }
}
