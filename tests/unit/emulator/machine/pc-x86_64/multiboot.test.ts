import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../../../capture/formats/errors.ts';
import { readKernelImage } from '../../../../../kernel-images/kernel-image.ts';
import { PRINT_AND_STOP, runPcKernel } from '../../../../support/pc-kernel.ts';

const MIB = 2 ** 20;
const LOAD_AT = 4 * MIB;
const HEADER_SIZE = 52;
const PHDR_SIZE = 32;

/** A 32-bit ELF file with a Multiboot header of these flags in front of the code. */
function image(code: readonly number[], { flags = 0, paddr = LOAD_AT, memorySize = 4096 } = {}): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + PHDR_SIZE + 12 + code.length);
  const view = new DataView(bytes.buffer);
  const codeAt = HEADER_SIZE + PHDR_SIZE + 12;
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  const words: readonly (readonly [number, number])[] = [
    [24, paddr], // e_entry
    [28, HEADER_SIZE], // e_phoff
    [HEADER_SIZE, 1], // PT_LOAD
    [HEADER_SIZE + 4, codeAt],
    [HEADER_SIZE + 12, paddr],
    [HEADER_SIZE + 16, code.length],
    [HEADER_SIZE + 20, memorySize],
    [HEADER_SIZE + PHDR_SIZE, 0x1bad_b002],
    [HEADER_SIZE + PHDR_SIZE + 4, flags],
    [HEADER_SIZE + PHDR_SIZE + 8, -(0x1bad_b002 + flags)],
  ];
  for (const [at, word] of words) view.setUint32(at, word >>> 0, true);
  view.setUint16(18, 3, true);
  view.setUint16(42, PHDR_SIZE, true);
  view.setUint16(44, 1, true);
  bytes.set(code, codeAt);
  return bytes;
}

describe('a Multiboot image', () => {
  test('is known by its header', async () => {
    expect(await readKernelImage(image(PRINT_AND_STOP), 'x')).toMatchObject({
      format: 'multiboot',
      architecture: 'x86_64',
    });
  });

  test.each<[what: string, code: readonly number[], printed: string]>([
    ['the magic number in EAX', [0x3d, 0x02, 0xb0, 0xad, 0x2b, 0x0f, 0x94, 0xc0, 0x04, 0x30], '1'],
    // mov esi, [ebx+16]; mov al, [esi]
    ['a command line that begins with the name of the kernel', [0x8b, 0x73, 0x10, 0x8a, 0x06], 'k'],
    // mov esi, [ebx+16]; mov al, [esi+7]
    ['the words of the command line behind it', [0x8b, 0x73, 0x10, 0x8a, 0x46, 0x07], 'h'],
    // mov esi, [ebx+24]; mov esi, [esi]; mov al, [esi]
    ['the initrd as the first module', [0x8b, 0x73, 0x18, 0x8b, 0x36, 0x8a, 0x06], 'i'],
    // mov eax, [ebx+4]; cmp eax, 640; sete al; add al, '0'
    ['640 KiB of lower memory', [0x8b, 0x43, 4, 0x3d, 0x80, 2, 0, 0, 0x0f, 0x94, 0xc0, 0x04, 0x30], '1'],
    // mov esi, [ebx+48]; mov al, [esi]; add al, '0'
    ['a memory map of entries of 20 bytes', [0x8b, 0x73, 0x30, 0x8a, 0x06, 0x04, 0x30], 'D'],
  ])('finds %s', async (_what, code, printed) => {
    expect(await runPcKernel(image([...code, ...PRINT_AND_STOP]), Buffer.from('i'))).toBe(printed);
  });

  test.each<[what: string, kernel: Uint8Array, message: RegExp]>([
    ['asks for a video mode', image([], { flags: 4 }), /video mode/],
    ['is no RAM', image([0x90], { paddr: 0xa_0000 }), /segment 0 at 0xa0000 does not fit into memory/],
    ['is cut short', image([0x90, 0x90], { memorySize: 1 }), /segment 0 ends beyond the file/],
  ])('is refused when it %s', async (_what, kernel, message) => {
    await expect(runPcKernel(kernel)).rejects.toThrow(ImageError);
    await expect(runPcKernel(kernel)).rejects.toThrow(message);
  });
});
