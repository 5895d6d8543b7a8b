/** Disks and other devices that a board has on request, whatever the board is. */
import type { BlockBackend } from '../devices/block/backend.ts';
import type { NetworkBackend } from '../devices/net/backend.ts';
import type { PvpanicEvent } from '../devices/pvpanic.ts';
import { VirtioBlock } from '../devices/virtio/block.ts';
import { VirtioConsole } from '../devices/virtio/console.ts';
import type { VirtioDevice } from '../devices/virtio/device-core.ts';
import { VirtioNet } from '../devices/virtio/net.ts';
import { VirtioRng } from '../devices/virtio/rng.ts';
import type { HostEvents } from '../memory/device.ts';

/** Seed of virtio-rng: fixed, because the same input gives the same run. */
const RNG_SEED = 0x1b2c_3d4e_5f60;

/** Where a virtio device is: `mmio` is QEMU's `virtio-…-device`, `pci` its `virtio-…-pci`. */
export type VirtioBus = 'mmio' | 'pci';

/** A virtio disk on the board. */
export interface VirtioDrive {
  readonly backend: BlockBackend;
  readonly bus: VirtioBus;
  /** Serial number that the guest reads, at most 20 characters. */
  readonly serial?: string;
}

/** A disk behind a SATA port of q35, as QEMU's `if=ide` and `-hda` have it there. */
export interface SataDrive {
  readonly backend: BlockBackend;
  readonly bus: 'ide';
  readonly serial?: string;
}

/** A disk on whatever bus. */
export type Drive = VirtioDrive | SataDrive;

/** A device that is there only when asked for. */
export type ExtraDevice =
  | { readonly type: 'rng'; readonly bus: VirtioBus }
  /** A virtio console; `output` takes what the guest writes to it. */
  | { readonly type: 'console'; readonly bus: VirtioBus; readonly output: (bytes: Uint8Array) => void }
  /** A network card with its address (six bytes) and the network that it is plugged into. */
  | { readonly type: 'net'; readonly bus: VirtioBus; readonly mac: Uint8Array; readonly network: NetworkBackend }
  /** pvpanic-pci; `report` is told what the guest says. */
  | { readonly type: 'pvpanic'; readonly report: (event: PvpanicEvent) => void };

/** A device at fixed ports of a PC. */
export type IsaDevice =
  /** pvpanic; 0x505 unless a port is given. */
  | { readonly type: 'pvpanic-isa'; readonly port?: number; readonly report: (event: PvpanicEvent) => void }
  /** isa-debug-exit; 0x501 unless a port is given. A write ends the machine with a status. */
  | { readonly type: 'isa-debug-exit'; readonly port?: number };

/** A virtio device that waits for its transport. */
export interface UnpluggedVirtio {
  readonly bus: VirtioBus;
  readonly device: VirtioDevice;
}

/** Whether a disk is a virtio one. */
export function isVirtioDrive(drive: Drive): drive is VirtioDrive {
  return drive.bus !== 'ide';
}

/** Makes the virtio devices: drives first, then the others, both in their order. */
export function createVirtioDevices(
  drives: readonly VirtioDrive[],
  devices: readonly (ExtraDevice | IsaDevice)[] | undefined,
  hostEvents: HostEvents,
): readonly UnpluggedVirtio[] {
  return [...drives.map(createDrive), ...(devices ?? []).flatMap(device => createExtra(device, hostEvents))];
}

function createDrive({ backend, bus, serial }: VirtioDrive): UnpluggedVirtio {
  return { bus, device: new VirtioBlock(backend, serial) };
}

function createExtra(extra: ExtraDevice | IsaDevice, hostEvents: HostEvents): readonly UnpluggedVirtio[] {
  switch (extra.type) {
    case 'rng':
      return [{ bus: extra.bus, device: new VirtioRng(RNG_SEED) }];
    case 'console':
      return [{ bus: extra.bus, device: new VirtioConsole(extra.output) }];
    case 'net':
      return [{ bus: extra.bus, device: new VirtioNet(extra.mac, extra.network, hostEvents) }];
    default:
      return [];
  }
}
