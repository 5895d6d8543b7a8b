/**
 * What is not compared with Unicorn 2.0.1 (QEMU 5.0), and why. Flags that Intel's and AMD's manuals call undefined are left out too,
 * where QEMU and we differ.
 */
import type { Instruction } from '../../../emulator/cpu/x64/instruction.ts';
import { EFLAGS } from '../../../emulator/cpu/x64/state.ts';

interface Exclusion {
  readonly row: RegExp;
  readonly reason: string;
}

/** Rows, as "key: text". */
export const EXCLUDED: readonly Exclusion[] = [
  {
    row: /: (IN|OUT|INS|OUTS|HLT|CPUID|RDTSCP?|RDPMC|RDMSR|WRMSR|RD[FG]SBASE|WR[FG]SBASE|RDPID|PAUSE)\b/,
    reason: 'calls the machine',
  },
  {
    row: /: (SYS|MOV_(from|to)_(segment|control|debug)|POP_segment|PUSH_segment|LDS|SLDT|STR |LLDT|LTR|VER[RW]|[SL][GI]DT|SMSW|LMSW)/,
    reason: 'system state that no case sets up',
  },
  {
    row: /: (INV|MONITOR|MWAIT|CLAC|STAC|X[GS]ETBV|SWAPGS|LAR|LSL|CLTS|ARPL|RSM|XSAVE|XRSTOR|FXSAVE|FXRSTOR)/,
    reason: 'system state that no case sets up',
  },
  {
    row: /: (INT|IRET|(CALL|JMP|RET)_far|POPF|PUSHF|CLI|STI|UD|BOUND)/,
    reason: 'exceptions and modes end a case in Unicorn',
  },
  { row: /^F[67] \/1: TEST/, reason: 'Unicorn refuses this second encoding; processors execute it' },
  {
    row: /: (POPCNT|MOVBE|CLFLUSH Mb clflushopt|CLFLUSH Mb clwb|ADCX|ADOX|CRC32)/,
    reason: 'Unicorn has these features switched off',
  },
  { row: /: (PEXT|PDEP)/, reason: 'QEMU 5.0 takes the operands in the wrong order (fixed later)' },
  {
    row: /^0F B1: CMPXCHG/,
    reason: 'QEMU 5.0 clears the upper half of a 32-bit register that is not written (fixed later)',
  },
  { row: /: BLSI/, reason: 'QEMU 5.0 sets CF as for BLSR (fixed later)' },
  { row: /: BEXTR/, reason: 'QEMU 5.0 does not clear the upper half of a 32-bit source (fixed later)' },
  { row: /^0F (0D|18): NOP/, reason: 'Unicorn refuses the register forms' },
  { row: /^C2: RET/, reason: 'QEMU 5.0 sign-extends the immediate (fixed later)' },
  { row: /^VEX.*(V|W|H|U)/, reason: 'Unicorn 2.0.1 has no AVX' },
  { row: /: CMP[PS][SD] /, reason: 'Unicorn refuses predicates above 7, which processors take modulo 8' },
  {
    row: /: (H?(ADD|SUB)|MUL|DIV|ADDSUB|DP)[PS][SD] /,
    reason: 'QEMU takes one of two NaNs by the rule of the x87; unit tests have these',
  },
  { row: /: PH(ADD|SUB)S?[WD] Vx/, reason: 'QEMU 5.0 is wrong when both operands are the same register (fixed later)' },
  { row: / (Pq|Qq|Nq|Mq,Pq|Pq,)/, reason: 'the driver does not read MMX registers; the code is that of the XMM forms' },
  { row: /: PCMPESTR/, reason: 'Unicorn takes 32-bit lengths with REX.W, too' },
  { row: /: (PCLMULQDQ|SHA)/, reason: 'Unicorn has these features switched off' },
  { row: /: (LDMXCSR|STMXCSR|EMMS)/, reason: 'Unicorn does not show MXCSR' },
  { row: /^(D[89A-F]|9B)/, reason: 'x87.test.ts has the x87' },
];

/** Flags that do not count, by row. */
export const UNDEFINED_FLAGS: readonly { readonly row: RegExp; readonly flags: number; readonly reason: string }[] = [
  {
    row: /: (RCL|RCR|SHLD|SHRD|ROL|ROR|SHL|SHR|SAR)/,
    flags: EFLAGS.OF | EFLAGS.AF,
    reason: 'OF is defined for counts of 1 only',
  },
  {
    row: /: (TZCNT|LZCNT)/,
    flags: EFLAGS.PF | EFLAGS.SF | EFLAGS.AF | EFLAGS.OF,
    reason: 'only CF and ZF are defined',
  },
  { row: /: (BLS|BZHI|ANDN)/, flags: EFLAGS.PF | EFLAGS.AF, reason: 'PF and AF are undefined' },
  { row: /: (DIV|IDIV)/, flags: 0x8d5, reason: 'all flags are undefined' },
];

const nameOf = (row: Instruction): string => `${row.key}: ${row.text}`;

export function isExcluded(row: Instruction): boolean {
  return EXCLUDED.some(({ row: name }) => name.test(nameOf(row)));
}

export function undefinedFlags(row: Instruction): number {
  return UNDEFINED_FLAGS.filter(({ row: name }) => name.test(nameOf(row))).reduce((mask, { flags }) => mask | flags, 0);
}
