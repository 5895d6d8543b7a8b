/**
 * GICv2: the interrupt controller of `virt` with `gic-version=2`, put together.
 *
 * Source: GICv2 IHI 0048. Modelled: two groups without the Security Extensions, SGIs with their senders, PPIs, SPIs with target
 * lists, 8 priority bits; as QEMU's. Not modelled: the virtual interface (GICH, GICV).
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { InterruptLine } from '../../memory/device.ts';
import { FIRST_PPI, Gicv2Core, type Gicv2Wiring } from './core.ts';
import { Gicv2CpuInterfaces } from './cpu-interface.ts';
import { Gicv2Distributor } from './distributor.ts';

export type { Gicv2Wiring } from './core.ts';

/** The controller as a board wires it. */
export class Gicv2 {
  /** Registers GICD_*, 4 KiB. */
  readonly distributor: Gicv2Distributor;
  /** Registers GICC_*, 8 KiB. */
  readonly cpuInterfaces: Gicv2CpuInterfaces;
  private readonly core: Gicv2Core;

  constructor(wiring: Gicv2Wiring) {
    this.core = new Gicv2Core(wiring);
    this.distributor = new Gicv2Distributor(this.core);
    this.cpuInterfaces = new Gicv2CpuInterfaces(this.core);
  }

  /** Input of shared interrupt `spi` (0 is INTID 32). */
  spiLine(spi: number): InterruptLine {
    const { core } = this;
    assert(spi >= 0 && spi < core.targets.length, `SPI ${spi} does not exist`);
    return {
      set: level => {
        if (core.spis.setLevel(spi, level)) core.update();
      },
    };
  }

  /** Input of private interrupt `ppi` (0 to 15; 0 is INTID 16) of a CPU. */
  ppiLine(cpu: number, ppi: number): InterruptLine {
    const { core } = this;
    assert(cpu < core.cpuCount && ppi >= 0 && ppi < 16, `PPI ${ppi} of CPU ${cpu} does not exist`);
    return {
      set: level => {
        if (core.privates[cpu]!.setLevel(FIRST_PPI + ppi, level)) core.update();
      },
    };
  }
}
