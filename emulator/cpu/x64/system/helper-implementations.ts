/** What the helpers of `helpers.ts` do. They act on the CPU that runs now. */
import type { HelperImplementation } from '../../execute/guest.ts';
import type { X64Cpu } from '../cpu.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../state.ts';
import { CR0, CR4, XCR0 } from './control-bits.ts';
import { executeCpuid } from './cpuid.ts';
import {
  readControlRegister,
  readDebugRegister,
  writeControlRegister,
  writeDebugRegister,
} from './control-registers.ts';
import { debugStep, portHits } from './debug-exceptions.ts';
import { systemType, SYSTEM_TYPE } from './descriptors.ts';
import { deliverSoftwareInterrupt } from './exceptions.ts';
import {
  farCall,
  farJump,
  farReturn,
  interruptReturn,
  loadFlags,
  syscall,
  sysenter,
  sysexit,
  sysret,
} from './far-transfers.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import * as helper from './helpers.ts';
import { fpStateHelpers } from './fp-state.ts';
import { instructionHelpers } from './instruction-helpers.ts';
import { readMsrValue, writeMsrValue } from './msrs.ts';
import { unpackSegmentAccess } from './segment-access-form.ts';
import { checkAccess, isWithin } from './segment-limits.ts';
import { segmentQuery, segmentVerify } from './segment-queries.ts';
import { loadDataSegment, loadLdt, loadTaskRegister } from './segment-loads.ts';
import { sseHelpers } from './sse-float.ts';
import { runString } from './strings.ts';
import { vectorMemoryHelpers } from './vector-memory.ts';
import { vectorOperationHelpers } from './vector-operations.ts';
import { x87EnvironmentHelpers } from './x87-environment.ts';
import { x87Helpers } from './x87.ts';
import { xsaveArea } from './xsave-layout.ts';

type Size = 2 | 4 | 8;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** Raises a fault if there is one. @returns whether there was none */
function settle(cpu: X64Cpu, failure: Fault | undefined): boolean {
  if (failure === undefined) return true;
  cpu.raise(failure);
  return false;
}

/** Stores the address of the next instruction as the PC. */
function goOn(cpu: X64Cpu, length: number): void {
  cpu.engine.pc = u64(cpu.engine.pc + BigInt(length));
}

/** Instruction pointer behind the instruction under way. */
function nextIp(cpu: X64Cpu, length: number): bigint {
  const ip = cpu.ip + BigInt(length);
  return cpu.is64 ? u64(ip) : BigInt.asUintN(32, ip);
}

/** Whether I/O is allowed: by IOPL, else by the I/O permission bitmap. Source: Intel SDM vol. 1 "I/O Permission Bit Map". */
function checkPort(cpu: X64Cpu, port: number, size: number): boolean {
  if (!cpu.isProtected || (!cpu.isVm86 && cpu.cpl <= cpu.iopl)) return true;
  const tr = cpu.state.segment(SEGMENT.TR);
  if (systemType(tr) >= SYSTEM_TYPE.TSS && tr.limit >= 0x67) {
    const offset = cpu.memory.read(tr.base + 0x66n, 2);
    if (offset === undefined) return settle(cpu, cpu.memory.fault);
    const at = Number(offset) + (port >> 3);
    const bits = at + 1 <= tr.limit ? cpu.memory.read(tr.base + BigInt(at), 2) : 0xffffn;
    if (bits === undefined) return settle(cpu, cpu.memory.fault);
    if (((Number(bits) >> (port & 7)) & ((1 << size) - 1)) === 0) return true;
  }
  return settle(cpu, protectionFault());
}

type Table = Readonly<Record<string, HelperImplementation>>;

function exceptionHelpers(current: () => X64Cpu): Table {
  const check = (vector: number, errorCode?: number) => (holds: number) => {
    if (holds === 0) current().raise(fault(vector, errorCode));
  };
  return {
    [helper.raiseException.name]: (vector: number, errorCode: number) => {
      const cpu = current();
      cpu.raise(fault(vector, errorCode < 0 ? undefined : errorCode));
    },
    [helper.checkDivision.name]: check(VECTOR.DE),
    [helper.checkBound.name]: check(VECTOR.BR),
    [helper.checkProtection.name]: check(VECTOR.GP, 0),
    [helper.checkBranchTarget.name]: (_isNarrow: number, target: bigint) => {
      const cpu = current();
      if (!cpu.paging.isCanonical(Number(BigInt.asIntN(32, target >> 32n)))) cpu.raise(protectionFault());
    },
    [helper.requireCanonical.name]: (address: bigint) => {
      const cpu = current();
      if (!cpu.isCanonicalBase(address)) cpu.raise(protectionFault());
    },
    [helper.vectorUnavailable.name]: (unit: number) => {
      const cpu = current();
      const vector = unavailableVector(cpu, unit);
      if (vector !== undefined) cpu.raise(fault(vector));
    },
    [helper.softwareInterrupt.name]: (vector: number, kind: number, length: number) => {
      const cpu = current();
      if (vector < 0) return goOn(cpu, length);
      if (cpu.isVm86 && kind === 0 && cpu.iopl < 3) return cpu.raise(protectionFault());
      settle(cpu, deliverSoftwareInterrupt(cpu, vector, nextIp(cpu, length), kind !== 2));
    },
    [helper.debugStep.name]: () => debugStep(current()),
  };
}

/** #UD where the system has switched a unit off, #NM where it is to be switched on lazily; x87 and MMX need no CR4.OSFXSR. */
function unavailableVector({ registers }: X64Cpu, unit: number): number | undefined {
  const { cr0, cr4 } = registers;
  if (isSwitchedOff(registers, unit)) return VECTOR.UD;
  // VEX-encoded instructions look neither at CR0.EM nor at CR4.OSFXSR
  if (unit === UNIT.avx) return (cr0 & CR0.TS) !== 0 ? VECTOR.NM : undefined;
  if ((cr0 & CR0.EM) !== 0) return unit === UNIT.mmx || unit === UNIT.sse ? VECTOR.UD : VECTOR.NM;
  if ((cr0 & CR0.TS) !== 0) return VECTOR.NM;
  return unit === UNIT.x87 || unit === UNIT.mmx || (cr4 & CR4.OSFXSR) !== 0 ? undefined : VECTOR.UD;
}

const UNIT = { x87: 0, mmx: 1, sse: 2, avx: 3 } as const;

function isSwitchedOff({ cr4, xcr0 }: X64Cpu['registers'], unit: number): boolean {
  if (unit === UNIT.avx) return (cr4 & CR4.OSXSAVE) === 0 || (xcr0 & XCR0.YMM) === 0;
  return unit === UNIT.sse && (cr4 & CR4.OSFXSR) === 0;
}

function transferHelpers(current: () => X64Cpu): Table {
  return {
    [helper.farJump.name]: (selector: number, offset: bigint, _size: number, length: number) => {
      const cpu = current();
      settle(cpu, farJump(cpu, selector, u64(offset), nextIp(cpu, length)));
    },
    [helper.farCall.name]: (selector: number, offset: bigint, size: number, length: number) => {
      const cpu = current();
      settle(cpu, farCall(cpu, selector, u64(offset), size as Size, nextIp(cpu, length)));
    },
    [helper.farReturn.name]: (size: number, release: number) =>
      void settle(current(), farReturn(current(), size as Size, release)),
    [helper.interruptReturn.name]: (size: number, length: number) => {
      const cpu = current();
      if (settle(cpu, interruptReturn(cpu, size as Size, nextIp(cpu, length)))) cpu.interruptsUnmasked();
    },
    [helper.syscall.name]: (length: number) => void settle(current(), syscall(current(), nextIp(current(), length))),
    [helper.sysret.name]: (size: number) => {
      const cpu = current();
      if (settle(cpu, sysret(cpu, size as Size))) cpu.interruptsUnmasked();
    },
    [helper.sysenter.name]: () => void settle(current(), sysenter(current())),
    [helper.sysexit.name]: (size: number) => void settle(current(), sysexit(current(), size as Size)),
    [helper.continueAfter.name]: (length: number) => {
      const cpu = current();
      goOn(cpu, length);
      cpu.contextChanged();
    },
  };
}

function segmentHelpers(current: () => X64Cpu): Table {
  return {
    [helper.checkSegmentAccess.name]: (form: number, offset: bigint) => {
      const cpu = current();
      const { segment, size, write } = unpackSegmentAccess(form);
      allowsAccess(cpu, segment, Number(u64(offset)), size, write);
    },
    [helper.checkCodeLimit.name]: (length: number) => {
      const cpu = current();
      settle(cpu, isWithin(cpu.state.segment(SEGMENT.CS), Number(cpu.ip), length) ? undefined : protectionFault());
    },
    [helper.loadSegment.name]: (segment: number, selector: number) => {
      const cpu = current();
      if (settle(cpu, loadDataSegment(cpu, segment, selector)) && segment === SEGMENT.SS) cpu.holdInterruptsAndTraps();
    },
    [helper.loadSystemSegment.name]: (which: number, selector: number) => {
      const cpu = current();
      if (!cpu.isProtected || cpu.isVm86) return cpu.raise(fault(VECTOR.UD));
      settle(cpu, which === 0 ? loadLdt(cpu, selector) : loadTaskRegister(cpu, selector));
    },
    [helper.segmentQuery.name]: (which: number, selector: number) => segmentQuery(current(), which, selector),
    [helper.segmentVerify.name]: (which: number, selector: number) => segmentVerify(current(), which, selector),
    [helper.loadTableRegister.name]: (reg: number, address: bigint, size: number) =>
      loadTable(current(), reg, u64(address), size),
    [helper.storeTableRegister.name]: (reg: number, address: bigint) => storeTable(current(), reg, u64(address)),
  };
}

/** LGDT and LIDT take a base of 3 bytes with a 16-bit operand size, 8 bytes in 64-bit mode. */
function loadTable(cpu: X64Cpu, reg: number, address: bigint, size: number): void {
  const limit = cpu.memory.read(address, 2);
  const base = limit === undefined ? undefined : cpu.memory.read(address + 2n, cpu.is64 ? 8 : 4);
  if (limit === undefined || base === undefined) return cpu.raise(cpu.memory.fault);
  const table = { base: size === 2 && !cpu.is64 ? base & 0xff_ffffn : base, limit: Number(limit) };
  if (!cpu.isCanonicalBase(base)) return cpu.raise(protectionFault());
  if (reg === 2) cpu.registers.gdtr = table;
  else cpu.registers.idtr = table;
}

function storeTable(cpu: X64Cpu, reg: number, address: bigint): void {
  const { base, limit } = reg === 0 ? cpu.registers.gdtr : cpu.registers.idtr;
  const user = cpu.cpl === 3;
  const stored =
    cpu.memory.write(address, BigInt(limit), 2, user) && cpu.memory.write(address + 2n, base, cpu.is64 ? 8 : 4, user);
  if (!stored) cpu.raise(cpu.memory.fault);
}

function registerHelpers(current: () => X64Cpu): Table {
  const valueOf = (result: bigint | Fault): bigint => {
    if (typeof result === 'bigint') return result;
    current().raise(result);
    return 0n;
  };
  return {
    [helper.readControl.name]: (number: number) => valueOf(readControlRegister(current(), number)),
    [helper.writeControl.name]: (number: number, value: bigint, length: number) => {
      const cpu = current();
      if (settle(cpu, writeControlRegister(cpu, number, u64(value)))) goOn(cpu, length);
    },
    [helper.readDebug.name]: (number: number) => valueOf(readDebugRegister(current(), number)),
    [helper.writeDebug.name]: (number: number, value: bigint, length: number) => {
      const cpu = current();
      if (settle(cpu, writeDebugRegister(cpu, number, u64(value)))) goOn(cpu, length);
    },
    [helper.loadMachineStatus.name]: (value: number, length: number) => {
      const cpu = current();
      // LMSW sets PE and never clears it
      const cr0 = (cpu.registers.cr0 & ~0xe) | (value & 0xf);
      if (settle(cpu, writeControlRegister(cpu, 0, BigInt(cr0 >>> 0)))) goOn(cpu, length);
    },
    [helper.clearTaskSwitched.name]: (length: number) => {
      const cpu = current();
      cpu.registers.cr0 &= ~CR0.TS;
      goOn(cpu, length);
      cpu.contextChanged();
    },
    [helper.readMsr.name]: () => {
      const cpu = current();
      const value = readMsrValue(cpu, cpu.state.gpr32(GPR.CX));
      if (value === undefined) return cpu.raise(protectionFault());
      cpu.state.setGpr32(GPR.AX, Number(value & 0xffff_ffffn));
      cpu.state.setGpr32(GPR.DX, Number(value >> 32n));
    },
    [helper.writeMsr.name]: (length: number) => {
      const cpu = current();
      const value = (BigInt(cpu.state.gpr32(GPR.DX)) << 32n) | BigInt(cpu.state.gpr32(GPR.AX));
      if (!writeMsrValue(cpu, cpu.state.gpr32(GPR.CX), value)) return cpu.raise(protectionFault());
      goOn(cpu, length);
    },
    [helper.cpuid.name]: () => executeCpuid(current()),
    [helper.swapGs.name]: () => {
      const { registers, state } = current();
      const base = X64_STATE.segments[SEGMENT.GS]!.base;
      const old = state.get64(base);
      state.set64(base, registers.kernelGsBase);
      registers.kernelGsBase = old;
    },
    [helper.requireFsGsBase.name]: () => {
      const cpu = current();
      if ((cpu.registers.cr4 & CR4.FSGSBASE) === 0) cpu.raise(fault(VECTOR.UD));
    },
    ...extendedControlHelpers(current),
    ...protectionKeyHelpers(current),
  };
}

function extendedControlHelpers(current: () => X64Cpu): Table {
  return {
    [helper.xgetbv.name]: () => {
      const cpu = current();
      if ((cpu.registers.cr4 & CR4.OSXSAVE) === 0) return cpu.raise(fault(VECTOR.UD));
      const index = cpu.state.gpr32(GPR.CX);
      if (index > (cpu.features.has('xgetbv1') ? 1 : 0)) return cpu.raise(protectionFault());
      cpu.state.setGpr32(GPR.AX, cpu.registers.xcr0);
      cpu.state.setGpr32(GPR.DX, 0);
    },
    [helper.xsetbv.name]: (length: number) => {
      const cpu = current();
      if ((cpu.registers.cr4 & CR4.OSXSAVE) === 0) return cpu.raise(fault(VECTOR.UD));
      const value = cpu.state.gpr32(GPR.AX);
      const { components } = xsaveArea(cpu.features);
      const bad = (value & ~components) !== 0 || (value & 1) === 0 || ((value & 4) !== 0 && (value & 2) === 0);
      if (bad || cpu.state.gpr32(GPR.DX) !== 0 || cpu.state.gpr32(GPR.CX) !== 0) return cpu.raise(protectionFault());
      cpu.registers.xcr0 = value;
      goOn(cpu, length);
      cpu.contextChanged();
    },
    [helper.requireTimestamp.name]: () => {
      const cpu = current();
      if ((cpu.registers.cr4 & CR4.TSD) !== 0 && cpu.cpl !== 0) cpu.raise(protectionFault());
    },
    [helper.readPerformanceCounter.name]: () => current().raise(protectionFault()),
  };
}

/** RDPKRU and WRPKRU exist with CR4.PKE, and want registers to be 0. */
function checkPkru(cpu: X64Cpu, ...zero: readonly number[]): boolean {
  if ((cpu.registers.cr4 & CR4.PKE) === 0) cpu.raise(fault(VECTOR.UD));
  else if (zero.some(number => cpu.state.gpr32(number) !== 0)) cpu.raise(protectionFault());
  else return true;
  return false;
}

function protectionKeyHelpers(current: () => X64Cpu): Table {
  return {
    [helper.readPkru.name]: () => (checkPkru(current(), GPR.CX) ? BigInt(current().registers.pkru >>> 0) : 0n),
    [helper.writePkru.name]: (length: number) => {
      const cpu = current();
      if (!checkPkru(cpu, GPR.CX, GPR.DX)) return;
      cpu.setPkru(cpu.state.gpr32(GPR.AX) | 0);
      goOn(cpu, length);
    },
    [helper.randomNumber.name]: () => nextRandom(current()),
  };
}

/** The generator "splitmix64", begun from the number of the CPU. */
function nextRandom({ registers, apicId }: X64Cpu): bigint {
  registers.random = u64(registers.random + 0x9e37_79b9_7f4a_7c15n + BigInt(apicId));
  let bits = registers.random;
  bits = u64((bits ^ (bits >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
  bits = u64((bits ^ (bits >> 27n)) * 0x94d0_49bb_1331_11ebn);
  return bits ^ (bits >> 31n);
}

function flagHelpers(current: () => X64Cpu): Table {
  return {
    [helper.writeFlags.name]: (value: bigint, size: number, length: number) => {
      const cpu = current();
      if (cpu.isVm86 && cpu.iopl < 3) return cpu.raise(protectionFault());
      loadFlags(cpu, Number(BigInt.asIntN(32, value)) & ~EFLAGS.RF, size as Size, cpu.cpl);
      goOn(cpu, length);
      cpu.contextChanged();
      cpu.interruptsUnmasked();
    },
    [helper.changeInterruptFlag.name]: (which: number, length: number) => {
      const cpu = current();
      if (cpu.cpl > cpu.iopl) return cpu.raise(protectionFault());
      const { state } = cpu;
      const before = state.systemFlags;
      state.systemFlags = which === 1 ? before | EFLAGS.IF : before & ~EFLAGS.IF;
      if (which === 1 && enableInterrupts(cpu, before)) return;
      goOn(cpu, length);
    },
    [helper.interruptsEnabled.name]: (before: number, debuggerSteps: number) => {
      const cpu = current();
      if (debuggerSteps === 0) enableInterrupts(cpu, before);
      else if ((before & EFLAGS.IF) === 0) cpu.holdInterrupts();
    },
    [helper.changeAccessCheck.name]: (which: number) => {
      const cpu = current();
      if (cpu.cpl !== 0) return cpu.raise(fault(VECTOR.UD));
      const before = cpu.state.systemFlags;
      cpu.state.systemFlags = which === 1 ? before | EFLAGS.AC : before & ~EFLAGS.AC;
      cpu.contextChanged();
    },
    [helper.requireVm86Privilege.name]: () => {
      const cpu = current();
      if (cpu.isVm86 && cpu.iopl < 3) cpu.raise(protectionFault());
    },
    [helper.requireSupervisor.name]: () => {
      const cpu = current();
      if (cpu.cpl !== 0) cpu.raise(protectionFault());
    },
    [helper.requireNoUmip.name]: () => {
      const cpu = current();
      if ((cpu.registers.cr4 & CR4.UMIP) !== 0 && cpu.cpl !== 0) cpu.raise(protectionFault());
    },
  };
}

/** IF was clear before: interrupts wait for the next instruction. @returns whether STI is to run again, alone */
function enableInterrupts(cpu: X64Cpu, before: number): boolean {
  return (before & EFLAGS.IF) === 0 && cpu.openStiWindow();
}

function waitHelpers(current: () => X64Cpu): Table {
  return {
    [helper.halt.name]: (length: number) => {
      const cpu = current();
      goOn(cpu, length);
      cpu.halt();
    },
    [helper.vmcall.name]: () => {
      const cpu = current();
      if (cpu.hostCall === undefined || cpu.cpl !== 0) cpu.raise(fault(VECTOR.UD));
      else cpu.hostCall();
    },
    [helper.pause.name]: () => current().engine.yieldTurn(),
    [helper.monitor.name]: () => undefined,
    // the monitored address is not watched: MWAIT may wake at any time, and ends the turn
    [helper.monitorWait.name]: (length: number) => {
      const cpu = current();
      goOn(cpu, length);
      cpu.engine.requestAttention();
    },
    [helper.invalidatePage.name]: (address: bigint) => flushPage(current(), address),
    [helper.invalidatePcid.name]: (type: bigint, address: bigint) => invalidatePcid(current(), u64(type), u64(address)),
  };
}

/** INVPCID: 0 one address, 1 one PCID, 2 and 3 everything. */
function invalidatePcid(cpu: X64Cpu, type: bigint, address: bigint): void {
  const low = cpu.memory.read(address, 8);
  const linear = low === undefined ? undefined : cpu.memory.read(address + 8n, 8);
  if (low === undefined || linear === undefined) return cpu.raise(cpu.memory.fault);
  if (!isPcidDescriptor(cpu, type, low, linear)) return cpu.raise(protectionFault());
  const pcid = Number(low);
  cpu.memory.forget();
  if (type === 1n) cpu.engine.flushTlbContexts(key => (key & 0xfff) === pcid);
  else if (type >= 2n) cpu.engine.flushTlb();
  else flushPage(cpu, linear);
}

/** Types up to 3, PCIDs of 12 bits, none but 0 without CR4.PCIDE, and canonical addresses. */
function isPcidDescriptor(cpu: X64Cpu, type: bigint, pcid: bigint, linear: bigint): boolean {
  if (type > 3n || pcid >> 12n !== 0n) return false;
  if (type < 2n && pcid !== 0n && (cpu.registers.cr4 & CR4.PCIDE) === 0) return false;
  return type !== 0n || cpu.isCanonicalBase(linear);
}

/** Drops the translation of a page, and compiled instructions that cross into it from the page before. */
function flushPage({ engine, memory }: X64Cpu, address: bigint): void {
  memory.forget();
  for (const page of [address, address - 0x1000n]) {
    engine.flushTlbPage(Number(BigInt.asIntN(32, page)), Number(BigInt.asIntN(32, page >> 32n)));
  }
}

function readPort(cpu: X64Cpu, port: number, size: number): number {
  cpu.debugHits |= portHits(cpu.registers, port, size);
  return cpu.ports.read(port, size as 1 | 2 | 4);
}

function writePort(cpu: X64Cpu, port: number, value: number, size: number): void {
  cpu.debugHits |= portHits(cpu.registers, port, size);
  cpu.ports.write(port, value, size as 1 | 2 | 4);
}

function portHelpers(current: () => X64Cpu): Table {
  return {
    [helper.portIn.name]: (port: number, size: number) => {
      const cpu = current();
      return checkPort(cpu, port, size) ? readPort(cpu, port, size) | 0 : 0;
    },
    [helper.portOut.name]: (port: number, value: number, size: number) => {
      const cpu = current();
      if (checkPort(cpu, port, size)) writePort(cpu, port, value >>> 0, size);
    },
    [helper.stringOperation.name]: (form: number) => {
      const cpu = current();
      return runString(cpu.engine, form, surroundingsOf(cpu), cpu.is64);
    },
  };
}

/** Whether a segment allows an access; raises the exception when not. */
function allowsAccess(cpu: X64Cpu, segment: number, offset: number, size: number, write: boolean): boolean {
  return settle(cpu, checkAccess(segment, cpu.state.segment(segment), offset, size, write));
}

/** What string instructions need of the CPU. */
function surroundingsOf(cpu: X64Cpu) {
  return {
    checkAccess: (segment: number, offset: number, size: number, write: boolean): boolean =>
      allowsAccess(cpu, segment, offset, size, write),
    isLimited: (segment: number): boolean => !cpu.is64 && (cpu.isLimited || segment >= SEGMENT.FS),
    checkPort: (port: number, size: number): boolean => checkPort(cpu, port, size),
    readPort: (port: number, size: number): number => readPort(cpu, port, size),
    writePort: (port: number, value: number, size: number): void => writePort(cpu, port, value, size),
  };
}

/** Implementations by name. @param current gives the CPU that runs now */
export function systemHelpers(current: () => X64Cpu): Table {
  return {
    ...instructionHelpers(() => current().engine, { raise: (vector, code) => current().raise(fault(vector, code)) }),
    ...exceptionHelpers(current),
    ...transferHelpers(current),
    ...segmentHelpers(current),
    ...registerHelpers(current),
    ...flagHelpers(current),
    ...waitHelpers(current),
    ...portHelpers(current),
    ...fpStateHelpers(current),
    ...vectorOperationHelpers(() => current().engine),
    ...vectorMemoryHelpers(
      () => current().engine,
      (...access) => allowsAccess(current(), ...access),
    ),
    ...sseHelpers(() => current().sse),
    ...x87Helpers(() => current().x87),
    ...x87EnvironmentHelpers(current),
  };
}
