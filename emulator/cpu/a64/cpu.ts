/**
 * One A64 CPU: its system state, and what the engine asks of it.
 *
 * The parts are in `system/`: registers, process state, exceptions, the MMU, power control. This class holds them
 * together and keeps what is derived from registers up to date.
 */
import type { AccessKind, AccessRegime, EngineCpu, GuestCpu, WalkResult } from '../execute/guest.ts';
import { CPU_STATE } from '../execute/cpu-state.ts';
import { type BranchType, MISALIGNED_PC } from './branch-target.ts';
import type { A64Features } from './features.ts';
import { modeKey } from './mode.ts';
import type { A64Configuration } from './models.ts';
import { A64_STATE } from './state.ts';
import { contextKey } from './system/context-key.ts';
import {
  abort,
  softwareStepException,
  type SynchronousException,
  takeableInterrupt,
  takeAsynchronous,
  takeSynchronous,
  VECTOR,
} from './system/exceptions.ts';
import type { CpuSurroundings, GenericTimerRegisters, GicCpuInterface, PsciHost } from './system/interfaces.ts';
import { Mmu } from './system/mmu.ts';
import { PerformanceMonitor, type PerformanceMonitorState } from './system/performance-monitor.ts';
import { ProcessState, type PstateField } from './system/process-state.ts';
import { RegisterFile } from './system/register-file.ts';
import { TRANSLATION_REGISTERS } from './system/registers/control.ts';
import { HYPERVISOR_REGISTERS } from './system/registers/hypervisor.ts';
import { IDENTIFICATION_REGISTERS } from './system/registers/identification.ts';
import { isImplemented, SYSTEM_REGISTERS } from './system/registers/index.ts';
import type { ExceptionLevel, StorageRegister } from './system/registers/row.ts';
import { SelfHostedDebug } from './system/self-hosted-debug.ts';
import { DATA_ABORT, EXCEPTION_CLASS, FAULT } from './system/syndrome.ts';

/** SCTLR_EL1 bits that let EL0 do something. */
const EL0_CONTROL = {
  UMA: 1 << 9,
  EnRCTX: 1 << 10,
  DZE: 1 << 14,
  UCT: 1 << 15,
  nTWI: 1 << 16,
  nTWE: 1 << 18,
  UCI: 1 << 26,
} as const;

/** SCTLR_ELx bits that make accesses fault. */
const SCTLR = { A: 1 << 1, SA: 1 << 3, SA0: 1 << 4 } as const;
/** SCTLR_EL1.BT0, SCTLR_EL1.BT1, SCTLR_EL2.BT. */
const SCTLR_BT = [1n << 35n, 1n << 36n, 1n << 36n] as const;
/** Bits of SCTLR_ELx on which cached translations depend: M, WXN. */
const SCTLR_TRANSLATION = (1n << 0n) | (1n << 19n);
const CPACR_FPEN = 3 << 20;
const CPACR_FPEN_ALL = 3 << 20;
const CPACR_FPEN_EL1 = 1 << 20;
const CPTR_EL2_TFP = 1n << 10n;
/** CSSELR_EL1: level × 2, and InD for the instruction cache of level 1. */
const CSSELR_LEVEL_2 = 2;
/** ISR_EL1. */
const ISR = { F: 1n << 6n, I: 1n << 7n, A: 1n << 8n } as const;
const MONITOR_OPEN = 0xffff_ffff_ffff_ffffn;

/** What a snapshot holds besides the CPU state block. */
export interface A64CpuState {
  readonly idle: GuestCpu['idle'];
  readonly eventRegister: boolean;
  readonly serror: boolean;
  readonly random: bigint;
  readonly performance: PerformanceMonitorState;
}

/** An A64 CPU. The board calls `reset` before it runs. */
export class A64Cpu implements GuestCpu {
  readonly engine: EngineCpu;
  readonly configuration: A64Configuration;
  readonly features: A64Features;
  readonly gic: GicCpuInterface | undefined;
  readonly timer: GenericTimerRegisters;
  readonly psci: PsciHost;
  readonly cluster: CpuSurroundings<A64Cpu>['cluster'];
  readonly registers: RegisterFile;
  readonly process: ProcessState;
  readonly mmu: Mmu;
  readonly performance: PerformanceMonitor;
  readonly debug: SelfHostedDebug;
  /** MPIDR_EL1 as EL2 sees it: the affinity, with bit 31, which is RES1. */
  readonly MPIDR_EL1: bigint;
  /** Levels of the interrupt inputs. */
  readonly lines = { irq: false, fiq: false, serror: false };
  idle: GuestCpu['idle'] = 'off';
  /** FEAT_BTI. */
  readonly #hasBranchTypes: boolean;
  /** Called at a host call, with the PC still on it; see `system/host-call.ts`. Undefined: the instruction is what it always is. */
  hostCall: (() => void) | undefined;
  /** Told what the guest wants and we know nothing of, for traces. */
  unimplemented: ((what: string) => void) | undefined;
  #modeKey = 0;
  /** What `deliverException` takes; or the PC has a tag, and is to be gone to without. */
  #pending: SynchronousException | 'tagged PC' | undefined;
  #eventRegister = false;
  #steppedInstruction: bigint | undefined;
  #steppedLoadExclusive = false;
  #random = 1n;

  constructor(engine: EngineCpu, configuration: A64Configuration, surroundings: CpuSurroundings<A64Cpu>) {
    const { model } = configuration;
    this.engine = engine;
    this.configuration = configuration;
    this.MPIDR_EL1 = 0x8000_0000n | BigInt(configuration.affinity);
    this.features = model.features;
    this.#hasBranchTypes = model.features.has('FEAT_BTI');
    this.gic = surroundings.gic;
    this.timer = surroundings.timer;
    this.psci = surroundings.psci;
    this.cluster = surroundings.cluster;
    this.registers = new RegisterFile(engine);
    this.process = new ProcessState(this.registers, this.features);
    this.debug = new SelfHostedDebug(this);
    this.mmu = new Mmu(engine, this.features, model.physicalAddressBits);
    this.performance = new PerformanceMonitor(() => BigInt(engine.instructionsRetired()));
  }

  // Power

  /** Resets every register. @param on false leaves the CPU off, as PSCI finds secondary CPUs */
  reset(on: boolean): void {
    for (const row of SYSTEM_REGISTERS) if (row.kind === 'storage') this.write(row, row.reset);
    this.write(TRANSLATION_REGISTERS.SCTLR_EL1, this.configuration.model.SCTLR_EL1);
    this.write(HYPERVISOR_REGISTERS.VPIDR_EL2, this.configuration.model.MIDR_EL1);
    this.write(HYPERVISOR_REGISTERS.VMPIDR_EL2, this.MPIDR_EL1);
    this.process.reset(this.configuration.hasEl2 ? 2 : 1);
    this.registers.set64(A64_STATE.exclusiveAddress, MONITOR_OPEN);
    this.registers.set64(A64_STATE.branchTarget, 0n);
    this.registers.set32(A64_STATE.FPCR, 0);
    this.registers.set32(A64_STATE.FPSR, 0);
    this.performance.reset();
    this.debug.configure();
    this.#pending = undefined;
    this.#eventRegister = false;
    this.#steppedInstruction = undefined;
    this.#random = this.MPIDR_EL1 | 1n;
    this.idle = on ? 'running' : 'off';
    this.engine.flushTlb();
    this.translationChanged();
  }

  /**
   * Starts the CPU out of reset at a physical address, MMU off and interrupts masked.
   * @param x values of X0 and on
   */
  start(entry: bigint, x: readonly bigint[], exceptionLevel: 1 | 2): void {
    this.reset(true);
    this.process.reset(exceptionLevel);
    this.contextChanged();
    for (const [n, value] of x.entries()) this.registers.setX(n, value);
    this.branchTo(entry);
  }

  powerOff(): void {
    this.idle = 'off';
    this.engine.requestAttention();
  }

  // What the engine asks

  walk(low: number, high: number, kind: AccessKind, regime: AccessRegime, result: WalkResult): boolean {
    if (kind === 'execute' && !this.#checkPc(low, high)) return false;
    const level = regime === 'current' ? this.process.exceptionLevel : this.#unprivilegedLevel();
    const pan = level === 1 && this.process.field('PAN') === 1;
    if (this.mmu.walk(low, high, kind, level, pan, result)) {
      const mayBeWatched = this.debug.hasWatchpoints && kind !== 'execute';
      return !mayBeWatched || !this.#hitsWatchpoint(low, high, kind, level, result);
    }
    this.#pending = abort(kind, this.mmu.faultStatus, this.#faultAddress(low, high, kind));
    return false;
  }

  alignmentFault(low: number, high: number, kind: AccessKind): void {
    this.#pending = { ...abort(kind, FAULT.ALIGNMENT, addressOf(low, high)), mayBeStack: true };
  }

  busFault(low: number, high: number, kind: AccessKind): boolean {
    this.#pending = abort(kind, FAULT.EXTERNAL, this.#faultAddress(low, high, kind));
    return true;
  }

  deliverException(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === 'tagged PC') this.branchTo(this.engine.pc, this.branchType);
    else if (pending?.mayBeStack === true && isStackAccess(this)) {
      takeSynchronous(this, { exceptionClass: EXCEPTION_CLASS.SP_ALIGNMENT, iss: 0 }, this.engine.pc);
    } else if (pending !== undefined) takeSynchronous(this, pending, this.engine.pc);
  }

  // The program counter; `branch-target.ts` says what its low bits are

  /** Goes to an address, of which the tag is removed. @param branchType PSTATE.BTYPE there */
  branchTo(address: bigint, branchType: BranchType = 0): void {
    const target = this.canonicalAddress(address);
    const isMisaligned = (target & 3n) !== 0n;
    if (!this.#hasBranchTypes || !isMisaligned) {
      this.engine.pc = target | BigInt(branchType);
    } else {
      this.registers.set64(A64_STATE.branchTarget, target);
      this.engine.pc = MISALIGNED_PC;
    }
  }

  visiblePc(pc: bigint): bigint {
    if (!this.#hasBranchTypes || (pc & 3n) === 0n) return pc;
    return this.#isMisaligned(pc) ? this.registers.get64(A64_STATE.branchTarget) : pc & ~3n;
  }

  /** PSTATE.BTYPE. */
  get branchType(): BranchType {
    if (!this.#hasBranchTypes) return 0;
    const pc = this.engine.view.getBigUint64(this.engine.base + CPU_STATE.pc, true);
    return (this.#isMisaligned(pc) ? 0 : Number(pc & 3n)) as BranchType;
  }

  #isMisaligned(pc: bigint): boolean {
    return pc === MISALIGNED_PC && (this.registers.get64(A64_STATE.branchTarget) & 3n) !== 0n;
  }

  /** Before a fetch: an address that is not aligned faults, and one with a tag is gone to once more without it. */
  #checkPc(low: number, high: number): boolean {
    const { pc } = this.engine;
    if ((low & 3) !== 0 && (pc & 3n) !== 0n) {
      this.#pending = { exceptionClass: EXCEPTION_CLASS.PC_ALIGNMENT, iss: 0, faultAddress: pc };
      return false;
    }
    const isCanonical = this.exceptionLevel === 2 ? high >>> 24 === 0 : (high << 8) >> 8 === high;
    if (isCanonical || !this.mmu.ignoresTopByte(high, this.exceptionLevel)) return true;
    this.#pending = 'tagged PC';
    return false;
  }

  /** FAR_ELx: the address of an instruction without its BTYPE. */
  #faultAddress(low: number, high: number, kind: AccessKind): bigint {
    return addressOf(kind === 'execute' ? low & ~3 : low, high);
  }

  /** PACIASP or PACIBSP at the target of a BR in guarded memory: SCTLR_ELx.BT makes it no landing pad. */
  checkSigningLandingPad(branchType: BranchType): void {
    const { SCTLR_EL1 } = TRANSLATION_REGISTERS;
    const level = this.exceptionLevel;
    const control = this.read(level === 2 ? HYPERVISOR_REGISTERS.SCTLR_EL2 : SCTLR_EL1);
    if ((control & SCTLR_BT[level]) !== 0n) this.raise(EXCEPTION_CLASS.BTI, branchType, branchType);
  }

  takeInterrupt(): boolean {
    if (this.idle === 'waiting-for-event') this.idle = 'running';
    if (!this.wakeUp) return false;
    if (this.idle === 'waiting-for-interrupt') this.idle = 'running';
    const interrupt = takeableInterrupt(this);
    if (interrupt === undefined) return false;
    if (interrupt.vector === VECTOR.SERROR) this.lines.serror = false;
    takeAsynchronous(this, interrupt.vector, interrupt.target);
    return true;
  }

  /** Ends WFI also when PSTATE masks the interrupt, WFE only when it does not. */
  get wakeUp(): boolean {
    const { irq, fiq, serror } = this.lines;
    const isPending = irq || fiq || serror;
    return isPending && (this.idle !== 'waiting-for-event' || takeableInterrupt(this) !== undefined);
  }

  modeKey(): number {
    return this.#modeKey;
  }

  // Interrupt inputs

  /** Drives nIRQ; the interrupt controller calls it. */
  setIrq(level: boolean): void {
    this.#setLine('irq', level);
  }

  /** Drives nFIQ. */
  setFiq(level: boolean): void {
    this.#setLine('fiq', level);
  }

  /** Makes a system error pending. */
  raiseSerror(): void {
    this.#setLine('serror', true);
  }

  #setLine(line: 'irq' | 'fiq' | 'serror', level: boolean): void {
    if (this.lines[line] === level) return;
    this.lines[line] = level;
    if (level) this.engine.requestAttention();
  }

  /** Looks for interrupts after PSTATE.DAIF or the level has changed. */
  interruptsUnmasked(): void {
    if (this.wakeUp && takeableInterrupt(this) !== undefined) this.engine.requestAttention();
  }

  /** ISR_EL1: what is pending, masked or not. */
  pendingInterrupts(): bigint {
    const { irq, fiq, serror } = this.lines;
    return (irq ? ISR.I : 0n) | (fiq ? ISR.F : 0n) | (serror ? ISR.A : 0n);
  }

  // Exceptions

  /** Keeps a synchronous exception of the instruction under way for `deliverException`. */
  raise(exceptionClass: number, iss: number, branchType: BranchType = 0): void {
    const isAtPc = exceptionClass === EXCEPTION_CLASS.PC_ALIGNMENT;
    this.#pending = { exceptionClass, iss, branchType, ...(isAtPc && { faultAddress: this.engine.pc }) };
    this.engine.requestException();
  }

  /** SCTLR_EL1 lets EL0 do this. */
  el0May(control: keyof typeof EL0_CONTROL): boolean {
    return (this.registers.getLow(TRANSLATION_REGISTERS.SCTLR_EL1.field) & EL0_CONTROL[control]) !== 0;
  }

  /** Whether EL2 exists and any of these HCR_EL2 bits is set. */
  hypervisorControl(bits: bigint): boolean {
    return this.configuration.hasEl2 && (this.read(HYPERVISOR_REGISTERS.HCR_EL2) & bits) !== 0n;
  }

  // Waiting

  waitForInterrupt(): void {
    if (!this.wakeUp) this.idle = 'waiting-for-interrupt';
    this.engine.requestAttention();
  }

  /** WFE: consumes an event, or ends the CPU's turn until the next event. */
  waitForEvent(): void {
    if (this.#eventRegister) {
      this.#eventRegister = false;
      return;
    }
    this.idle = 'waiting-for-event';
    this.engine.requestAttention();
  }

  /** An event that is there ends a wait at once; else the event stream of CNTKCTL_EL1 does. */
  get nextEventNs(): number | undefined {
    return this.#eventRegister ? 0 : this.timer.nextEvent();
  }

  endWaitForEvent(): void {
    this.idle = 'running';
  }

  /** The event register is set: the next WFE does not wait. */
  get hasEvent(): boolean {
    return this.#eventRegister;
  }

  signalEvent(): void {
    this.#eventRegister = true;
  }

  // Self-hosted debug

  /** Breakpoint or watchpoint registers have new values. */
  debugRegistersWritten(): void {
    this.debug.configure();
    // Pages that were not watched may be in the soft TLB
    this.engine.flushTlb();
    this.contextChanged();
  }

  /** Before an instruction while a breakpoint may match. */
  checkBreakpoints(branchType: BranchType): void {
    if (!this.debug.matchesInstruction(this.engine.pc)) return;
    this.raise(EXCEPTION_CLASS.BREAKPOINT_SAME, FAULT.DEBUG, branchType);
  }

  /** Keeps the Watchpoint exception of an access to a watched page. @returns whether there is one; else the page is looked at again */
  #hitsWatchpoint(low: number, high: number, kind: AccessKind, level: number, result: WalkResult): boolean {
    const address = addressOf(low, high);
    if (!this.debug.watchesPage(address)) return false;
    result.readable = false;
    result.writable = false;
    const watched = this.debug.watchedAddress(address, this.engine.accessSize, kind, level);
    if (watched === undefined) return false;
    const iss = FAULT.DEBUG | (kind === 'write' ? DATA_ABORT.WnR : 0);
    this.#pending = { exceptionClass: EXCEPTION_CLASS.WATCHPOINT_SAME, iss, faultAddress: watched };
    return true;
  }

  /** Before an instruction while stepping: it may run once (PSTATE.SS set), else the step exception is due. */
  softwareStep(branchType: BranchType): void {
    if (this.process.field('SS') === 0) {
      const stepped = this.takeSteppedInstruction();
      this.#pending = { ...softwareStepException(stepped !== undefined, this.#steppedLoadExclusive), branchType };
      this.engine.requestException();
    } else {
      this.process.setField('SS', 0);
      this.#steppedInstruction = this.engine.pc;
      this.#steppedLoadExclusive = isLoadExclusive(instructionUnderWay(this));
    }
  }

  /** Address of the instruction that `softwareStep` let run, once; when it faults, its return steps it again. */
  takeSteppedInstruction(): bigint | undefined {
    const stepped = this.#steppedInstruction;
    this.#steppedInstruction = undefined;
    return stepped;
  }

  // Registers

  /** Aff2, Aff1 and Aff0 at their places in MPIDR_EL1. */
  get affinity(): number {
    return this.configuration.affinity;
  }

  get exceptionLevel(): ExceptionLevel {
    return this.process.exceptionLevel;
  }

  read(register: StorageRegister): bigint {
    return this.registers.get64(register.field);
  }

  write(register: StorageRegister, value: bigint): void {
    this.registers.set64(register.field, value);
  }

  setPstateField(name: PstateField, value: number): void {
    if (name === 'SP') this.process.selectStackPointer(value);
    else this.process.setField(name, value);
    this.contextChanged();
  }

  setDaif(value: number): void {
    this.process.daif = value;
    this.interruptsUnmasked();
  }

  /** MIDR_EL1 as EL1 reads it. */
  visibleMidr(): bigint {
    const hidden = this.configuration.hasEl2 && this.exceptionLevel < 2;
    return hidden ? this.read(HYPERVISOR_REGISTERS.VPIDR_EL2) : this.configuration.model.MIDR_EL1;
  }

  visibleMpidr(): bigint {
    const hidden = this.configuration.hasEl2 && this.exceptionLevel < 2;
    return hidden ? this.read(HYPERVISOR_REGISTERS.VMPIDR_EL2) : this.MPIDR_EL1;
  }

  /** CCSIDR_EL1 of the cache that CSSELR_EL1 selects; 0 when there is none. */
  selectedCache(): bigint {
    const selected = Number(this.read(IDENTIFICATION_REGISTERS.CSSELR_EL1));
    return selected <= CSSELR_LEVEL_2 ? (this.configuration.model.CCSIDR_EL1[selected] ?? 0n) : 0n;
  }

  /** RNDR: a deterministic sequence; NZCV says success. Source of the generator: G. Marsaglia, "Xorshift RNGs" (the 13, 7, 17 triple). */
  random(): bigint {
    let x = this.#random;
    x ^= BigInt.asUintN(64, x << 13n);
    x ^= x >> 7n;
    x ^= BigInt.asUintN(64, x << 17n);
    this.#random = x;
    this.process.conditionFlags = 0;
    return x;
  }

  /** All registers of this CPU that can be read without side effects, for debuggers and traces. */
  *systemRegisters(): Generator<readonly [name: string, value: bigint]> {
    for (const row of SYSTEM_REGISTERS) {
      if (!isImplemented(row, this.configuration)) continue;
      if (row.kind === 'storage') yield [row.name, this.read(row)];
      else if (row.kind === 'constant') yield [row.name, row.value(this.configuration)];
    }
  }

  // Derived state

  systemControlWritten(before: bigint): void {
    const register = this.exceptionLevel === 2 ? HYPERVISOR_REGISTERS.SCTLR_EL2 : TRANSLATION_REGISTERS.SCTLR_EL1;
    if (((before ^ this.read(register)) & SCTLR_TRANSLATION) !== 0n) this.engine.flushTlb();
    this.translationChanged();
  }

  translationControlWritten(before: bigint): void {
    const register = this.exceptionLevel === 2 ? HYPERVISOR_REGISTERS.TCR_EL2 : TRANSLATION_REGISTERS.TCR_EL1;
    if (before !== this.read(register)) this.engine.flushTlb();
    this.translationChanged();
  }

  translationTablesWritten(): void {
    this.translationChanged();
  }

  /** Decodes the translation registers anew. */
  translationChanged(): void {
    const { SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1 } = TRANSLATION_REGISTERS;
    this.mmu.configureEl1({
      SCTLR: this.read(SCTLR_EL1),
      TCR: this.read(TCR_EL1),
      TTBR0: this.read(TTBR0_EL1),
      TTBR1: this.read(TTBR1_EL1),
    });
    if (this.configuration.hasEl2) {
      const { SCTLR_EL2, TCR_EL2, TTBR0_EL2 } = HYPERVISOR_REGISTERS;
      this.mmu.configureEl2({ SCTLR: this.read(SCTLR_EL2), TCR: this.read(TCR_EL2), TTBR0: this.read(TTBR0_EL2) });
    }
    this.contextChanged();
  }

  /** Tells the engine the mode and the translations that apply from now on. */
  contextChanged(): void {
    const level = this.exceptionLevel;
    const isEl0 = level === 0;
    const { field } = level === 2 ? HYPERVISOR_REGISTERS.SCTLR_EL2 : TRANSLATION_REGISTERS.SCTLR_EL1;
    const control = this.registers.getLow(field);
    this.#modeKey = modeKey({
      exceptionLevel: level,
      simdTrapped: this.#isSimdTrapped(level),
      stepping: this.debug.isStepping,
      guarded: false,
      cacheMaintenanceTrapped: isEl0 && !(this.el0May('DZE') && this.el0May('UCI') && this.el0May('UCT')),
      handlerStack: !isEl0 && this.process.field('SP') === 1,
      breakpoints: this.debug.hasBreakpoints,
      alignmentChecked: (control & SCTLR.A) !== 0,
      stackChecked: (control & (isEl0 ? SCTLR.SA0 : SCTLR.SA)) !== 0,
    });
    const current = this.#contextKey(level);
    const unprivileged = this.#unprivilegedLevel();
    this.engine.setContext(current, unprivileged === level ? current : this.#contextKey(unprivileged));
  }

  #contextKey(level: ExceptionLevel): number {
    const pan = level === 1 && this.process.field('PAN') === 1;
    return contextKey(level === 2 ? 0 : this.mmu.asid, level, pan, this.mmu.isOn(level));
  }

  /** Level as which LDTR and STTR access memory: EL0 from EL1, unless PSTATE.UAO is set. */
  #unprivilegedLevel(): ExceptionLevel {
    const level = this.exceptionLevel;
    return level === 1 && this.process.field('UAO') === 0 ? 0 : level;
  }

  /** CPACR_EL1.FPEN, and CPTR_EL2.TFP where there is an EL2. */
  #isSimdTrapped(level: ExceptionLevel): boolean {
    const el2 = this.configuration.hasEl2 && (this.read(HYPERVISOR_REGISTERS.CPTR_EL2) & CPTR_EL2_TFP) !== 0n;
    if (el2 || level === 2) return el2;
    const enabled = this.registers.getLow(TRANSLATION_REGISTERS.CPACR_EL1.field) & CPACR_FPEN;
    return enabled !== CPACR_FPEN_ALL && !(level === 1 && enabled === CPACR_FPEN_EL1);
  }

  /** An address as the PC holds it: with a top byte that translation ignores, bits 63 to 56 are copies of bit 55. */
  canonicalAddress(address: bigint): bigint {
    const level = this.exceptionLevel;
    const high = Number(BigInt.asIntN(32, address >> 32n));
    if (!this.mmu.ignoresTopByte(high, level)) return address;
    return level === 2 ? BigInt.asUintN(56, address) : BigInt.asUintN(64, BigInt.asIntN(56, address));
  }

  /**
   * Physical address of a virtual one as privileged code sees it, for debuggers; faults leave no trace.
   * @returns `undefined` when it is not mapped
   */
  translateForDebugger(address: bigint): number | undefined {
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const level = this.exceptionLevel === 2 ? 2 : 1;
    const result = { ...NO_RESULT };
    if (!this.mmu.walk(low, high, 'read', level, false, result)) return undefined;
    return result.paddr + (low & 0xfff);
  }

  // Snapshots

  save(): A64CpuState {
    return {
      idle: this.idle,
      eventRegister: this.#eventRegister,
      serror: this.lines.serror,
      random: this.#random,
      performance: this.performance.save(),
    };
  }

  /** Takes over a state; the CPU state block has been restored already, and the interrupt controller drives the lines. */
  restore(state: A64CpuState): void {
    this.idle = state.idle;
    this.#eventRegister = state.eventRegister;
    this.lines.serror = state.serror;
    this.#random = state.random;
    this.performance.restore(state.performance);
    this.debug.configure();
    this.#pending = undefined;
    this.#steppedInstruction = undefined;
    this.engine.flushTlb();
    this.translationChanged();
  }
}

const NO_RESULT: WalkResult = {
  paddr: 0,
  readable: false,
  writable: false,
  executable: false,
  leafSize: 0,
  guarded: false,
};

/** Whether the instruction under way accesses memory by a misaligned SP: loads and stores have their base register in bits 9 to 5. */
function isStackAccess(cpu: A64Cpu): boolean {
  if ((cpu.registers.get64(A64_STATE.sp) & 15n) === 0n) return false;
  return ((instructionUnderWay(cpu) >> 5) & 31) === 31;
}

/** Its word; 0, which is UNDEFINED, when it is not in RAM. */
function instructionUnderWay(cpu: A64Cpu): number {
  const { engine } = cpu;
  const paddr = cpu.translateForDebugger(engine.pc);
  const address = paddr === undefined ? -1 : engine.ramAddress(paddr);
  return address < 0 ? 0 : engine.int32[address >> 2]!;
}

/** LDXR, LDAXR, LDXP, LDAXP. Source: Arm ARM DDI 0487 "Load/store exclusive". */
function isLoadExclusive(word: number): boolean {
  return (word & 0x3fc0_0000) === 0x0840_0000;
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
