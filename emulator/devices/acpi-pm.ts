/**
 * ACPI fixed hardware as the ICH9 of q35 has it: power-management events, control, timer, and the reset port.
 *
 * Source: ACPI specification 6.4 "ACPI Hardware Specification"; Intel ICH9 data sheet "Power Management I/O Registers".
 * Modelled: PM1 event and control blocks, PM timer, power button, soft off (S5), SCI. Not modelled: sleep states S1 to S4, which the
 * DSDT does not announce; GPE sources; SMI.
 */
import type { AccessWidth, Alarm, Clock, Device, InterruptLine } from '../memory/device.ts';
import { TickRate } from './tick-rate.ts';

/** Offsets from PMBASE. */
const PM1_STS = 0x00;
const PM1_EN = 0x02;
const PM1_CNT = 0x04;
const PM_TMR = 0x08;
const GPE0 = 0x20;
const GPE0_LENGTH = 16;
export const ACPI_PM_SIZE = 0x80;

/** PM1 status and enable bits. */
const PM1 = { TMR: 1 << 0, GBL: 1 << 5, PWRBTN: 1 << 8 } as const;
/** PM1 control. */
const CNT = { SCI_EN: 1 << 0, SLP_TYP_SHIFT: 10, SLP_EN: 1 << 13 } as const;
/** What the DSDT's \_S5 says. */
export const SLEEP_TYPE_S5 = 0;

/** 24 bits at 3.579545 MHz: bit 23 changes every 2.3 s. */
const RATE = new TickRate(3_579_545);
const TIMER_MASK = 0xff_ffff;
const TIMER_HALF = 0x80_0000;

/** What a snapshot holds. */
export interface AcpiPmState {
  pm1Status: number;
  pm1Enable: number;
  pm1Control: number;
  readonly gpe0: Uint8Array;
}

/** What a board gives to the device. */
export interface AcpiPmWiring {
  readonly clock: Clock;
  /** SCI: IRQ 9. */
  readonly interrupt: InterruptLine;
  readonly powerOff: () => void;
}

/** The power-management block as the bus sees it. */
export class AcpiPm implements Device<AcpiPmState> {
  readonly name = 'acpi-pm';
  private readonly clock: Clock;
  private readonly interrupt: InterruptLine;
  private readonly powerOff: () => void;
  private state: AcpiPmState = initialState();
  private alarm: Alarm | undefined;

  constructor({ clock, interrupt, powerOff }: AcpiPmWiring) {
    this.clock = clock;
    this.interrupt = interrupt;
    this.powerOff = powerOff;
  }

  /** Somebody presses the power button. */
  pressPowerButton(): void {
    this.state.pm1Status |= PM1.PWRBTN;
    this.update();
  }

  read(offset: number, width: AccessWidth): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.readByte(offset + i);
    return value;
  }

  write(offset: number, value: number, width: AccessWidth): void {
    for (let i = 0; i < width; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
    this.update();
  }

  reset(): void {
    this.state = initialState();
    this.update();
  }

  save(): AcpiPmState {
    return structuredClone(this.state);
  }

  restore(state: AcpiPmState): void {
    this.state = structuredClone(state);
    this.update();
  }

  private readByte(offset: number): number {
    const { state } = this;
    const shift = (offset & 1) * 8;
    switch (offset & ~1) {
      case PM1_STS:
        return (state.pm1Status >>> shift) & 0xff;
      case PM1_EN:
        return (state.pm1Enable >>> shift) & 0xff;
      case PM1_CNT:
        return (state.pm1Control >>> shift) & 0xff;
      case PM_TMR:
      case PM_TMR + 2:
        return (this.timer() >>> ((offset & 3) * 8)) & 0xff;
      default:
        return isGpe(offset) ? state.gpe0[offset - GPE0]! : 0;
    }
  }

  private writeByte(offset: number, byte: number): void {
    const { state } = this;
    const shift = (offset & 1) * 8;
    const keep = 0xff00 >>> shift;
    switch (offset & ~1) {
      case PM1_STS:
        state.pm1Status &= ~(byte << shift);
        break;
      case PM1_EN:
        state.pm1Enable = (state.pm1Enable & keep) | (byte << shift);
        break;
      case PM1_CNT:
        this.writeControl((state.pm1Control & keep) | (byte << shift));
        break;
      default: // The lower half of GPE0 is status (ones clear), the upper half enables.
        if (!isGpe(offset)) return;
        state.gpe0[offset - GPE0] = offset - GPE0 < GPE0_LENGTH / 2 ? state.gpe0[offset - GPE0]! & ~byte : byte;
    }
  }

  private writeControl(value: number): void {
    this.state.pm1Control = value & ~CNT.SLP_EN;
    if ((value & CNT.SLP_EN) !== 0 && ((value >>> CNT.SLP_TYP_SHIFT) & 7) === SLEEP_TYPE_S5) this.powerOff();
  }

  private timer(): number {
    return RATE.ticksAt(this.clock.now()) % (TIMER_MASK + 1);
  }

  private update(): void {
    const { state } = this;
    const asserted = (state.pm1Status & state.pm1Enable & (PM1.TMR | PM1.GBL | PM1.PWRBTN)) !== 0;
    this.interrupt.set(asserted && (state.pm1Control & CNT.SCI_EN) !== 0);
    this.alarm?.cancel();
    this.alarm = undefined;
    if ((state.pm1Enable & PM1.TMR) === 0 || (state.pm1Status & PM1.TMR) !== 0) return;
    const ticks = RATE.ticksAt(this.clock.now());
    const at = RATE.timeOf((Math.floor(ticks / TIMER_HALF) + 1) * TIMER_HALF);
    this.alarm = this.clock.schedule(at, () => this.carry());
  }

  /** Bit 23 of the timer has changed. */
  private carry(): void {
    this.state.pm1Status |= PM1.TMR;
    this.update();
  }
}

/** ICH9 comes up with SCI_EN set here: there is no firmware to hand over from. */
function initialState(): AcpiPmState {
  return { pm1Status: 0, pm1Enable: 0, pm1Control: CNT.SCI_EN, gpe0: new Uint8Array(GPE0_LENGTH) };
}

function isGpe(offset: number): boolean {
  return offset >= GPE0 && offset < GPE0 + GPE0_LENGTH;
}

const RCR_RESET_CPU = 1 << 2;

/** Port 0xcf9, by which Linux resets a PC when ACPI tells it to. */
export class ResetPort implements Device<number> {
  readonly name = 'reset-port';
  private readonly resetMachine: () => void;
  private value = 0;

  constructor(resetMachine: () => void) {
    this.resetMachine = resetMachine;
  }

  read(): number {
    return this.value;
  }

  write(_offset: number, value: number, _width: AccessWidth): void {
    this.value = value & 0xff & ~RCR_RESET_CPU;
    if ((value & RCR_RESET_CPU) !== 0) this.resetMachine();
  }

  reset(): void {
    this.value = 0;
  }

  save(): number {
    return this.value;
  }

  restore(state: number): void {
    this.value = state;
  }
}
