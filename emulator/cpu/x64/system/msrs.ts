/**
 * Model-specific registers. Those that are not here raise #GP.
 *
 * Source: Intel SDM vol. 4; AMD APM vol. 2 "Model-Specific Registers (MSRs)".
 */
import type { X64Cpu } from '../cpu.ts';
import { SEGMENT, X64_STATE } from '../state.ts';
import { EFER } from './control-bits.ts';
import { MSR_PAT } from './system-registers.ts';

interface Msr {
  readonly read: (cpu: X64Cpu) => bigint | undefined;
  /** @returns false for values that raise #GP */
  readonly write: (cpu: X64Cpu, value: bigint) => boolean;
}

/** A register that keeps what is written. */
function stored(number: number, reset = 0n): Msr {
  return {
    read: cpu => cpu.registers.storage[number] ?? reset,
    write: (cpu, value) => {
      cpu.registers.storage[number] = value;
      return true;
    },
  };
}

/** Of a bank: CTL, all ones but bits that Linux clears for old chips, or 0; STATUS, only 0; ADDR, MISC. Source: AMD APM vol. 2 "MCA Registers". */
function machineCheck(number: number): Msr {
  const { read, write } = stored(number);
  const allowed = [
    (value: bigint) => value === 0n || (value | MC_CTL_OPTIONAL) === ALL_ONES,
    (value: bigint) => value === 0n,
    () => true,
    () => true,
  ][number & 3]!;
  return { read, write: (cpu, value) => allowed(value) && write(cpu, value) };
}

/** A register that reads as a constant; writes are lost. */
function constant(value: bigint): Msr {
  return { read: () => value, write: () => true };
}

function readOnly(value: (cpu: X64Cpu) => bigint): Msr {
  return { read: value, write: () => false };
}

function segmentBase(segment: number): Msr {
  const { base } = X64_STATE.segments[segment]!;
  return {
    read: cpu => cpu.state.get64(base),
    write: (cpu, value) => {
      if (!cpu.isCanonicalBase(value)) return false;
      cpu.state.set64(base, value);
      return true;
    },
  };
}

type BigRegister = 'star' | 'lstar' | 'cstar' | 'kernelGsBase' | 'sysenterEsp' | 'sysenterEip';

function register(name: BigRegister, canonical: boolean): Msr {
  return {
    read: cpu => cpu.registers[name],
    write: (cpu, value) => {
      if (canonical && !cpu.isCanonicalBase(value)) return false;
      cpu.registers[name] = value;
      return true;
    },
  };
}

const efer: Msr = {
  read: cpu => BigInt(cpu.registers.efer),
  write: (cpu, value) => {
    const { features, registers } = cpu;
    const allowed =
      (features.has('syscall') ? EFER.SCE : 0) |
      (features.has('lm') ? EFER.LME | EFER.LMA : 0) |
      (features.has('nx') ? EFER.NXE : 0);
    const wanted = Number(value & 0xffff_ffffn);
    const pagingOn = (registers.cr0 & 0x8000_0000) !== 0;
    if (value >> 32n !== 0n || (wanted & ~allowed) !== 0) return false;
    if (pagingOn && ((wanted ^ registers.efer) & EFER.LME) !== 0) return false;
    const before = registers.efer;
    registers.efer = (wanted & ~EFER.LMA) | (before & EFER.LMA);
    if ((before ^ registers.efer) & EFER.NXE) cpu.translationChanged();
    return true;
  },
};

/** PAT: eight memory types of which 2, 3 and everything above 7 do not exist. Memory types change nothing here. */
const pat: Msr = {
  read: cpu => cpu.registers.storage[MSR_PAT] ?? 0n,
  write: (cpu, value) => {
    for (let i = 0n; i < 64n; i += 8n) {
      const type = Number((value >> i) & 0xffn);
      if (type > 7 || type === 2 || type === 3) return false;
    }
    cpu.registers.storage[MSR_PAT] = value;
    return true;
  },
};

const timestamp: Msr = {
  read: cpu => BigInt.asUintN(64, cpu.timestamp() + cpu.registers.tscAdjust),
  write: (cpu, value) => {
    cpu.adjustTimestamp(BigInt.asUintN(64, value - cpu.timestamp()));
    return true;
  },
};

/** Bit 10 of IA32_APIC_BASE. */
const X2APIC_ENABLE = 1n << 10n;

const apicBase: Msr = {
  read: cpu => cpu.apic.readBase(),
  write: (cpu, value) => ((value & X2APIC_ENABLE) === 0n || cpu.features.has('x2apic')) && cpu.apic.writeBase(value),
};

const tscDeadline: Msr = {
  read: cpu => (cpu.features.has('tsc_deadline_timer') ? cpu.apic.readTscDeadline() : undefined),
  write: (cpu, value) => {
    if (!cpu.features.has('tsc_deadline_timer')) return false;
    cpu.apic.writeTscDeadline(value);
    return true;
  },
};

const tscAux: Msr = {
  read: cpu => BigInt(cpu.state.get32(X64_STATE.TSC_AUX) >>> 0),
  write: (cpu, value) => {
    cpu.state.set32(X64_STATE.TSC_AUX, Number(BigInt.asIntN(32, value)));
    return true;
  },
};

const MTRR_FIRST_VARIABLE = 0x200;
/** Eight variable ranges, fixed ranges, write-combining: QEMU's value. */
const MTRR_CAP = 0x508n;
const MTRR_FIXED = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
/** Machine-check banks: ten, as QEMU has them, with IA32_MCG_CTL. */
const MCG_CAP = 0x100_010an;
const MC_BANKS = 10;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;
/** Bit 10: GART walks in bank 4 of K8; bit 0: bank 0 of P6. */
const MC_CTL_OPTIONAL = (1n << 10n) | 1n;

const MSRS: ReadonlyMap<number, Msr> = new Map<number, Msr>([
  [0x10, timestamp],
  [0x1b, apicBase],
  [0x3a, constant(1n)],
  [
    0x3b,
    {
      read: cpu => cpu.registers.tscAdjust,
      write: (cpu, value) => {
        cpu.adjustTimestamp(value);
        return true;
      },
    },
  ],
  // microcode update signature: revision 0x100_0065 in the upper half, as QEMU announces it for every model
  [0x8b, { read: () => 0x0100_0065n << 32n, write: () => true }],
  [0xfe, readOnly(() => MTRR_CAP)],
  [
    0x174,
    {
      read: cpu => BigInt(cpu.registers.sysenterCs),
      write: (cpu, value) => {
        cpu.registers.sysenterCs = Number(value & 0xffffn);
        return true;
      },
    },
  ],
  [0x175, register('sysenterEsp', true)],
  [0x176, register('sysenterEip', true)],
  [0x179, readOnly(() => MCG_CAP)],
  [0x17a, stored(0x17a)],
  [0x17b, stored(0x17b, 0xffff_ffff_ffff_ffffn)],
  [0x1a0, stored(0x1a0, 1n)],
  [0x1d9, stored(0x1d9)],
  [MSR_PAT, pat],
  [0x2ff, stored(0x2ff)],
  [0x6e0, tscDeadline],
  [0xc000_0080, efer],
  [0xc000_0081, register('star', false)],
  [0xc000_0082, register('lstar', true)],
  [0xc000_0083, register('cstar', true)],
  [
    0xc000_0084,
    {
      read: cpu => BigInt(cpu.registers.fmask >>> 0),
      write: (cpu, value) => {
        cpu.registers.fmask = Number(BigInt.asIntN(32, value));
        return true;
      },
    },
  ],
  [0xc000_0100, segmentBase(SEGMENT.FS)],
  [0xc000_0101, segmentBase(SEGMENT.GS)],
  [0xc000_0102, register('kernelGsBase', true)],
  [0xc000_0103, tscAux],
  // AMD: system configuration, hardware configuration, interrupt pending, MMIO base, top of memory, DR and OSVW: read as 0
  ...[0xc001_0010, 0xc001_0015, 0xc001_001a, 0xc001_001d, 0xc001_0055, 0xc001_0058, 0xc001_1022, 0xc001_1029].map(
    number => [number, stored(number)] as const,
  ),
  ...Array.from({ length: 16 }, (_, i) => [MTRR_FIRST_VARIABLE + i, stored(MTRR_FIRST_VARIABLE + i)] as const),
  ...MTRR_FIXED.map(number => [number, stored(number)] as const),
  ...Array.from({ length: 4 * MC_BANKS }, (_, i) => [0x400 + i, machineCheck(0x400 + i)] as const),
]);

/** x2APIC registers. */
const X2APIC_FIRST = 0x800;
const X2APIC_LAST = 0x8ff;

/** RDMSR. @returns undefined for registers that raise #GP */
export function readMsrValue(cpu: X64Cpu, number: number): bigint | undefined {
  if (number >= X2APIC_FIRST && number <= X2APIC_LAST) {
    return cpu.apic.isX2apic ? cpu.apic.readMsr(number - X2APIC_FIRST) : undefined;
  }
  return MSRS.get(number)?.read(cpu);
}

/** WRMSR. @returns false when it raises #GP */
export function writeMsrValue(cpu: X64Cpu, number: number, value: bigint): boolean {
  if (number >= X2APIC_FIRST && number <= X2APIC_LAST) {
    return cpu.apic.isX2apic && cpu.apic.writeMsr(number - X2APIC_FIRST, value);
  }
  return MSRS.get(number)?.write(cpu, value) ?? false;
}
