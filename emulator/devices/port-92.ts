/**
 * System control port A: a fast reset, and the gate of address line 20.
 *
 * Source: PS/2 Hardware Interface Technical Reference "System Control Port A"; QEMU 7.2 hw/i386/port92.c. A reset happens when bit 0 goes
 * from 0 to 1. Not modelled: address line 20 is always open, whatever bit 1 says.
 */
import type { AccessWidth, Device } from '../memory/device.ts';

const FAST_RESET = 1 << 0;
const A20 = 1 << 1;

export class Port92 implements Device<number> {
  readonly name = 'port-92';
  private readonly resetMachine: () => void;
  private value = A20;

  constructor(resetMachine: () => void) {
    this.resetMachine = resetMachine;
  }

  read(): number {
    return this.value;
  }

  write(_offset: number, value: number, _width: AccessWidth): void {
    const before = this.value;
    this.value = value & 0xff;
    if ((value & ~before & FAST_RESET) !== 0) this.resetMachine();
  }

  reset(): void {
    this.value = A20;
  }

  save(): number {
    return this.value;
  }

  restore(state: number): void {
    this.value = state;
  }
}
