/** The CPU of A64 test cases: no system side, only registers in a CPU state block and outcomes. */
import { A64_STATE } from '../../emulator/cpu/a64/state.ts';
import { EC } from '../../emulator/cpu/a64/translation.ts';
import { CPU_STATE } from '../../emulator/cpu/execute/cpu-state.ts';
import type { AccessKind, AccessRegime, EngineCpu, GuestCpu, WalkResult } from '../../emulator/cpu/execute/guest.ts';
import { CASE_MEMORY, REGISTER } from './a64-cases.ts';

/** How a case ended. */
export type Outcome = 'done' | 'undefined' | 'memory fault' | `exception ${number}`;

const PAGE = 4096;

/** The mode that cases are translated for. */
export const CASE_MODE = {
  exceptionLevel: 1,
  simdTrapped: false,
  stepping: false,
  guarded: false,
  cacheMaintenanceTrapped: false,
  handlerStack: true,
  breakpoints: false,
  alignmentChecked: false,
  stackChecked: false,
} as const;

/** Bytes of scratch memory before the first case. */
export const INITIAL_SCRATCH = Uint8Array.from(
  { length: CASE_MEMORY.scratchSize },
  (_, i) => (i * 7 + (i >> 8) * 31) & 0xff,
);

/** Addresses are mapped to themselves; what would be an exception is kept as the outcome. */
export class TestCpu implements GuestCpu {
  readonly idle = 'running';
  readonly wakeUp = false;
  outcome: Outcome = 'done';

  walk(low: number, high: number, _kind: AccessKind, _regime: AccessRegime, result: WalkResult): boolean {
    const paddr = (low >>> 12) * PAGE;
    if (high !== 0 || paddr >= CASE_MEMORY.size) {
      this.outcome = 'memory fault';
      return false;
    }
    Object.assign(result, { paddr, readable: true, writable: true, executable: true, leafSize: PAGE });
    return true;
  }
  alignmentFault(): void {
    this.outcome = 'memory fault';
  }
  busFault(): boolean {
    this.outcome = 'memory fault';
    return true;
  }
  /** Keeps an exception of this class. */
  raise(engine: EngineCpu, exceptionClass: number): void {
    this.outcome = exceptionClass === EC.UNKNOWN ? 'undefined' : `exception ${exceptionClass}`;
    engine.requestException();
  }
  deliverException(): void {}
  takeInterrupt(): boolean {
    return false;
  }
  modeKey(): number {
    return 0;
  }
}

type StateBlock = Pick<EngineCpu, 'view' | 'base'>;

/** Writes registers (by `REGISTER`) and PC into a CPU state block. */
export function loadState({ base, view }: StateBlock, registers: BigUint64Array, address: number): void {
  const set64 = (offset: number, value: bigint): void => view.setBigUint64(base + offset, value, true);
  const set32 = (offset: number, value: bigint): void => view.setInt32(base + offset, Number(value), true);
  A64_STATE.x.forEach((field, n) => set64(field.offset, registers[n]!));
  set64(A64_STATE.sp.offset, registers[REGISTER.sp]!);
  const nzcv = registers[REGISTER.nzcv]!;
  set64(A64_STATE.nf.offset, nzcv << 32n);
  set64(A64_STATE.zf.offset, ~(nzcv >> 30n) & 1n);
  set32(A64_STATE.cf.offset, (nzcv >> 29n) & 1n);
  set64(A64_STATE.vf.offset, nzcv << 35n);
  set32(A64_STATE.FPCR.offset, registers[REGISTER.fpcr]!);
  set32(A64_STATE.FPSR.offset, registers[REGISTER.fpsr]!);
  A64_STATE.v.forEach((field, n) => {
    set64(field.offset, registers[REGISTER.v + 2 * n]!);
    set64(field.offset + 8, registers[REGISTER.v + 2 * n + 1]!);
  });
  set64(CPU_STATE.pc, BigInt(address));
  set32(CPU_STATE.exit, 0n);
  set32(CPU_STATE.budget, 1000n);
}

/** Reads registers (by `REGISTER`) out of a CPU state block. */
export function saveState({ base, view }: StateBlock): BigUint64Array {
  const get64 = (offset: number): bigint => view.getBigUint64(base + offset, true);
  const get32 = (offset: number): bigint => BigInt(view.getUint32(base + offset, true));
  const registers = new BigUint64Array(REGISTER.count);
  A64_STATE.x.forEach((field, n) => (registers[n] = get64(field.offset)));
  registers[REGISTER.sp] = get64(A64_STATE.sp.offset);
  const n = get64(A64_STATE.nf.offset) >> 63n;
  const z = get64(A64_STATE.zf.offset) === 0n ? 1n : 0n;
  const v = get64(A64_STATE.vf.offset) >> 63n;
  registers[REGISTER.nzcv] = (n << 31n) | (z << 30n) | (get32(A64_STATE.cf.offset) << 29n) | (v << 28n);
  registers[REGISTER.fpcr] = get32(A64_STATE.FPCR.offset);
  registers[REGISTER.fpsr] = get32(A64_STATE.FPSR.offset);
  registers[REGISTER.pc] = get64(CPU_STATE.pc);
  A64_STATE.v.forEach((field, index) => {
    registers[REGISTER.v + 2 * index] = get64(field.offset);
    registers[REGISTER.v + 2 * index + 1] = get64(field.offset + 8);
  });
  return registers;
}
