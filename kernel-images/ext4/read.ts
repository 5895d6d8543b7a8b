/**
 * Reads files out of an ext4 image without mounting it.
 *
 * Source: `Documentation/filesystems/ext4/` (v6.12), `dynamic.rst`.
 * Not modelled: block maps of ext2/ext3 (files without extents), inline data, encryption, and replaying a journal: an image that
 * needs it is refused. Hash-tree folders read as linear ones, as the format intends.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { alignUp, asBuffer } from '../../capture/formats/bytes.ts';
import { FileSource, type ByteSource } from '../../capture/formats/byte-source.ts';
import { FormatError, ImageError, UnimplementedError } from '../../capture/formats/errors.ts';
import type { StructValue } from '../../capture/formats/struct.ts';
import {
  DIRECTORY_ENTRY,
  EXT4_MAGIC,
  EXTENT,
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_MAGIC,
  GROUP_DESCRIPTOR,
  GROUP_DESCRIPTOR_HIGH,
  INCOMPAT,
  INODE,
  INODE_FLAG,
  LONGEST_WRITTEN_EXTENT,
  ROOT_INODE,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './layout.ts';

/** A file or folder of the image. */
export interface Ext4File {
  readonly inode: number;
  readonly isFolder: boolean;
  /** In bytes. */
  readonly size: number;
  readonly extents: readonly FileExtent[];
}

/** A run of file bytes on the disk. What no extent covers reads as zeros. */
interface FileExtent {
  /** All in bytes. */
  readonly fileOffset: number;
  readonly diskOffset: number;
  readonly length: number;
}

/** Deeper extent trees do not exist. */
const DEEPEST_TREE = 5;
const COPY_CHUNK = 1 << 20;

/** An ext4 file system in an image file, opened for reading. */
export class Ext4Image implements Disposable {
  readonly #source: ByteSource;
  readonly #superblock: StructValue<typeof SUPERBLOCK>;
  readonly #blockSize: number;

  constructor(path: string) {
    this.#source = new FileSource(path);
    this.#superblock = SUPERBLOCK.parse(this.#source.read(SUPERBLOCK_OFFSET, SUPERBLOCK.size), 0, { file: path });
    const { s_magic, s_log_block_size, s_feature_incompat } = this.#superblock;
    if (s_magic !== EXT4_MAGIC || s_log_block_size > 6) {
      throw new FormatError('no ext4 file system', {
        file: path,
        offset: SUPERBLOCK_OFFSET,
        expected: `magic 0x${EXT4_MAGIC.toString(16)}`,
        found: `0x${s_magic.toString(16)}`,
      });
    }
    if ((s_feature_incompat & INCOMPAT.RECOVER) !== 0) {
      throw new ImageError('the file system was not unmounted and its journal must be replayed first', { file: path });
    }
    this.#blockSize = 1024 << s_log_block_size;
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }

  /** Names in a folder, without `.` and `..`. @throws FormatError */
  list(path: string): string[] {
    const folder = this.find(path);
    return folder?.isFolder === true
      ? [...this.#entries(folder)].map(entry => entry.name).filter(name => !/^\.\.?$/.test(name))
      : [];
  }

  /** Finds a file by its absolute path. Symbolic links are not followed. @throws FormatError */
  find(path: string): Ext4File | undefined {
    let file = this.#readInode(ROOT_INODE);
    for (const part of path.split('/').filter(name => name !== '')) {
      if (!file.isFolder) return undefined;
      const entry = [...this.#entries(file)].find(({ name }) => name === part);
      if (entry === undefined) return undefined;
      file = this.#readInode(entry.inode);
    }
    return file;
  }

  /** Reads part of a file; what lies beyond its end is left out. @throws FormatError */
  read(file: Ext4File, offset = 0, length = file.size - offset): Uint8Array {
    const end = Math.min(offset + length, file.size);
    const bytes = new Uint8Array(Math.max(0, end - offset));
    for (const extent of file.extents) {
      const from = Math.max(offset, extent.fileOffset);
      const to = Math.min(end, extent.fileOffset + extent.length);
      if (from < to)
        bytes.set(this.#source.read(extent.diskOffset + from - extent.fileOffset, to - from), from - offset);
    }
    return bytes;
  }

  /**
   * Copies a file to the host; holes stay holes.
   * @param onBytes gets the whole file in pieces and in order, zeros for the holes
   * @throws FormatError, and the host's errors (ENOSPC)
   */
  copyOut(file: Ext4File, target: string, onBytes: (bytes: Uint8Array) => void = () => undefined): void {
    const fd = openSync(target, 'w');
    try {
      let position = 0;
      for (const extent of file.extents.toSorted((a, b) => a.fileOffset - b.fileOffset)) {
        passZeros(Math.min(extent.fileOffset, file.size) - position, onBytes);
        position = this.#copyExtent(fd, file, extent, onBytes);
      }
      passZeros(file.size - position, onBytes);
      ftruncateSync(fd, file.size);
    } finally {
      closeSync(fd);
    }
  }

  /** @returns where the extent ends in the file */
  #copyExtent(fd: number, file: Ext4File, extent: FileExtent, onBytes: (bytes: Uint8Array) => void): number {
    const end = Math.min(extent.fileOffset + extent.length, file.size);
    for (let at = extent.fileOffset; at < end; at += COPY_CHUNK) {
      const bytes = this.#source.read(extent.diskOffset + at - extent.fileOffset, Math.min(COPY_CHUNK, end - at));
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
      onBytes(bytes);
    }
    return end;
  }

  #readInode(number: number): Ext4File {
    const { s_inodes_per_group, s_inode_size, s_inodes_count } = this.#superblock;
    if (number < 1 || number > s_inodes_count) throw this.#damaged(`inode number ${number}`, `1 to ${s_inodes_count}`);
    const group = Math.floor((number - 1) / s_inodes_per_group);
    const index = (number - 1) % s_inodes_per_group;
    const at = this.#inodeTable(group) * this.#blockSize + index * s_inode_size;
    const inode = INODE.parse(this.#source.read(at, INODE.size), 0, { file: this.#source.name, base: at });
    if ((inode.i_flags & INODE_FLAG.EXTENTS) === 0) {
      throw new UnimplementedError(
        'ext4 files without an extent tree',
        'Documentation/filesystems/ext4/ifork.rst "Direct/Indirect Block Addressing"',
      );
    }
    return {
      inode: number,
      isFolder: (inode.i_mode & 0o170_000) === 0o040_000,
      size: inode.i_size_high * 2 ** 32 + inode.i_size_lo,
      extents: this.#readExtents(inode.i_block, DEEPEST_TREE),
    };
  }

  #inodeTable(group: number): number {
    const { s_first_data_block, s_feature_incompat, s_desc_size } = this.#superblock;
    const wide = (s_feature_incompat & INCOMPAT.BIT64) !== 0;
    const at = (s_first_data_block + 1) * this.#blockSize + group * (wide ? s_desc_size : GROUP_DESCRIPTOR.size);
    const low = GROUP_DESCRIPTOR.parse(this.#source.read(at, GROUP_DESCRIPTOR.size)).bg_inode_table_lo;
    if (!wide) return low;
    const high = GROUP_DESCRIPTOR_HIGH.parse(this.#source.read(at + GROUP_DESCRIPTOR.size, GROUP_DESCRIPTOR_HIGH.size));
    return high.bg_inode_table_hi * 2 ** 32 + low;
  }

  #readExtents(node: Uint8Array, deepest: number): FileExtent[] {
    const header = EXTENT_HEADER.parse(node);
    const room = Math.floor((node.length - EXTENT_HEADER.size) / EXTENT.size);
    if (header.eh_magic !== EXTENT_MAGIC || header.eh_entries > room || header.eh_depth > deepest) {
      throw this.#damaged(`extent node with magic 0x${header.eh_magic.toString(16)}`, `0x${EXTENT_MAGIC.toString(16)}`);
    }
    const extents: FileExtent[] = [];
    for (let i = 0; i < header.eh_entries; i++) {
      const at = EXTENT_HEADER.size + i * EXTENT.size;
      if (header.eh_depth === 0) {
        extents.push(...this.#leafExtent(EXTENT.parse(node, at)));
      } else {
        const { ei_leaf_hi, ei_leaf_lo } = EXTENT_INDEX.parse(node, at);
        const child = this.#source.read((ei_leaf_hi * 2 ** 32 + ei_leaf_lo) * this.#blockSize, this.#blockSize);
        extents.push(...this.#readExtents(child, header.eh_depth - 1));
      }
    }
    return extents;
  }

  #leafExtent(extent: StructValue<typeof EXTENT>): FileExtent[] {
    if (extent.ee_len > LONGEST_WRITTEN_EXTENT) return [];
    return [
      {
        fileOffset: extent.ee_block * this.#blockSize,
        diskOffset: (extent.ee_start_hi * 2 ** 32 + extent.ee_start_lo) * this.#blockSize,
        length: extent.ee_len * this.#blockSize,
      },
    ];
  }

  *#entries(folder: Ext4File): Generator<{ inode: number; name: string }> {
    const bytes = this.read(folder, 0, alignUp(folder.size, this.#blockSize));
    for (let at = 0; at < bytes.length;) {
      const entry = DIRECTORY_ENTRY.parse(bytes, at, { file: this.#source.name });
      if (entry.rec_len < DIRECTORY_ENTRY.size || entry.rec_len % 4 !== 0)
        throw this.#damaged(`directory entry of ${entry.rec_len} bytes`, 'at least 8');
      const start = at + DIRECTORY_ENTRY.size;
      if (entry.inode !== 0)
        yield { inode: entry.inode, name: asBuffer(bytes.subarray(start, start + entry.name_len)).toString('utf8') };
      at += entry.rec_len;
    }
  }

  #damaged(found: string, expected: string): FormatError {
    return new FormatError('damaged ext4 file system', { file: this.#source.name, expected, found });
  }
}

function passZeros(length: number, onBytes: (bytes: Uint8Array) => void): void {
  for (let left = length; left > 0; left -= COPY_CHUNK) onBytes(new Uint8Array(Math.min(left, COPY_CHUNK)));
}
