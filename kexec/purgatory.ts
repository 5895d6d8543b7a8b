/**
 * The purgatory of arm64: what runs between the production and the capture kernel in an image that `kexec_load` loaded. It
 * verifies the segments by their SHA-256 and jumps to the kernel.
 *
 * Sources: FIPS 180-4 6.2.2 "SHA-256 Hash Computation"; `Documentation/arch/arm64/booting.rst` (v6.12) "Call the kernel image";
 * kexec-tools 2.0.25 `purgatory/purgatory.c` for what is verified: every segment but the purgatory's own, zeros behind the contents
 * included. The code is our own and knows nothing of a stack or a console. Segments are whole pages, so the hashed message is whole
 * blocks, and its padding is a block that the loader writes.
 */
import { writeU32, writeU64 } from '../capture/formats/bytes.ts';
import type { KexecSegment } from './segments.ts';
import { SHA256, writeVerification } from './verification.ts';

/** A64 instructions, position independent. */
// prettier-ignore
const CODE = [
  // Start.
  0x1000_1193, // adr x19, regions
  0x1000_0e75, // adr x21, state
  0x1000_21d6, // adr x22, schedule
  0x1000_19b7, // adr x23, constants
  // Next region: address and number of blocks; none after the last.
  0xa8c1_6678, // ldp x24, x25, [x19], #16
  0xb400_0a79, // cbz x25, compare
  // A block of 64 bytes: its words, big endian.
  0xd280_0002, // mov x2, #0x0
  0xb862_7b03, // ldr w3, [x24, x2, lsl #2]
  0x5ac0_0863, // rev w3, w3
  0xb822_7ac3, // str w3, [x22, x2, lsl #2]
  0x9100_0442, // add x2, x2, #0x1
  0xf100_405f, // cmp x2, #0x10
  0x54ff_ff61, // b.ne load
  // Message schedule (FIPS 180-4 6.2.2 step 1).
  0x8b02_0ac4, // add x4, x22, x2, lsl #2
  0xb85c_4085, // ldur w5, [x4, #-60]
  0x1385_1ca6, // ror w6, w5, #7
  0x4ac5_48c6, // eor w6, w6, w5, ror #18
  0x4a45_0cc6, // eor w6, w6, w5, lsr #3
  0xb85f_8087, // ldur w7, [x4, #-8]
  0x1387_44e8, // ror w8, w7, #17
  0x4ac7_4d08, // eor w8, w8, w7, ror #19
  0x4a47_2908, // eor w8, w8, w7, lsr #10
  0xb85c_0089, // ldur w9, [x4, #-64]
  0xb85e_408a, // ldur w10, [x4, #-28]
  0x0b08_00c6, // add w6, w6, w8
  0x0b09_00c6, // add w6, w6, w9
  0x0b0a_00c6, // add w6, w6, w10
  0xb900_0086, // str w6, [x4]
  0x9100_0442, // add x2, x2, #0x1
  0xf101_005f, // cmp x2, #0x40
  0x54ff_fde1, // b.ne extend
  0x2940_26a8, // ldp w8, w9, [x21]
  0x2941_2eaa, // ldp w10, w11, [x21, #8]
  0x2942_36ac, // ldp w12, w13, [x21, #16]
  0x2943_3eae, // ldp w14, w15, [x21, #24]
  0xd280_0002, // mov x2, #0x0
  // Compression (step 3).
  0xb862_7ac3, // ldr w3, [x22, x2, lsl #2]
  0xb862_7ae4, // ldr w4, [x23, x2, lsl #2]
  0x0b04_0063, // add w3, w3, w4
  0x0b0f_0063, // add w3, w3, w15
  0x138c_1984, // ror w4, w12, #6
  0x4acc_2c84, // eor w4, w4, w12, ror #11
  0x4acc_6484, // eor w4, w4, w12, ror #25
  0x0b04_0063, // add w3, w3, w4
  0x0a0d_0184, // and w4, w12, w13
  0x0a2c_01c5, // bic w5, w14, w12
  0x4a05_0084, // eor w4, w4, w5
  0x0b04_0063, // add w3, w3, w4
  0x1388_0904, // ror w4, w8, #2
  0x4ac8_3484, // eor w4, w4, w8, ror #13
  0x4ac8_5884, // eor w4, w4, w8, ror #22
  0x0a09_0105, // and w5, w8, w9
  0x0a0a_0106, // and w6, w8, w10
  0x4a06_00a5, // eor w5, w5, w6
  0x0a0a_0126, // and w6, w9, w10
  0x4a06_00a5, // eor w5, w5, w6
  0x0b05_0084, // add w4, w4, w5
  0x2a0e_03ef, // mov w15, w14
  0x2a0d_03ee, // mov w14, w13
  0x2a0c_03ed, // mov w13, w12
  0x0b03_016c, // add w12, w11, w3
  0x2a0a_03eb, // mov w11, w10
  0x2a09_03ea, // mov w10, w9
  0x2a08_03e9, // mov w9, w8
  0x0b04_0068, // add w8, w3, w4
  0x9100_0442, // add x2, x2, #0x1
  0xf101_005f, // cmp x2, #0x40
  0x54ff_fc21, // b.ne round
  0x2940_12a3, // ldp w3, w4, [x21]
  0x0b08_0063, // add w3, w3, w8
  0x0b09_0084, // add w4, w4, w9
  0x2900_12a3, // stp w3, w4, [x21]
  0x2941_12a3, // ldp w3, w4, [x21, #8]
  0x0b0a_0063, // add w3, w3, w10
  0x0b0b_0084, // add w4, w4, w11
  0x2901_12a3, // stp w3, w4, [x21, #8]
  0x2942_12a3, // ldp w3, w4, [x21, #16]
  0x0b0c_0063, // add w3, w3, w12
  0x0b0d_0084, // add w4, w4, w13
  0x2902_12a3, // stp w3, w4, [x21, #16]
  0x2943_12a3, // ldp w3, w4, [x21, #24]
  0x0b0e_0063, // add w3, w3, w14
  0x0b0f_0084, // add w4, w4, w15
  0x2903_12a3, // stp w3, w4, [x21, #24]
  0x9101_0318, // add x24, x24, #0x40
  0xf100_0739, // subs x25, x25, #0x1
  0x54ff_f601, // b.ne block
  0x17ff_ffad, // b region
  // Compare.
  0x1000_0298, // adr x24, digest
  0xd280_0002, // mov x2, #0x0
  0xb862_7aa3, // ldr w3, [x21, x2, lsl #2]
  0xb862_7b04, // ldr w4, [x24, x2, lsl #2]
  0x6b04_007f, // cmp w3, w4
  0x5400_0141, // b.ne failed
  0x9100_0442, // add x2, x2, #0x1
  0xf100_205f, // cmp x2, #0x8
  0x54ff_ff41, // b.ne word
  // As booting.rst wants it: x0 = device tree.
  0x5800_00f1, // ldr x17, entry
  0x5800_0100, // ldr x0, dtb
  0xaa1f_03e1, // mov x1, xzr
  0xaa1f_03e2, // mov x2, xzr
  0xaa1f_03e3, // mov x3, xzr
  0xd61f_0220, // br x17
  // The segments are damaged: as kexec-tools, spin.
  0x1400_0000, // b failed
] as const;

/** Offsets behind the code; every access is aligned, because with the MMU off memory is Device memory. */
const OFFSET = {
  entry: 0x1a0,
  dtb: 0x1a8,
  digest: 0x1b0,
  state: 0x1d0,
  padding: 0x1f0,
  regions: 0x230,
  constants: 0x340,
  schedule: 0x440,
  end: 0x540,
} as const;
/** Where the path that skips the verification begins. */
const GO = 0x184;
export const PURGATORY_SIZE = OFFSET.end;

/** What the purgatory verifies and where it goes. */
export interface PurgatoryJob {
  /** Physical address of the kernel's first instruction. */
  readonly entry: number;
  /** Physical address of the device tree. */
  readonly dtb: number;
  /** Segments to verify; undefined skips the verification (`-i`). */
  readonly verified: readonly KexecSegment[] | undefined;
}

/** A purgatory for one place. */
export interface Purgatory {
  readonly bytes: Uint8Array;
  /** Physical address of its first instruction. */
  readonly entry: number;
}

/**
 * Builds the purgatory: code, constants, and what it is told.
 * @param mem physical address of its first byte
 */
export function buildPurgatory({ entry, dtb, verified }: PurgatoryJob, mem: number): Purgatory {
  const bytes = new Uint8Array(PURGATORY_SIZE);
  for (const [i, word] of CODE.entries()) writeU32(bytes, i * 4, word);
  writeU64(bytes, OFFSET.entry, BigInt(entry));
  writeU64(bytes, OFFSET.dtb, BigInt(dtb));
  for (const [i, word] of SHA256.K.entries()) writeU32(bytes, OFFSET.constants + i * 4, word);
  for (const [i, word] of SHA256.H.entries()) writeU32(bytes, OFFSET.state + i * 4, word);
  if (verified === undefined) return { bytes, entry: mem + GO };
  writeVerification(bytes, OFFSET, mem, verified);
  return { bytes, entry: mem };
}
