/** Streams of compressed bytes, recognised by their first bytes: xz, gzip, zstd, or plain. */
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import xzDecompress from 'xz-decompress';

import { FormatError } from '../capture/formats/errors.ts';

/** Compression containers that Debian uses. */
export type Compression = 'xz' | 'gzip' | 'zstd' | 'none';

const MAGICS: readonly [Compression, readonly number[]][] = [
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** Recognises a container by its magic number. */
export function detectCompression(head: Uint8Array): Compression {
  return MAGICS.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0] ?? 'none';
}

/**
 * Decompresses bytes as a stream.
 * @param name of the input, for the message
 * @throws FormatError (from the iteration) when the bytes are damaged
 */
export async function* decompressStream(bytes: Uint8Array, name: string): AsyncGenerator<Uint8Array> {
  const compression = detectCompression(bytes);
  if (compression === 'none') {
    yield bytes;
    return;
  }
  try {
    yield* openDecompressor(compression, bytes);
  } catch (error) {
    throw new FormatError(`damaged ${compression} data: ${error instanceof Error ? error.message : String(error)}`, {
      file: name,
      cause: error,
    });
  }
}

function openDecompressor(compression: Exclude<Compression, 'none'>, bytes: Uint8Array): AsyncIterable<Uint8Array> {
  if (compression === 'xz') return decompressXz(bytes);
  const transform = compression === 'gzip' ? createGunzip() : createZstdDecompress();
  return Readable.from(slices(bytes)).pipe(transform);
}

async function* decompressXz(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const input = ReadableStream.from(slices(bytes));
  // The decoder reuses its output buffer: whoever keeps a chunk needs a copy.
  for await (const chunk of new xzDecompress.XzReadableStream(input)) yield Uint8Array.from(chunk);
}

const SLICE = 1 << 18;

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SLICE) yield bytes.subarray(at, at + SLICE);
}

/** Decompresses bytes into memory. @throws FormatError */
export async function decompress(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompressStream(bytes, name)) chunks.push(chunk);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}
