/** An interrupt line that remembers its level and how often it rose. */
import type { InterruptLine } from '../../emulator/memory/device.ts';

export class FakeLine implements InterruptLine {
  level = false;
  rises = 0;

  set(level: boolean): void {
    if (level && !this.level) this.rises += 1;
    this.level = level;
  }
}
