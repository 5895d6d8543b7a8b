/** Paths of dentries over mounts; `fs/d_path.c` `prepend_path`. */
import type { Program } from '../program.ts';
import { readOr } from '../gaps.ts';
import { StructObject } from '../types/object.ts';

/** PATH_MAX / 2: no path has more components. */
const MAX_COMPONENTS = 2048;
const MAX_NAME = 256;

/** `struct mount` around a `struct vfsmount`. */
export function mountOf(program: Program, vfsmount: StructObject): StructObject {
  const type = program.types.struct('mount');
  return new StructObject(program.memory, type, vfsmount.address - BigInt(program.object('mount', 0n).offsetOf('mnt')));
}

/** The name of a dentry. */
export function dentryName(dentry: StructObject): string {
  const name = dentry.pointer('d_name.name');
  return name === 0n ? '' : dentry.memory.readString(name, MAX_NAME);
}

/** A dentry without parent that is no root: of an anonymous inode, a pipe, a memfd, System V shared memory. */
export function isPseudo(dentry: StructObject): boolean {
  return dentry.pointer('d_parent') === dentry.address && dentryName(dentry) !== '/';
}

/**
 * The path of a dentry from the root of the topmost mount; without a mount, from the root of its file system. It begins with `?` where
 * what lies above cannot be read.
 */
export function dentryPath(
  program: Program,
  dentry: StructObject | undefined,
  vfsmount: StructObject | undefined,
): string {
  if (dentry === undefined) return '';
  const parts: string[] = [];
  return readOr(
    () => (isPseudo(dentry) ? dentryName(dentry) : rootedPath(program, dentry, vfsmount, parts)),
    () => `?/${parts.join('/')}`,
  );
}

/** @param parts gets the components, last first */
function rootedPath(
  program: Program,
  dentry: StructObject,
  vfsmount: StructObject | undefined,
  parts: string[],
): string {
  let at: StructObject | undefined = dentry;
  let mount = vfsmount === undefined ? undefined : mountOf(program, vfsmount);
  for (let step = 0; at !== undefined && step < MAX_COMPONENTS; step++) {
    if (!isRoot(at, mount)) {
      parts.unshift(dentryName(at));
      at = at.follow('d_parent');
    } else if (mount !== undefined && hasOuter(mount)) {
      at = mount.follow('mnt_mountpoint');
      mount = mount.follow('mnt_parent');
    } else break;
  }
  return `/${parts.join('/')}`;
}

/** The root of a mount, or of a file system of which no mount is known. */
function isRoot(dentry: StructObject, mount: StructObject | undefined): boolean {
  return mount?.pointer('mnt.mnt_root') === dentry.address || dentry.pointer('d_parent') === dentry.address;
}

/** The topmost mount is its own parent. */
function hasOuter(mount: StructObject): boolean {
  const parent = mount.pointer('mnt_parent');
  return parent !== 0n && parent !== mount.address;
}
