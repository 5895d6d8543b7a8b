/**
 * Writes newc cpio archives, the form in which Linux takes an initramfs.
 *
 * Source: `Documentation/driver-api/early-userspace/buffer-format.rst` (v6.12) "cpio archive". Archives may follow one another.
 * All numbers that do not matter to the kernel (owners, times) are zero, so that the same tree gives the same bytes.
 */
import { alignUp } from '../../capture/formats/bytes.ts';
import type { FileTree } from './file-tree.ts';

const TRAILER = 'TRAILER!!!';
/** Between archives the kernel skips zeros; this keeps the next one aligned. */
const ARCHIVE_ALIGNMENT = 512;

interface CpioEntry {
  /** Without a slash at the beginning. */
  readonly name: string;
  /** File type and permission bits (`inode(7)`). */
  readonly mode: number;
  readonly bytes: Uint8Array;
}

/** Packs a tree. Folders come before what is in them. */
export function packCpio(tree: FileTree): Buffer {
  const entries = [...listEntries(tree, '/')];
  const parts = [...entries, { name: TRAILER, mode: 0, bytes: new Uint8Array(0) }].flatMap(encodeEntry);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(Buffer.alloc(alignUp(length, ARCHIVE_ALIGNMENT) - length));
  return Buffer.concat(parts);
}

function* listEntries(tree: FileTree, folder: string): Generator<CpioEntry> {
  const names = tree.readdirSync(folder) as string[];
  for (const name of names.sort()) {
    const path = folder === '/' ? `/${name}` : `${folder}/${name}`;
    const status = tree.lstatSync(path);
    const entry = { name: path.slice(1), mode: status.mode };
    if (status.isSymbolicLink()) {
      yield { ...entry, bytes: Buffer.from(String(tree.readlinkSync(path))) };
    } else if (status.isDirectory()) {
      yield { ...entry, bytes: new Uint8Array(0) };
      yield* listEntries(tree, path);
    } else {
      yield { ...entry, bytes: tree.readFileSync(path) as Uint8Array };
    }
  }
}

function encodeEntry(entry: CpioEntry, index: number): Uint8Array[] {
  const name = Buffer.from(`${entry.name}\0`);
  const isDirectory = (entry.mode & 0o170_000) === 0o040_000;
  const fields = [index + 1, entry.mode, 0, 0, isDirectory ? 2 : 1, 0, entry.bytes.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map(value => value.toString(16).padStart(8, '0')).join('')}`);
  return [padded(Buffer.concat([header, name])), padded(entry.bytes)];
}

function padded(bytes: Uint8Array): Uint8Array {
  const size = alignUp(bytes.length, 4);
  return size === bytes.length ? bytes : Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}
