/**
 * Bodies of the helpers that `helpers.ts` and `translation.ts` declare. They act on the CPU that runs now.
 *
 * What "resumes" stores the PC of the next instruction itself.
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import type { BranchType } from '../branch-target.ts';
import type { A64Cpu } from '../cpu.ts';
import { exceptionReturn, HCR, takeSynchronous } from './exceptions.ts';
import { accessKey } from './helpers.ts';
import { HOST_CALL } from './host-call.ts';
import { callPsci } from './psci.ts';
import { genericName, keyFields } from './register-key.ts';
import { findRegister, isImplemented } from './registers/index.ts';
import type { SystemRegister } from './registers/row.ts';
import { EXCEPTION_CLASS, registerSyndrome, wfxSyndrome } from './syndrome.ts';
import { execute, SYSTEM_INSTRUCTIONS } from './system-instructions.ts';

/** Bit of an `access` that says read. */
const ACCESS_READ = 1 << 21;

function trap(cpu: A64Cpu, access: number): void {
  const isRead = (access & ACCESS_READ) !== 0;
  cpu.raise(EXCEPTION_CLASS.SYSTEM_REGISTER, registerSyndrome(accessKey(access), access & 31, isRead));
}

function undefinedInstruction(cpu: A64Cpu): void {
  cpu.raise(EXCEPTION_CLASS.UNKNOWN, 0);
}

/** The register of an access, or `undefined` when the access has raised an exception instead. */
function checkedRegister(cpu: A64Cpu, access: number, direction: 'read' | 'write'): SystemRegister | undefined {
  const row = findRegister(accessKey(access));
  if (row === undefined) {
    cpu.unimplemented?.(`${direction} of system register ${genericName(accessKey(access))}`);
    undefinedInstruction(cpu);
    return undefined;
  }
  return isAllowed(cpu, row, access, direction) ? row : undefined;
}

/** Whether a register may be accessed now; raises the exception when it may not. */
function isAllowed(cpu: A64Cpu, row: SystemRegister, access: number, direction: 'read' | 'write'): boolean {
  if (!isImplemented(row, cpu.configuration) || row.undefinedWhen?.(cpu) === true) {
    undefinedInstruction(cpu);
    return false;
  }
  const lowest = row.permission[direction];
  if (lowest === undefined || cpu.exceptionLevel < lowest) {
    const isTrappedId = isIdRegister(row) && direction === 'read' && cpu.features.has('FEAT_IDST');
    if (isTrappedId) trap(cpu, access);
    else undefinedInstruction(cpu);
    return false;
  }
  if (row.trap?.(cpu, direction) !== true) return true;
  trap(cpu, access);
  return false;
}

/** The ID space: op0 3, op1 0 or 1, CRn 0. FEAT_IDST makes reads of it from EL0 trap as register accesses. */
function isIdRegister({ key }: SystemRegister): boolean {
  const { op0, op1, CRn } = keyFields(key);
  return op0 === 3 && op1 <= 1 && CRn === 0;
}

function readRegister(cpu: A64Cpu, access: number): bigint {
  const row = checkedRegister(cpu, access, 'read');
  if (row === undefined) return 0n;
  switch (row.kind) {
    case 'storage':
      return cpu.read(row);
    case 'constant':
      return row.value(cpu.configuration);
    case 'computed':
    default:
      return row.read?.(cpu) ?? 0n;
  }
}

/** @returns false when the access has raised an exception */
function writeRegister(cpu: A64Cpu, access: number, written: bigint): boolean {
  // Compiled code hands over an i64 as a signed number
  const value = BigInt.asUintN(64, written);
  const row = checkedRegister(cpu, access, 'write');
  if (row === undefined) return false;
  if (row.kind === 'computed') row.write?.(cpu, value);
  if (row.kind !== 'storage') return true;
  const before = cpu.read(row);
  cpu.write(row, (value & row.mask) | (row.reset & ~row.mask));
  row.written?.(cpu, before);
  return true;
}

function resume(cpu: A64Cpu): void {
  cpu.engine.pc += 4n;
}

/** MSR (immediate): op1 and op2 name the field. */
const PSTATE_FIELDS: Readonly<Record<string, (cpu: A64Cpu, imm: number) => void>> = {
  '0,3': (cpu, imm) => cpu.setPstateField('UAO', imm & 1),
  '0,4': (cpu, imm) => cpu.setPstateField('PAN', imm & 1),
  '0,5': (cpu, imm) => cpu.setPstateField('SP', imm & 1),
  '3,1': (cpu, imm) => cpu.setPstateField('SSBS', imm & 1),
  '3,2': (cpu, imm) => cpu.setPstateField('DIT', imm & 1),
  '3,6': (cpu, imm) => cpu.setDaif(cpu.process.daif | (imm << 6)),
  '3,7': (cpu, imm) => cpu.setDaif(cpu.process.daif & ~(imm << 6)),
};
/** Fields whose existence depends on a feature. */
const PSTATE_FEATURES = { '0,3': 'FEAT_UAO', '0,4': 'FEAT_PAN', '3,1': 'FEAT_SSBS', '3,2': 'FEAT_DIT' } as const;

function writePstateField(cpu: A64Cpu, access: number, imm: number): void {
  const { op1, op2 } = keyFields(accessKey(access));
  const name = `${op1},${op2}`;
  const write = PSTATE_FIELDS[name];
  const feature = (
    PSTATE_FEATURES as Readonly<Record<string, (typeof PSTATE_FEATURES)['0,3' | '0,4' | '3,1' | '3,2']>>
  )[name];
  const isMissing = feature !== undefined && !cpu.features.has(feature);
  if (write === undefined || isMissing || (op1 === 0 && cpu.exceptionLevel === 0)) return undefinedInstruction(cpu);
  const isMask = op2 >= 6;
  if (isMask && cpu.exceptionLevel === 0 && !cpu.el0May('UMA')) return trap(cpu, access);
  write(cpu, imm);
  resume(cpu);
}

function systemInstruction(cpu: A64Cpu, access: number, operand: bigint): void {
  const done = execute(cpu, accessKey(access), BigInt.asUintN(64, operand));
  if (done === 'trapped') trap(cpu, access);
  else if (!done) {
    const key = accessKey(access);
    if (!SYSTEM_INSTRUCTIONS.has(key)) cpu.unimplemented?.(`system instruction ${genericName(key)}`);
    undefinedInstruction(cpu);
  }
}

/** SVC, HVC and SMC return behind themselves, and the exception is taken at once. */
function takeCall(cpu: A64Cpu, exceptionClass: number, immediate: number, target?: 1 | 2): void {
  takeSynchronous(cpu, { exceptionClass, iss: immediate }, cpu.engine.pc + 4n, target);
}

function hypervisorCall(cpu: A64Cpu, immediate: number): void {
  if (immediate === HOST_CALL && cpu.hostCall !== undefined) return cpu.hostCall();
  if (cpu.configuration.psciConduit === 'hvc') return callFirmware(cpu);
  if (!cpu.configuration.hasEl2) return undefinedInstruction(cpu);
  takeCall(cpu, EXCEPTION_CLASS.HVC64, immediate, 2);
}

/** There is no EL3: SMC is UNDEFINED unless it reaches PSCI. */
function secureMonitorCall(cpu: A64Cpu, immediate: number): void {
  if (immediate === HOST_CALL && cpu.hostCall !== undefined) return cpu.hostCall();
  if (cpu.configuration.psciConduit === 'smc') callFirmware(cpu);
  else undefinedInstruction(cpu);
}

function callFirmware(cpu: A64Cpu): void {
  resume(cpu);
  callPsci(cpu);
}

/** WFI (0) and WFE (1) trap from EL0 by SCTLR_EL1, and from below EL2 by HCR_EL2: when they would wait. */
function isWaitTrapped(cpu: A64Cpu, ti: 0 | 1): boolean {
  if (ti === 0 ? cpu.wakeUp : cpu.hasEvent) return false;
  const level = cpu.exceptionLevel;
  if (level === 0 && !cpu.el0May(ti === 0 ? 'nTWI' : 'nTWE')) return true;
  return level < 2 && cpu.hypervisorControl(ti === 0 ? HCR.TWI : HCR.TWE);
}

function wait(cpu: A64Cpu, ti: 0 | 1): void {
  if (isWaitTrapped(cpu, ti)) return cpu.raise(EXCEPTION_CLASS.WFX, wfxSyndrome(ti));
  resume(cpu);
  if (ti === 0) cpu.waitForInterrupt();
  else cpu.waitForEvent();
}

/** Helpers by name. @param current the CPU that runs now */
export function systemHelpers(current: () => A64Cpu): Readonly<Record<string, HelperImplementation>> {
  return {
    'a64.raiseException': (exceptionClass: number, iss: number) => current().raise(exceptionClass, iss),
    'a64.mrs': (access: number) => readRegister(current(), access),
    'a64.msr': (access: number, value: bigint) => {
      writeRegister(current(), access, value);
    },
    'a64.msrAndResume': (access: number, value: bigint) => {
      const cpu = current();
      if (writeRegister(cpu, access, value)) resume(cpu);
    },
    'a64.msrImmediate': (access: number, imm: number) => writePstateField(current(), access, imm),
    'a64.sys': (access: number, operand: bigint) => systemInstruction(current(), access, operand),
    // No SYSL instruction is defined without FEAT_GCS and the like
    'a64.sysl': () => {
      undefinedInstruction(current());
      return 0n;
    },
    'a64.interruptsUnmasked': () => current().interruptsUnmasked(),
    'a64.supervisorCall': (immediate: number) => takeCall(current(), EXCEPTION_CLASS.SVC64, immediate),
    'a64.hypervisorCall': (immediate: number) => hypervisorCall(current(), immediate),
    'a64.secureMonitorCall': (immediate: number) => secureMonitorCall(current(), immediate),
    'a64.exceptionReturn': (target: bigint) => exceptionReturn(current(), BigInt.asUintN(64, target)),
    'a64.raiseAtBranchTarget': (exceptionClass: number, iss: number, branchType: BranchType) =>
      current().raise(exceptionClass, iss, branchType),
    'a64.checkSigningLandingPad': (branchType: BranchType) => current().checkSigningLandingPad(branchType),
    'a64.softwareStep': (branchType: BranchType) => current().softwareStep(branchType),
    'a64.checkBreakpoints': (branchType: BranchType) => current().checkBreakpoints(branchType),
    'a64.waitForInterrupt': () => wait(current(), 0),
    'a64.waitForEvent': () => wait(current(), 1),
    'a64.yield': () => {
      const cpu = current();
      resume(cpu);
      cpu.engine.yieldTurn();
    },
    'a64.sendEvent': () => current().cluster.forEachCpu(cpu => cpu.signalEvent()),
    'a64.sendEventLocal': () => current().signalEvent(),
  };
}
