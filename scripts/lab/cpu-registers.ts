/** Registers of a CPU of the emulator under the names that crash notes have for them. */
import { type A64Cpu, GPR, SEGMENT, type X64Cpu } from '../../emulator/index.ts';

const PSTATE_SP = 'SP';

/** `struct user_pt_regs`, with the stack pointer that the CPU uses. */
export function a64Registers(cpu: A64Cpu): Map<string, bigint> {
  const { registers, process, engine } = cpu;
  const level = process.exceptionLevel;
  const stackLevel = process.field(PSTATE_SP) === 0 ? 0 : level;
  return new Map([
    ...Array.from({ length: 31 }, (_, n): [string, bigint] => [`x${n}`, registers.x(n)]),
    ['sp', process.stackPointer(stackLevel)],
    ['pc', cpu.visiblePc(engine.pc)],
    ['pstate', BigInt(process.saved() >>> 0)],
  ]);
}

const GENERAL: readonly (readonly [name: string, number: number])[] = [
  ['ax', GPR.AX],
  ['bx', GPR.BX],
  ['cx', GPR.CX],
  ['dx', GPR.DX],
  ['si', GPR.SI],
  ['di', GPR.DI],
  ['sp', GPR.SP],
  ['bp', GPR.BP],
  ...Array.from({ length: 8 }, (_, n) => [`r${n + 8}`, n + 8] as const),
];
/** Segment registers in the order of QEMU's notes. */
export const SEGMENT_REGISTERS = [
  ['cs', SEGMENT.CS],
  ['ds', SEGMENT.DS],
  ['es', SEGMENT.ES],
  ['fs', SEGMENT.FS],
  ['gs', SEGMENT.GS],
  ['ss', SEGMENT.SS],
] as const;

/** `struct user_regs_struct`. No system call is under way: `orig_ax` is 0, as QEMU writes it. */
export function x64Registers({ state, ip }: X64Cpu): Map<string, bigint> {
  return new Map([
    ...GENERAL.map(([name, number]) => [name, state.gpr(number)] as const),
    ...SEGMENT_REGISTERS.map(([name, number]) => [name, BigInt(state.selector(number))] as const),
    ['orig_ax', 0n],
    ['ip', ip],
    ['flags', BigInt(state.eflags >>> 0)],
    ['fs_base', state.base(SEGMENT.FS)],
    ['gs_base', state.base(SEGMENT.GS)],
  ]);
}
