/**
 * A CPU's local APIC, as memory-mapped xAPIC and as x2APIC MSRs.
 *
 * Source: Intel SDM vol. 3A "Advanced Programmable Interrupt Controller (APIC)", "Extended xAPIC (x2APIC)".
 * Modelled: timer in one-shot, periodic and TSC-deadline mode; flat and cluster destinations; the base moved by its MSR; errors.
 * Not modelled: SMI, thermal and CMCI entries' sources, the APIC-timer's stop in deep sleep, focus-processor checking.
 */
import type { Alarm, Clock, InterruptLine } from '../../memory/device.ts';
import { TickRate } from '../tick-rate.ts';
import {
  APIC_BASE,
  APIC_BASE_ADDRESS,
  APIC_BASE_ADDRESS_MASK,
  APIC_BASE_RESERVED,
  DFR_FLAT,
  ERROR,
  LVT_MASKED,
  LVT_WRITABLE,
  MSR_READABLE,
  MSR_WRITABLE,
  REG,
  SHORTHAND,
  SVR_ENABLE,
  TIMER_MODE,
  TIMER_MODE_SHIFT,
  VERSION,
} from './local-apic-registers.ts';
import {
  type ApicBus,
  type ApicDestination,
  type ApicMessage,
  type ApicTarget,
  decodeMessage,
  DELIVERY,
} from './messages.ts';
import { clearBit, highestBit, setBit, testBit } from './vector-bits.ts';

/** What a CPU gets from its local APIC. */
export interface ApicCpu {
  /** An interrupt of sufficient priority, or an external one, waits to be acknowledged. */
  readonly interrupt: InterruptLine;
  nmi(): void;
  init(): void;
  /** Start-up IPI: begin in real mode at `vector` << 12, if waiting for it. */
  startup(vector: number): void;
}

/** What a board gives to a local APIC. */
export interface LocalApicWiring {
  readonly id: number;
  readonly bus: ApicBus;
  readonly cpu: ApicCpu;
  readonly clock: Clock;
  /** Rate of the timer before division; 1 GHz on QEMU. */
  readonly timerHz?: number;
  /** Rate of the time-stamp counter, for TSC-deadline mode. */
  readonly tscHz: number;
  /** Takes the vector from the 8259 pair (INTA). */
  readonly acknowledgePic: () => number;
  /** The registers have moved in memory: see `address`. */
  readonly moved?: () => void;
}

/** What a snapshot holds. */
export interface LocalApicState {
  /** IA32_APIC_BASE: flags, and the address of the registers in memory. */
  base: number;
  address: number;
  /** Of xAPIC mode, where it can be written. */
  id: number;
  tpr: number;
  ldr: number;
  dfr: number;
  svr: number;
  /** What reads show; errors since the last write. */
  esr: number;
  errors: number;
  icrLow: number;
  /** xAPIC: destination in bits 31:24. x2APIC: 32 bits. */
  icrHigh: number;
  readonly lvt: Record<number, number>;
  timerInitial: number;
  timerDivide: number;
  /** Timer tick at which the count began; -1 when it is stopped. */
  timerStart: number;
  tscDeadline: bigint;
  readonly isr: Uint32Array;
  readonly irr: Uint32Array;
  readonly tmr: Uint32Array;
  /** Level of the pins. */
  lint0: boolean;
  lint1: boolean;
}

/** The local APIC of one CPU. */
export class LocalApic implements ApicTarget {
  readonly id: number;
  private readonly bus: ApicBus;
  private readonly cpu: ApicCpu;
  private readonly clock: Clock;
  private readonly rate: TickRate;
  private readonly tscRate: TickRate;
  private readonly acknowledgePic: () => number;
  private readonly moved: () => void;
  private state: LocalApicState;
  private alarm: Alarm | undefined;

  constructor({ id, bus, cpu, clock, timerHz = 1_000_000_000, tscHz, acknowledgePic, moved }: LocalApicWiring) {
    this.id = id;
    this.bus = bus;
    this.cpu = cpu;
    this.clock = clock;
    this.rate = new TickRate(timerHz);
    this.tscRate = new TickRate(tscHz);
    this.acknowledgePic = acknowledgePic;
    this.moved = moved ?? (() => undefined);
    this.state = initialState(id);
    bus.addTarget(this);
  }

  get isX2apic(): boolean {
    return (this.state.base & APIC_BASE.EXTENDED) !== 0;
  }

  /** Physical address of the page of registers. */
  get address(): number {
    return this.state.address;
  }

  /** The registers are in memory, on this page: enabled, and no x2APIC. */
  isMappedAt(address: number): boolean {
    const { base } = this.state;
    return (base & (APIC_BASE.EXTENDED | APIC_BASE.ENABLE)) === APIC_BASE.ENABLE && this.state.address === address;
  }

  get arbitrationPriority(): number {
    return this.processorPriority();
  }

  /** IA32_APIC_BASE. */
  readBase(): bigint {
    return BigInt(this.state.address + this.state.base);
  }

  /** Switches modes, and moves the registers. @returns false for a transition that is not allowed (#GP) */
  writeBase(value: bigint): boolean {
    if ((value & APIC_BASE_RESERVED) !== 0n) return false;
    const flags = Number(value & BigInt(APIC_BASE.EXTENDED | APIC_BASE.ENABLE));
    if (flags === APIC_BASE.EXTENDED) return false;
    const isEnabled = (this.state.base & APIC_BASE.ENABLE) !== 0;
    const leavesX2apic = this.isX2apic && flags === APIC_BASE.ENABLE;
    const skipsXapic = !isEnabled && flags !== APIC_BASE.ENABLE && flags !== 0;
    if (leavesX2apic || skipsXapic) return false;
    if (flags === 0) this.reset();
    this.state.base = flags | (this.state.base & APIC_BASE.BSP);
    this.move(Number(value & APIC_BASE_ADDRESS_MASK));
    return true;
  }

  /** What firmware sets up on the boot CPU: enabled, the 8259 pair at LINT0, NMI at LINT1. Source: MultiProcessor Specification "Virtual Wire Mode". */
  enterVirtualWireMode(): void {
    this.writeRegister(REG.SVR, SVR_ENABLE | 0xff);
    this.writeRegister(REG.LVT_LINT0, DELIVERY.EXTINT << 8);
    this.writeRegister(REG.LVT_LINT1, DELIVERY.NMI << 8);
  }

  /** LINT0 and LINT1: the 8259 pair and NMI. */
  setLint(pin: 0 | 1, level: boolean): void {
    const before = pin === 0 ? this.state.lint0 : this.state.lint1;
    if (pin === 0) this.state.lint0 = level;
    else this.state.lint1 = level;
    const lvt = this.state.lvt[pin === 0 ? REG.LVT_LINT0 : REG.LVT_LINT1]!;
    const { mode } = decodeMessage(lvt);
    if (level && !before && (lvt & LVT_MASKED) === 0 && mode !== DELIVERY.EXTINT) this.accept(decodeMessage(lvt));
    this.signal();
  }

  /** Reads a 32-bit register by number (offset / 16). */
  readRegister(register: number): number {
    const { state } = this;
    if (register >= REG.ISR && register < REG.ESR) return this.vectorWord(register - REG.ISR);
    switch (register) {
      case REG.ID:
        return this.isX2apic ? this.id : (state.id << 24) >>> 0;
      case REG.VERSION:
        return VERSION;
      case REG.TPR:
        return state.tpr;
      case REG.APR:
      case REG.PPR:
        return this.processorPriority();
      case REG.LDR:
        return this.isX2apic ? this.x2apicLdr() : state.ldr;
      case REG.DFR:
        return state.dfr;
      default:
        return this.readControl(register);
    }
  }

  writeRegister(register: number, value: number): void {
    const { state } = this;
    if (LVT_WRITABLE[register] !== undefined) {
      this.writeLvt(register, value);
      return;
    }
    switch (register) {
      case REG.ID:
        state.id = value >>> 24;
        break;
      case REG.TPR:
        state.tpr = value & 0xff;
        break;
      case REG.EOI:
        this.endOfInterrupt();
        break;
      case REG.LDR:
        state.ldr = (value & 0xff00_0000) >>> 0;
        break;
      case REG.DFR:
        state.dfr = (value | 0x0fff_ffff) >>> 0;
        break;
      case REG.SVR:
        this.writeSpurious(value);
        break;
      case REG.ICR_LOW:
        state.icrLow = value & 0xc_cfff;
        this.sendIpi();
        break;
      case REG.ICR_HIGH:
        state.icrHigh = value;
        break;
      default:
        this.writeTimer(register, value);
    }
    this.signal();
  }

  /** RDMSR of 0x800 + `register`; `undefined` for registers that do not exist (#GP). */
  readMsr(register: number): bigint | undefined {
    if (register === REG.ICR_LOW) return (BigInt(this.state.icrHigh) << 32n) | BigInt(this.state.icrLow);
    if (!MSR_READABLE.has(register)) return undefined;
    return BigInt(this.readRegister(register));
  }

  /** WRMSR of 0x800 + `register`. @returns false for registers that cannot be written (#GP) */
  writeMsr(register: number, value: bigint): boolean {
    const writable = MSR_WRITABLE.get(register);
    if (writable === undefined || (value & ~writable) !== 0n) return false;
    const low = Number(value & 0xffff_ffffn);
    if (register === REG.SELF_IPI) {
      this.accept({ vector: low, mode: DELIVERY.FIXED, level: false, assert: true });
      return true;
    }
    if (register === REG.ICR_LOW) this.state.icrHigh = Number(value >> 32n);
    this.writeRegister(register, low);
    return true;
  }

  readTscDeadline(): bigint {
    return this.state.tscDeadline;
  }

  writeTscDeadline(value: bigint): void {
    if (this.timerMode() !== TIMER_MODE.TSC_DEADLINE) return;
    this.state.tscDeadline = value;
    this.rearm();
  }

  /** CR8 is TPR bits 7:4. */
  readCR8(): bigint {
    return BigInt(this.state.tpr >>> 4);
  }

  writeCR8(value: bigint): void {
    this.state.tpr = Number(value & 0xfn) << 4;
    this.signal();
  }

  /** The CPU takes the interrupt: a vector, or -1 when there is none any more. */
  acknowledge(): number {
    const vector = this.deliverable();
    if (vector >= 0) {
      clearBit(this.state.irr, vector);
      setBit(this.state.isr, vector);
      this.signal();
      return vector;
    }
    if (!this.hasExternal()) return -1;
    const external = this.acknowledgePic();
    this.signal();
    return external;
  }

  matches({ logical, id, wide }: ApicDestination): boolean {
    if ((this.state.base & APIC_BASE.ENABLE) === 0) return false;
    if (!logical) return id === (this.isX2apic ? this.id : this.state.id) || id === (wide ? 0xffff_ffff : 0xff);
    if (this.isX2apic) {
      const ldr = this.x2apicLdr();
      return wide ? id >>> 16 === ldr >>> 16 && (id & ldr & 0xffff) !== 0 : (ldr & id & 0xff) !== 0 && ldr >>> 16 === 0;
    }
    const own = this.state.ldr >>> 24;
    if (this.state.dfr === DFR_FLAT) return (own & id) !== 0;
    return own >>> 4 === id >>> 4 && (own & id & 0xf) !== 0;
  }

  accept(message: ApicMessage): void {
    switch (message.mode) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST:
        this.acceptVector(message);
        break;
      case DELIVERY.NMI:
        this.cpu.nmi();
        break;
      case DELIVERY.INIT:
        if (message.assert) this.initialise();
        break;
      case DELIVERY.STARTUP:
        this.cpu.startup(message.vector);
        break;
      default: // SMI and ExtINT by message: no guest here sends them.
    }
  }

  /** The machine's reset: leaves x2APIC mode, too. */
  powerOn(): void {
    const { base, address } = initialState(this.id);
    this.state.base = base;
    this.move(address);
    this.reset();
  }

  /** INIT, and what switching off leads to: the mode stays. */
  reset(): void {
    const { base, address, lint0, lint1 } = this.state;
    this.state = { ...initialState(this.id), base, address, lint0, lint1 };
    this.rearm();
    this.signal();
  }

  save(): LocalApicState {
    return structuredClone(this.state);
  }

  restore(state: LocalApicState): void {
    this.state = structuredClone(state);
    this.moved();
    this.rearm();
    this.signal();
  }

  private move(address: number): void {
    if (this.state.address === address) return;
    this.state.address = address;
    this.moved();
  }

  /** ISR, TMR and IRR have eight words each. */
  private vectorWord(index: number): number {
    const { isr, tmr, irr } = this.state;
    return [isr, tmr, irr][index >>> 3]![index & 7]!;
  }

  private readControl(register: number): number {
    const { state } = this;
    switch (register) {
      case REG.SVR:
        return state.svr;
      case REG.ESR:
        return state.esr;
      case REG.ICR_LOW:
        return state.icrLow;
      case REG.ICR_HIGH:
        return state.icrHigh;
      case REG.TIMER_INITIAL:
        return state.timerInitial;
      case REG.TIMER_CURRENT:
        return this.timerCurrent();
      case REG.TIMER_DIVIDE:
        return state.timerDivide;
      default:
        if (state.lvt[register] === undefined) this.reportError(ERROR.ILLEGAL_REGISTER);
        return state.lvt[register] ?? 0;
    }
  }

  private get isEnabled(): boolean {
    return (this.state.svr & SVR_ENABLE) !== 0;
  }

  /** INIT resets the local APIC, too, but not its mode and ID. */
  private initialise(): void {
    const { id } = this.state;
    this.reset();
    this.state.id = id;
    this.cpu.init();
  }

  private acceptVector({ vector, level }: ApicMessage): void {
    if (!this.isEnabled) return;
    if (vector < 16) return this.reportError(ERROR.RECEIVE_ILLEGAL_VECTOR);
    setBit(this.state.irr, vector);
    if (level) setBit(this.state.tmr, vector);
    else clearBit(this.state.tmr, vector);
    this.signal();
  }

  /** The first error of a kind since ESR was written interrupts. */
  private reportError(error: number): void {
    const { state } = this;
    const isNew = (state.errors & error) === 0;
    state.errors |= error;
    const lvt = state.lvt[REG.LVT_ERROR]!;
    if (isNew && (lvt & LVT_MASKED) === 0) this.acceptVector({ ...decodeMessage(lvt & 0xff) });
  }

  /** Writing SVR without the enable bit masks all LVT entries. */
  private writeSpurious(value: number): void {
    this.state.svr = value & 0x1ff;
    if (this.isEnabled) return;
    for (const register of Object.keys(this.state.lvt)) this.state.lvt[Number(register)]! |= LVT_MASKED;
  }

  private writeLvt(register: number, value: number): void {
    const masked = this.isEnabled ? value : value | LVT_MASKED;
    const before = this.timerMode();
    this.state.lvt[register] = masked & LVT_WRITABLE[register]!;
    if (register === REG.LVT_TIMER) {
      // one-shot and periodic go on counting from where the other one was
      if (this.timerMode() !== before && [before, this.timerMode()].includes(TIMER_MODE.TSC_DEADLINE)) {
        this.state.timerStart = -1;
        this.state.tscDeadline = 0n;
      }
      this.rearm();
    }
    this.signal();
  }

  private endOfInterrupt(): void {
    const vector = highestBit(this.state.isr);
    if (vector < 0) return;
    clearBit(this.state.isr, vector);
    if (testBit(this.state.tmr, vector)) this.bus.broadcastEoi(vector);
  }

  private processorPriority(): number {
    const inService = Math.max(highestBit(this.state.isr), 0);
    return inService >>> 4 > this.state.tpr >>> 4 ? inService & 0xf0 : this.state.tpr;
  }

  /** Vector that the CPU may take now, or -1. */
  private deliverable(): number {
    const vector = highestBit(this.state.irr);
    return vector >= 0 && vector >>> 4 > this.processorPriority() >>> 4 ? vector : -1;
  }

  /** The 8259 pair's request passes through LINT0, or past a local APIC that is switched off. */
  private hasExternal(): boolean {
    const lvt = this.state.lvt[REG.LVT_LINT0]!;
    const isOff = (this.state.base & APIC_BASE.ENABLE) === 0;
    const passes = (lvt & LVT_MASKED) === 0 && decodeMessage(lvt).mode === DELIVERY.EXTINT;
    return this.state.lint0 && (isOff || passes);
  }

  private signal(): void {
    this.cpu.interrupt.set(this.deliverable() >= 0 || this.hasExternal());
  }

  private x2apicLdr(): number {
    return (((this.id >>> 4) << 16) | (1 << (this.id & 0xf))) >>> 0;
  }

  private sendIpi(): void {
    const { icrLow, icrHigh } = this.state;
    const message = decodeMessage(icrLow & ~0x8000 & 0xffff);
    const isDeassert = (icrLow & 0xc000) === 0x8000;
    const sent = { ...message, assert: !isDeassert };
    if (message.mode <= DELIVERY.LOWEST && message.vector < 16) this.reportError(ERROR.SEND_ILLEGAL_VECTOR);
    switch ((icrLow >>> 18) & 3) {
      case SHORTHAND.SELF:
        this.accept(sent);
        break;
      case SHORTHAND.ALL:
        this.bus.broadcast(sent, () => true);
        break;
      case SHORTHAND.OTHERS:
        this.bus.broadcast(sent, target => target !== this);
        break;
      default: {
        const logical = (icrLow & 0x800) !== 0;
        const wide = this.isX2apic;
        this.bus.deliver({ logical, id: wide ? icrHigh : icrHigh >>> 24, wide }, sent);
      }
    }
  }

  private timerMode(): number {
    return (this.state.lvt[REG.LVT_TIMER]! >>> TIMER_MODE_SHIFT) & 3;
  }

  /** Divide configuration: bits 3, 1, 0 count 2, 4 … 128, 1. */
  private divisor(): number {
    const { timerDivide } = this.state;
    const code = ((timerDivide & 8) >>> 1) | (timerDivide & 3);
    return code === 7 ? 1 : 2 ** (code + 1);
  }

  private writeTimer(register: number, value: number): void {
    const { state } = this;
    if (register === REG.ESR) {
      state.esr = state.errors;
      state.errors = 0;
    } else if (register === REG.TIMER_DIVIDE) {
      const left = this.timerCurrent();
      state.timerDivide = value & 0xb;
      if (state.timerStart >= 0) state.timerStart = this.now() - (state.timerInitial - left) * this.divisor();
      this.rearm();
    } else if (register === REG.TIMER_INITIAL && this.timerMode() !== TIMER_MODE.TSC_DEADLINE) {
      state.timerInitial = value;
      state.timerStart = value === 0 ? -1 : this.now();
      this.rearm();
    }
  }

  private now(): number {
    return this.rate.ticksAt(this.clock.now());
  }

  private timerCurrent(): number {
    const { timerStart, timerInitial } = this.state;
    if (timerStart < 0) return 0;
    const elapsed = Math.floor((this.now() - timerStart) / this.divisor());
    if (this.timerMode() === TIMER_MODE.PERIODIC) return timerInitial - (elapsed % timerInitial);
    return Math.max(timerInitial - elapsed, 0);
  }

  private rearm(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    const at = this.nextExpiry();
    if (at !== undefined && at <= Number.MAX_SAFE_INTEGER) this.alarm = this.clock.schedule(at, () => this.expire());
  }

  private nextExpiry(): number | undefined {
    const { timerStart, timerInitial, tscDeadline } = this.state;
    if (this.timerMode() === TIMER_MODE.TSC_DEADLINE)
      return tscDeadline === 0n ? undefined : this.tscRate.timeOf(Number(tscDeadline));
    return timerStart < 0 ? undefined : this.rate.timeOf(timerStart + timerInitial * this.divisor());
  }

  private expire(): void {
    const { state } = this;
    if (this.timerMode() === TIMER_MODE.TSC_DEADLINE) state.tscDeadline = 0n;
    else if (this.timerMode() === TIMER_MODE.PERIODIC) state.timerStart += state.timerInitial * this.divisor();
    else state.timerStart = -1;
    const lvt = state.lvt[REG.LVT_TIMER]!;
    if ((lvt & LVT_MASKED) === 0)
      this.acceptVector({ vector: lvt & 0xff, mode: DELIVERY.FIXED, level: false, assert: true });
    this.rearm();
  }
}

/** All entries of the vector table are masked: what firmware would set up ("virtual wire mode") is the board's choice. */
function initialState(id: number): LocalApicState {
  return {
    base: APIC_BASE.ENABLE | (id === 0 ? APIC_BASE.BSP : 0),
    address: APIC_BASE_ADDRESS,
    id,
    tpr: 0,
    ldr: 0,
    dfr: DFR_FLAT,
    svr: 0xff,
    esr: 0,
    errors: 0,
    icrLow: 0,
    icrHigh: 0,
    lvt: Object.fromEntries(Object.keys(LVT_WRITABLE).map(register => [register, LVT_MASKED])),
    timerInitial: 0,
    timerDivide: 0,
    timerStart: -1,
    tscDeadline: 0n,
    isr: new Uint32Array(8),
    irr: new Uint32Array(8),
    tmr: new Uint32Array(8),
    lint0: false,
    lint1: false,
  };
}
