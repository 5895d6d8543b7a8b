/** The board's memory-mapped virtio transports. */
import type { VirtioDevice } from '../../devices/virtio/device-core.ts';
import { VirtioMmioTransport } from '../../devices/virtio/mmio-transport.ts';
import type { DmaMemory, InterruptLine } from '../../memory/device.ts';
import { LAYOUT, type Region, SPI, VIRTIO_MMIO_COUNT } from './layout.ts';

/** A memory-mapped transport and its place. */
export interface PlacedTransport {
  readonly region: Region;
  readonly transport: VirtioMmioTransport;
}

/** Makes the 32 memory-mapped transports. Devices take them from the last one down, as QEMU fills them. */
export function createVirtioMmio(
  devices: readonly VirtioDevice[],
  memory: DmaMemory,
  spiLine: (spi: number) => InterruptLine,
): readonly PlacedTransport[] {
  const { base, size } = LAYOUT.VIRTIO_MMIO;
  return Array.from({ length: VIRTIO_MMIO_COUNT }, (_, slot) => {
    const device = devices[VIRTIO_MMIO_COUNT - 1 - slot];
    const interrupt = spiLine(SPI.VIRTIO_MMIO + slot);
    const transport = new VirtioMmioTransport({ interrupt, memory, version: 1, ...(device && { device }) });
    return { region: { base: base + slot * size, size }, transport };
  });
}
