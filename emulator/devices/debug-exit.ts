/**
 * isa-debug-exit: a guest ends the run with a status.
 *
 * Source: QEMU hw/misc/debugexit.c: a write of `value` makes the program exit with status (value << 1) | 1.
 */
import type { AccessWidth, Device } from '../memory/device.ts';

/** The port as the bus sees it; 0x501 on QEMU unless told otherwise. */
export class DebugExit implements Device<null> {
  readonly name = 'isa-debug-exit';
  private readonly exit: (status: number) => void;

  constructor(exit: (status: number) => void) {
    this.exit = exit;
  }

  read(): number {
    return 0;
  }

  write(_offset: number, value: number, _width: AccessWidth): void {
    this.exit(value * 2 + 1);
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
