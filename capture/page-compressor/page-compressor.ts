/**
 * Compressors of single pages, by the names of the kdump-compressed format.
 *
 * makedumpfile uses level 1 of zlib and of Zstandard; so does this.
 */
import { constants, createDeflate, createZstdCompress, deflateSync, zstdCompressSync } from 'node:zlib';

import type { Compressor } from '../formats/compression.ts';
import { lzo1xCompressor } from './lzo1x.ts';
import type { BlockCompress } from './matching.ts';
import { snappyCompressor } from './snappy.ts';

/** Room that a compressor may need beyond the page: its worst case is an incompressible one. */
export function compressedRoom(pageSize: number): number {
  return pageSize + (pageSize >> 4) + 256;
}

/**
 * Makes a compressor.
 * @returns a function from a page and an output of `compressedRoom` bytes to the number of bytes written
 */
export function pageCompressor(compressor: Compressor, pageSize: number): BlockCompress {
  return COMPRESSORS[compressor](pageSize);
}

const COMPRESSORS: Readonly<Record<Compressor, (pageSize: number) => BlockCompress>> = {
  lzo: lzo1xCompressor,
  snappy: snappyCompressor,
  zlib: () => {
    const options = { level: 1 };
    return viaHandle(createDeflate(options), constants.Z_FINISH) ?? viaCall(page => deflateSync(page, options));
  },
  zstd: pageSize => {
    const windowLog = Math.max(10, Math.log2(pageSize));
    const { ZSTD_c_compressionLevel, ZSTD_c_windowLog, ZSTD_c_hashLog } = constants;
    const params = { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_windowLog]: windowLog, [ZSTD_c_hashLog]: windowLog };
    const viaStream = viaHandle(createZstdCompress({ params }), constants.ZSTD_e_end);
    return viaStream ?? viaCall(page => zstdCompressSync(page, { params }));
  },
};

/** The native object behind a stream of `node:zlib`. */
interface ZlibHandle {
  reset(): void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
}

/** The parts of a stream of `node:zlib` that Node does not document. */
interface StreamInternals {
  readonly _handle?: Partial<ZlibHandle>;
  /** Bytes of output and of input that the last write left over. */
  readonly _writeState?: Uint32Array;
}

/**
 * Compresses with one native context for all pages. The documented one-shot calls make a context each time: for
 * Zstandard 33 µs a page instead of 10, for zlib 54 instead of 43. Undefined where Node's internals look different.
 */
function viaHandle(stream: object, flush: number): BlockCompress | undefined {
  const { _handle: handle, _writeState: state } = stream as StreamInternals;
  if (typeof handle?.reset !== 'function' || typeof handle.writeSync !== 'function' || state === undefined)
    return undefined;
  const context = handle as ZlibHandle;
  return (page, output) => {
    context.reset();
    context.writeSync(flush, page, 0, page.length, output, 0, output.length);
    return output.length - state[0]!;
  };
}

function viaCall(compress: (page: Uint8Array) => Uint8Array): BlockCompress {
  return (page, output) => {
    const bytes = compress(page);
    if (bytes.length <= output.length) output.set(bytes);
    return bytes.length;
  };
}
