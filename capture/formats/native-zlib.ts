/**
 * One native context of `node:zlib` for many blocks.
 *
 * The documented one-shot calls make a context each time: for a page of 4 KiB that is most of the work (Zstandard: 33 µs instead of 10
 * to compress, 42 instead of 3 to expand; zlib: 54 instead of 43, and 33 instead of 10).
 */

/**
 * Writes a block into `output`.
 * @returns the number of bytes written; undefined when the block is damaged or the output too small
 */
export type BlockTransform = (input: Uint8Array, output: Uint8Array) => number | undefined;

/** The native object behind a stream. */
interface ZlibHandle {
  /** Called instead of throwing. */
  onerror: (message: string) => void;
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
 * The transform of a stream that is used for nothing else; undefined where Node's internals look different.
 * @param flush how the stream is told that a block is whole: `Z_FINISH`, `ZSTD_e_end`
 */
export function nativeTransform(stream: object, flush: number): BlockTransform | undefined {
  const { _handle: handle, _writeState: state } = stream as StreamInternals;
  if (typeof handle?.reset !== 'function' || typeof handle.writeSync !== 'function' || state === undefined)
    return undefined;
  const context = handle as ZlibHandle;
  let failed = false;
  context.onerror = () => (failed = true);
  return (input, output) => {
    failed = false;
    context.reset();
    context.writeSync(flush, input, 0, input.length, output, 0, output.length);
    return failed || state[1] !== 0 ? undefined : output.length - state[0]!;
  };
}
