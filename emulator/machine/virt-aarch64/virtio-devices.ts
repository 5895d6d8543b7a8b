/** The board's virtio devices: drives first, then what else the configuration asks for. */
import { VirtioBlock } from '../../devices/virtio/block.ts';
import { VirtioConsole } from '../../devices/virtio/console.ts';
import type { VirtioDevice } from '../../devices/virtio/device-core.ts';
import { VirtioMmioTransport } from '../../devices/virtio/mmio-transport.ts';
import { VirtioRng } from '../../devices/virtio/rng.ts';
import type { DmaMemory, InterruptLine } from '../../memory/device.ts';
import type { VirtConfig, VirtDrive, VirtExtraDevice, VirtioBus } from './board-config.ts';
import { LAYOUT, type Region, SPI, VIRTIO_MMIO_COUNT } from './layout.ts';

/** Seed of virtio-rng: fixed, because the same input gives the same run. */
const RNG_SEED = 0x1b2c_3d4e_5f60;

/** A virtio device that waits for its transport. */
export interface UnpluggedVirtio {
  readonly bus: VirtioBus;
  readonly device: VirtioDevice;
}

/** Makes the devices. */
export function createVirtioDevices({ drives, devices = [] }: VirtConfig): readonly UnpluggedVirtio[] {
  return [...drives.map(createDrive), ...devices.flatMap(createExtra)];
}

function createDrive({ backend, bus, serial }: VirtDrive): UnpluggedVirtio {
  return { bus, device: new VirtioBlock(backend, serial) };
}

function createExtra(extra: VirtExtraDevice): readonly UnpluggedVirtio[] {
  switch (extra.type) {
    case 'rng':
      return [{ bus: extra.bus, device: new VirtioRng(RNG_SEED) }];
    case 'console':
      return [{ bus: extra.bus, device: new VirtioConsole(extra.output) }];
    default:
      return [];
  }
}

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
