/** Paths of dentries over mounts; `fs/d_path.c` `prepend_path`. */
import type { Program } from '../program.ts';
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

/** The path of a dentry from the root of the topmost mount; without a mount, from the root of its file system. */
export function dentryPath(
  program: Program,
  dentry: StructObject | undefined,
  vfsmount: StructObject | undefined,
): string {
  const parts: string[] = [];
  let at = dentry;
  let mount = vfsmount === undefined ? undefined : mountOf(program, vfsmount);
  for (let step = 0; at !== undefined && step < MAX_COMPONENTS; step++) {
    const isMountRoot = mount !== undefined && mount.pointer('mnt.mnt_root') === at.address;
    const parent = at.pointer('d_parent');
    if (!isMountRoot && parent !== at.address) {
      parts.unshift(dentryName(at));
      at = at.follow('d_parent');
      continue;
    }
    const outer = mount?.pointer('mnt_parent');
    if (mount === undefined || outer === undefined || outer === 0n || outer === mount.address) break;
    at = mount.follow('mnt_mountpoint');
    mount = mount.follow('mnt_parent');
  }
  return dentry === undefined ? '' : `/${parts.join('/')}`;
}
