/**
 * I/O APIC: turns interrupt wires into messages to local APICs.
 *
 * Source: Intel 82093AA I/O Advanced Programmable Interrupt Controller data sheet; EOI register of version 0x20 from later chip sets.
 * Modelled: 24 pins, edge and level, all delivery modes that local APICs here accept.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { AccessWidth, Device, InterruptLine } from '../../memory/device.ts';
import { type ApicBus, decodeMessage, DELIVERY, type EoiListener } from './messages.ts';

const IOREGSEL = 0x00;
const IOWIN = 0x10;
const EOIR = 0x40;

const IOAPICID = 0x00;
const IOAPICVER = 0x01;
const IOAPICARB = 0x02;
const IOREDTBL = 0x10;

const PINS = 24;
/** 24 entries (the number of the last one), version 0x20: QEMU's. */
const VERSION = 0x0017_0020;

/** Low word of a redirection entry. */
const ENTRY = { LOGICAL: 1 << 11, REMOTE_IRR: 1 << 14, LEVEL: 1 << 15, MASKED: 1 << 16 } as const;
/** Delivery status (12) and remote IRR (14) are read-only. */
const ENTRY_READ_ONLY = (1 << 12) | ENTRY.REMOTE_IRR;
const ENTRY_WRITABLE = 0x1_ffff & ~ENTRY_READ_ONLY;

/** What a snapshot holds. */
export interface IoApicState {
  select: number;
  id: number;
  /** Wires. */
  lines: number;
  /** Edges that arrived while masked are lost; levels wait in `lines`. */
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

/** The controller as the bus sees it. */
export class IoApic implements Device<IoApicState>, EoiListener {
  readonly name: string;
  private readonly bus: ApicBus;
  private state: IoApicState = initialState();

  constructor(bus: ApicBus, name = 'io-apic') {
    this.bus = bus;
    this.name = name;
    bus.addEoiListener(this);
  }

  /** Input of a pin. */
  line(pin: number): InterruptLine {
    assert(pin >= 0 && pin < PINS, `I/O APIC pin ${pin} does not exist`);
    return { set: level => this.setLine(pin, level) };
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    if (offset === IOREGSEL) return state.select;
    if (offset !== IOWIN) return 0;
    switch (state.select) {
      case IOAPICID:
      case IOAPICARB:
        return (state.id << 24) >>> 0;
      case IOAPICVER:
        return VERSION;
      default: {
        const entry = (state.select - IOREDTBL) >> 1;
        if (entry < 0 || entry >= PINS) return 0;
        return (state.select & 1) === 0 ? state.low[entry]! : state.high[entry]!;
      }
    }
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const { state } = this;
    if (offset === IOREGSEL) state.select = value & 0xff;
    else if (offset === EOIR) this.endOfInterrupt(value & 0xff);
    else if (offset !== IOWIN) return;
    else if (state.select === IOAPICID) state.id = (value >>> 24) & 0xf;
    else this.writeEntry(state.select - IOREDTBL, value);
  }

  /** A local APIC has finished a level-triggered interrupt: what is still asserted is sent again. */
  endOfInterrupt(vector: number): void {
    const { low } = this.state;
    for (let pin = 0; pin < PINS; pin++) {
      if ((low[pin]! & 0xff) !== vector || (low[pin]! & ENTRY.REMOTE_IRR) === 0) continue;
      low[pin]! &= ~ENTRY.REMOTE_IRR;
      this.service(pin);
    }
  }

  reset(): void {
    const { lines } = this.state;
    this.state = { ...initialState(), lines };
  }

  save(): IoApicState {
    return structuredClone(this.state);
  }

  restore(state: IoApicState): void {
    this.state = structuredClone(state);
  }

  private setLine(pin: number, level: boolean): void {
    const { state } = this;
    const bit = 1 << pin;
    const rose = level && (state.lines & bit) === 0;
    state.lines = level ? state.lines | bit : state.lines & ~bit;
    const isLevel = (state.low[pin]! & ENTRY.LEVEL) !== 0;
    if (isLevel ? level : rose) this.send(pin);
  }

  private writeEntry(index: number, value: number): void {
    const entry = index >> 1;
    if (index < 0 || entry >= PINS) return;
    const { low, high } = this.state;
    if ((index & 1) !== 0) {
      high[entry] = value;
      return;
    }
    low[entry] = (value & ENTRY_WRITABLE) | (low[entry]! & ENTRY_READ_ONLY);
    // An entry made edge-triggered forgets that it waits for an end of interrupt: Linux clears it so.
    if ((value & ENTRY.LEVEL) === 0) low[entry] = low[entry] & ~ENTRY.REMOTE_IRR;
    this.service(entry);
  }

  /** Sends what a level-triggered wire asks for. */
  private service(pin: number): void {
    const asserted = (this.state.lines & (1 << pin)) !== 0;
    if (asserted && (this.state.low[pin]! & ENTRY.LEVEL) !== 0) this.send(pin);
  }

  private send(pin: number): void {
    const { low, high } = this.state;
    const entry = low[pin]!;
    if ((entry & (ENTRY.MASKED | ENTRY.REMOTE_IRR)) !== 0) return;
    const message = { ...decodeMessage(entry & 0x87ff), assert: true };
    const isFixed = message.mode === DELIVERY.FIXED || message.mode === DELIVERY.LOWEST;
    if (message.level && isFixed) low[pin]! |= ENTRY.REMOTE_IRR;
    this.bus.deliver({ logical: (entry & ENTRY.LOGICAL) !== 0, id: high[pin]! >>> 24, wide: false }, message);
  }
}

function initialState(): IoApicState {
  return {
    select: 0,
    id: 0,
    lines: 0,
    low: new Uint32Array(PINS).fill(ENTRY.MASKED),
    high: new Uint32Array(PINS),
  };
}
