/**
 * The GICv2m MSI frame: a write to one register raises an SPI.
 *
 * Source: Arm Server Base System Architecture DEN 0029 "GICv2m Architecture". Identification as QEMU's `virt` has it.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { AccessWidth, Device, InterruptLine } from '../../memory/device.ts';

const MSI_TYPER = 0x008;
/** Where PCI functions aim their MSIs, relative to the frame. */
export const MSI_SETSPI_NS = 0x040;
const MSI_IIDR = 0xfcc;
/** QEMU's product id, architecture version 0. */
const IIDR_VALUE = 0x0510_0000;

/** The frame as the bus sees it. It has no state: interrupts are edges. */
export class Gicv2m implements Device<null> {
  readonly name = 'gicv2m';
  private readonly firstIntid: number;
  private readonly lines: readonly InterruptLine[];

  /**
   * @param firstSpi number (INTID − 32) of the first SPI
   * @param lines inputs of consecutive SPIs
   */
  constructor(firstSpi: number, lines: readonly InterruptLine[]) {
    assert(lines.length > 0, 'a v2m frame has interrupts');
    this.firstIntid = firstSpi + 32;
    this.lines = lines;
  }

  /** A device's MSI: `data` is the INTID. */
  raise(data: number): void {
    const line = this.lines[data - this.firstIntid];
    line?.set(true);
    line?.set(false);
  }

  read(offset: number, _width: AccessWidth): number {
    if (offset === MSI_TYPER) return this.firstIntid * 65536 + this.lines.length;
    return offset === MSI_IIDR ? IIDR_VALUE : 0;
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    if (offset === MSI_SETSPI_NS) this.raise(value & 0x3ff);
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
