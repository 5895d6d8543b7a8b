/**
 * What makedumpfile 1.7.9 (development head b7587f1, with lzo, snappy and zstd) dumps of the reference dumps at each
 * level: the first 16 digits of the SHA-256 of the bitmap of dumped pages (`2nd-bitmap`, one bit a page up to max_mapnr).
 * Recorded by filtering `vmcore` with `-l -d LEVEL`, natively for x86_64 and under qemu-user for aarch64; Debian's 1.7.2
 * agrees on x86_64. Zero pages keep their bit, so that levels 2n and 2n + 1 have the same bitmap.
 */
export const DUMPED_PAGES = {
  'x86_64-6.1': [
    'd33dcb31dec1546e',
    'cc70682f40c3ee4c',
    '138a38bff8589bcd',
    '138a38bff8589bcd',
    '3d36c514ea4c732b',
    'ac0e43147823066f',
    '12b449ffdffa8c66',
    '12b449ffdffa8c66',
    'b34b7c15176a34ae',
    '64ada6c2caf84b9b',
    'be99b98f6f0aafaf',
    'be99b98f6f0aafaf',
    '946d39d32c84e1e2',
    '94d8d1996d351f07',
    '4d47ffb16acf03df',
    '4d47ffb16acf03df',
  ],
  'aarch64-6.1': [
    '1c1673c301f018c7',
    '19bc2aa3a5836e0c',
    'ab6f936aae23aeb7',
    'ab6f936aae23aeb7',
    'ca9e69b2216c76d1',
    'a58539390c2c55d4',
    '5d5b6c86fd5a9794',
    '5d5b6c86fd5a9794',
    '4c7d950171e56ce6',
    '25f4a9be6b1b45a1',
    'c32eda14db56fb53',
    'c32eda14db56fb53',
    '4ad7bee86dd8214c',
    '1c31f2477804ffcd',
    '3852b7fbe7efc71f',
    '3852b7fbe7efc71f',
  ],
} as const;

/** The same of `x86_64-6.1`, made an ELF core with `-E`, by `-e --work-dir DIR -l -d 31`. */
export const WITHOUT_VMEMMAP = 'd7e468a26eb2f06b';
