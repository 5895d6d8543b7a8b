/**
 * The configuration space of one PCI function: header, base address registers, capabilities.
 *
 * Source: PCI Local Bus Specification 3.0 "Configuration Space"; PCI Express Base Specification for what a function without
 * extended space shows. Modelled: type 0 headers. Not modelled: bridges, expansion ROMs, extended capabilities.
 */
import { assert } from '../../../capture/formats/errors.ts';

/** Header registers. */
export const PCI_COMMAND = 0x04;
export const PCI_STATUS = 0x06;
const PCI_CACHE_LINE_SIZE = 0x0c;
export const PCI_BASE_ADDRESS_0 = 0x10;
const PCI_BASE_ADDRESS_END = 0x28;
const PCI_SUBSYSTEM_VENDOR_ID = 0x2c;
const PCI_CAPABILITY_LIST = 0x34;
const PCI_INTERRUPT_LINE = 0x3c;
const PCI_INTERRUPT_PIN = 0x3d;
const SIZE = 256;

/** PCI_COMMAND. */
export const COMMAND = { IO: 1 << 0, MEMORY: 1 << 1, MASTER: 1 << 2, SERR: 1 << 8, INTX_DISABLE: 1 << 10 } as const;
/** PCI_STATUS. */
const STATUS = { INTERRUPT: 1 << 3, CAP_LIST: 1 << 4 } as const;

/** Low bits of a base address register. */
const BAR = { IO: 1, MEM64: 1 << 2, PREFETCH: 1 << 3 } as const;

/** What a base address register decodes. */
export interface BarDeclaration {
  readonly index: number;
  readonly kind: 'io' | 'mem32' | 'mem64';
  readonly prefetchable?: boolean;
  /** A power of two. */
  readonly size: number;
}

/** What a function is. */
export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** Base class, sub-class, interface. */
  readonly classCode: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  /** 1 = INTA; 0 = none. */
  readonly interruptPin: 0 | 1 | 2 | 3 | 4;
}

/** A place in address space to which a BAR is programmed. */
export interface BarMapping {
  readonly bar: BarDeclaration;
  /** PCI bus address. */
  readonly address: number;
}

/** 256 bytes, of which the driver may write those that `writable` says. */
export class PciConfigSpace {
  readonly bars: readonly BarDeclaration[];
  readonly bytes = new Uint8Array(SIZE);
  private readonly writable = new Uint8Array(SIZE);
  private readonly powerOn: Uint8Array;
  private lastCapability = PCI_CAPABILITY_LIST;

  /**
   * @param capabilities placed in this order in the list; each is `{ id, at, bytes, writable }`
   * @param contents further bytes, by offset, which cannot be written
   */
  constructor(
    identity: PciIdentity,
    bars: readonly BarDeclaration[],
    capabilities: readonly Capability[] = [],
    contents: Readonly<Record<number, number>> = {},
  ) {
    this.bars = bars;
    this.put(0x00, identity.vendorId, 2);
    this.put(0x02, identity.deviceId, 2);
    this.put(0x08, identity.revision, 1);
    this.put(0x09, identity.classCode, 3);
    this.put(PCI_SUBSYSTEM_VENDOR_ID, identity.subsystemVendorId, 2);
    this.put(PCI_SUBSYSTEM_VENDOR_ID + 2, identity.subsystemId, 2);
    this.put(PCI_INTERRUPT_PIN, identity.interruptPin, 1);
    this.allow(PCI_COMMAND, COMMAND.IO | COMMAND.MEMORY | COMMAND.MASTER | COMMAND.SERR | COMMAND.INTX_DISABLE, 2);
    this.allow(PCI_CACHE_LINE_SIZE, 0xff, 1);
    this.allow(PCI_INTERRUPT_LINE, 0xff, 1);
    for (const bar of bars) this.declareBar(bar);
    for (const capability of capabilities) this.addCapability(capability);
    for (const [offset, byte] of Object.entries(contents)) this.bytes[Number(offset)] = byte;
    this.powerOn = this.bytes.slice();
  }

  get command(): number {
    return this.get(PCI_COMMAND, 2);
  }

  /** Whether memory or I/O decoding is on and the BAR is programmed: where the BARs are. */
  mappings(): BarMapping[] {
    return this.bars.flatMap(bar => {
      const enabled = (this.command & (bar.kind === 'io' ? COMMAND.IO : COMMAND.MEMORY)) !== 0;
      const address = this.barAddress(bar);
      return enabled && address !== 0 ? [{ bar, address }] : [];
    });
  }

  /** Reads 1, 2 or 4 bytes; a conventional function shows ones behind its 256 bytes. */
  read(offset: number, width: number): number {
    if (offset + width > SIZE) return 2 ** (8 * width) - 1;
    return this.get(offset, width);
  }

  /** Writes what may be written. @returns whether command or a BAR may have changed */
  write(offset: number, value: number, width: number): boolean {
    for (let i = 0; i < width && offset + i < SIZE; i++) {
      const mask = this.writable[offset + i]!;
      const byte = (value >>> (8 * i)) & 0xff;
      this.bytes[offset + i] = (this.bytes[offset + i]! & ~mask) | (byte & mask);
    }
    const end = offset + width;
    return (
      (offset < PCI_COMMAND + 2 && end > PCI_COMMAND) || (offset < PCI_BASE_ADDRESS_END && end > PCI_BASE_ADDRESS_0)
    );
  }

  /** Shows the level of INTx in the status register. */
  setInterruptStatus(level: boolean): void {
    const status = this.get(PCI_STATUS, 2) & ~STATUS.INTERRUPT;
    this.put(PCI_STATUS, level ? status | STATUS.INTERRUPT : status, 2);
  }

  reset(): void {
    this.bytes.set(this.powerOn);
  }

  get(offset: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.bytes[offset + i]!;
    return value;
  }

  private put(offset: number, value: number, width: number): void {
    for (let i = 0; i < width; i++) this.bytes[offset + i] = Math.floor(value / 256 ** i) % 256;
  }

  private allow(offset: number, mask: number, width: number): void {
    for (let i = 0; i < width; i++) this.writable[offset + i] = Math.floor(mask / 256 ** i) % 256;
  }

  private declareBar({ index, kind, prefetchable = false, size }: BarDeclaration): void {
    assert((size & (size - 1)) === 0 && size > 0, 'a BAR has a power of two as size');
    const offset = PCI_BASE_ADDRESS_0 + 4 * index;
    const type = kind === 'io' ? BAR.IO : (kind === 'mem64' ? BAR.MEM64 : 0) | (prefetchable ? BAR.PREFETCH : 0);
    this.put(offset, type, 4);
    this.allow(offset, 2 ** 32 - size, 4);
    if (kind === 'mem64') this.allow(offset + 4, 0xffff_ffff, 4);
  }

  private barAddress({ index, kind, size }: BarDeclaration): number {
    const offset = PCI_BASE_ADDRESS_0 + 4 * index;
    const low = this.get(offset, 4);
    const high = kind === 'mem64' ? this.get(offset + 4, 4) : 0;
    return high * 2 ** 32 + (low - (low % size));
  }

  private addCapability({ id, at, body, writable = [] }: Capability): void {
    this.put(PCI_STATUS, this.get(PCI_STATUS, 2) | STATUS.CAP_LIST, 2);
    this.bytes[this.lastCapability] = at;
    this.bytes[at] = id;
    this.bytes.set(body, at + 2);
    this.writable.set(writable, at + 2);
    this.lastCapability = at + 1;
  }
}

/** An entry of the capability list. */
export interface Capability {
  readonly id: number;
  /** Offset in configuration space. */
  readonly at: number;
  /** Bytes behind id and next pointer. */
  readonly body: readonly number[];
  /** Mask of the bits of `body` that may be written. */
  readonly writable?: readonly number[];
}
