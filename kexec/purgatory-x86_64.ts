/**
 * The purgatory of x86_64: verifies the segments by their SHA-256, saves the memory below 640 KiB that the capture kernel uses, and jumps
 * to the kernel in 64-bit mode.
 *
 * Sources: FIPS 180-4 6.2.2 "SHA-256 Hash Computation"; `Documentation/arch/x86/boot.rst` (v6.12) "64-bit Boot Protocol" for selectors and
 * registers; kexec-tools 2.0.25 `purgatory/arch/x86_64/` and `kexec/arch/x86_64/kexec-x86_64.c` "arch_update_purgatory" for what it does
 * and is told: `entry64_regs`, `backup_*`, `sha256_*`. The code is our own and has no console.
 */
import { writeU32, writeU64 } from '../capture/formats/bytes.ts';
import type { KexecSegment } from './segments.ts';
import { readVerification, SHA256, writeVerification, type Verification } from './verification.ts';

/** x86_64 instructions, position independent: bytes of each. */
// prettier-ignore
const CODE = [
  // Start.
  '488d1df9030000', // lea regions(%rip),%rbx
  '488d3d32060000', // lea schedule(%rip),%rdi
  // Next region: address and number of blocks; none after the last.
  '488b33', // mov (%rbx),%rsi
  '488b6b08', // mov 0x8(%rbx),%rbp
  '4883c310', // add $0x10,%rbx
  '4885ed', // test %rbp,%rbp
  '0f8443010000', // je compare
  // A block of 64 bytes: its words, big endian.
  '31c9', // xor %ecx,%ecx
  '8b048e', // mov (%rsi,%rcx,4),%eax
  '0fc8', // bswap %eax
  '89048f', // mov %eax,(%rdi,%rcx,4)
  'ffc1', // inc %ecx
  '83f910', // cmp $0x10,%ecx
  '75f1', // jne load
  // Message schedule (FIPS 180-4 6.2.2 step 1).
  '8b448fc4', // mov -0x3c(%rdi,%rcx,4),%eax
  '89c2', // mov %eax,%edx
  'c1c807', // ror $0x7,%eax
  '4189d0', // mov %edx,%r8d
  '41c1c812', // ror $0x12,%r8d
  '4431c0', // xor %r8d,%eax
  'c1ea03', // shr $0x3,%edx
  '31d0', // xor %edx,%eax
  '8b548ff8', // mov -0x8(%rdi,%rcx,4),%edx
  '4189d0', // mov %edx,%r8d
  '4189d1', // mov %edx,%r9d
  'c1ca11', // ror $0x11,%edx
  '41c1c913', // ror $0x13,%r9d
  '4431ca', // xor %r9d,%edx
  '41c1e80a', // shr $0xa,%r8d
  '4431c2', // xor %r8d,%edx
  '01d0', // add %edx,%eax
  '03448fc0', // add -0x40(%rdi,%rcx,4),%eax
  '03448fe4', // add -0x1c(%rdi,%rcx,4),%eax
  '89048f', // mov %eax,(%rdi,%rcx,4)
  'ffc1', // inc %ecx
  '83f940', // cmp $0x40,%ecx
  '75b9', // jne extend
  '488d15df020000', // lea state(%rip),%rdx
  '448b02', // mov (%rdx),%r8d
  '448b4a04', // mov 0x4(%rdx),%r9d
  '448b5208', // mov 0x8(%rdx),%r10d
  '448b5a0c', // mov 0xc(%rdx),%r11d
  '448b6210', // mov 0x10(%rdx),%r12d
  '448b6a14', // mov 0x14(%rdx),%r13d
  '448b7218', // mov 0x18(%rdx),%r14d
  '448b7a1c', // mov 0x1c(%rdx),%r15d
  '31c9', // xor %ecx,%ecx
  // Compression (step 3).
  '8b048f', // mov (%rdi,%rcx,4),%eax
  '03848f00ffffff', // add -0x100(%rdi,%rcx,4),%eax
  '4401f8', // add %r15d,%eax
  '4489e2', // mov %r12d,%edx
  'c1ca06', // ror $0x6,%edx
  '4589e7', // mov %r12d,%r15d
  '41c1cf0b', // ror $0xb,%r15d
  '4431fa', // xor %r15d,%edx
  '4589e7', // mov %r12d,%r15d
  '41c1cf19', // ror $0x19,%r15d
  '4431fa', // xor %r15d,%edx
  '01d0', // add %edx,%eax
  '4489ea', // mov %r13d,%edx
  '4431f2', // xor %r14d,%edx
  '4421e2', // and %r12d,%edx
  '4431f2', // xor %r14d,%edx
  '01d0', // add %edx,%eax
  '4589f7', // mov %r14d,%r15d
  '4589ee', // mov %r13d,%r14d
  '4589e5', // mov %r12d,%r13d
  '458d2403', // lea (%r11,%rax,1),%r12d
  '4489c2', // mov %r8d,%edx
  '4421ca', // and %r9d,%edx
  '4589c3', // mov %r8d,%r11d
  '4509cb', // or %r9d,%r11d
  '4521d3', // and %r10d,%r11d
  '4409da', // or %r11d,%edx
  '01d0', // add %edx,%eax
  '4489c2', // mov %r8d,%edx
  'c1ca02', // ror $0x2,%edx
  '4589c3', // mov %r8d,%r11d
  '41c1cb0d', // ror $0xd,%r11d
  '4431da', // xor %r11d,%edx
  '4589c3', // mov %r8d,%r11d
  '41c1cb16', // ror $0x16,%r11d
  '4431da', // xor %r11d,%edx
  '01d0', // add %edx,%eax
  '4589d3', // mov %r10d,%r11d
  '4589ca', // mov %r9d,%r10d
  '4589c1', // mov %r8d,%r9d
  '4189c0', // mov %eax,%r8d
  'ffc1', // inc %ecx
  '83f940', // cmp $0x40,%ecx
  '0f8575ffffff', // jne round
  '488d152c020000', // lea state(%rip),%rdx
  '440102', // add %r8d,(%rdx)
  '44014a04', // add %r9d,0x4(%rdx)
  '44015208', // add %r10d,0x8(%rdx)
  '44015a0c', // add %r11d,0xc(%rdx)
  '44016210', // add %r12d,0x10(%rdx)
  '44016a14', // add %r13d,0x14(%rdx)
  '44017218', // add %r14d,0x18(%rdx)
  '44017a1c', // add %r15d,0x1c(%rdx)
  '4883c640', // add $0x40,%rsi
  '48ffcd', // dec %rbp
  '0f85c2feffff', // jne block
  'e9a9feffff', // jmp region
  // Compare.
  '488d35f4010000', // lea state(%rip),%rsi
  '488d3dcd010000', // lea digest(%rip),%rdi
  'b908000000', // mov $0x8,%ecx
  'fc', // cld
  'f3a7', // repz cmpsl %es:(%rdi),%ds:(%rsi)
  '75fe', // jne failed
  '0f1f00', // nopl (%rax)
  // Memory that the capture kernel starts other CPUs from moves out of its way.
  '488b3581010000', // mov backup_source(%rip),%rsi
  '488b3d82010000', // mov backup_target(%rip),%rdi
  '488b0d83010000', // mov backup_size(%rip),%rcx
  'fc', // cld
  'f3a4', // rep movsb %ds:(%rsi),%es:(%rdi)
  '0f011581010000', // lgdt gdt(%rip)
  'b818000000', // mov $0x18,%eax
  '8ed8', // mov %eax,%ds
  '8ec0', // mov %eax,%es
  '8ed0', // mov %eax,%ss
  '8ee0', // mov %eax,%fs
  '8ee8', // mov %eax,%gs
  '488b25fb000000', // mov rsp(%rip),%rsp
  '6a10', // push $0x10
  '488d0503000000', // lea selected(%rip),%rax
  '50', // push %rax
  '48cb', // lretq
  // Registers, and on.
  '488b05b8000000', // mov rax(%rip),%rax
  '488b1db9000000', // mov rbx(%rip),%rbx
  '488b0dba000000', // mov rcx(%rip),%rcx
  '488b15bb000000', // mov rdx(%rip),%rdx
  '488b35bc000000', // mov rsi(%rip),%rsi
  '488b3dbd000000', // mov rdi(%rip),%rdi
  '488b25be000000', // mov rsp(%rip),%rsp
  '488b2dbf000000', // mov rbp(%rip),%rbp
  '4c8b05c0000000', // mov r8(%rip),%r8
  '4c8b0dc1000000', // mov r9(%rip),%r9
  '4c8b15c2000000', // mov r10(%rip),%r10
  '4c8b1dc3000000', // mov r11(%rip),%r11
  '4c8b25c4000000', // mov r12(%rip),%r12
  '4c8b2dc5000000', // mov r13(%rip),%r13
  '4c8b35c6000000', // mov r14(%rip),%r14
  '4c8b3dc7000000', // mov r15(%rip),%r15
  'ff25c9000000', // jmp *rip(%rip)
].join('');

/** Offsets behind the code. */
const OFFSET = {
  /** RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8 to R15, RIP. */
  entry64_regs: 0x280,
  /** Source, target, size. */
  backup: 0x308,
  gdt: 0x320,
  digest: 0x340,
  state: 0x360,
  padding: 0x3c0,
  regions: 0x400,
  constants: 0x540,
} as const;
/** Places in `entry64_regs`. */
const REGISTER = { rbx: 1, rsi: 4, rsp: 6, rip: 16 } as const;
/** Where the path that skips the verification begins. */
const GO = 0x180;
/** Selectors 0x10 and 0x18: flat 64-bit code, and data. The unused first two entries hold the GDT's own limit and address. */
const GDT = [0x00af_9a00_0000_ffffn, 0x00cf_9200_0000_ffffn] as const;
const GDT_LIMIT = 31;

/** What kexec-tools' purgatory takes: text, read-only data and data, then a page of BSS, its stack. Ours needs less, and leaves the rest. */
export const X86_PURGATORY = { bufsz: 0x70e0, memsz: 0x9000 } as const;

/** A piece of memory to copy before the capture kernel runs. */
export interface Backup {
  readonly source: number;
  readonly target: number;
  readonly size: number;
}

/** What the purgatory does. */
export interface X86PurgatoryJob {
  /** Physical address of the kernel's 64-bit entry. */
  readonly entry: number;
  /** Physical address of `struct boot_params`. */
  readonly bootParams: number;
  readonly backup: Backup | undefined;
  /** Segments to verify; undefined skips the verification (`-i`). */
  readonly verified: readonly KexecSegment[] | undefined;
}

/**
 * Builds the purgatory.
 * @param mem physical address of its first byte
 * @param size of its contents, and of the memory that it takes; the stack is at the end
 */
export function buildX86Purgatory(
  { entry, bootParams, backup, verified }: X86PurgatoryJob,
  mem: number,
  size: { readonly bufsz: number; readonly memsz: number } = X86_PURGATORY,
): { readonly bytes: Uint8Array; readonly entry: number } {
  const bytes = new Uint8Array(size.bufsz);
  bytes.set(Buffer.from(CODE, 'hex'));
  const setRegister = (name: keyof typeof REGISTER, value: number): void =>
    writeU64(bytes, OFFSET.entry64_regs + REGISTER[name] * 8, BigInt(value));
  setRegister('rsi', bootParams);
  setRegister('rsp', mem + size.memsz);
  setRegister('rip', entry);
  const copied = backup ?? { source: 0, target: 0, size: 0 };
  for (const [i, value] of [copied.source, copied.target, copied.size].entries())
    writeU64(bytes, OFFSET.backup + i * 8, BigInt(value));
  writeU32(bytes, OFFSET.gdt, GDT_LIMIT);
  writeU64(bytes, OFFSET.gdt + 2, BigInt(mem + OFFSET.gdt));
  for (const [i, descriptor] of GDT.entries()) writeU64(bytes, OFFSET.gdt + 16 + i * 8, descriptor);
  for (const [i, word] of SHA256.K.entries()) writeU32(bytes, OFFSET.constants + i * 4, word);
  for (const [i, word] of SHA256.H.entries()) writeU32(bytes, OFFSET.state + i * 4, word);
  if (verified === undefined) return { bytes, entry: mem + GO };
  writeVerification(bytes, OFFSET, mem, verified);
  return { bytes, entry: mem };
}

/** What our purgatory was told to verify, for comparison with others' symbols. */
export function x86PurgatoryVerification(bytes: Uint8Array): Verification {
  return readVerification(bytes, OFFSET);
}
