/**
 * Declarations of the system behaviour that translated x86_64 code calls. The implementations act on the CPU that runs now.
 *
 * A helper "continues" when it stores the address of the next instruction as the CPU's PC (or raises an exception instead): the block
 * ends behind it with the terminal `resume`. `length` is that of the instruction in bytes.
 */
import { faultingHelper, guardHelper, stateHelper } from '../../ir/helper-declaration.ts';

/** Raises an exception at this instruction: (vector, error code, or -1 for none). */
export const raiseException = faultingHelper('x64.raiseException', ['i32', 'i32'], 'none');
/** INT n, INT3 (vector 3), INTO (4), INT1 (1): (vector, kind: 0 INT n, 1 INT3 or INTO, 2 INT1; length); continues. */
export const softwareInterrupt = faultingHelper('x64.softwareInterrupt', ['i32', 'i32', 'i32'], 'none');
/** Raises #DE unless the argument is not 0. */
export const checkDivision = guardHelper('x64.checkDivision', ['i32']);
/** Raises #GP(0) unless the argument is not 0. */
export const checkProtection = guardHelper('x64.checkProtection', ['i32']);
/** Raises #GP(0) when the target of a near jump is not canonical; not called for what all paging modes have: (is such, target). */
export const checkBranchTarget = guardHelper('x64.checkBranchTarget', ['i32', 'i64']);
/** DIV r/m64: (divisor); reads RDX:RAX, writes both, may raise #DE. */
export const divideUnsigned64 = faultingHelper('x64.divideUnsigned64', ['i64'], 'none');
/** IDIV r/m64. */
export const divideSigned64 = faultingHelper('x64.divideSigned64', ['i64'], 'none');
/** Raises #UD or #NM where x87, MMX, SSE or AVX may not execute now: (0 x87, 1 MMX, 2 SSE, 3 AVX). */
export const vectorUnavailable = faultingHelper('x64.vectorUnavailable', ['i32'], 'none');
/** Before each instruction while `X64Mode.stepping`: raises #DB for what the last instruction did, and arms the next. */
export const debugStep = faultingHelper('x64.debugStep', [], 'none');

// Segments and far transfers

/** Outside of 64-bit mode: (access packed by `packSegmentAccess`, offset). Raises #GP(0) or #SS(0) where the segment does not allow it. */
export const checkSegmentAccess = faultingHelper('x64.checkSegmentAccess', ['i32', 'i64'], 'none');
/** Raises #GP(0) unless the instruction under way lies within its segment: (length). */
export const checkCodeLimit = faultingHelper('x64.checkCodeLimit', ['i32'], 'none');

/** MOV Sreg, POP Sreg: (segment, selector). */
export const loadSegment = faultingHelper('x64.loadSegment', ['i32', 'i32'], 'none');
/** Far JMP: (selector, offset, operand size, length); continues. */
export const farJump = faultingHelper('x64.farJump', ['i32', 'i64', 'i32', 'i32'], 'none');
/** Far CALL: (selector, offset, operand size, length); continues. */
export const farCall = faultingHelper('x64.farCall', ['i32', 'i64', 'i32', 'i32'], 'none');
/** Far RET: (operand size, bytes to release); continues. */
export const farReturn = faultingHelper('x64.farReturn', ['i32', 'i32'], 'none');
/** IRET: (operand size, length); continues. */
export const interruptReturn = faultingHelper('x64.interruptReturn', ['i32', 'i32'], 'none');
/** SYSCALL: (length); continues. */
export const syscall = faultingHelper('x64.syscall', ['i32'], 'none');
/** SYSRET: (operand size); continues. */
export const sysret = faultingHelper('x64.sysret', ['i32'], 'none');
/** SYSENTER: (length); continues. */
export const sysenter = faultingHelper('x64.sysenter', ['i32'], 'none');
/** SYSEXIT: (operand size); continues. */
export const sysexit = faultingHelper('x64.sysexit', ['i32'], 'none');
/** LGDT (2), LIDT (3): (ModRM.reg, address, operand size). */
export const loadTableRegister = faultingHelper('x64.loadTableRegister', ['i32', 'i64', 'i32'], 'none');
/** SGDT (0), SIDT (1): (ModRM.reg, address, operand size). */
export const storeTableRegister = faultingHelper('x64.storeTableRegister', ['i32', 'i64', 'i32'], 'none');
/** LLDT (0), LTR (1): (which, selector). */
export const loadSystemSegment = faultingHelper('x64.loadSystemSegment', ['i32', 'i32'], 'none');
/** LAR (0), LSL (1): (which, selector) → value with bit 63 set when the selector is not accessible. */
export const segmentQuery = faultingHelper('x64.segmentQuery', ['i32', 'i32'], 'i64');
/** VERR (0), VERW (1): (which, selector) → 1 when accessible. */
export const segmentVerify = faultingHelper('x64.segmentVerify', ['i32', 'i32'], 'i32');

// Control registers, MSRs, flags

/** MOV r, CRn: (number) → value. */
export const readControl = faultingHelper('x64.readControl', ['i32'], 'i64');
/** MOV CRn, r: (number, value, length); continues. */
export const writeControl = faultingHelper('x64.writeControl', ['i32', 'i64', 'i32'], 'none');
/** MOV r, DRn. */
export const readDebug = faultingHelper('x64.readDebug', ['i32'], 'i64');
/** MOV DRn, r: (number, value, length); continues. */
export const writeDebug = faultingHelper('x64.writeDebug', ['i32', 'i64', 'i32'], 'none');
/** LMSW: (value, length); continues. */
export const loadMachineStatus = faultingHelper('x64.loadMachineStatus', ['i32', 'i32'], 'none');
/** RDMSR: writes EDX:EAX. */
export const readMsr = faultingHelper('x64.readMsr', [], 'none');
/** WRMSR: (length); continues. */
export const writeMsr = faultingHelper('x64.writeMsr', ['i32'], 'none');
/** CPUID: writes EAX, EBX, ECX, EDX. */
export const cpuid = stateHelper('x64.cpuid', [], 'none');
/** Raises #GP(0) where CR4.TSD forbids RDTSC and RDTSCP. */
export const requireTimestamp = faultingHelper('x64.requireTimestamp', [], 'none');
/** RDPMC. */
export const readPerformanceCounter = faultingHelper('x64.readPerformanceCounter', [], 'none');
/** XGETBV. */
export const xgetbv = faultingHelper('x64.xgetbv', [], 'none');
/** XSETBV: (length); continues. */
export const xsetbv = faultingHelper('x64.xsetbv', ['i32'], 'none');
/** RDPKRU: → value. */
export const readPkru = faultingHelper('x64.readPkru', [], 'i64');
/** WRPKRU: (length); continues. */
export const writePkru = faultingHelper('x64.writePkru', ['i32'], 'none');
/** RDRAND, RDSEED: → 64 bits. */
export const randomNumber = stateHelper('x64.randomNumber', [], 'i64');
/** SWAPGS. */
export const swapGs = faultingHelper('x64.swapGs', [], 'none');
/** POPF: (value, operand size, length); continues. The stack pointer is written already. */
export const writeFlags = faultingHelper('x64.writeFlags', ['i64', 'i32', 'i32'], 'none');
/** CLI (0), STI (1) where IOPL does not allow it plainly: (which, length); continues. */
export const changeInterruptFlag = faultingHelper('x64.changeInterruptFlag', ['i32', 'i32'], 'none');
/**
 * STI: (EFLAGS before, 1 when a debugger steps). Looks for interrupts, which may be taken behind the next instruction; with one due, STI runs
 * again alone, but not for a debugger.
 */
export const interruptsEnabled = faultingHelper('x64.interruptsEnabled', ['i32', 'i32'], 'none');
/** CLAC (0), STAC (1). */
export const changeAccessCheck = faultingHelper('x64.changeAccessCheck', ['i32'], 'none');
/** Raises #GP(0) unless CPL is 0: for instructions that then do nothing else. */
export const requireSupervisor = faultingHelper('x64.requireSupervisor', [], 'none');
/** Raises #GP(0) where CR4.UMIP forbids SGDT, SIDT, SLDT, STR, SMSW. */
export const requireNoUmip = faultingHelper('x64.requireNoUmip', [], 'none');

// Translations

/** INVLPG: (linear address). */
export const invalidatePage = faultingHelper('x64.invalidatePage', ['i64'], 'none');
/** INVPCID: (type, linear address of the descriptor). */
export const invalidatePcid = faultingHelper('x64.invalidatePcid', ['i64', 'i64'], 'none');

// Waiting

/** VMCALL: no VMX operation, so #UD, or a host call (host-call.ts); continues. */
export const vmcall = faultingHelper('x64.vmcall', ['i32'], 'none');
/** HLT: (length); continues. */
export const halt = faultingHelper('x64.halt', ['i32'], 'none');
/** PAUSE: ends the CPU's turn. */
export const pause = stateHelper('x64.pause', [], 'none');
/** MONITOR. */
export const monitor = faultingHelper('x64.monitor', [], 'none');
/** MWAIT: (length); continues. */
export const monitorWait = faultingHelper('x64.monitorWait', ['i32'], 'none');

// Ports

/** IN: (port, size) → value. */
export const portIn = faultingHelper('x64.portIn', ['i32', 'i32'], 'i32');
/** OUT: (port, value, size). */
export const portOut = faultingHelper('x64.portOut', ['i32', 'i32', 'i32'], 'none');

// Strings. `form` is packed by `packStringForm`. Each runs at most to the end of a page, and returns 1 when the instruction is complete.

/** MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS: (form) → 1 when complete, 0 to run again. Updates rCX, rSI, rDI and the flags. */
export const stringOperation = faultingHelper('x64.string', ['i32'], 'i32');

/** BOUND: raises #BR unless the argument is not 0. */
export const checkBound = guardHelper('x64.checkBound', ['i32']);
/** Raises #GP(0) in virtual-8086 mode with IOPL below 3. */
export const requireVm86Privilege = faultingHelper('x64.requireVm86Privilege', [], 'none');
/** Continues behind the instruction: (length). */
export const continueAfter = stateHelper('x64.continueAfter', ['i32'], 'none');
/** CLTS: (length); continues. */
export const clearTaskSwitched = faultingHelper('x64.clearTaskSwitched', ['i32'], 'none');
/** Raises #UD unless CR4.FSGSBASE is set. */
export const requireFsGsBase = faultingHelper('x64.requireFsGsBase', [], 'none');
/** Raises #GP(0) unless the address is canonical. */
export const requireCanonical = faultingHelper('x64.requireCanonical', ['i64'], 'none');
