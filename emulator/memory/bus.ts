/**
 * The bus: which device answers at which address. One instance is a machine's memory-mapped space, another its x86 ports.
 *
 * RAM is not on it: the CPU's soft TLB sends here only what is not RAM. An access outside every device is a guest
 * condition, so it is reported as a value (`undefined`, `false`); what follows from it (external abort, all ones) is the
 * board's business.
 */
import { assert } from '../../capture/formats/errors.ts';
import type { AccessWidth, Device } from './device.ts';

/** A device at its address. */
export interface BusRegion {
  readonly base: number;
  /** First address behind the region. */
  readonly end: number;
  readonly device: Device;
}

/** Widths that a device sees; 8-byte accesses go through `readLong` and `writeLong`. */
export type NarrowWidth = Exclude<AccessWidth, 8>;

const NOWHERE: BusRegion = {
  base: -1,
  end: -1,
  device: {
    name: 'nowhere',
    read: () => 0,
    write: () => undefined,
    reset: () => undefined,
    save: () => null,
    restore: () => undefined,
  },
};

/** Dispatches accesses to the device whose region holds the address. */
export class Bus {
  readonly name: string;
  /** Sorted by base; regions never overlap. */
  private readonly sorted: BusRegion[] = [];
  /** The region of the last hit: consecutive accesses mostly go to one device. */
  private last: BusRegion = NOWHERE;

  constructor(name: string) {
    this.name = name;
  }

  /** All regions in address order, as a monitor's `info mtree` lists them. */
  get regions(): readonly BusRegion[] {
    return this.sorted;
  }

  /**
   * Puts a device at `base`.
   * @throws AssertionError when the region is empty or overlaps another one: a board's layout is wrong
   */
  map(base: number, size: number, device: Device): void {
    assert(Number.isSafeInteger(base) && base >= 0 && size > 0, `${this.name}: ${device.name} needs a real region`);
    const end = base + size;
    const at = this.sorted.findIndex(region => region.base >= base);
    const position = at < 0 ? this.sorted.length : at;
    for (const neighbour of [this.sorted[position - 1], this.sorted[position]]) {
      if (neighbour === undefined || neighbour.end <= base || neighbour.base >= end) continue;
      assert(false, `${this.name}: ${device.name} at ${span(base, end)} overlaps ${describe(neighbour)}`);
    }
    this.sorted.splice(position, 0, { base, end, device });
  }

  /** Takes away the region that begins at `base`; does nothing when there is none. */
  unmap(base: number): void {
    const at = this.sorted.findIndex(region => region.base === base);
    if (at < 0) return;
    this.sorted.splice(at, 1);
    this.last = NOWHERE;
  }

  /** The region that holds `paddr`, if any. */
  find(paddr: number): BusRegion | undefined {
    if (paddr >= this.last.base && paddr < this.last.end) return this.last;
    const found = this.search(paddr);
    if (found !== undefined) this.last = found;
    return found;
  }

  /** Reads 1, 2 or 4 bytes; `undefined` when no device answers there. */
  read(paddr: number, width: NarrowWidth): number | undefined {
    const region = this.find(paddr);
    if (region === undefined || paddr + width > region.end) return undefined;
    return region.device.read(paddr - region.base, width);
  }

  /** Writes 1, 2 or 4 bytes; `false` when no device answers there. */
  write(paddr: number, value: number, width: NarrowWidth): boolean {
    const region = this.find(paddr);
    if (region === undefined || paddr + width > region.end) return false;
    region.device.write(paddr - region.base, value, width);
    return true;
  }

  /** Reads 8 bytes: in one access when the device has registers that wide, else low half first. */
  readLong(paddr: number): bigint | undefined {
    const region = this.find(paddr);
    if (region === undefined || paddr + 8 > region.end) return undefined;
    const { device, base } = region;
    if (device.readLong !== undefined) return device.readLong(paddr - base);
    const low = device.read(paddr - base, 4);
    const high = device.read(paddr - base + 4, 4);
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** Writes 8 bytes: in one access when the device has registers that wide, else low half first. */
  writeLong(paddr: number, value: bigint): boolean {
    const region = this.find(paddr);
    if (region === undefined || paddr + 8 > region.end) return false;
    const { device, base } = region;
    if (device.writeLong === undefined) {
      device.write(paddr - base, Number(value & 0xffff_ffffn), 4);
      device.write(paddr - base + 4, Number(value >> 32n), 4);
    } else {
      device.writeLong(paddr - base, value);
    }
    return true;
  }

  private search(paddr: number): BusRegion | undefined {
    let low = 0;
    let high = this.sorted.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const region = this.sorted[middle]!;
      if (paddr < region.base) high = middle - 1;
      else if (paddr >= region.end) low = middle + 1;
      else return region;
    }
    return undefined;
  }
}

function span(base: number, end: number): string {
  return `0x${base.toString(16)}-0x${(end - 1).toString(16)}`;
}

function describe(region: BusRegion): string {
  return `${region.device.name} at ${span(region.base, region.end)}`;
}
