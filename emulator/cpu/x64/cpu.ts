/**
 * One x86_64 CPU: its system registers, and what the engine asks of it.
 *
 * The parts are in `system/`. This class holds them together and keeps derived facts (mode, translation context) up to date.
 * Not modelled: alignment checks of user code (#AC), system-management mode, virtual-8086 mode extensions (CR4.VME), performance counters.
 */
import { CPU_STATE, EXIT } from '../execute/cpu-state.ts';
import type { AccessKind, AccessRegime, EngineCpu, GuestCpu, WalkResult } from '../execute/guest.ts';
import type { X64Features } from './features.ts';
import { modeKey } from './mode.ts';
import type { X64Model } from './models.ts';
import { isStackReference } from './stack-reference.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from './state.ts';
import { CR0, CR4, DR7, EFER, XCR0 } from './system/control-bits.ts';
import { dataHits, hasDataBreakpoints, watchesPage } from './system/debug-exceptions.ts';
import { ATTRIBUTE, dpl, segmentAtReset } from './system/descriptors.ts';
import { deliverFault, deliverInterrupt } from './system/exceptions.ts';
import { fault, type Fault, VECTOR } from './system/fault.ts';
import type { LocalApicInterface, PortSpace, X64Host, X64Surroundings } from './system/interfaces.ts';
import { LinearMemory, walkFault } from './system/linear-memory.ts';
import { Paging, type Privilege } from './system/paging.ts';
import { isUnlimitedData } from './system/segment-limits.ts';
import { RegisterAccess } from './system/register-access.ts';
import { SseUnit } from './system/sse-float.ts';
import { X87Unit } from './system/x87.ts';
import { resetRegisters, type SystemRegisters } from './system/system-registers.ts';

/** Where the boot CPU finds itself after reset, and application processors after INIT. */
const RESET_VECTOR = 0xffff_fff0n;
const MXCSR_RESET = 0x1f80;
const FCW_RESET = 0x40;
const FCW_INITIAL = 0x37f;

/** What a snapshot holds besides the CPU state block. */
export interface X64CpuState {
  readonly registers: SystemRegisters;
  readonly idle: GuestCpu['idle'];
  readonly waitsForStartup: boolean;
  readonly interrupt: boolean;
  readonly nmis: number;
  readonly nmiBlocked: boolean;
  readonly shadowUntil: number;
  readonly stepArmed: boolean;
  readonly debugHits: number;
  readonly stackShadow: boolean;
  readonly stiWindow: number;
}

/** State of entry to a kernel, as boot protocols have it. */
export interface X64Entry {
  readonly mode: 'long64' | 'protected32';
  readonly rip: bigint;
  readonly rsi: bigint;
  readonly rbx: bigint;
  readonly rax?: bigint;
  /** Physical address of page tables that map memory to itself; for `long64`. */
  readonly cr3: number;
  /** Physical address and limit of a GDT whose selectors 0x10 and 0x18 are flat code and data. */
  readonly gdt: { readonly base: bigint; readonly limit: number };
}

/** An x86_64 CPU. The board calls `reset` before it runs. */
export class X64Cpu implements GuestCpu {
  readonly engine: EngineCpu;
  readonly model: X64Model;
  readonly features: X64Features;
  readonly apic: LocalApicInterface;
  readonly ports: PortSpace;
  readonly timestamp: () => bigint;
  readonly host: X64Host;
  readonly state: RegisterAccess;
  readonly registers: SystemRegisters = resetRegisters();
  readonly paging: Paging;
  readonly memory: LinearMemory;
  readonly x87: X87Unit;
  readonly sse: SseUnit;
  /** Local APIC ID, and place among the machine's CPUs. */
  readonly apicId: number;
  readonly cpuCount: number;
  idle: GuestCpu['idle'] = 'off';
  /** Called at a host call, with the PC still on it; see `system/host-call.ts`. Undefined: the instruction is what it always is. */
  hostCall: (() => void) | undefined;
  /** NMIs are held off from the delivery of one to the next IRET. */
  nmiBlocked = false;
  /** TF was set when the instruction that has just run began: a #DB is due. */
  stepArmed = false;
  /** Breakpoints on data or ports that the instruction under way has hit, as bits of DR6: a #DB is due behind it. */
  debugHits = 0;
  /** The instruction under way is the one behind MOV SS or POP SS: traps wait, and that of loading SS is lost. */
  stackShadow = false;
  /** How far an STI with an interrupt due has got (`STI_WINDOW`), or 0. */
  #stiWindow = 0;
  /** See `X64Mode.limited`. */
  isLimited = false;
  #watchesData = false;
  /** Guest time beyond retired instructions, as of the last slice. */
  #skipped = Number.NaN;
  /** The exception or interrupt that was taken last, for traces. */
  lastDelivered: Pick<Fault, 'vector' | 'errorCode'> = fault(VECTOR.DE);
  #modeKey = 0;
  /** Halves of addresses of pages in the upper half that are not global. */
  readonly #localPages: number[] = [];
  #hasManyLocalPages = false;
  #pending: Fault | undefined;
  /** Address that is not canonical, of the access that has made `#pending`. */
  #notCanonical: bigint | undefined;
  #interrupt = false;
  /** NMIs that wait. */
  #nmis = 0;
  /** After INIT: only a start-up IPI goes on. */
  #waitsForStartup = false;
  /** Interrupts are held off until this many instructions have retired (after STI and MOV SS). */
  #shadowUntil = 0;
  #currentPrivilege: Privilege = { user: false, smapBlocked: false };

  constructor(engine: EngineCpu, model: X64Model, cpuCount: number, surroundings: X64Surroundings) {
    this.engine = engine;
    this.model = model;
    this.features = model.features;
    this.apic = surroundings.apic;
    this.ports = surroundings.ports;
    this.timestamp = surroundings.timestamp;
    this.host = surroundings.host;
    this.apicId = engine.index;
    this.cpuCount = cpuCount;
    this.state = new RegisterAccess(engine);
    this.paging = new Paging(engine, this.registers, {
      physicalAddressBits: model.physicalAddressBits,
      hasGigabytePages: model.features.has('pdpe1gb'),
    });
    this.memory = new LinearMemory(engine, this.paging);
    this.sse = new SseUnit({ engine, raiseFloatingPoint: () => this.#raiseFloatingPoint() });
    this.x87 = new X87Unit({ state: this.state, raise: vector => this.raise(fault(vector)) });
  }

  // Power

  /** Resets every register. @param on false makes an application processor, which waits for a start-up IPI */
  reset(on: boolean): void {
    Object.assign(this.registers, resetRegisters());
    const { state } = this;
    for (let n = 0; n < 16; n++) state.setGpr(n, 0n);
    state.setGpr(GPR.DX, BigInt(this.model.signature));
    for (let n = 0; n < 6; n++) state.setSegment(n, segmentAtReset(n));
    for (const n of [SEGMENT.LDTR, SEGMENT.TR]) {
      state.setSegment(n, { selector: 0, base: 0n, limit: 0xffff, attributes: n === SEGMENT.TR ? 0x8b00 : 0x8200 });
    }
    state.eflags = EFLAGS.FIXED;
    this.#resetFloatingPoint();
    this.engine.pc = RESET_VECTOR;
    this.#pending = undefined;
    this.#nmis = 0;
    this.nmiBlocked = false;
    this.stepArmed = false;
    this.debugHits = 0;
    this.stackShadow = false;
    this.#stiWindow = 0;
    this.#skipped = Number.NaN;
    this.#shadowUntil = 0;
    this.#waitsForStartup = !on;
    this.idle = on ? 'running' : 'off';
    this.flushTranslations();
    this.contextChanged();
  }

  #resetFloatingPoint(): void {
    const { state } = this;
    state.set32(X64_STATE.MXCSR, MXCSR_RESET);
    state.set32(X64_STATE.FCW, FCW_RESET);
    state.set32(X64_STATE.FSW, 0);
    state.set32(X64_STATE.TOP, 0);
    state.set32(X64_STATE.emptyTags, 0);
    state.set32(X64_STATE.FOP, 0);
    state.set64(X64_STATE.FIP, 0n);
    state.set64(X64_STATE.FDP, 0n);
  }

  /** Starts at a kernel's entry, as QEMU's direct boot leaves it: flat segments, interrupts off. */
  start(entry: X64Entry): void {
    this.reset(true);
    const { registers, state } = this;
    const long = entry.mode === 'long64';
    registers.gdtr = { ...entry.gdt };
    registers.idtr = { base: 0n, limit: 0 };
    registers.cr0 = CR0.PE | CR0.ET | CR0.NE | (long ? CR0.PG : 0);
    registers.cr4 = long ? CR4.PAE : 0;
    registers.cr3 = long ? entry.cr3 : 0;
    registers.efer = long ? EFER.LME | EFER.LMA : 0;
    state.setSegment(SEGMENT.CS, {
      selector: 0x10,
      base: 0n,
      limit: 0xffff_ffff,
      attributes: long ? 0x00a0_9b00 : 0x00c0_9b00,
    });
    for (const n of [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS]) {
      state.setSegment(n, { selector: 0x18, base: 0n, limit: 0xffff_ffff, attributes: 0x00c0_9300 });
    }
    state.set32(X64_STATE.FCW, FCW_INITIAL);
    state.setGpr(GPR.DX, 0n);
    state.setGpr(GPR.SI, entry.rsi);
    state.setGpr(GPR.BX, entry.rbx);
    state.setGpr(GPR.AX, entry.rax ?? 0n);
    this.engine.pc = entry.rip;
    this.flushTranslations();
    this.contextChanged();
  }

  // Interrupt inputs

  /** Drives INTR; the local APIC calls it. */
  setInterrupt(level: boolean): void {
    if (this.#interrupt === level) return;
    this.#interrupt = level;
    if (level) this.engine.requestAttention();
  }

  /** One waits while another one is handled; two where the first of them is about to be taken. */
  nmi(): void {
    this.#nmis = Math.min(this.#nmis + 1, this.nmiBlocked ? 1 : 2);
    this.engine.requestAttention();
  }

  /** INIT: as reset, but machine-specific registers stay, and the CPU waits for a start-up IPI. */
  init(): void {
    const { storage, tscAdjust } = this.registers;
    this.reset(false);
    Object.assign(this.registers, { storage, tscAdjust });
    this.engine.requestAttention();
  }

  /** Start-up IPI: begins in real mode at `vector` << 12 when waiting for it. */
  startup(vector: number): void {
    if (!this.#waitsForStartup) return;
    this.#waitsForStartup = false;
    const selector = vector << 8;
    const cs = this.state.segment(SEGMENT.CS);
    this.state.setSegment(SEGMENT.CS, { ...cs, selector, base: BigInt(vector << 12) });
    this.engine.pc = BigInt(vector << 12);
    this.idle = 'running';
    this.contextChanged();
    this.engine.requestAttention();
  }

  // What the engine asks

  walk(low: number, high: number, kind: AccessKind, _regime: AccessRegime, result: WalkResult): boolean {
    if (this.paging.walk(low, high, kind, this.#currentPrivilege, result)) {
      if (high < 0 && !this.paging.isGlobal) this.#noteLocalPage(low, high);
      if (this.#watchesData && kind !== 'execute') this.#noteDataAccess(addressOf(low, high), kind, result);
      return true;
    }
    const address = addressOf(low, high);
    this.#pending = walkFault(this.paging.errorCode, address);
    this.#notCanonical = this.#pending.vector === VECTOR.GP && kind !== 'execute' ? address : undefined;
    return false;
  }

  /** Keeps pages with data breakpoints out of the soft TLB, and takes note of those that are hit. */
  #noteDataAccess(address: bigint, kind: AccessKind, result: WalkResult): void {
    if (!watchesPage(this.registers, address)) return;
    result.readable = false;
    result.writable = false;
    this.debugHits |= dataHits(this.registers, address, this.engine.accessSize, kind);
  }

  /** Keeps in mind a page of the upper half that is not global: a load of CR3 has to drop it. */
  #noteLocalPage(low: number, high: number): void {
    if (this.#localPages.length < MAXIMUM_LOCAL_PAGES) this.#localPages.push(low, high);
    else this.#hasManyLocalPages = true;
  }

  /** Drops all translations. */
  flushTranslations(): void {
    this.engine.flushTlb();
    this.memory.forget();
  }

  /** CR3 was loaded: drops what is not global, of one PCID. Kernels have the upper half global, so that most of it stays. */
  flushLocalTranslations(pcid: number): void {
    const ofPcid = (key: number): boolean => (key & 0xfff) === pcid;
    if (this.#hasManyLocalPages) {
      this.engine.flushTlbContexts(ofPcid);
    } else {
      for (let i = 0; i < this.#localPages.length; i += 2) {
        this.engine.flushTlbPage(this.#localPages[i]!, this.#localPages[i + 1]!);
      }
      this.engine.flushTlbLowerHalf(ofPcid);
    }
    this.#hasManyLocalPages = false;
    this.#localPages.length = 0;
  }

  /** Aligned vector accesses raise #GP(0). */
  alignmentFault(): void {
    this.#pending = fault(VECTOR.GP, 0);
  }

  /** Nothing answers: reads give all ones on a PC; here zeros, as QEMU has them. */
  busFault(_low: number, _high: number, kind: AccessKind): boolean {
    if (kind !== 'execute') return false;
    this.#pending = fault(VECTOR.GP, 0);
    return true;
  }

  deliverException(): void {
    const pending = this.#pending;
    const address = this.#notCanonical;
    this.#pending = undefined;
    this.#notCanonical = undefined;
    if (pending === undefined) return;
    const isStack = address !== undefined && pending.vector === VECTOR.GP && isStackReference(this, address);
    deliverFault(this, isStack ? fault(VECTOR.SS, 0) : pending);
  }

  takeInterrupt(): boolean {
    this.#updateTimestamp();
    if (!this.wakeUp || this.#isShadowed()) return false;
    const isNmi = this.#nmis > 0 && !this.nmiBlocked;
    if (!isNmi && (this.state.systemFlags & EFLAGS.IF) === 0) return false;
    if (this.stepArmed || this.debugHits !== 0) return false;
    if (this.idle === 'waiting-for-interrupt') this.idle = 'running';
    if (isNmi) {
      this.#nmis -= 1;
      deliverInterrupt(this, VECTOR.NMI);
      this.nmiBlocked = true;
      return true;
    }
    const vector = this.apic.acknowledge();
    if (vector < 0) return false;
    deliverInterrupt(this, vector);
    return true;
  }

  /** Within the instruction after STI or MOV SS; asks to come back behind it. */
  #isShadowed(): boolean {
    if (this.engine.instructionsRetired() >= this.#shadowUntil) return false;
    this.engine.requestAttention();
    return true;
  }

  /** An interrupt that ends HLT: INTR only with IF set. */
  get wakeUp(): boolean {
    return (this.#nmis > 0 && !this.nmiBlocked) || (this.#interrupt && (this.state.systemFlags & EFLAGS.IF) !== 0);
  }

  modeKey(): number {
    return this.#modeKey;
  }

  // Exceptions and waiting

  /** Keeps an exception of the instruction under way for `deliverException`. */
  raise(exception: Fault): void {
    this.#pending = exception;
    this.engine.requestException();
  }

  #raiseFloatingPoint(): void {
    this.raise(fault((this.registers.cr4 & CR4.OSXMMEXCPT) === 0 ? VECTOR.UD : VECTOR.XM));
  }

  /** Holds interrupts off for the instruction behind the one under way. */
  holdInterrupts(): void {
    this.#shadowUntil = this.engine.instructionsRetired() + 2;
  }

  /** The same for what loads SS, which also holds off debug exceptions. */
  holdInterruptsAndTraps(): void {
    this.holdInterrupts();
    this.stackShadow = this.#isStepping();
  }

  /** IF may have become 1 by an instruction that ends its block: an interrupt is taken before the next one. */
  interruptsUnmasked(): void {
    if (this.wakeUp) this.#endSlice();
  }

  /** STI has set IF: an interrupt that is due is taken behind the next instruction, even when that clears IF later in the block. */
  openStiWindow(): boolean {
    this.holdInterrupts();
    if (!this.wakeUp) return false;
    this.#stiWindow = STI_WINDOW.OPEN;
    this.contextChanged();
    // leaves the block in front of STI, which runs again by itself
    this.engine.requestException();
    return true;
  }

  /** Before each instruction while stepping. @returns whether the window of STI is over, and the block must be left */
  passStiWindow(): boolean {
    if (this.#stiWindow === 0 || ++this.#stiWindow <= STI_WINDOW.SHADOWED) return false;
    this.closeStiWindow();
    this.contextChanged();
    this.engine.requestException();
    this.#endSlice();
    return true;
  }

  closeStiWindow(): void {
    this.#stiWindow = 0;
  }

  /** Interrupts are looked for when the next slice begins. */
  #endSlice(): void {
    const { int32, base } = this.engine;
    this.engine.requestAttention();
    int32[(base + CPU_STATE.exit) >> 2]! |= EXIT.budget;
  }

  halt(): void {
    this.idle = 'waiting-for-interrupt';
    this.engine.requestAttention();
  }

  /** Stops the CPU until a start-up of the machine or of its own; the host calls it, at a host call. */
  powerOff(): void {
    this.idle = 'off';
    this.#endSlice();
  }

  tripleFault(): void {
    this.idle = 'off';
    // the faulting instruction is no checkpoint, and would run again
    this.#endSlice();
    this.host.tripleFault();
  }

  /** IA32_TSC_ADJUST, and what writes of the counter amount to. */
  adjustTimestamp(value: bigint): void {
    this.registers.tscAdjust = value;
    this.#skipped = Number.NaN;
    this.#updateTimestamp();
  }

  /** Time that CPUs slept through is no retired instruction: it is looked at when a slice begins. */
  #updateTimestamp(): void {
    const skipped = Number(this.timestamp()) - this.engine.instructionsRetired();
    if (skipped === this.#skipped) return;
    this.#skipped = skipped;
    this.state.set64(X64_STATE.tscOffset, BigInt.asUintN(64, BigInt(skipped) + this.registers.tscAdjust));
  }

  // Derived state

  get cpl(): number {
    const { cr0 } = this.registers;
    if ((cr0 & CR0.PE) === 0) return 0;
    if ((this.state.systemFlags & EFLAGS.VM) !== 0) return 3;
    return dpl({ attributes: this.state.attributes(SEGMENT.SS) });
  }

  /**
   * Whether a register that holds a linear address may hold this one: by the widest addresses that the processor has, not by the paging
   * mode in force. Source: Intel "5-Level Paging and 5-Level EPT" white paper "Canonicality Checking".
   */
  isCanonicalBase(address: bigint): boolean {
    const bits = this.features.has('la57') ? 57 : 48;
    return BigInt.asIntN(bits, address) === BigInt.asIntN(64, address);
  }

  /** EFER.LMA: 64-bit or compatibility mode. */
  get isLongMode(): boolean {
    return (this.registers.efer & EFER.LMA) !== 0;
  }

  /** PAE paging: four PDPTE registers, and no long mode. */
  get usesPae(): boolean {
    const { cr0, cr4 } = this.registers;
    return (cr0 & CR0.PG) !== 0 && (cr4 & CR4.PAE) !== 0 && !this.isLongMode;
  }

  get is64(): boolean {
    return this.isLongMode && (this.state.attributes(SEGMENT.CS) & ATTRIBUTE.L) !== 0;
  }

  get isProtected(): boolean {
    return (this.registers.cr0 & CR0.PE) !== 0;
  }

  get isVm86(): boolean {
    return this.isProtected && (this.state.systemFlags & EFLAGS.VM) !== 0;
  }

  get iopl(): number {
    return (this.state.systemFlags & EFLAGS.IOPL) >> 12;
  }

  /** The instruction pointer: an offset in the code segment. */
  get ip(): bigint {
    const pc = this.engine.pc;
    return this.is64 ? pc : BigInt.asUintN(32, pc - this.state.base(SEGMENT.CS));
  }

  set ip(value: bigint) {
    this.engine.pc = this.is64 ? value : BigInt.asUintN(32, value + this.state.base(SEGMENT.CS));
  }

  /** Tells the engine the mode and the translations that apply from now on. */
  contextChanged(): void {
    const { registers, state } = this;
    this.paging.configure();
    const { cpl } = this;
    const user = cpl === 3;
    this.#watchesData = hasDataBreakpoints(registers);
    this.isLimited = !this.is64 && this.#hasLimits();
    const acBlocks = (registers.cr4 & CR4.SMAP) !== 0 && (state.systemFlags & EFLAGS.AC) === 0;
    this.#currentPrivilege = { user, smapBlocked: !user && acBlocks };
    this.#modeKey = modeKey({
      codeSize: this.#codeSize(),
      real: !this.isProtected || this.isVm86,
      privileged: cpl === 0,
      stack32: (state.attributes(SEGMENT.SS) & ATTRIBUTE.DB) !== 0,
      flat: this.#isFlat(),
      limited: this.isLimited,
      stepping: this.#isStepping(),
      fpuUsable: (registers.cr0 & (CR0.EM | CR0.TS)) === 0 && (registers.cr4 & CR4.OSFXSR) !== 0,
      avxUsable: (registers.cr4 & CR4.OSXSAVE) !== 0 && (registers.xcr0 & XCR0.YMM) !== 0,
    });
    const key = this.#contextKey(this.#currentPrivilege);
    this.engine.setContext(key, key);
  }

  /** Whether ES, CS, SS or DS is anything but writable, or readable and executable, over 4 GiB. */
  #hasLimits(): boolean {
    const { state } = this;
    if (state.segment(SEGMENT.CS).limit !== 0xffff_ffff) return true;
    return [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS].some(n => {
      const { attributes, limit } = state.segment(n);
      return !isUnlimitedData(attributes, limit);
    });
  }

  #isFlat(): boolean {
    const { int32, base } = this.engine;
    for (const word of FLAT_WORDS) if (int32[(base >> 2) + word] !== 0) return false;
    return true;
  }

  #isStepping(): boolean {
    const { dr7 } = this.registers;
    const traps = (this.state.systemFlags & EFLAGS.TF) !== 0 || this.stepArmed || (dr7 & DR7.ENABLES) !== 0;
    return traps || this.debugHits !== 0 || this.#stiWindow !== 0;
  }

  #codeSize(): 16 | 32 | 64 {
    if (this.is64) return 64;
    const wide = this.isProtected && !this.isVm86 && (this.state.attributes(SEGMENT.CS) & ATTRIBUTE.DB) !== 0;
    return wide ? 32 : 16;
  }

  /** PCID, privilege; paging off or on flushes. */
  #contextKey({ user, smapBlocked }: Privilege): number {
    const { cr3, cr4 } = this.registers;
    const pcid = cr4 & CR4.PCIDE ? cr3 % 4096 : 0;
    return pcid | (Number(user) << 12) | (Number(smapBlocked) << 13);
  }

  /** WRPKRU, XRSTOR: rights of protection keys. */
  setPkru(value: number): void {
    if (this.registers.pkru === value) return;
    this.registers.pkru = value;
    if ((this.registers.cr4 & CR4.PKE) !== 0) this.flushTranslations();
  }

  /** Drops translations that control registers decided about. */
  translationChanged(): void {
    this.flushTranslations();
    this.contextChanged();
  }

  /**
   * Physical address of a linear one as privileged code sees it, for debuggers; faults leave no trace.
   * @returns `undefined` when it is not mapped
   */
  translateForDebugger(address: bigint): number | undefined {
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const result = { ...NO_RESULT };
    return this.paging.walk(low, high, 'read', SUPERVISOR, result) ? result.paddr + (low & 0xfff) : undefined;
  }

  // Snapshots

  save(): X64CpuState {
    return {
      registers: structuredClone(this.registers),
      idle: this.idle,
      waitsForStartup: this.#waitsForStartup,
      interrupt: this.#interrupt,
      nmis: this.#nmis,
      nmiBlocked: this.nmiBlocked,
      shadowUntil: this.#shadowUntil,
      stepArmed: this.stepArmed,
      debugHits: this.debugHits,
      stackShadow: this.stackShadow,
      stiWindow: this.#stiWindow,
    };
  }

  /** Takes over a state; the CPU state block has been restored already. */
  restore(state: X64CpuState): void {
    Object.assign(this.registers, structuredClone(state.registers));
    this.idle = state.idle;
    this.#waitsForStartup = state.waitsForStartup;
    this.#interrupt = state.interrupt;
    this.#nmis = state.nmis;
    this.nmiBlocked = state.nmiBlocked;
    this.#shadowUntil = state.shadowUntil;
    this.stepArmed = state.stepArmed;
    this.debugHits = state.debugHits;
    this.stackShadow = state.stackShadow;
    this.#stiWindow = state.stiWindow;
    this.#skipped = Number.NaN;
    this.#pending = undefined;
    this.translationChanged();
  }
}

/** An STI with an interrupt due runs by itself, then the instruction behind it. */
const STI_WINDOW = { OPEN: 1, SHADOWED: 3 } as const;
/** Numbers in the list of such pages; beyond it, loads of CR3 flush everything. */
const MAXIMUM_LOCAL_PAGES = 32;
const SUPERVISOR: Privilege = { user: false, smapBlocked: false };
/** Words of the CPU state that hold the bases of ES, CS, SS and DS. */
const FLAT_WORDS = [SEGMENT.ES, SEGMENT.CS, SEGMENT.SS, SEGMENT.DS].flatMap(n => {
  const word = X64_STATE.segments[n]!.base.offset >> 2;
  return [word, word + 1];
});

const NO_RESULT: WalkResult = {
  paddr: 0,
  readable: false,
  writable: false,
  executable: false,
  leafSize: 0,
  guarded: false,
};

function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
