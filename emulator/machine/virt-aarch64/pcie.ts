/** The board's PCIe host: a generic ECAM bridge with three windows. Source: QEMU 7.2 hw/arm/virt.c `create_pcie`. */
import type { MsiSink } from '../../devices/pci/function.ts';
import { GPEX_IDENTITY, PciHostBridge } from '../../devices/pci/host-bridge.ts';
import { PciHost } from '../../devices/pci/host.ts';
import { PciWindow } from '../../devices/pci/windows.ts';
import type { Device, InterruptLine } from '../../memory/device.ts';
import { LAYOUT, SPI } from './layout.ts';

const PINS = 4;

/** Makes the host and puts its windows onto the bus. */
export function createPcieHost(
  spiLine: (spi: number) => InterruptLine,
  msi: MsiSink,
  place: (base: number, size: number, device: Device) => void,
): PciHost {
  const { PCIE_PIO, PCIE_MMIO, PCIE_MMIO_HIGH, PCIE_ECAM } = LAYOUT;
  const io = new PciWindow('pcie-io', 0, PCIE_PIO.size);
  const low = new PciWindow('pcie-mmio', PCIE_MMIO.base, PCIE_MMIO.size);
  const high = new PciWindow('pcie-mmio-high', PCIE_MMIO_HIGH.base, PCIE_MMIO_HIGH.size);
  const intx = Array.from({ length: PINS }, (_, pin) => spiLine(SPI.PCIE + pin));
  const host = new PciHost({ windows: { io, memory: [low, high] }, intx, msi });
  place(PCIE_PIO.base, PCIE_PIO.size, io);
  place(PCIE_MMIO.base, PCIE_MMIO.size, low);
  place(PCIE_MMIO_HIGH.base, PCIE_MMIO_HIGH.size, high);
  place(PCIE_ECAM.base, PCIE_ECAM.size, host.ecam);
  host.plug(0, new PciHostBridge(GPEX_IDENTITY));
  return host;
}
