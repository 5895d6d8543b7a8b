import { describe, expect, test } from 'vitest';
import { ImageError } from '../../../../../capture/formats/errors.ts';
import { ELF64_EHDR, ELF64_PHDR, EM, ET, PT } from '../../../../../capture/formats/elf.ts';
import { buildNote } from '../../../../../capture/formats/elf-notes.ts';
import { PRINT_AND_STOP, runPcKernel } from '../../../../support/pc-kernel.ts';

const MIB = 2 ** 20;
const LOAD_AT = 16 * MIB;

/** A vmlinux whose entry is this code; `pvh` adds Xen's note with the same entry. */
function vmlinux(code: readonly number[], pvh: boolean): Uint8Array {
  const descriptor = new Uint8Array(8);
  new DataView(descriptor.buffer).setUint32(0, LOAD_AT, true);
  const note = pvh ? buildNote({ name: 'Xen', type: 18, descriptor }) : new Uint8Array(0);
  const noteAt = ELF64_EHDR.size + 2 * ELF64_PHDR.size;
  const codeAt = noteAt + note.length;
  const ehdr = ELF64_EHDR.build({
    ...ELF64_EHDR.parse(new Uint8Array(ELF64_EHDR.size), 0),
    magic: '\x7fELF',
    ei_class: 2,
    ei_data: 1,
    ei_version: 1,
    e_type: ET.EXEC,
    e_machine: EM.X86_64,
    e_entry: BigInt(LOAD_AT),
    e_phoff: ELF64_EHDR.size,
    e_phentsize: ELF64_PHDR.size,
    e_phnum: 2,
  });
  const phdr = (p_type: number, p_offset: number, size: number): Uint8Array =>
    ELF64_PHDR.build({
      p_type,
      p_flags: 5,
      p_offset,
      p_vaddr: 0n,
      p_paddr: BigInt(LOAD_AT),
      p_filesz: size,
      p_memsz: size,
      p_align: 4n,
    });
  return Buffer.concat([
    ehdr,
    phdr(PT.LOAD, codeAt, code.length),
    phdr(PT.NOTE, noteAt, note.length),
    note,
    Uint8Array.from(code),
  ]);
}

describe('a vmlinux', () => {
  test('with a PVH note starts in 32-bit mode with hvm_start_info in EBX', async () => {
    // cmp dword [ebx], 0x336ec578; sete al; add al, '0'
    const check = [0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33, 0x0f, 0x94, 0xc0, 0x04, 0x30];
    expect(await runPcKernel(vmlinux([...check, ...PRINT_AND_STOP], true))).toBe('1');
  });

  test('with a PVH note finds its command line and initrd through it', async () => {
    // mov esi, [ebx+0x10] (modlist_paddr); mov esi, [esi] (paddr); mov al, [esi]; mov esi, [ebx+0x18] (cmdline_paddr); add al, [esi]
    const sum = [0x8b, 0x73, 0x10, 0x8b, 0x36, 0x8a, 0x06, 0x8b, 0x73, 0x18, 0x02, 0x06];
    const initrd = Uint8Array.of(2);
    expect(await runPcKernel(vmlinux([...sum, ...PRINT_AND_STOP], true), initrd)).toBe('j'); // 'h' + 2
  });

  test('without one starts in 64-bit mode with boot_params in RSI', async () => {
    // cmp dword [rsi+0x202], "HdrS"; sete al; dec eax (a REX prefix in 64-bit mode: nothing); nop; add al, '0'
    const check = [0x81, 0xbe, 0x02, 0x02, 0, 0, 0x48, 0x64, 0x72, 0x53, 0x0f, 0x94, 0xc0, 0x48, 0x90, 0x04, 0x30];
    expect(await runPcKernel(vmlinux([...check, ...PRINT_AND_STOP], false))).toBe('1');
  });

  test('that lies beyond memory is refused', async () => {
    const kernel = vmlinux(PRINT_AND_STOP, true);
    new DataView(kernel.buffer, kernel.byteOffset).setBigUint64(ELF64_EHDR.size + 24, 0x4000_0000n, true);
    await expect(runPcKernel(kernel)).rejects.toThrow(ImageError);
  });
});
