import { assert, bigInt, integer, maxSafeNat, property, stringMatching } from 'fast-check';
import { describe, expect, test } from 'vitest';

import { DISK_DUMP_HEADER, KDUMP_SUB_HEADER, PAGE_DESC } from '../../../../capture/formats/diskdump.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF64_SHDR, ELF64_SYM } from '../../../../capture/formats/elf.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';
import { ascii, i32, size64, struct, u16, u32, u64, u8 } from '../../../../capture/formats/struct.ts';

describe('struct', () => {
  test('lays members out as C does, with padding before and behind', () => {
    const layout = struct('s', { a: u8, b: u32, c: u8, d: u64, e: u16 });
    expect(layout.offsets).toEqual({ a: 0, b: 4, c: 8, d: 16, e: 24 });
    expect(layout.size).toBe(32);
  });

  test('leaves no gaps when packed', () => {
    expect(struct('s', { a: u8, b: u32, c: u64 }, { packed: true }).offsets).toEqual({ a: 0, b: 1, c: 5 });
  });

  test.each([
    // Sizes and offsets from the gABI and from makedumpfile's diskdump_mod.h compiled for x86_64.
    ['Elf64_Ehdr', ELF64_EHDR, 64, 'e_phoff', 32],
    ['Elf64_Phdr', ELF64_PHDR, 56, 'p_paddr', 24],
    ['Elf64_Shdr', ELF64_SHDR, 64, 'sh_offset', 24],
    ['Elf64_Sym', ELF64_SYM, 24, 'st_value', 8],
    ['disk_dump_header', DISK_DUMP_HEADER, 464, 'block_size', 428],
    ['kdump_sub_header', KDUMP_SUB_HEADER, 104, 'offset_vmcoreinfo', 32],
    ['page_desc', PAGE_DESC, 24, 'page_flags', 16],
  ] as const)('gives %s the size and offsets of its specification', (_name, layout, size, member, offset) => {
    expect(layout.size).toBe(size);
    expect((layout.offsets as Record<string, number>)[member]).toBe(offset);
  });

  test('reads back what it builds', () => {
    const layout = struct('s', { name: ascii(8), count: i32, big: u64, size: size64 });
    assert(
      property(
        stringMatching(/^[a-z]{0,8}$/),
        integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        bigInt(0n, 2n ** 64n - 1n),
        maxSafeNat(),
        (name, count, big, size) => {
          const value = { name, count, big, size };
          expect(layout.parse(layout.build(value))).toEqual(value);
        },
      ),
    );
  });

  test('says where and what is missing when the bytes end too early', () => {
    expect(readShort).toThrow(FormatError);
    expect(readShort).toThrow('dump, offset 0x1000: page_desc is cut short (expected 24 bytes, found 20)');
  });
});

function readShort(): unknown {
  return PAGE_DESC.parse(new Uint8Array(20), 0, { file: 'dump', base: 0x1000 });
}
