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
    row: /: (IN|OUT|INS|OUTS|HLT|VMCALL|(RD|WR)PKRU|RDRAND|RDSEED|CPUID|RDTSCP?|RDPMC|RDMSR|WRMSR|RD[FG]SBASE|WR[FG]SBASE|RDPID|PAUSE)\b/,
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
  { row: /: NEG E/, reason: 'QEMU 5.0 sets the flags of the wrong value with LOCK (fixed later)' },
  { row: /: BLSI/, reason: 'QEMU 5.0 sets CF as for BLSR (fixed later)' },
  { row: /: BEXTR/, reason: 'QEMU 5.0 does not clear the upper half of a 32-bit source (fixed later)' },
  { row: /^0F (0D|18): NOP/, reason: 'Unicorn refuses the register forms' },
  { row: /^C2: RET/, reason: 'QEMU 5.0 sign-extends the immediate (fixed later)' },
  { row: /^VEX.*(V|W|H|U|ZERO)/, reason: 'Unicorn 2.0.1 has no AVX' },
  { row: /: CMP[PS][SD] /, reason: 'Unicorn refuses predicates above 7, which processors take modulo 8' },
  {
    row: /: (H?(ADD|SUB)|MUL|DIV|ADDSUB|DP)[PS][SD] /,
    reason: 'QEMU takes one of two NaNs by the rule of the x87; unit tests have these',
  },
  { row: /: PH(ADD|SUB)S?[WD] Vx/, reason: 'QEMU 5.0 is wrong when both operands are the same register (fixed later)' },
  { row: /[ ,][PQN][qd]/, reason: 'Unicorn does not show MMX registers by their numbers; native.test.ts has these' },
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
  { row: /: BEXTR/, flags: EFLAGS.PF | EFLAGS.AF | EFLAGS.SF, reason: 'only ZF, CF and OF are defined' },
  { row: /: (BLS|BZHI|ANDN)/, flags: EFLAGS.PF | EFLAGS.AF, reason: 'PF and AF are undefined' },
  { row: /: (DIV|IDIV)/, flags: 0x8d5, reason: 'all flags are undefined' },
];

/** What is not compared with the host's own processor, and why; beside rows that call the system. */
export const NOT_NATIVE: readonly Exclusion[] = [
  { row: /^(D[89A-F]|9B)/, reason: 'x87.test.ts has the x87' },
  {
    row: /: R(SQRT|CP)[PS]S /,
    reason: 'processors approximate, each in its own way; we give the rounded result, as QEMU does',
  },
  { row: /^0F (A3|AB|B3|BB): BT/, reason: 'bit offsets lead out of the memory of the case' },
  { row: /^(FF \/[24]|C2|C3|E8)/, reason: 'targets that are not canonical are #GP at the jump for some processors' },
  { row: /^0F B[CD]: BS/, reason: 'of a zero source processors leave the destination, each in its own width' },
  { row: /^0F 0D: NOP/, reason: 'AMD refuses the register form' },
  { row: /: SH[LR]D Ev,Gv/, reason: 'undefined for 16 bits and counts beyond' },
  { row: /: (INT|IRET|(CALL|JMP|RET)_far|POPF|PUSHF|CLI|STI|UD|BOUND|ICEBP)/, reason: 'exceptions are signals' },
];

/** Flags that processors leave otherwise than QEMU does where they are undefined. */
export const UNDEFINED_NATIVE: typeof UNDEFINED_FLAGS = [
  {
    row: /: I?MUL /,
    flags: EFLAGS.SF | EFLAGS.ZF | EFLAGS.AF | EFLAGS.PF,
    reason: 'only CF and OF are defined',
  },
];

/** Rows that may run on the host's processor: no system state, no exclusion. */
export function isNative(row: Instruction): boolean {
  const system = EXCLUDED.filter(({ reason }) => reason === 'calls the machine' || reason.startsWith('system state'));
  return ![...system, ...NOT_NATIVE].some(({ row: name }) => name.test(nameOf(row)));
}

const nameOf = (row: Instruction): string => `${row.key}: ${row.text}`;

/** Beside those of every mode. */
const EXCLUDED_IN: Readonly<Record<16 | 32 | 64, readonly Exclusion[]>> = {
  16: [
    { row: /[ ,][VWU](x|d|q|w|dq)\b/, reason: 'Unicorn has CR4.OSFXSR clear in real mode' },
    { row: /: BSWAP/, reason: 'undefined for 16 bits' },
    { row: /^VEX/, reason: 'does not exist in real mode; unit tests have this' },
  ],
  32: [],
  64: [],
};

export function isExcludedIn(row: Instruction, codeSize: 16 | 32 | 64): boolean {
  return EXCLUDED_IN[codeSize].some(({ row: name }) => name.test(nameOf(row)));
}

export function isExcluded(row: Instruction): boolean {
  return EXCLUDED.some(({ row: name }) => name.test(nameOf(row)));
}

export function undefinedFlags(row: Instruction, native = false): number {
  const rows = native ? [...UNDEFINED_FLAGS, ...UNDEFINED_NATIVE] : UNDEFINED_FLAGS;
  return rows.filter(({ row: name }) => name.test(nameOf(row))).reduce((mask, { flags }) => mask | flags, 0);
}
