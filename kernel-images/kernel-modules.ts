/**
 * Which modules a kernel needs for its disk, and in which order to load them.
 *
 * Sources: `modinfo` section of `.ko` files (`include/linux/moduleinfo.h`, `scripts/mod/modpost.c` "add_depends", v6.12);
 * `modules.builtin` (`Documentation/kbuild/kbuild.rst`).
 * A Debian package holds no modules.dep (depmod runs at installation), so dependencies come from the modules themselves.
 */
import { asBuffer } from '../capture/formats/bytes.ts';
import { ImageError } from '../capture/formats/errors.ts';
import { decompress } from './decompress.ts';
import { findSection } from './elf-file.ts';

/** A module ready for insmod. */
export interface KernelModule {
  /** With underscores: `virtio_blk`. */
  readonly name: string;
  /** Not compressed; a signature at the end stays. */
  readonly bytes: Uint8Array;
}

/** The module files of a kernel package. */
export interface ModuleTree {
  /** Kernel release, for messages. */
  readonly release: string;
  /** Paths below `/lib/modules/RELEASE/`, as the package has them (perhaps `.ko.xz`). */
  readonly paths: readonly string[];
  /** Names of the modules that are built in, from `modules.builtin`. */
  readonly builtIn: ReadonlySet<string>;
  /** Contents of one of `paths`. */
  read(path: string): Uint8Array;
}

/** A module's name from its path: `kernel/drivers/char/hw_random/virtio-rng.ko.xz` is `virtio_rng`. */
export function moduleName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\.ko(\.(xz|gz|zst))?$/, '')
    .replaceAll('-', '_');
}

/** Names listed in a `modules.builtin` file. */
export function parseBuiltIn(text: string): Set<string> {
  return new Set(
    text
      .split('\n')
      .filter(line => line !== '')
      .map(moduleName),
  );
}

/** Reads all values of a field of a module's `.modinfo` section. */
export function readModinfo(module: Uint8Array, field: string): string[] {
  const section = findSection(module, '.modinfo');
  if (section === undefined) return [];
  return asBuffer(section)
    .toString('latin1')
    .split('\0')
    .filter(text => text.startsWith(`${field}=`))
    .map(text => text.slice(field.length + 1));
}

/** Modules that must be loaded before this one. */
function readDependencies(module: Uint8Array): string[] {
  return readModinfo(module, 'depends')
    .flatMap(text => text.split(','))
    .filter(text => text !== '')
    .map(text => text.replaceAll('-', '_'));
}

/**
 * Modules that should be loaded before this one, if they exist: `pre:` of `modprobe.d(5)` softdep. `crypto-crc32c` is the alias of
 * an algorithm, whose plain C implementation is in crc32c_generic.
 */
function readSoftDependencies(module: Uint8Array): string[] {
  return readModinfo(module, 'softdep')
    .flatMap(text => (/pre:(.*?)(post:|$)/.exec(text)?.[1] ?? '').split(/\s+/))
    .filter(text => text !== '')
    .map(text => text.replace(/^(crypto-)?crc32c$/, 'crc32c_generic').replaceAll('-', '_'));
}

/**
 * The closure of modules for some features, in load order; what is built in is left out.
 * @throws ImageError when the kernel has one of them neither built in nor as a module
 */
export async function resolveModules(tree: ModuleTree, wanted: readonly string[]): Promise<KernelModule[]> {
  const paths = new Map(tree.paths.map(path => [moduleName(path), path]));
  const loaded = new Map<string, KernelModule>();
  const visit = async (name: string, chain: readonly string[]): Promise<void> => {
    if (loaded.has(name) || tree.builtIn.has(name)) return;
    const neededBy = chain.at(-1);
    if (chain.includes(name))
      throw new ImageError(`modules of ${tree.release} depend on each other: ${name} and ${neededBy}`);
    const path = paths.get(name);
    if (path === undefined)
      throw new ImageError(
        `the kernel ${tree.release} has no module ${name}${neededBy === undefined ? '' : ` (needed by ${neededBy})`}`,
      );
    const bytes = await decompress(tree.read(path), path);
    for (const dependency of readSoftDependencies(bytes))
      if (paths.has(dependency)) await visit(dependency, [...chain, name]);
    for (const dependency of readDependencies(bytes)) await visit(dependency, [...chain, name]);
    loaded.set(name, { name, bytes });
  };
  for (const name of wanted) await visit(name, []);
  return [...loaded.values()];
}
