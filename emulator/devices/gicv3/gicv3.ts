/**
 * GICv3: the interrupt controller of `virt` with `gic-version=3`, put together.
 *
 * Source: Arm Generic Interrupt Controller Architecture Specification, GIC architecture version 3 and version 4,
 * IHI 0069. Modelled: one security state (GICD_CTLR.DS = 1), affinity routing always on, SGIs, PPIs, up to 988 SPIs, LPIs
 * from an ITS, 5 priority bits; group 0 signals FIQ, group 1 IRQ. These are QEMU's choices for `virt` with secure=off.
 * Not modelled: GICv2 compatibility, two security states, 1-of-N routing (GICD_TYPER.No1N says so), extended SPI and PPI
 * ranges, message-based SPIs, GICv4 (virtual LPIs), the virtual CPU interface (ICH_*).
 *
 * The parts meet in `Gicv3Core`: the distributor's and redistributors' registers and the ITS change it, the CPU interfaces
 * read it. Everything here survives a kexec because nothing but `reset` ever resets it.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { InterruptLine } from '../../memory/device.ts';
import { Gicv3Core, type Gicv3Wiring } from './core.ts';
import type { CpuInterface } from './cpu-interface.ts';
import { Gicv3Distributor } from './distributor.ts';
import { FIRST_PPI } from './intids.ts';
import { Gicv3Redistributors } from './redistributor.ts';

export type { Gicv3Wiring } from './core.ts';

/** The controller as a board wires it. */
export class Gicv3 {
  readonly core: Gicv3Core;
  /** Registers GICD_*, 64 KiB. */
  readonly distributor: Gicv3Distributor;
  /** Registers GICR_*, 128 KiB a CPU. */
  readonly redistributors: Gicv3Redistributors;
  /** Registers ICC_* of each CPU. Their state is saved with the redistributors. */
  readonly cpuInterfaces: readonly CpuInterface[];

  constructor(wiring: Gicv3Wiring) {
    this.core = new Gicv3Core(wiring);
    this.distributor = new Gicv3Distributor(this.core);
    this.redistributors = new Gicv3Redistributors(this.core);
    this.cpuInterfaces = this.core.cpuInterfaces;
  }

  /** Input of shared interrupt `spi` (0 is INTID 32). */
  spiLine(spi: number): InterruptLine {
    const { core } = this;
    assert(spi >= 0 && spi < core.routes.length, `SPI ${spi} does not exist`);
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
        if (core.privates[cpu]!.setLevel(FIRST_PPI + ppi, level)) core.updateCpu(cpu);
      },
    };
  }
}
