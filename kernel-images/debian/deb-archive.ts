/**
 * Files out of a .deb.
 *
 * Source: `deb(5)` "FORMAT" (an ar archive of `debian-binary`, `control.tar.*`, `data.tar.*`).
 */
import { extract, type Extract, type Header } from 'tar-stream';

import { cString } from '../../capture/formats/bytes.ts';
import { FormatError } from '../../capture/formats/errors.ts';
import { decompressStream } from '../decompress.ts';

/** One file, link or folder of a package, with its path from the root (`/usr/bin/kexec`). */
export interface PackageEntry {
  readonly path: string;
  readonly type: 'file' | 'symlink' | 'link' | 'directory';
  /** Permission bits. */
  readonly mode: number;
  /** Where a symlink or hard link points; empty for others. */
  readonly target: string;
  readonly bytes: Uint8Array;
}

const AR_MAGIC = '!<arch>\n';
const AR_HEADER_SIZE = 60;

/** Members of an ar archive, by name. @throws FormatError */
export function readArMembers(archive: Uint8Array, name: string): Map<string, Uint8Array> {
  if (cString(archive, 0, AR_MAGIC.length) !== AR_MAGIC) {
    throw new FormatError('not a Debian package', { file: name, offset: 0, expected: 'the magic of an ar archive' });
  }
  const members = new Map<string, Uint8Array>();
  for (let at = AR_MAGIC.length; at < archive.length;) {
    const header = cString(archive, at, AR_HEADER_SIZE);
    const size = Number(header.slice(48, 58));
    const start = at + AR_HEADER_SIZE;
    if (!header.endsWith('`\n') || !Number.isInteger(size) || start + size > archive.length) {
      throw new FormatError('damaged or truncated package', {
        file: name,
        offset: at,
        expected: 'an ar member header and its bytes',
      });
    }
    members.set(header.slice(0, 16).trim().replace(/\/$/, ''), archive.subarray(start, start + size));
    at = start + size + (size % 2);
  }
  return members;
}

/**
 * Unpacks those files of a package that `wanted` picks. The archive is streamed: only what is picked stays in memory.
 * @param name of the package, for messages
 * @throws FormatError
 */
export async function unpackDeb(
  archive: Uint8Array,
  name: string,
  wanted: (path: string) => boolean,
): Promise<PackageEntry[]> {
  const members = readArMembers(archive, name);
  const data = [...members].find(([member]) => member.startsWith('data.tar'))?.[1];
  if (data === undefined) throw new FormatError('the package has no data.tar', { file: name });
  const entries: PackageEntry[] = [];
  try {
    for await (const entry of openTar(data, name)) {
      const path = entry.header.name.replace(/^\.?\/*/, '/').replace(/\/$/, '');
      const type = entryType(entry.header.type);
      if (type === undefined || !wanted(path)) entry.resume();
      else entries.push(makeEntry(path, type, entry.header, await collect(entry)));
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw new FormatError(`damaged package: ${error instanceof Error ? error.message : String(error)}`, {
      file: name,
      cause: error,
    });
  }
  return entries;
}

function openTar(data: Uint8Array, name: string): Extract {
  const tar = extract();
  const feed = async (): Promise<void> => {
    for await (const chunk of decompressStream(data, name)) {
      if (!tar.write(chunk)) await new Promise(resolve => tar.once('drain', () => resolve(undefined)));
      if (tar.destroyed) return;
    }
    tar.end(undefined);
  };
  feed().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return tar;
}

async function collect(stream: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function makeEntry(path: string, type: PackageEntry['type'], header: Header, bytes: Uint8Array): PackageEntry {
  return { path, type, mode: header.mode & 0o7777, target: header.linkname || '', bytes };
}

function entryType(type: Header['type']): PackageEntry['type'] | undefined {
  switch (type) {
    case 'file':
    case 'contiguous-file':
      return 'file';
    case 'symlink':
    case 'link':
    case 'directory':
      return type;
    default:
      return undefined;
  }
}
