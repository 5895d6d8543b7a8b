/**
 * The ITS's tables in guest memory: device table → interrupt translation tables, and the collection table.
 *
 * Source: GICv3 IHI 0069 "The ITS tables" and GITS_BASER<n>; the layout of entries is ours:
 *   device entry      8 bytes: bit 0 valid, bits 5:1 EventID bits minus one, bits 51:8 the ITT's address in place
 *   collection entry  8 bytes: bit 0 valid, bits 31:16 processor number
 *   translation entry 12 bytes: bit 0 valid, bits 31:16 collection in the first word; INTID in the second; third unused
 */
import type { DmaMemory } from '../../memory/device.ts';
import type { ItsCommand } from './its-commands.ts';

const TRANSLATION_ENTRY_BYTES = 12;
const ENTRY_BYTES = 8;
/** DeviceIDs, EventIDs and collections have 16 bits. */
const ID_LIMIT = 65536;

/** GITS_BASER<n>: Valid 63, Indirect 62, Type 58:56, Entry_Size 52:48 (minus one), address 47:12, Page_Size 9:8, Size 7:0. */
const BASER = { Valid: 1n << 63n, Indirect: 1n << 62n, Type: 7n << 56n, EntrySize: 0x1fn << 48n } as const;
const PAGES_OF_64K = 2n << 8n;
const BASER_RESET: readonly bigint[] = [
  (1n << 56n) | (BigInt(ENTRY_BYTES - 1) << 48n) | PAGES_OF_64K, // devices
  (4n << 56n) | (BigInt(ENTRY_BYTES - 1) << 48n) | PAGES_OF_64K, // collections
  0n,
  0n,
  0n,
  0n,
  0n,
  0n,
];
const DEVICES = 0;
const COLLECTIONS = 1;
const PAGE_BYTES = [4096, 16384, 65536, 65536] as const;

/** What an (DeviceID, EventID) pair maps to. */
export interface TranslationEntry {
  readonly intid: number;
  readonly collection: number;
}

/** Reads and writes table entries at the addresses that GITS_BASER<n> gives. */
export class ItsTables {
  private readonly memory: DmaMemory;
  private baser: bigint[] = [...BASER_RESET];

  constructor(memory: DmaMemory) {
    this.memory = memory;
  }

  resetValues(): bigint[] {
    return [...BASER_RESET];
  }

  save(): bigint[] {
    return [...this.baser];
  }

  restore(baser: readonly bigint[]): void {
    this.baser = [...baser];
  }

  readBASER(index: number): bigint {
    return this.baser[index]!;
  }

  /** Type and Entry_Size are read-only; registers without a type do not exist. */
  writeBASER(index: number, value: bigint): void {
    const fixed = BASER.Type | BASER.EntrySize;
    const reset = BASER_RESET[index]!;
    if (reset !== 0n) this.baser[index] = (value & ~fixed) | (reset & fixed);
  }

  mapDevice({ deviceId, valid, size, ittAddress }: ItsCommand): void {
    const at = this.findSlot(DEVICES, deviceId);
    if (at === undefined || size >= 16) return;
    this.memory.writeU64(at, valid ? BigInt(ittAddress) | BigInt(size << 1) | 1n : 0n);
  }

  mapCollection({ collection, valid, target }: ItsCommand, cpuCount: number): void {
    const at = this.findSlot(COLLECTIONS, collection);
    if (at === undefined || (valid && target >= cpuCount)) return;
    this.memory.writeU64(at, valid ? (BigInt(target) << 16n) | 1n : 0n);
  }

  /** CPU that a collection is mapped to. */
  findCollection(collection: number): number | undefined {
    const at = this.findSlot(COLLECTIONS, collection);
    const entry = at === undefined ? 0n : this.memory.readU64(at);
    return (entry & 1n) === 0n ? undefined : Number((entry >> 16n) & 0xffffn);
  }

  findTranslation(deviceId: number, eventId: number): TranslationEntry | undefined {
    const at = this.findTranslationSlot(deviceId, eventId);
    if (at === undefined) return undefined;
    const word = this.memory.readU32(at);
    if ((word & 1) === 0) return undefined;
    return { intid: this.memory.readU32(at + 4), collection: word >>> 16 };
  }

  /** Maps an event, or unmaps it with `undefined`. */
  writeEntry(deviceId: number, eventId: number, entry: TranslationEntry | undefined): void {
    const at = this.findTranslationSlot(deviceId, eventId);
    if (at === undefined) return;
    this.memory.writeU32(at, entry === undefined ? 0 : entry.collection * 65536 + 1);
    this.memory.writeU32(at + 4, entry?.intid ?? 0);
  }

  private findTranslationSlot(deviceId: number, eventId: number): number | undefined {
    const at = this.findSlot(DEVICES, deviceId);
    const device = at === undefined ? 0n : this.memory.readU64(at);
    if ((device & 1n) === 0n || eventId >= 2 ** (Number((device >> 1n) & 0x1fn) + 1)) return undefined;
    return Number(device & 0xf_ffff_ffff_ff00n) + eventId * TRANSLATION_ENTRY_BYTES;
  }

  /** Address of entry `id` of a flat or two-level table, if the table reaches that far. */
  private findSlot(table: number, id: number): number | undefined {
    const baser = this.baser[table]!;
    if ((baser & BASER.Valid) === 0n || id >= ID_LIMIT) return undefined;
    const pageBytes = PAGE_BYTES[Number((baser >> 8n) & 3n)]!;
    const tableBytes = (Number(baser & 0xffn) + 1) * pageBytes;
    const base = tableAddress(baser, pageBytes);
    if ((baser & BASER.Indirect) === 0n) return id * ENTRY_BYTES < tableBytes ? base + id * ENTRY_BYTES : undefined;
    const perPage = pageBytes / ENTRY_BYTES;
    const level1 = Math.floor(id / perPage) * 8;
    if (level1 >= tableBytes) return undefined;
    const pointer = this.memory.readU64(base + level1);
    if ((pointer & BASER.Valid) === 0n) return undefined;
    return Number(pointer & 0xf_ffff_ffff_f000n) + (id % perPage) * ENTRY_BYTES;
  }
}

/** With 64 KiB pages bits 15:12 hold address bits 51:48. */
function tableAddress(baser: bigint, pageBytes: number): number {
  if (pageBytes !== 65536) return Number(baser & 0xffff_ffff_f000n);
  return Number((baser & 0xffff_ffff_0000n) | ((baser & 0xf000n) << 36n));
}
