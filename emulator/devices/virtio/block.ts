/**
 * virtio-blk: a disk.
 *
 * Source: virtio 1.2 §5.2 "Block Device". Features, limits and configuration are those of QEMU 7.2's virtio-blk.
 * Modelled: read, write, flush, discard, write zeroes, get id, read-only, cache mode. Requests complete before the notification returns.
 * Not modelled: secure erase, lifetime, zoned devices, several queues.
 */
import type { DmaMemory } from '../../memory/device.ts';
import type { BlockBackend } from '../block/backend.ts';
import type { VirtioDevice, VirtioHost } from './device-core.ts';
import { DEVICE_ID } from './spec.ts';
import { type Chain, gather, scatter, type Segment, type SplitQueue, totalLength } from './split-queue.ts';

/** Feature bits. */
const VIRTIO_BLK_F = {
  SEG_MAX: 1n << 2n,
  GEOMETRY: 1n << 4n,
  RO: 1n << 5n,
  BLK_SIZE: 1n << 6n,
  /** Pass-through of SCSI commands: legacy devices of QEMU announce it, and answer UNSUPP. */
  SCSI: 1n << 7n,
  FLUSH: 1n << 9n,
  TOPOLOGY: 1n << 10n,
  CONFIG_WCE: 1n << 11n,
  DISCARD: 1n << 13n,
  WRITE_ZEROES: 1n << 14n,
} as const;

/** Request types. */
const VIRTIO_BLK_T_IN = 0;
const VIRTIO_BLK_T_OUT = 1;
const VIRTIO_BLK_T_FLUSH = 4;
const VIRTIO_BLK_T_GET_ID = 8;
const VIRTIO_BLK_T_DISCARD = 11;
const VIRTIO_BLK_T_WRITE_ZEROES = 13;

/** Request status. */
const VIRTIO_BLK_S = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;

const SECTOR = 512;
const QUEUE_SIZE = 256;
/** Request header: type u32, reserved u32, sector u64. */
const HEADER_BYTES = 16;
/** Discard segment: sector u64, num_sectors u32, flags u32. */
const DISCARD_SEGMENT_BYTES = 16;
const ID_BYTES = 20;
/** Room for data in one request: as much as QEMU's limit on segments allows. */
const SEG_MAX = 254;
const MAX_DISCARD_SECTORS = 0x3f_ffff;
const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/** Mass storage, SCSI: the class that QEMU's virtio-blk-pci shows. */
const PCI_CLASS = 0x01_0000;

/** struct virtio_blk_config, offsets. */
const CONFIG = {
  capacity: 0x00,
  seg_max: 0x0c,
  cylinders: 0x10,
  heads: 0x12,
  sectors: 0x13,
  blk_size: 0x14,
  writeback: 0x20,
  num_queues: 0x22,
  max_discard_sectors: 0x24,
  max_discard_seg: 0x28,
  discard_sector_alignment: 0x2c,
  max_write_zeroes_sectors: 0x30,
  max_write_zeroes_seg: 0x34,
  write_zeroes_may_unmap: 0x38,
} as const;
const CONFIG_BYTES = 0x39;

/** What a snapshot holds. */
export interface VirtioBlockState {
  readonly writeback: number;
  readonly disk: unknown;
}

/** The disk as its queue sees it. */
export class VirtioBlock implements VirtioDevice<VirtioBlockState> {
  readonly name = 'virtio-blk';
  readonly deviceId = DEVICE_ID.BLOCK;
  readonly pciClass = PCI_CLASS;
  readonly features: bigint;
  readonly legacyFeatures: bigint = VIRTIO_BLK_F.SCSI;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configSize = CONFIG_BYTES;
  private readonly backend: BlockBackend;
  private readonly config: Uint8Array;
  private readonly id: Uint8Array;
  private host: VirtioHost | undefined;

  /** @param serial up to 20 characters, which Linux shows as /sys/block/vda/serial */
  constructor(backend: BlockBackend, serial = '') {
    this.backend = backend;
    this.features = offeredFeatures(backend.readOnly);
    this.config = initialConfig(backend.sizeBytes, backend.readOnly);
    this.id = new Uint8Array(ID_BYTES);
    this.id.set(Buffer.from(serial, 'latin1').subarray(0, ID_BYTES));
  }

  attach(host: VirtioHost): void {
    this.host = host;
  }

  readConfig(offset: number): number {
    return this.config[offset]!;
  }

  /** Only the cache mode can be written. The backend's cache is the host's either way. */
  writeConfig(offset: number, value: number): void {
    if (offset === CONFIG.writeback) this.config[offset] = value & 1;
  }

  process(_index: number, queue: SplitQueue): void {
    const memory = this.host!.memory;
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const written = this.handle(memory, chain);
      if (written === undefined) {
        queue.fault = 'a block request without room for header or status';
        return;
      }
      queue.push(chain, written);
    }
  }

  reset(): void {
    this.config[CONFIG.writeback] = 1;
  }

  save(): VirtioBlockState {
    return { writeback: this.config[CONFIG.writeback]!, disk: this.backend.save() };
  }

  restore(state: VirtioBlockState): void {
    this.config[CONFIG.writeback] = state.writeback;
    if (state.disk !== null) this.backend.restore(state.disk);
  }

  /** @returns bytes written to the guest, or `undefined` for a chain that is no request */
  private handle(memory: DmaMemory, chain: Chain): number | undefined {
    const header = gather(memory, chain.readable, HEADER_BYTES);
    const room = totalLength(chain.writable);
    if (header.length < HEADER_BYTES || room < 1) return undefined;
    const request = {
      type: littleEndian(header, 0, 4),
      offset: littleEndian(header, 8, 8) * SECTOR,
      data: skip(chain.readable, HEADER_BYTES),
      target: limit(chain.writable, room - 1),
    };
    const status = this.perform(memory, request);
    scatter(memory, skip(chain.writable, room - 1), Uint8Array.of(status));
    // What is used is counted as QEMU counts it: the data's room, and the status.
    return room;
  }

  private perform(memory: DmaMemory, { type, offset, data, target }: Request): number {
    switch (type) {
      case VIRTIO_BLK_T_IN:
        return this.readSectors(memory, offset, target);
      case VIRTIO_BLK_T_OUT:
        return this.writeSectors(memory, offset, data);
      case VIRTIO_BLK_T_FLUSH:
        return this.backend.flush() ? VIRTIO_BLK_S.OK : VIRTIO_BLK_S.IOERR;
      case VIRTIO_BLK_T_GET_ID:
        scatter(memory, target, this.id);
        return VIRTIO_BLK_S.OK;
      case VIRTIO_BLK_T_DISCARD:
      case VIRTIO_BLK_T_WRITE_ZEROES:
        return this.zero(gather(memory, data, DISCARD_SEGMENT_BYTES));
      default:
        return VIRTIO_BLK_S.UNSUPP;
    }
  }

  private readSectors(memory: DmaMemory, offset: number, target: readonly Segment[]): number {
    const length = totalLength(target);
    if (!this.isInside(offset, length) || length > MAX_REQUEST_BYTES) return VIRTIO_BLK_S.IOERR;
    const bytes = new Uint8Array(length);
    if (!this.backend.read(offset, bytes)) return VIRTIO_BLK_S.IOERR;
    scatter(memory, target, bytes);
    return VIRTIO_BLK_S.OK;
  }

  private writeSectors(memory: DmaMemory, offset: number, data: readonly Segment[]): number {
    const length = totalLength(data);
    if (this.backend.readOnly || !this.isInside(offset, length) || length > MAX_REQUEST_BYTES)
      return VIRTIO_BLK_S.IOERR;
    return this.backend.write(offset, gather(memory, data)) ? VIRTIO_BLK_S.OK : VIRTIO_BLK_S.IOERR;
  }

  /** Discarded sectors become zeros, too: deterministic, and allowed. */
  private zero(segment: Uint8Array): number {
    if (segment.length < DISCARD_SEGMENT_BYTES) return VIRTIO_BLK_S.IOERR;
    const offset = littleEndian(segment, 0, 8) * SECTOR;
    const sectors = littleEndian(segment, 8, 4);
    if (sectors > MAX_DISCARD_SECTORS || this.backend.readOnly) return VIRTIO_BLK_S.IOERR;
    if (!this.isInside(offset, sectors * SECTOR)) return VIRTIO_BLK_S.IOERR;
    return this.backend.writeZeroes(offset, sectors * SECTOR) ? VIRTIO_BLK_S.OK : VIRTIO_BLK_S.IOERR;
  }

  private isInside(offset: number, length: number): boolean {
    return length % SECTOR === 0 && offset + length <= this.backend.sizeBytes;
  }
}

interface Request {
  readonly type: number;
  /** Byte offset on the disk. */
  readonly offset: number;
  readonly data: readonly Segment[];
  readonly target: readonly Segment[];
}

function offeredFeatures(readOnly: boolean): bigint {
  const F = VIRTIO_BLK_F;
  const always = F.SEG_MAX | F.GEOMETRY | F.BLK_SIZE | F.FLUSH | F.TOPOLOGY | F.CONFIG_WCE;
  return always | F.DISCARD | F.WRITE_ZEROES | (readOnly ? F.RO : 0n);
}

function initialConfig(sizeBytes: number, _readOnly: boolean): Uint8Array {
  const config = new Uint8Array(CONFIG_BYTES);
  const sectors = sizeBytes / SECTOR;
  put(config, CONFIG.capacity, sectors, 8);
  put(config, CONFIG.seg_max, SEG_MAX, 4);
  const geometry = guessGeometry(sectors);
  put(config, CONFIG.cylinders, geometry.cylinders, 2);
  put(config, CONFIG.heads, geometry.heads, 1);
  put(config, CONFIG.sectors, geometry.sectors, 1);
  put(config, CONFIG.blk_size, SECTOR, 4);
  put(config, CONFIG.writeback, 1, 1);
  put(config, CONFIG.num_queues, 1, 2);
  put(config, CONFIG.max_discard_sectors, MAX_DISCARD_SECTORS, 4);
  put(config, CONFIG.max_discard_seg, 1, 4);
  put(config, CONFIG.discard_sector_alignment, 1, 4);
  put(config, CONFIG.max_write_zeroes_sectors, MAX_DISCARD_SECTORS, 4);
  put(config, CONFIG.max_write_zeroes_seg, 1, 4);
  put(config, CONFIG.write_zeroes_may_unmap, 1, 1);
  return config;
}

/** The geometry that QEMU makes up for a disk without partition table: 16 heads of 63 sectors, 2 to 16383 cylinders. */
function guessGeometry(sectors: number): { cylinders: number; heads: number; sectors: number } {
  const cylinders = Math.floor(sectors / (16 * 63));
  return { cylinders: Math.min(Math.max(cylinders, 2), 16383), heads: 16, sectors: 63 };
}

function put(bytes: Uint8Array, offset: number, value: number, width: number): void {
  for (let i = 0; i < width; i++) bytes[offset + i] = Math.floor(value / 256 ** i) % 256;
}

function littleEndian(bytes: Uint8Array, offset: number, width: number): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + bytes[offset + i]!;
  return value;
}

/** The segments without their first `count` bytes. */
function skip(segments: readonly Segment[], count: number): Segment[] {
  const rest: Segment[] = [];
  let left = count;
  for (const { paddr, length } of segments) {
    const gone = Math.min(left, length);
    left -= gone;
    if (gone < length) rest.push({ paddr: paddr + gone, length: length - gone });
  }
  return rest;
}

/** The first `count` bytes of the segments. */
function limit(segments: readonly Segment[], count: number): Segment[] {
  const first: Segment[] = [];
  let left = count;
  for (const { paddr, length } of segments) {
    if (left === 0) break;
    first.push({ paddr, length: Math.min(length, left) });
    left -= Math.min(length, left);
  }
  return first;
}
