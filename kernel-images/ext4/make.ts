/**
 * Makes an empty ext4 file system in a sparse file: `mke2fs -O ^has_journal,extents` in small.
 *
 * Source: `Documentation/filesystems/ext4/` (v6.12), `blockgroup.rst` "Layout".
 * Not modelled: journals (a guest that has just crashed replays nothing), checksums, 64-bit block numbers, flex_bg, bigalloc.
 * Each block group has its own bitmaps and inode table in front; superblock copies are in groups 0, 1 and powers of 3, 5 and 7.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { assert } from '../../capture/formats/errors.ts';
import {
  DIRECTORY_ENTRY,
  EXT4_MAGIC,
  EXTENT,
  EXTENT_HEADER,
  EXTENT_MAGIC,
  FILE_TYPE,
  FIRST_INODE,
  GROUP_DESCRIPTOR,
  INCOMPAT,
  INODE,
  INODE_FLAG,
  ROOT_INODE,
  RO_COMPAT,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './layout.ts';

const BLOCK_SIZE = 4096;
const BLOCKS_PER_GROUP = 8 * BLOCK_SIZE;
const INODE_SIZE = 256;
const INODES_PER_GROUP = 128;
const INODE_TABLE_BLOCKS = (INODES_PER_GROUP * INODE_SIZE) / BLOCK_SIZE;
const DESCRIPTORS_PER_BLOCK = BLOCK_SIZE / GROUP_DESCRIPTOR.size;
/** A last group with fewer blocks than its own tables need, and some, is left out. */
const SMALLEST_GROUP = 64;
/** Our file systems are alike to the byte; this tells them from others. */
const UUID = Buffer.from('6b64756d702d6c61622d6578742d3466', 'hex');

/** What a file system is called. */
export interface Ext4Names {
  /** At most 16 bytes. */
  readonly label?: string | undefined;
  /** In groups with dashes. */
  readonly uuid?: string | undefined;
}

/** What decides the layout. */
interface Geometry {
  readonly blocks: number;
  readonly groups: number;
  readonly descriptorBlocks: number;
}

/** Where a group keeps its tables, in blocks from the beginning of the disk. */
interface GroupLayout {
  readonly hasSuperblock: boolean;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  /** First block after the tables. */
  readonly firstFree: number;
  readonly end: number;
}

/**
 * Makes a file system that fills a new file; an old file of that name is overwritten.
 * @param size of the disk in bytes, at least 1 MiB; what does not fill a block stays unused
 */
export function makeExt4(path: string, size: number, { label = 'kdump-lab', uuid }: Ext4Names = {}): void {
  const geometry = planGeometry(size);
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, size);
    writeGroups(fd, geometry, { label, id: uuid === undefined ? UUID : Buffer.from(uuid.replaceAll('-', ''), 'hex') });
    writeRootFolders(fd, planGroup(geometry, 0));
  } finally {
    closeSync(fd);
  }
}

function planGeometry(size: number): Geometry {
  let blocks = Math.floor(size / BLOCK_SIZE);
  assert(blocks >= 256 && blocks < 2 ** 32, 'ext4 size out of range');
  const rest = blocks % BLOCKS_PER_GROUP;
  if (blocks > BLOCKS_PER_GROUP && rest > 0 && rest < SMALLEST_GROUP) blocks -= rest;
  const groups = Math.ceil(blocks / BLOCKS_PER_GROUP);
  return { blocks, groups, descriptorBlocks: Math.ceil(groups / DESCRIPTORS_PER_BLOCK) };
}

function planGroup(geometry: Geometry, group: number): GroupLayout {
  const start = group * BLOCKS_PER_GROUP;
  const hasSuperblock = group <= 1 || [3, 5, 7].some(base => isPower(group, base));
  const blockBitmap = start + (hasSuperblock ? 1 + geometry.descriptorBlocks : 0);
  const inodeTable = blockBitmap + 2;
  return {
    hasSuperblock,
    blockBitmap,
    inodeBitmap: blockBitmap + 1,
    inodeTable,
    firstFree: inodeTable + INODE_TABLE_BLOCKS,
    end: Math.min(start + BLOCKS_PER_GROUP, geometry.blocks),
  };
}

function isPower(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Group 0 also has the blocks of / and /lost+found. */
const FOLDER_BLOCKS = 2;

function usedBlocks(geometry: Geometry, group: number): number {
  const layout = planGroup(geometry, group);
  return layout.firstFree - group * BLOCKS_PER_GROUP + (group === 0 ? FOLDER_BLOCKS : 0);
}

interface VolumeNames {
  readonly label: string;
  /** 16 bytes. */
  readonly id: Uint8Array;
}

function writeGroups(fd: number, geometry: Geometry, names: VolumeNames): void {
  const descriptors = buildDescriptors(geometry);
  for (let group = 0; group < geometry.groups; group++) {
    const layout = planGroup(geometry, group);
    const start = group * BLOCKS_PER_GROUP;
    if (layout.hasSuperblock) {
      const superblock = buildSuperblock(geometry, group, names);
      writeAt(fd, start * BLOCK_SIZE + (group === 0 ? SUPERBLOCK_OFFSET : 0), superblock);
      writeAt(fd, (start + 1) * BLOCK_SIZE, descriptors);
    }
    const blockBitmap = buildBitmap(usedBlocks(geometry, group), layout.end - start);
    writeAt(fd, layout.blockBitmap * BLOCK_SIZE, blockBitmap);
    writeAt(fd, layout.inodeBitmap * BLOCK_SIZE, buildBitmap(group === 0 ? FIRST_INODE : 0, INODES_PER_GROUP));
  }
}

function writeAt(fd: number, position: number, bytes: Uint8Array): void {
  writeSync(fd, bytes, 0, bytes.length, position);
}

/** A bitmap whose first `used` bits are set, and all from `size` on, which do not exist. */
function buildBitmap(used: number, size: number): Uint8Array {
  const bitmap = new Uint8Array(BLOCK_SIZE);
  const set = (from: number, to: number) => {
    for (let bit = from; bit < to; bit++) bitmap[bit >> 3]! |= 1 << (bit & 7);
  };
  set(0, used);
  set(size, 8 * BLOCK_SIZE);
  return bitmap;
}

function buildDescriptors(geometry: Geometry): Uint8Array {
  const bytes = new Uint8Array(geometry.descriptorBlocks * BLOCK_SIZE);
  for (let group = 0; group < geometry.groups; group++) {
    const layout = planGroup(geometry, group);
    const descriptor = GROUP_DESCRIPTOR.build({
      bg_block_bitmap_lo: layout.blockBitmap,
      bg_inode_bitmap_lo: layout.inodeBitmap,
      bg_inode_table_lo: layout.inodeTable,
      bg_free_blocks_count_lo: layout.end - group * BLOCKS_PER_GROUP - usedBlocks(geometry, group),
      bg_free_inodes_count_lo: INODES_PER_GROUP - (group === 0 ? FIRST_INODE : 0),
      bg_used_dirs_count_lo: group === 0 ? 2 : 0,
    });
    bytes.set(descriptor, group * GROUP_DESCRIPTOR.size);
  }
  return bytes;
}

function buildSuperblock(geometry: Geometry, group: number, { label, id }: VolumeNames): Uint8Array {
  let used = 0;
  for (let other = 0; other < geometry.groups; other++) used += usedBlocks(geometry, other);
  const inodes = geometry.groups * INODES_PER_GROUP;
  return SUPERBLOCK.build({
    s_inodes_count: inodes,
    s_blocks_count_lo: geometry.blocks,
    s_free_blocks_count_lo: geometry.blocks - used,
    s_free_inodes_count: inodes - FIRST_INODE,
    s_log_block_size: Math.log2(BLOCK_SIZE / 1024),
    s_log_cluster_size: Math.log2(BLOCK_SIZE / 1024),
    s_blocks_per_group: BLOCKS_PER_GROUP,
    s_clusters_per_group: BLOCKS_PER_GROUP,
    s_inodes_per_group: INODES_PER_GROUP,
    s_max_mnt_count: 0xffff,
    s_magic: EXT4_MAGIC,
    s_state: 1,
    s_errors: 1,
    s_rev_level: 1,
    s_first_ino: FIRST_INODE,
    s_inode_size: INODE_SIZE,
    s_block_group_nr: group,
    s_feature_incompat: INCOMPAT.FILETYPE | INCOMPAT.EXTENTS,
    s_feature_ro_compat: RO_COMPAT.SPARSE_SUPER | RO_COMPAT.LARGE_FILE | RO_COMPAT.DIR_NLINK | RO_COMPAT.EXTRA_ISIZE,
    s_uuid: id,
    s_volume_name: label,
    s_min_extra_isize: INODE_EXTRA_SIZE,
    s_want_extra_isize: INODE_EXTRA_SIZE,
  });
}

const INODE_EXTRA_SIZE = 32;

function writeRootFolders(fd: number, group0: GroupLayout): void {
  const [rootBlock, lostBlock] = [group0.firstFree, group0.firstFree + 1];
  const table = group0.inodeTable * BLOCK_SIZE;
  writeAt(fd, table + (ROOT_INODE - 1) * INODE_SIZE, buildFolderInode(rootBlock, 0o755, 3));
  writeAt(fd, table + (FIRST_INODE - 1) * INODE_SIZE, buildFolderInode(lostBlock, 0o700, 2));
  const lostEntry = { inode: FIRST_INODE, name: 'lost+found' };
  writeAt(fd, rootBlock * BLOCK_SIZE, buildFolderBlock(ROOT_INODE, ROOT_INODE, [lostEntry]));
  writeAt(fd, lostBlock * BLOCK_SIZE, buildFolderBlock(FIRST_INODE, ROOT_INODE, []));
}

function buildFolderInode(block: number, permissions: number, links: number): Uint8Array {
  const tree = new Uint8Array(60);
  tree.set(EXTENT_HEADER.build({ eh_magic: EXTENT_MAGIC, eh_entries: 1, eh_max: 4 }));
  tree.set(EXTENT.build({ ee_len: 1, ee_start_lo: block }), EXTENT_HEADER.size);
  return INODE.build({
    i_mode: 0o040_000 | permissions,
    i_size_lo: BLOCK_SIZE,
    i_links_count: links,
    i_blocks_lo: BLOCK_SIZE / 512,
    i_flags: INODE_FLAG.EXTENTS,
    i_block: tree,
    i_extra_isize: INODE_EXTRA_SIZE,
  });
}

function buildFolderBlock(
  self: number,
  parent: number,
  others: readonly { inode: number; name: string }[],
): Uint8Array {
  const entries = [{ inode: self, name: '.' }, { inode: parent, name: '..' }, ...others];
  const block = new Uint8Array(BLOCK_SIZE);
  let at = 0;
  for (const [index, { inode, name }] of entries.entries()) {
    const size = Math.ceil((DIRECTORY_ENTRY.size + name.length) / 4) * 4;
    // The last entry reaches to the end of the block.
    const rec_len = index === entries.length - 1 ? BLOCK_SIZE - at : size;
    block.set(DIRECTORY_ENTRY.build({ inode, rec_len, name_len: name.length, file_type: FILE_TYPE.DIRECTORY }), at);
    block.set(Buffer.from(name), at + DIRECTORY_ENTRY.size);
    at += rec_len;
  }
  return block;
}
