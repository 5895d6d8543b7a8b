/**
 * Looks an initrd through before it is booted: a kernel that gets half of one panics in words that do not tell why.
 *
 * Source: `Documentation/driver-api/early-userspace/buffer-format.rst` (v6.12): any number of newc archives, zeros between them, the
 * rest perhaps compressed. File system images as initrd (`CONFIG_BLK_DEV_RAM`) are taken as they are.
 */
import { asBuffer } from '../../capture/formats/bytes.ts';
import { FormatError, ImageError } from '../../capture/formats/errors.ts';
import { decompress, detectCompression } from '../decompress.ts';

const NEWC_MAGICS = ['070701', '070702'];
const HEADER_SIZE = 110;
const FIELD_SIZE = 8;
/** Indexes of header fields after the magic. */
const FIELD = { filesize: 6, namesize: 11 } as const;

/** Checks that an initrd is whole. @throws ImageError */
export async function checkInitrd(bytes: Uint8Array, file: string): Promise<void> {
  if (bytes.length === 0) throw new ImageError('the initrd is empty', { file });
  const end = walkArchives(bytes, file);
  const rest = bytes.subarray(end);
  if (detectCompression(rest) === 'none') return;
  try {
    walkArchives(await decompress(rest, file), file);
  } catch (error) {
    if (error instanceof FormatError)
      throw new ImageError(`truncated or damaged initrd: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Goes through newc archives. @returns the offset of the first byte that belongs to none */
function walkArchives(bytes: Uint8Array, file: string): number {
  let at = 0;
  for (;;) {
    while (bytes[at] === 0) at++;
    if (!NEWC_MAGICS.includes(textAt(bytes, at, 6))) return at;
    at = walkArchive(bytes, at, file);
  }
}

function walkArchive(bytes: Uint8Array, start: number, file: string): number {
  let at = start;
  for (;;) {
    const magic = textAt(bytes, at, 6);
    const field = (index: number) => Number.parseInt(textAt(bytes, at + 6 + index * FIELD_SIZE, FIELD_SIZE), 16);
    const nameEnd = align4(at + HEADER_SIZE + field(FIELD.namesize));
    const next = align4(nameEnd + field(FIELD.filesize));
    if (!NEWC_MAGICS.includes(magic) || !(next <= bytes.length + 3)) {
      throw new ImageError(`truncated or damaged initrd: the archive breaks off at offset ${at} of ${bytes.length}`, {
        file,
      });
    }
    if (textAt(bytes, at + HEADER_SIZE, 10) === 'TRAILER!!!') return next;
    at = next;
  }
}

/** Characters at an offset; fewer where the bytes end. */
function textAt(bytes: Uint8Array, offset: number, length: number): string {
  return asBuffer(bytes).toString('latin1', offset, offset + length);
}

function align4(offset: number): number {
  return Math.ceil(offset / 4) * 4;
}
