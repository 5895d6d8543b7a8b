/** The board's interrupt controller: GICv3 with or without ITS, or GICv2 with its MSI frame. */
import { Gicv2 } from '../../devices/gicv2/gicv2.ts';
import { Gicv2m } from '../../devices/gicv2/v2m.ts';
import type { CpuInterface } from '../../devices/gicv3/cpu-interface.ts';
import { Gicv3 } from '../../devices/gicv3/gicv3.ts';
import { GITS_TRANSLATER, Gicv3Its } from '../../devices/gicv3/its.ts';
import { REDISTRIBUTOR_STRIDE } from '../../devices/gicv3/redistributor.ts';
import type { MsiSink } from '../../devices/pci/function.ts';
import type { Device, DmaMemory, InterruptLine } from '../../memory/device.ts';
import { GIC_V2M_SPI_COUNT, GICV2_SPI_COUNT, LAYOUT, SPI, SPI_COUNT } from './layout.ts';

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
  /** Where PCI functions send their MSIs. */
  readonly msi: MsiSink;
  /** Its devices with their addresses. */
  readonly regions: readonly { readonly base: number; readonly size: number; readonly device: Device }[];
}

export function createInterruptController(config: InterruptControllerConfig): InterruptController {
  return config.version === 2 ? createGicv2(config) : createGicv3(config);
}

function createGicv3({ affinities, irq, fiq, memory, its }: InterruptControllerConfig): InterruptController {
  const gic = new Gicv3({ affinities, spiCount: SPI_COUNT, irq, fiq, ...(its && { memory }) });
  const { GIC_DIST, GIC_ITS, GIC_REDIST } = LAYOUT;
  const translator = its ? new Gicv3Its(gic.core, memory) : undefined;
  return {
    spiLine: spi => gic.spiLine(spi),
    ppiLine: (cpu, ppi) => gic.ppiLine(cpu, ppi),
    cpuInterfaces: gic.cpuInterfaces,
    msi: {
      send: (address, data, requesterId) => {
        if (address === GIC_ITS.base + GITS_TRANSLATER) translator?.translate(requesterId, data);
      },
    },
    regions: [
      { ...GIC_DIST, device: gic.distributor },
      ...(translator ? [{ ...GIC_ITS, device: translator }] : []),
      { base: GIC_REDIST.base, size: affinities.length * REDISTRIBUTOR_STRIDE, device: gic.redistributors },
    ],
  };
}

function createGicv2({ affinities, irq, fiq, currentCpu }: InterruptControllerConfig): InterruptController {
  const gic = new Gicv2({ cpuCount: affinities.length, spiCount: GICV2_SPI_COUNT, irq, fiq, currentCpu });
  const { GIC_DIST, GIC_CPU, GIC_V2M } = LAYOUT;
  const lines = Array.from({ length: GIC_V2M_SPI_COUNT }, (_, i) => gic.spiLine(SPI.GIC_V2M + i));
  const frame = new Gicv2m(SPI.GIC_V2M, lines);
  return {
    spiLine: spi => gic.spiLine(spi),
    ppiLine: (cpu, ppi) => gic.ppiLine(cpu, ppi),
    cpuInterfaces: undefined,
    msi: {
      send: (address, data) => {
        if (address >= GIC_V2M.base && address < GIC_V2M.base + GIC_V2M.size)
          frame.write(address - GIC_V2M.base, data, 4);
      },
    },
    regions: [
      { ...GIC_DIST, device: gic.distributor },
      { ...GIC_CPU, device: gic.cpuInterfaces },
      { ...GIC_V2M, device: frame },
    ],
  };
}
