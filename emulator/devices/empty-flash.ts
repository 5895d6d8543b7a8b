/**
 * Flash that holds nothing: it reads as zeros and takes no commands, so that a driver which probes it finds no chip.
 *
 * `virt` announces two banks for firmware; kernels are booted without.
 */
import type { Device } from '../memory/device.ts';

/** The banks as the bus sees them. */
export class EmptyFlash implements Device<null> {
  readonly name = 'flash';

  read(): number {
    return 0;
  }

  write(): void {
    // Commands are not understood.
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
