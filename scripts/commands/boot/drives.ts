/** Disks: `-drive`, `-blockdev`, `-hda`, and the devices that they are joined with. */
import { UsageError } from '../../../capture/formats/errors.ts';
import { isOn, requireKnown, splitProperties, type TypeWithProperties } from './properties.ts';

/** A disk and how it is attached. */
export interface DiskOption {
  readonly id: string;
  readonly file: string;
  readonly readOnly: boolean;
  /** Writes go to memory and are lost at the end. */
  readonly snapshot: boolean;
  /** Undefined: the machine's usual one. */
  readonly bus: 'mmio' | 'pci' | undefined;
  /** Up to 20 characters that the guest can read. */
  readonly serial: string | undefined;
  /** Asked for as an IDE or SATA disk, or by an option that means one on PCs. */
  readonly wantsIde: boolean;
}

/** An image, perhaps not attached to anything. */
export interface Drive {
  readonly id: string;
  readonly file: string;
  readonly interface: 'default' | 'ide' | 'virtio' | 'none';
  readonly readOnly: boolean;
  readonly snapshot: boolean;
}

/** Properties that say how the host does it: nothing that a guest or its files could tell. */
const HOST_PROPERTIES = [
  'cache',
  'cache.direct',
  'cache.no-flush',
  'cache.writeback',
  'aio',
  'discard',
  'detect-zeroes',
  'index',
  'werror',
  'rerror',
  'auto-read-only',
  'locking',
  'file.locking',
];
const DRIVE_PROPERTIES = new Set([
  'file',
  'format',
  'if',
  'id',
  'readonly',
  'read-only',
  'snapshot',
  'media',
  ...HOST_PROPERTIES,
]);
const INTERFACES = ['virtio', 'ide', 'none'] as const;

/** @param index how many drives there are already @throws UsageError */
export function parseDrive(value: string, index: number): Drive {
  const { properties } = splitProperties(`drive,${value}`, 'type');
  requireKnown('-drive', properties, DRIVE_PROPERTIES);
  const { file, format = 'raw', if: attached, id = `drive${index}`, media = 'disk' } = properties;
  if (file === undefined) throw new UsageError('-drive: file= is missing');
  if (format !== 'raw') throw new UsageError(`-drive format=${format}: only raw images are possible`);
  if (media !== 'disk') throw new UsageError(`-drive media=${media}: only disks are possible`);
  const known = INTERFACES.find(name => name === attached);
  if (attached !== undefined && known === undefined)
    throw new UsageError(`-drive if=${attached}: there are ${INTERFACES.join(', ')}`);
  return {
    id,
    file,
    interface: known ?? 'default',
    readOnly: isOn(properties['readonly'] ?? properties['read-only'], '-drive readonly'),
    snapshot: isOn(properties['snapshot'], '-drive snapshot'),
  };
}

const BLOCKDEV_PROPERTIES = new Set([
  'driver',
  'node-name',
  'filename',
  'file',
  'file.driver',
  'file.filename',
  'read-only',
  'readonly',
  ...HOST_PROPERTIES,
]);

/**
 * A node of QEMU's block graph: `driver=file,filename=F,node-name=N`, or `driver=raw` over such a node, or both in one.
 * @throws UsageError
 */
export function parseBlockNode(value: string, drives: readonly Drive[]): Drive {
  const { properties } = splitProperties(`blockdev,${value}`, 'type');
  requireKnown('-blockdev', properties, BLOCKDEV_PROPERTIES);
  const { driver = '', 'node-name': id, filename, 'file.filename': inner, file } = properties;
  if (id === undefined) throw new UsageError('-blockdev: node-name= is missing');
  if (!['raw', 'file'].includes(driver))
    throw new UsageError(`-blockdev driver=${driver}: only raw and file are possible`);
  const readOnly = isOn(properties['read-only'] ?? properties['readonly'], '-blockdev read-only');
  const node = { id, interface: 'none', readOnly, snapshot: false } as const;
  const path = driver === 'file' ? filename : inner;
  if (path !== undefined) return { ...node, file: path };
  const below = drives.find(drive => drive.id === file);
  if (below !== undefined) return { ...node, file: below.file, readOnly: readOnly || below.readOnly };
  throw new UsageError(`-blockdev ${id}: ${file === undefined ? 'no file name' : `there is no node ${file}`}`);
}

const BLK_TYPES: Readonly<Record<string, DiskOption['bus']>> = {
  'virtio-blk': undefined,
  'virtio-blk-device': 'mmio',
  'virtio-blk-pci': 'pci',
};
const BLK_PROPERTIES = new Set([
  'drive',
  'serial',
  'id',
  'bus',
  'bootindex',
  'write-cache',
  'share-rw',
  'werror',
  'rerror',
]);
const SERIAL_LENGTH = 20;

/** Whether a device is a disk. */
export function isDiskDevice(type: string): boolean {
  return type in BLK_TYPES;
}

/**
 * Joins drives (`-drive if=none,id=x`) with the devices that name them (`-device virtio-blk-device,drive=x`).
 * @param devices disks only
 * @param snapshot `-snapshot` was given
 * @throws UsageError
 */
export function attachDrives(
  drives: readonly Drive[],
  devices: readonly TypeWithProperties[],
  snapshot: boolean,
): DiskOption[] {
  const unattached = new Map(drives.filter(drive => drive.interface === 'none').map(drive => [drive.id, drive]));
  const disks = drives
    .filter(drive => drive.interface !== 'none')
    .map(drive =>
      toDisk(drive, { bus: undefined, serial: undefined, snapshot, wantsIde: drive.interface !== 'virtio' }),
    );
  for (const { type, properties } of devices) {
    requireKnown(`-device ${type}`, properties, BLK_PROPERTIES);
    const { drive: id, serial } = properties;
    const drive = id === undefined ? undefined : unattached.get(id);
    if (drive === undefined) {
      const why = id === undefined ? 'drive= is missing' : `there is no free -drive with id=${id}`;
      throw new UsageError(`-device ${type}: ${why}`);
    }
    if (serial !== undefined && serial.length > SERIAL_LENGTH)
      throw new UsageError(`-device ${type},serial=${serial}: at most ${SERIAL_LENGTH} characters`);
    unattached.delete(drive.id);
    disks.push(toDisk(drive, { bus: BLK_TYPES[type], serial, snapshot, wantsIde: false }));
  }
  return disks;
}

function toDisk(
  drive: Drive,
  { snapshot, ...place }: Pick<DiskOption, 'bus' | 'serial' | 'snapshot' | 'wantsIde'>,
): DiskOption {
  const { id, file, readOnly } = drive;
  return { id, file, readOnly, snapshot: snapshot || drive.snapshot, ...place };
}
