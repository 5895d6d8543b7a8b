/** The board's interrupt controller: a GICv3 with ITS. */
import { Gicv3 } from '../../devices/gicv3/gicv3.ts';
import { Gicv3Its } from '../../devices/gicv3/its.ts';
import type { CpuInterface } from '../../devices/gicv3/cpu-interface.ts';
import { REDISTRIBUTOR_STRIDE } from '../../devices/gicv3/redistributor.ts';
import type { Device, DmaMemory, InterruptLine } from '../../memory/device.ts';
import { UnimplementedError } from '../../../capture/formats/errors.ts';
import { LAYOUT, SPI_COUNT } from './layout.ts';

/** What the board decides. */
export interface InterruptControllerConfig {
  readonly version: 2 | 3;
  readonly its: boolean;
  readonly affinities: readonly number[];
  readonly irq: readonly InterruptLine[];
  readonly fiq: readonly InterruptLine[];
  readonly memory: DmaMemory;
  /** The CPU whose access is under way: GICv2's registers are banked by it. */
  readonly currentCpu: () => number;
}

/** An interrupt controller as the board wires it. */
export interface InterruptController {
  spiLine(spi: number): InterruptLine;
  ppiLine(cpu: number, ppi: number): InterruptLine;
  /** System-register interfaces; GICv2 has none. */
  readonly cpuInterfaces: readonly CpuInterface[] | undefined;
  /** Its devices with their addresses. */
  readonly regions: readonly { readonly base: number; readonly size: number; readonly device: Device }[];
}

export function createInterruptController(config: InterruptControllerConfig): InterruptController {
  if (config.version === 2) throw new UnimplementedError('GICv2 on virt', 'GICv2 IHI 0048');
  const { affinities, irq, fiq, memory } = config;
  const gic = new Gicv3({ affinities, spiCount: SPI_COUNT, irq, fiq, memory });
  const { GIC_DIST, GIC_ITS, GIC_REDIST } = LAYOUT;
  return {
    spiLine: spi => gic.spiLine(spi),
    ppiLine: (cpu, ppi) => gic.ppiLine(cpu, ppi),
    cpuInterfaces: gic.cpuInterfaces,
    regions: [
      { ...GIC_DIST, device: gic.distributor },
      ...(config.its ? [{ ...GIC_ITS, device: new Gicv3Its(gic.core, memory) }] : []),
      { base: GIC_REDIST.base, size: affinities.length * REDISTRIBUTOR_STRIDE, device: gic.redistributors },
    ],
  };
}
