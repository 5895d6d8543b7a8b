/**
 * A program for a guest that makes system calls with given arguments and prints what each returns: `E` and two digits of the error, `E00`
 * for success. It is a static executable of one segment, written down by the guest's shell.
 */
import { writeU64 } from '../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC, EM } from '../../capture/formats/elf.ts';

/** Instructions, position independent; the table of calls follows them. */
// prettier-ignore
const CODE = {
  aarch64: [
    '13040010', // adr x19, table
    'ff4300d1', // sub sp, sp, #0x10
    '680240f9', // ldr x8, [x19]
    '080300b4', // cbz x8, done
    '608640a9', // ldp x0, x1, [x19, #8]
    '628e41a9', // ldp x2, x3, [x19, #24]
    '641640f9', // ldr x4, [x19, #40]
    '010000d4', // svc #0x0
    'e00300cb', // neg x0, x0
    '410180d2', // mov x1, #0xa
    '0208c19a', // udiv x2, x0, x1
    '4380019b', // msub x3, x2, x1, x0
    '42c00011', // add w2, w2, #0x30
    '63c00011', // add w3, w3, #0x30
    'a4088052', // mov w4, #0x45
    'e4030039', // strb w4, [sp]
    'e2070039', // strb w2, [sp, #1]
    'e30b0039', // strb w3, [sp, #2]
    '44018052', // mov w4, #0xa
    'e40f0039', // strb w4, [sp, #3]
    '200080d2', // mov x0, #0x1
    'e1030091', // mov x1, sp
    '820080d2', // mov x2, #0x4
    '080880d2', // mov x8, #0x40
    '010000d4', // svc #0x0
    '73c20091', // add x19, x19, #0x30
    'e8ffff17', // b next
    '000080d2', // mov x0, #0x0
    'a80b80d2', // mov x8, #0x5d
    '010000d4', // svc #0x0
    '1f2003d5', // nop
    '1f2003d5', // nop
  ],
  x86_64: [
    '488d1d69000000', // lea table(%rip),%rbx 
    '4883ec10', // sub $0x10,%rsp
    '488b03', // mov (%rbx),%rax
    '4885c0', // test %rax,%rax
    '7454', // je done
    '488b7b08', // mov 0x8(%rbx),%rdi
    '488b7310', // mov 0x10(%rbx),%rsi
    '488b5318', // mov 0x18(%rbx),%rdx
    '4c8b5320', // mov 0x20(%rbx),%r10
    '4c8b4328', // mov 0x28(%rbx),%r8
    '0f05', // syscall
    '48f7d8', // neg %rax
    '31d2', // xor %edx,%edx
    'b90a000000', // mov $0xa,%ecx
    '48f7f1', // div %rcx
    '83c030', // add $0x30,%eax
    '83c230', // add $0x30,%edx
    'c6042445', // movb $0x45,(%rsp)
    '88442401', // mov %al,0x1(%rsp)
    '88542402', // mov %dl,0x2(%rsp)
    'c64424030a', // movb $0xa,0x3(%rsp)
    'bf01000000', // mov $0x1,%edi
    '4889e6', // mov %rsp,%rsi
    'ba04000000', // mov $0x4,%edx
    'b801000000', // mov $0x1,%eax
    '0f05', // syscall
    '4883c330', // add $0x30,%rbx
    'eba4', // jmp next
    '31ff', // xor %edi,%edi
    'b83c000000', // mov $0x3c,%eax
    '0f05', // syscall
  ],
} as const;

const LOAD_ADDRESS = 0x40_0000n;
/** Number and five arguments. */
const CALL_SIZE = 48;

/** An argument: a number, or bytes whose address it is. */
export type Argument = bigint | Uint8Array;

/** One system call. */
export interface SystemCall {
  readonly number: number;
  readonly arguments: readonly Argument[];
}

/** A place that is mapped: for buffers whose contents do not matter. */
export const SOME_BUFFER = LOAD_ADDRESS;

/** Builds the program. */
export function systemCallProgram(architecture: 'aarch64' | 'x86_64', calls: readonly SystemCall[]): Uint8Array {
  const code = Buffer.from(CODE[architecture].join(''), 'hex');
  const start = ELF64_EHDR.size + ELF64_PHDR.size;
  const table = start + code.length;
  const data: Uint8Array[] = [];
  let end = table + (calls.length + 1) * CALL_SIZE;
  const place = (bytes: Uint8Array): bigint => {
    const at = end;
    data.push(bytes);
    end += bytes.length;
    return LOAD_ADDRESS + BigInt(at);
  };
  const rows = calls.map(call => [
    BigInt(call.number),
    ...call.arguments.map(argument => (typeof argument === 'bigint' ? argument : place(argument))),
  ]);
  const bytes = new Uint8Array(end);
  bytes.set(headers(architecture, start, end));
  bytes.set(code, start);
  for (const [i, row] of rows.entries())
    for (const [n, value] of row.entries()) writeU64(bytes, table + i * CALL_SIZE + n * 8, value);
  bytes.set(Buffer.concat(data), table + (calls.length + 1) * CALL_SIZE);
  return bytes;
}

function headers(architecture: 'aarch64' | 'x86_64', start: number, size: number): Uint8Array {
  const ehdr = ELF64_EHDR.build({
    magic: ELF_MAGIC,
    ei_class: 2,
    ei_data: 1,
    ei_version: 1,
    e_type: 2,
    e_machine: architecture === 'aarch64' ? EM.AARCH64 : EM.X86_64,
    e_version: 1,
    e_entry: LOAD_ADDRESS + BigInt(start),
    e_phoff: ELF64_EHDR.size,
    e_ehsize: ELF64_EHDR.size,
    e_phentsize: ELF64_PHDR.size,
    e_phnum: 1,
  });
  const place = { p_vaddr: LOAD_ADDRESS, p_paddr: LOAD_ADDRESS, p_align: 0x1_0000n };
  const phdr = ELF64_PHDR.build({ p_type: 1, p_flags: 5, ...place, p_filesz: size, p_memsz: size });
  return Buffer.concat([ehdr, phdr]);
}

/** A shell command that writes the program down and makes it executable. */
export function writeProgramCommand(program: Uint8Array, path: string): string {
  const escaped = Array.from(program, byte => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  return `printf '${escaped}' > ${path}; busybox chmod 755 ${path}`;
}

/** What the program printed, run after run. */
export function returnedErrors(console: string): number[] {
  return [...console.replaceAll('\r', '').matchAll(/^E(\d\d)$/gm)].map(([, digits]) => Number(digits));
}
