/**
 * On-disk structures of ext4, as far as making and reading simple file systems needs them.
 *
 * Source: `Documentation/filesystems/ext4/` (v6.12): `super.rst` "Super Block", `group_descr.rst` "Block Group Descriptors",
 * `inodes.rst` "Index Nodes", `ifork.rst` "Extent Tree", `directory.rst` "Linear (Classic) Directories". All little endian.
 */
import { array, ascii, i32, raw, struct, u16, u32, u8 } from '../../capture/formats/struct.ts';

export const SUPERBLOCK_OFFSET = 1024;
export const EXT4_MAGIC = 0xef53;
export const EXTENT_MAGIC = 0xf30a;
export const ROOT_INODE = 2;
/** First inode that is not reserved; lost+found has it. */
export const FIRST_INODE = 11;
/** Extents longer than this are unwritten (they read as zeros), and `length - 32768` long. */
export const LONGEST_WRITTEN_EXTENT = 32768;

/** s_feature_incompat */
export const INCOMPAT = {
  FILETYPE: 0x2,
  RECOVER: 0x4,
  EXTENTS: 0x40,
  BIT64: 0x80,
  FLEX_BG: 0x200,
  CSUM_SEED: 0x2000,
} as const;
/** s_feature_ro_compat */
export const RO_COMPAT = { SPARSE_SUPER: 0x1, LARGE_FILE: 0x2, DIR_NLINK: 0x20, EXTRA_ISIZE: 0x40 } as const;
/** i_flags */
export const INODE_FLAG = { EXTENTS: 0x8_0000, INLINE_DATA: 0x1000_0000 } as const;
/** file_type of a directory entry */
export const FILE_TYPE = { REGULAR: 1, DIRECTORY: 2 } as const;

export const SUPERBLOCK = struct('ext4_super_block', {
  s_inodes_count: u32,
  s_blocks_count_lo: u32,
  s_r_blocks_count_lo: u32,
  s_free_blocks_count_lo: u32,
  s_free_inodes_count: u32,
  s_first_data_block: u32,
  /** Block size is `1024 << s_log_block_size`. */
  s_log_block_size: u32,
  s_log_cluster_size: u32,
  s_blocks_per_group: u32,
  s_clusters_per_group: u32,
  s_inodes_per_group: u32,
  s_mtime: u32,
  s_wtime: u32,
  s_mnt_count: u16,
  s_max_mnt_count: u16,
  s_magic: u16,
  /** 1: cleanly unmounted. */
  s_state: u16,
  s_errors: u16,
  s_minor_rev_level: u16,
  s_lastcheck: u32,
  s_checkinterval: u32,
  s_creator_os: u32,
  s_rev_level: u32,
  s_def_resuid: u16,
  s_def_resgid: u16,
  s_first_ino: u32,
  s_inode_size: u16,
  s_block_group_nr: u16,
  s_feature_compat: u32,
  s_feature_incompat: u32,
  s_feature_ro_compat: u32,
  s_uuid: raw(16),
  s_volume_name: ascii(16),
  s_last_mounted: ascii(64),
  s_algorithm_usage_bitmap: u32,
  s_prealloc_blocks: u8,
  s_prealloc_dir_blocks: u8,
  s_reserved_gdt_blocks: u16,
  s_journal_uuid: raw(16),
  s_journal_inum: u32,
  s_journal_dev: u32,
  s_last_orphan: u32,
  s_hash_seed: array(u32, 4),
  s_def_hash_version: u8,
  s_jnl_backup_type: u8,
  s_desc_size: u16,
  s_default_mount_opts: u32,
  s_first_meta_bg: u32,
  s_mkfs_time: u32,
  s_jnl_blocks: array(u32, 17),
  s_blocks_count_hi: u32,
  s_r_blocks_count_hi: u32,
  s_free_blocks_count_hi: u32,
  s_min_extra_isize: u16,
  s_want_extra_isize: u16,
  s_flags: u32,
  /** Fields that are not used here. */
  s_rest: raw(668),
});

/** The first 32 bytes of a group descriptor: all of it without the 64BIT feature. */
export const GROUP_DESCRIPTOR = struct('ext4_group_desc', {
  bg_block_bitmap_lo: u32,
  bg_inode_bitmap_lo: u32,
  bg_inode_table_lo: u32,
  bg_free_blocks_count_lo: u16,
  bg_free_inodes_count_lo: u16,
  bg_used_dirs_count_lo: u16,
  bg_flags: u16,
  bg_exclude_bitmap_lo: u32,
  bg_block_bitmap_csum_lo: u16,
  bg_inode_bitmap_csum_lo: u16,
  bg_itable_unused_lo: u16,
  bg_checksum: u16,
});

/** The second half of a group descriptor with the 64BIT feature (its beginning). */
export const GROUP_DESCRIPTOR_HIGH = struct('ext4_group_desc (64BIT)', {
  bg_block_bitmap_hi: u32,
  bg_inode_bitmap_hi: u32,
  bg_inode_table_hi: u32,
});

export const INODE = struct('ext4_inode', {
  i_mode: u16,
  i_uid: u16,
  i_size_lo: u32,
  i_atime: i32,
  i_ctime: i32,
  i_mtime: i32,
  i_dtime: u32,
  i_gid: u16,
  i_links_count: u16,
  /** In units of 512 bytes. */
  i_blocks_lo: u32,
  i_flags: u32,
  osd1: u32,
  i_block: raw(60),
  i_generation: u32,
  i_file_acl_lo: u32,
  i_size_high: u32,
  i_obso_faddr: u32,
  osd2: raw(12),
  i_extra_isize: u16,
});

export const EXTENT_HEADER = struct('ext4_extent_header', {
  eh_magic: u16,
  eh_entries: u16,
  eh_max: u16,
  /** 0: the entries are extents; else indexes of blocks one level down. */
  eh_depth: u16,
  eh_generation: u32,
});

export const EXTENT = struct('ext4_extent', { ee_block: u32, ee_len: u16, ee_start_hi: u16, ee_start_lo: u32 });

export const EXTENT_INDEX = struct('ext4_extent_idx', {
  ei_block: u32,
  ei_leaf_lo: u32,
  ei_leaf_hi: u16,
  ei_unused: u16,
});

/** A directory entry up to its name. */
export const DIRECTORY_ENTRY = struct('ext4_dir_entry_2', { inode: u32, rec_len: u16, name_len: u8, file_type: u8 });
