/**
 * Compressors of single pages, by the names of the kdump-compressed format.
 *
 * makedumpfile uses level 1 of zlib and of Zstandard; so does this.
 */
import { constants, createDeflate, createZstdCompress, deflateSync, zstdCompressSync } from 'node:zlib';

import type { Compressor } from '../formats/compression.ts';
import { type BlockTransform, nativeTransform } from '../formats/native-zlib.ts';
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
    return (
      viaContext(nativeTransform(createDeflate(options), constants.Z_FINISH)) ??
      viaCall(page => deflateSync(page, options))
    );
  },
  zstd: pageSize => {
    const windowLog = Math.max(10, Math.log2(pageSize));
    const { ZSTD_c_compressionLevel, ZSTD_c_windowLog, ZSTD_c_hashLog } = constants;
    const params = { [ZSTD_c_compressionLevel]: 1, [ZSTD_c_windowLog]: windowLog, [ZSTD_c_hashLog]: windowLog };
    const context = nativeTransform(createZstdCompress({ params }), constants.ZSTD_e_end);
    return viaContext(context) ?? viaCall(page => zstdCompressSync(page, { params }));
  },
};

/** A page that a context cannot compress is one that does not shrink. */
function viaContext(context: BlockTransform | undefined): BlockCompress | undefined {
  return context && ((page, output) => context(page, output) ?? page.length);
}

function viaCall(compress: (page: Uint8Array) => Uint8Array): BlockCompress {
  return (page, output) => {
    const bytes = compress(page);
    if (bytes.length <= output.length) output.set(bytes);
    return bytes.length;
  };
}
