/**
 * ACPI generic event device and sleep registers of QEMU's `microvm`: hardware-reduced ACPI.
 *
 * Source: ACPI specification 6.4 "Sleep Control and Status Registers", "GED _EVT"; QEMU docs/specs/acpi_hw_reduced_hotplug.rst.
 */
import type { AccessWidth, Device, InterruptLine } from '../memory/device.ts';

/** Sleep registers: control, status, reset. */
const SLEEP_CONTROL = 0;
const RESET = 2;
/** SLP_EN and SLP_TYP of the sleep control register. */
const SLP_EN = 1 << 5;
const SLP_TYP_SHIFT = 2;
/** What the DSDT's \_S5 says on microvm. */
export const GED_SLEEP_TYPE_S5 = 5;
/** What the FADT says to write to the reset register. */
export const GED_RESET_VALUE = 0x42;
export const GED_REGISTERS_SIZE = 3;

/** Bits of the event selector. */
const EVENT_POWER_DOWN = 2;
export const GED_EVENTS_SIZE = 4;

/** Sleep and reset registers as the bus sees them. */
export class GedRegisters implements Device<null> {
  readonly name = 'acpi-ged-registers';
  private readonly powerOff: () => void;
  private readonly resetMachine: () => void;

  constructor(powerOff: () => void, resetMachine: () => void) {
    this.powerOff = powerOff;
    this.resetMachine = resetMachine;
  }

  read(): number {
    return 0;
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    const sleepType = (value >>> SLP_TYP_SHIFT) & 7;
    if (offset === SLEEP_CONTROL && (value & SLP_EN) !== 0 && sleepType === GED_SLEEP_TYPE_S5) this.powerOff();
    else if (offset === RESET && value === GED_RESET_VALUE) this.resetMachine();
  }

  reset(): void {
    // There is no state.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // There is no state.
  }
}

/** The event selector as the bus sees it: reading tells and clears what happened. */
export class GedEvents implements Device<number> {
  readonly name = 'acpi-ged';
  private readonly interrupt: InterruptLine;
  private pending = 0;

  constructor(interrupt: InterruptLine) {
    this.interrupt = interrupt;
  }

  pressPowerButton(): void {
    this.pending |= EVENT_POWER_DOWN;
    this.interrupt.set(true);
    this.interrupt.set(false);
  }

  read(): number {
    const events = this.pending;
    this.pending = 0;
    return events;
  }

  write(): void {
    // The selector is read-only.
  }

  reset(): void {
    this.pending = 0;
  }

  save(): number {
    return this.pending;
  }

  restore(state: number): void {
    this.pending = state;
  }
}
