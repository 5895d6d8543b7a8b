/**
 * What the BIOS tells of disks, as the kernel's real-mode code leaves it in `boot_params`.
 *
 * Source: T13 "BIOS Enhanced Disk Drive Services" (EDD); Linux include/uapi/linux/edd.h; geometries as SeaBIOS 1.16 makes them
 * (src/block.c `get_translation`, `setup_translation`, src/disk.c).
 */
import { writeU16, writeU32, writeU64 } from '../../../capture/formats/bytes.ts';

/** A disk that the BIOS finds. */
export interface BiosDisk {
  /** Behind a SATA port, or virtio-blk-pci with its PCI device number. */
  readonly kind: 'ata' | 'virtio';
  readonly device: number;
  /** Of 512 bytes. */
  readonly sectors: number;
}

/** struct edd_info, and how many of them there can be. */
const EDD_INFO_BYTES = 82;
const EDD_MAXIMUM = 6;
const FIRST_DISK = 0x80;
const EDD_3_0 = 0x30;
/** Extended access, removable drives, drive parameters. */
const INTERFACE_SUPPORT = 7;
const GEOMETRY_VALID = 2;
const EDD_KEY = 0xbedd;
const DEVICE_PATH_BYTES = 0x2c;
/** Bytes of the parameters that a BIOS fills: with a device path, and without. */
const PARAMETER_BYTES = { virtio: 0x1e, ata: 0x1a } as const;
const PARAMETERS_AT = 8;

const HEADS = 16;
const TRACK = 63;
const MOST_CYLINDERS = 16_383;
const SECTOR = 512;

/** The entries of `eddbuf`, one behind the other. ATA disks have the first numbers. */
export function buildEdd(disks: readonly BiosDisk[]): Uint8Array {
  const ordered = disks.toSorted((a, b) => Number(a.kind === 'virtio') - Number(b.kind === 'virtio'));
  const entries = ordered.slice(0, EDD_MAXIMUM).map((disk, i) => eddInfo(disk, FIRST_DISK + i));
  return Uint8Array.from(Buffer.concat(entries));
}

/** How many entries `bytes` has. */
export function eddEntries(bytes: Uint8Array): number {
  return bytes.length / EDD_INFO_BYTES;
}

function eddInfo({ kind, device, sectors }: BiosDisk, number: number): Uint8Array {
  const bytes = new Uint8Array(EDD_INFO_BYTES);
  const cylinders = Math.min(Math.floor(sectors / (HEADS * TRACK)), MOST_CYLINDERS);
  const legacy = legacyGeometry(cylinders, sectors);
  bytes[0] = number;
  bytes[1] = EDD_3_0;
  writeU16(bytes, 2, INTERFACE_SUPPORT);
  writeU16(bytes, 4, legacy.cylinders - 2); // the last one is kept for diagnosis
  bytes[6] = legacy.heads - 1;
  bytes[7] = TRACK;
  const at = PARAMETERS_AT;
  writeU16(bytes, at, PARAMETER_BYTES[kind]);
  writeU16(bytes, at + 2, sectors > MOST_CYLINDERS * HEADS * TRACK ? 0 : GEOMETRY_VALID);
  writeU32(bytes, at + 4, cylinders);
  writeU32(bytes, at + 8, HEADS);
  writeU32(bytes, at + 12, TRACK);
  writeU64(bytes, at + 16, BigInt(sectors));
  writeU16(bytes, at + 24, SECTOR);
  if (kind === 'virtio') addDevicePath(bytes.subarray(at), device);
  return bytes;
}

/** Host bus, interface and PCI address; all from the key on adds up to zero. */
function addDevicePath(parameters: Uint8Array, device: number): void {
  const KEY_AT = 30;
  writeU32(parameters, 26, 0xffff_ffff); // no device parameter table extension
  writeU16(parameters, KEY_AT, EDD_KEY);
  parameters[32] = DEVICE_PATH_BYTES;
  parameters.set(Buffer.from('PCI SCSI    ', 'latin1'), 36);
  parameters[49] = device;
  const sum = parameters.subarray(KEY_AT, KEY_AT + DEVICE_PATH_BYTES).reduce((a, b) => a + b, 0);
  parameters[KEY_AT + DEVICE_PATH_BYTES - 1] = -sum & 0xff;
}

/** The geometry of the old calls, which have room for 1024 cylinders. */
function legacyGeometry(cylinders: number, sectors: number): { readonly cylinders: number; readonly heads: number } {
  const [MOST_LEGACY, MOST_LARGE] = [1024, 131_072];
  if (cylinders * HEADS > MOST_LARGE) return lbaGeometry(sectors);
  let legacy = { cylinders, heads: HEADS };
  while (legacy.cylinders > MOST_LEGACY && legacy.heads <= 127)
    legacy = { cylinders: legacy.cylinders >> 1, heads: legacy.heads * 2 };
  return legacy;
}

function lbaGeometry(sectors: number): { readonly cylinders: number; readonly heads: number } {
  const [MOST_CYLINDERS_LBA, MOST_HEADS] = [1024, 255];
  if (sectors > TRACK * MOST_HEADS * MOST_CYLINDERS_LBA) return { cylinders: MOST_CYLINDERS_LBA, heads: MOST_HEADS };
  const tracks = Math.floor(sectors / TRACK);
  const needed = tracks / MOST_CYLINDERS_LBA;
  const heads = needed > 128 ? MOST_HEADS : needed > 64 ? 128 : needed > 32 ? 64 : needed > 16 ? 32 : 16;
  return { cylinders: Math.floor(tracks / heads), heads };
}
