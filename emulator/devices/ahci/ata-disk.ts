/**
 * An ATA disk: what its commands do, apart from how they and their data get to it.
 *
 * Source: INCITS 452 "AT Attachment 8 - ATA/ATAPI Command Set" (ACS), "Command descriptions"; identification as QEMU 7.2 gives it.
 * Modelled: reads and writes with 28 and 48 bits, queued ones, trim, verify, flush, identify, features that need nothing done, power
 * modes. Not modelled: packet commands, security, SMART, logs.
 */
import { readSize64, readU16, writeU16 } from '../../../capture/formats/bytes.ts';
import type { BlockBackend } from '../block/backend.ts';

export const SECTOR = 512;

/** Status and error registers. */
export const ATA_STATUS = { ERR: 0x01, DRQ: 0x08, SEEK: 0x10, READY: 0x40 } as const;
export const ATA_ERROR = { ABORTED: 0x04, ID_NOT_FOUND: 0x10, UNCORRECTABLE: 0x40 } as const;

const COMMAND = {
  DATA_SET_MANAGEMENT: 0x06,
  RECALIBRATE: 0x10,
  READ: 0x20,
  READ_EXT: 0x24,
  READ_DMA_EXT: 0x25,
  READ_NATIVE_MAX_EXT: 0x27,
  READ_MULTIPLE_EXT: 0x29,
  WRITE: 0x30,
  WRITE_EXT: 0x34,
  WRITE_DMA_EXT: 0x35,
  WRITE_MULTIPLE_EXT: 0x39,
  VERIFY: 0x40,
  VERIFY_EXT: 0x42,
  READ_FPDMA_QUEUED: 0x60,
  WRITE_FPDMA_QUEUED: 0x61,
  INITIALIZE_PARAMETERS: 0x91,
  READ_MULTIPLE: 0xc4,
  WRITE_MULTIPLE: 0xc5,
  SET_MULTIPLE: 0xc6,
  READ_DMA: 0xc8,
  WRITE_DMA: 0xca,
  STANDBY_IMMEDIATE: 0xe0,
  IDLE_IMMEDIATE: 0xe1,
  CHECK_POWER_MODE: 0xe5,
  FLUSH: 0xe7,
  FLUSH_EXT: 0xea,
  IDENTIFY: 0xec,
  SET_FEATURES: 0xef,
  READ_NATIVE_MAX: 0xf8,
} as const;

/** Commands that succeed and change nothing here. */
const NOTHING_TO_DO: ReadonlySet<number> = new Set([
  COMMAND.RECALIBRATE,
  COMMAND.VERIFY,
  COMMAND.VERIFY_EXT,
  COMMAND.INITIALIZE_PARAMETERS,
  COMMAND.SET_MULTIPLE,
  COMMAND.STANDBY_IMMEDIATE,
  COMMAND.IDLE_IMMEDIATE,
  COMMAND.SET_FEATURES,
]);

const READS_28: ReadonlySet<number> = new Set([COMMAND.READ, COMMAND.READ_DMA, COMMAND.READ_MULTIPLE]);
const READS_48: ReadonlySet<number> = new Set([COMMAND.READ_EXT, COMMAND.READ_DMA_EXT, COMMAND.READ_MULTIPLE_EXT]);
const WRITES_28: ReadonlySet<number> = new Set([COMMAND.WRITE, COMMAND.WRITE_DMA, COMMAND.WRITE_MULTIPLE]);
const WRITES_48: ReadonlySet<number> = new Set([COMMAND.WRITE_EXT, COMMAND.WRITE_DMA_EXT, COMMAND.WRITE_MULTIPLE_EXT]);
/** Commands whose data go by PIO. */
const PIO: ReadonlySet<number> = new Set([
  COMMAND.IDENTIFY,
  COMMAND.READ,
  COMMAND.READ_EXT,
  COMMAND.READ_MULTIPLE,
  COMMAND.READ_MULTIPLE_EXT,
]);

const LBA_28_MASK = 0xfff_ffff;
/** Of a trim. */
const RANGE_BYTES = 8;
const FEATURE_TRIM = 1;

/** The registers of a command. */
export interface AtaCommand {
  readonly command: number;
  readonly features: number;
  /** 48 bits; commands of 28 bits take the upper four of those from `device`. */
  readonly lba: number;
  readonly count: number;
  readonly device: number;
}

/** What a command did. */
export interface AtaResult {
  /** Bytes for the host. */
  readonly data?: Uint8Array;
  /** Error register; 0 when it worked. */
  readonly error: number;
  /** Registers that tell the host something: address, and count. */
  readonly lba?: number;
  readonly count?: number;
}

const DONE: AtaResult = { error: 0 };
const ABORTED: AtaResult = { error: ATA_ERROR.ABORTED };

/** A disk behind a port. */
export class AtaDisk {
  readonly backend: BlockBackend;
  private readonly serial: string;
  private readonly sectors: number;

  /** @param serial up to 20 characters */
  constructor(backend: BlockBackend, serial: string) {
    this.backend = backend;
    this.serial = serial;
    this.sectors = Math.floor(backend.sizeBytes / SECTOR);
  }

  /** Bytes that a command wants from the host. */
  inputBytes(command: AtaCommand): number {
    if (isTrim(command)) return command.count * SECTOR;
    const place = placeOf(command);
    return place?.isWrite === true ? place.sectors * SECTOR : 0;
  }

  isPio(command: AtaCommand): boolean {
    return PIO.has(command.command);
  }

  /** @param input as many bytes as `inputBytes` says, or fewer when the host gave fewer */
  execute(command: AtaCommand, input: Uint8Array): AtaResult {
    const place = placeOf(command);
    if (place !== undefined) return place.isWrite ? this.write(place, input) : this.read(place);
    if (isTrim(command)) return this.trim(input);
    if (NOTHING_TO_DO.has(command.command)) return DONE;
    switch (command.command) {
      case COMMAND.IDENTIFY:
        return { data: this.identify(), error: 0 };
      case COMMAND.FLUSH:
      case COMMAND.FLUSH_EXT:
        return this.backend.flush() ? DONE : { error: ATA_ERROR.UNCORRECTABLE };
      case COMMAND.READ_NATIVE_MAX:
        return { error: 0, lba: Math.min(this.sectors - 1, LBA_28_MASK) };
      case COMMAND.READ_NATIVE_MAX_EXT:
        return { error: 0, lba: this.sectors - 1 };
      case COMMAND.CHECK_POWER_MODE:
        return { error: 0, count: 0xff };
      default:
        return ABORTED;
    }
  }

  private read({ lba, sectors }: Place): AtaResult {
    if (lba + sectors > this.sectors) return { error: ATA_ERROR.ID_NOT_FOUND, lba };
    const data = new Uint8Array(sectors * SECTOR);
    return this.backend.read(lba * SECTOR, data) ? { data, error: 0 } : { error: ATA_ERROR.UNCORRECTABLE, lba };
  }

  private write({ lba, sectors }: Place, input: Uint8Array): AtaResult {
    if (this.backend.readOnly) return ABORTED;
    if (lba + sectors > this.sectors) return { error: ATA_ERROR.ID_NOT_FOUND, lba };
    const whole = input.subarray(0, input.length - (input.length % SECTOR));
    return this.backend.write(lba * SECTOR, whole) ? DONE : { error: ATA_ERROR.UNCORRECTABLE, lba };
  }

  /** Ranges of 8 bytes: 48 bits of address, 16 of length. What was trimmed reads as zeros. */
  private trim(ranges: Uint8Array): AtaResult {
    if (this.backend.readOnly) return ABORTED;
    for (let at = 0; at + RANGE_BYTES <= ranges.length; at += RANGE_BYTES) {
      const sectors = readU16(ranges, at + 6);
      const lba = readSize64(ranges, at) % 2 ** 48;
      if (sectors > 0 && lba + sectors > this.sectors) return { error: ATA_ERROR.ID_NOT_FOUND, lba };
      if (sectors > 0 && !this.backend.writeZeroes(lba * SECTOR, sectors * SECTOR))
        return { error: ATA_ERROR.UNCORRECTABLE, lba };
    }
    return DONE;
  }

  /** "IDENTIFY DEVICE data". */
  private identify(): Uint8Array {
    const bytes = new Uint8Array(SECTOR);
    const word = (index: number, value: number): void => writeU16(bytes, 2 * index, value);
    const wide = (index: number, value: number, words: number): void => {
      for (let i = 0; i < words; i++) word(index + i, Math.floor(value / 2 ** (16 * i)) % 2 ** 16);
    };
    const [heads, track] = [16, 63];
    const cylinders = Math.min(16_383, Math.floor(this.sectors / (heads * track)));
    for (const [index, value] of IDENTIFY_WORDS) word(index, value);
    for (const index of [1, 54]) word(index, cylinders);
    wide(57, cylinders * heads * track, 2);
    wide(60, Math.min(this.sectors, LBA_28_MASK), 2);
    wide(100, this.sectors, 4);
    text(bytes, 10, this.serial, 20);
    text(bytes, 23, '2.5+', 8);
    text(bytes, 27, 'QEMU HARDDISK', 40);
    return bytes;
  }
}

/** Words that are the same for every disk. */
const IDENTIFY_WORDS: readonly (readonly [index: number, value: number])[] = [
  [0, 0x0040], // fixed
  [3, 16], // heads
  [4, 32_256], // bytes a track
  [5, 512], // bytes a sector
  [6, 63], // sectors a track
  [20, 3], // buffer type
  [21, 512], // buffer size
  [22, 4],
  [47, 0x8010], // 16 sectors a block
  [48, 1],
  [49, 0x0b00], // IORDY, LBA, DMA
  [51, 0x0200],
  [52, 0x0200],
  [53, 0x0007], // words 54 to 58, 64 to 70 and 88 are valid
  [55, 16],
  [56, 63],
  [59, 0x0110],
  [62, 0x0007],
  [63, 0x0007], // multiword DMA 0 to 2
  [64, 0x0003],
  [65, 120],
  [66, 120],
  [67, 120],
  [68, 120],
  [69, 0x4000], // the same is read again after trim
  [75, 31], // queue of 32
  [76, 0x0100], // NCQ
  [80, 0x00f0], // ATA/ATAPI-4 to 7
  [81, 0x0016],
  [82, 0x4021], // NOP, write cache
  [83, 0x7400], // FLUSH, FLUSH EXT, 48 bits
  [84, 0x4000],
  [85, 0x4021],
  [86, 0x3400],
  [87, 0x4000],
  [88, 0x203f], // Ultra DMA 0 to 5, mode 5 chosen
  [93, 0x6001],
  [106, 0x6000], // one logical sector a physical one
  [169, 1], // trim
];

/** A stretch of sectors to read or write. */
interface Place {
  readonly lba: number;
  readonly sectors: number;
  readonly isWrite: boolean;
}

function placeOf({ command, lba, count, features, device }: AtaCommand): Place | undefined {
  const isWrite28 = WRITES_28.has(command);
  if (isWrite28 || READS_28.has(command)) {
    const whole = (lba % 2 ** 24) + (device & 0xf) * 2 ** 24;
    return { lba: whole, sectors: count & 0xff || 256, isWrite: isWrite28 };
  }
  const isWrite48 = WRITES_48.has(command);
  if (isWrite48 || READS_48.has(command)) return { lba, sectors: count || 65_536, isWrite: isWrite48 };
  if (!isQueued(command)) return undefined;
  return { lba, sectors: features || 65_536, isWrite: command === COMMAND.WRITE_FPDMA_QUEUED };
}

function isTrim({ command, features }: AtaCommand): boolean {
  return command === COMMAND.DATA_SET_MANAGEMENT && (features & FEATURE_TRIM) !== 0;
}

/** A native queued command: it has a tag, and ends by a Set Device Bits FIS. */
export function isQueued(command: number): boolean {
  return command === COMMAND.READ_FPDMA_QUEUED || command === COMMAND.WRITE_FPDMA_QUEUED;
}

/** ATA strings have the characters of each word swapped, and blanks behind. */
function text(bytes: Uint8Array, word: number, value: string, length: number): void {
  const padded = Buffer.from(value.slice(0, length).padEnd(length, ' '), 'latin1').swap16();
  bytes.set(padded, 2 * word);
}
