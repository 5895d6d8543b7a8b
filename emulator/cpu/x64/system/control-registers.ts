/** MOV to and from control and debug registers. Source: Intel SDM vol. 3A "Control Registers", "Debug Registers"; vol. 2 "MOV—Move to/from Control Registers". */
import type { X64Cpu } from '../cpu.ts';
import { SEGMENT } from '../state.ts';
import { CR0, CR4, DR6, DR7, EFER } from './control-bits.ts';
import { ATTRIBUTE, systemType, SYSTEM_TYPE } from './descriptors.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';

/** CR0 bits that exist. */
const CR0_KNOWN = CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;
/** Bits on which cached translations depend. */
const CR0_TRANSLATION = CR0.PG | CR0.WP | CR0.PE;
/** Bits whose changes load the PDPTE registers. Source: Intel SDM vol. 3A "PDPTE Registers". */
const CR0_PDPTES = CR0.CD | CR0.NW | CR0.PG;
const CR4_PDPTES = CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP;
const CR4_TRANSLATION = CR4.PSE | CR4.PAE | CR4.PGE | CR4.LA57 | CR4.PCIDE | CR4.SMEP | CR4.SMAP | CR4.PKE;

/** MOV r, CRn. */
export function readControlRegister(cpu: X64Cpu, number: number): bigint | Fault {
  const { registers } = cpu;
  switch (number) {
    case 0:
      return BigInt(registers.cr0 >>> 0);
    case 2:
      return registers.cr2;
    case 3:
      return BigInt(registers.cr3);
    case 4:
      return BigInt(registers.cr4 >>> 0);
    case 8:
      return cpu.apic.readCR8();
    default:
      return fault(VECTOR.UD);
  }
}

/** MOV CRn, r. */
export function writeControlRegister(cpu: X64Cpu, number: number, value: bigint): Fault | undefined {
  switch (number) {
    case 0:
      return value >> 32n === 0n ? writeCr0(cpu, Number(BigInt.asIntN(32, value))) : protectionFault();
    case 2:
      cpu.registers.cr2 = value;
      return undefined;
    case 3:
      return writeCr3(cpu, value);
    case 4:
      return value >> 32n === 0n ? writeCr4(cpu, Number(BigInt.asIntN(32, value))) : protectionFault();
    case 8:
      if (value >> 4n !== 0n) return protectionFault();
      cpu.apic.writeCR8(value);
      return undefined;
    default:
      return fault(VECTOR.UD);
  }
}

/** Neither from 64-bit code nor with PCIDs. */
function mayEndPaging(cpu: X64Cpu): boolean {
  return !cpu.is64 && (cpu.registers.cr4 & CR4.PCIDE) === 0;
}

function writeCr0(cpu: X64Cpu, value: number): Fault | undefined {
  const { registers } = cpu;
  const wanted = (value & CR0_KNOWN) | CR0.ET;
  const failure = checkCr0(cpu, wanted);
  if (failure) return failure;
  const changed = wanted ^ registers.cr0;
  const isLong = (wanted & CR0.PG) !== 0 && (registers.efer & EFER.LME) !== 0;
  registers.efer = isLong ? registers.efer | EFER.LMA : registers.efer & ~EFER.LMA;
  registers.cr0 = wanted;
  if (changed & CR0_TRANSLATION) cpu.translationChanged();
  else cpu.contextChanged();
  return undefined;
}

/** What CR0 may not become; loads the PDPTE registers where PAE paging goes on. */
function checkCr0(cpu: X64Cpu, wanted: number): Fault | undefined {
  const { registers } = cpu;
  const changed = wanted ^ registers.cr0;
  if (wanted & CR0.PG && !(wanted & CR0.PE)) return protectionFault();
  if (wanted & CR0.NW && !(wanted & CR0.CD)) return protectionFault();
  if (changed & ~wanted & CR0.PG && !mayEndPaging(cpu)) return protectionFault();
  if (registers.efer & EFER.LME) return changed & wanted & CR0.PG ? checkEntryToLongMode(cpu) : undefined;
  const loads = wanted & CR0.PG && registers.cr4 & CR4.PAE && changed & CR0_PDPTES;
  return loads ? loadPdptes(cpu, registers.cr3) : undefined;
}

function loadPdptes(cpu: X64Cpu, cr3: number): Fault | undefined {
  return cpu.paging.loadPdptes(cr3) ? undefined : protectionFault();
}

/** Turning on paging with EFER.LME set. */
function checkEntryToLongMode(cpu: X64Cpu): Fault | undefined {
  const isLongCode = (cpu.state.attributes(SEGMENT.CS) & ATTRIBUTE.L) !== 0;
  const type = systemType({ attributes: cpu.state.attributes(SEGMENT.TR) });
  const has16BitTask = type === SYSTEM_TYPE.TSS16 || type === SYSTEM_TYPE.TSS16_BUSY;
  return !(cpu.registers.cr4 & CR4.PAE) || isLongCode || has16BitTask ? protectionFault() : undefined;
}

/** Bit 63 with PCIDs: translations of the new PCID stay. */
const NO_FLUSH = 1n << 63n;

function writeCr3(cpu: X64Cpu, value: bigint): Fault | undefined {
  const { registers } = cpu;
  const usesPcid = (registers.cr4 & CR4.PCIDE) !== 0;
  const keeps = usesPcid && (value & NO_FLUSH) !== 0n;
  const address = usesPcid ? value & ~NO_FLUSH : value;
  if (cpu.isLongMode && address >> BigInt(cpu.model.physicalAddressBits) !== 0n) return protectionFault();
  const failure = cpu.usesPae ? loadPdptes(cpu, Number(address)) : undefined;
  if (failure) return failure;
  registers.cr3 = Number(address);
  const pcid = usesPcid ? registers.cr3 % 4096 : 0;
  cpu.memory.forget();
  if (!keeps) cpu.flushLocalTranslations(pcid);
  cpu.contextChanged();
  return undefined;
}

/** CR4 bits that the model has. */
function knownCr4(cpu: X64Cpu): number {
  const { features } = cpu;
  const optional: readonly (readonly [Parameters<typeof features.has>[0], number])[] = [
    ['vme', CR4.VME | CR4.PVI],
    ['tsc', CR4.TSD],
    ['de', CR4.DE],
    ['pse', CR4.PSE],
    ['pae', CR4.PAE],
    ['mce', CR4.MCE],
    ['pge', CR4.PGE],
    ['fxsr', CR4.OSFXSR],
    ['sse', CR4.OSXMMEXCPT],
    ['umip', CR4.UMIP],
    ['la57', CR4.LA57],
    ['fsgsbase', CR4.FSGSBASE],
    ['pcid', CR4.PCIDE],
    ['xsave', CR4.OSXSAVE],
    ['smep', CR4.SMEP],
    ['smap', CR4.SMAP],
    ['pku', CR4.PKE],
  ];
  return optional.reduce<number>((bits, [feature, bit]) => bits | (features.has(feature) ? bit : 0), CR4.PCE);
}

/** What CR4 may not become; loads the PDPTE registers where PAE paging goes on. */
function checkCr4(cpu: X64Cpu, value: number): Fault | undefined {
  const { registers } = cpu;
  if (value & ~knownCr4(cpu)) return protectionFault();
  const changed = value ^ registers.cr4;
  const turnsOnPcid = (changed & value & CR4.PCIDE) !== 0;
  if (cpu.isLongMode) {
    const isFixed = (changed & (CR4.LA57 | (value & CR4.PAE ? 0 : CR4.PAE))) !== 0;
    return isFixed || (turnsOnPcid && registers.cr3 % 4096 !== 0) ? protectionFault() : undefined;
  }
  if (turnsOnPcid) return protectionFault();
  const loads = registers.cr0 & CR0.PG && value & CR4.PAE && changed & CR4_PDPTES;
  return loads ? loadPdptes(cpu, registers.cr3) : undefined;
}

function writeCr4(cpu: X64Cpu, value: number): Fault | undefined {
  const { registers } = cpu;
  const failure = checkCr4(cpu, value);
  if (failure) return failure;
  const changed = value ^ registers.cr4;
  registers.cr4 = value;
  if (changed & CR4_TRANSLATION) cpu.translationChanged();
  else cpu.contextChanged();
  return undefined;
}

/** With CR4.DE, DR4 and DR5 do not exist; without, they are DR6 and DR7. */
function debugNumber(cpu: X64Cpu, number: number): number | undefined {
  if (number > 7) return undefined;
  if (number !== 4 && number !== 5) return number;
  return cpu.registers.cr4 & CR4.DE ? undefined : number + 2;
}

export function readDebugRegister(cpu: X64Cpu, encoded: number): bigint | Fault {
  const { registers } = cpu;
  const number = debugNumber(cpu, encoded);
  if (number === undefined) return fault(VECTOR.UD);
  if (registers.dr7 & DR7.GD) return { vector: VECTOR.DB, errorCode: undefined, dr6: DR6.BD };
  if (number < 4) return registers.breakpoints[number]!;
  return BigInt((number === 6 ? registers.dr6 : registers.dr7) >>> 0);
}

export function writeDebugRegister(cpu: X64Cpu, encoded: number, value: bigint): Fault | undefined {
  const { registers } = cpu;
  const number = debugNumber(cpu, encoded);
  if (number === undefined) return fault(VECTOR.UD);
  if (registers.dr7 & DR7.GD) return { vector: VECTOR.DB, errorCode: undefined, dr6: DR6.BD };
  if (number < 4) {
    registers.breakpoints[number] = value;
    cpu.engine.flushTlb();
    return undefined;
  }
  if (value >> 32n !== 0n) return protectionFault();
  const low = Number(BigInt.asIntN(32, value));
  if (number === 6) registers.dr6 = low | (DR6.FIXED | 0);
  else registers.dr7 = (low & ~0xd800) | DR7.FIXED;
  // pages that were not watched may be in the soft TLB
  if (number === 7) cpu.engine.flushTlb();
  cpu.contextChanged();
  return undefined;
}
