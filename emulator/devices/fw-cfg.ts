/**
 * fw_cfg: the channel by which QEMU gives firmware and guests small files, and by which Linux tells where its vmcoreinfo is.
 *
 * Source: QEMU docs/specs/fw_cfg.rst, docs/specs/vmcoreinfo.rst.
 * Modelled: selector and data registers, the file directory, DMA with read, write, skip and select; memory-mapped and port layouts.
 * Not modelled: the old numbered entries beyond signature, id, memory size and CPU count.
 */
import { assert } from '../../capture/formats/errors.ts';
import type { AccessWidth, Device, DmaMemory } from '../memory/device.ts';

/** Where the registers are. */
const MMIO = { DATA: 0x0, SELECTOR: 0x8, DMA: 0x10 } as const;
const PORTS = { SELECTOR: 0x0, DATA: 0x1, DMA: 0x4 } as const;
export const FW_CFG_MMIO_SIZE = 0x18;
/** Ports 0x510 to 0x51b. */
export const FW_CFG_PORTS_SIZE = 0xc;

/** Well-known selector keys. */
const FW_CFG = { SIGNATURE: 0x00, ID: 0x01, RAM_SIZE: 0x03, NB_CPUS: 0x05, FILE_DIR: 0x19, FILE_FIRST: 0x20 } as const;
/** FW_CFG_ID: traditional interface and DMA. */
const FW_CFG_VERSION = 0x3;
/** Read from the DMA register: "QEMU CFG". */
const DMA_SIGNATURE = [0x51, 0x45, 0x4d, 0x55, 0x20, 0x43, 0x46, 0x47] as const;

/** struct FWCfgDmaAccess: control u32, length u32, address u64, all big endian. */
const DMA_ACCESS_BYTES = 16;
const DMA_CTL = { ERROR: 1, READ: 2, SKIP: 4, SELECT: 8, WRITE: 16 } as const;

/** struct fw_cfg_file: size u32, select u16, reserved u16, name 56 bytes. */
const FILE_ENTRY_BYTES = 64;
const FILE_NAME_BYTES = 56;

/** A file that the guest can read, and perhaps write. */
export interface FwCfgFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Makes the file writable: called with all of it after each write by DMA. */
  readonly written?: (bytes: Uint8Array) => void;
}

/** struct FWCfgVMCoreInfo, little endian: where the guest's vmcoreinfo note is. */
export interface VmcoreinfoLocation {
  /** 1: an ELF note. */
  readonly guestFormat: number;
  readonly size: number;
  readonly paddr: number;
}

/** What a snapshot holds. */
export interface FwCfgState {
  readonly selector: number;
  readonly position: number;
  readonly dmaHigh: number;
  /** Contents of writable files, by key. */
  readonly contents: readonly (readonly [number, Uint8Array])[];
}

/** What a board gives to the device. */
export interface FwCfgWiring {
  readonly layout: 'mmio' | 'ports';
  readonly memory: DmaMemory;
  /** PCs tell their memory size here; `virt` does not. */
  readonly memoryBytes?: number;
  readonly cpuCount: number;
  readonly files: readonly FwCfgFile[];
}

interface Entry {
  bytes: Uint8Array;
  readonly written: ((bytes: Uint8Array) => void) | undefined;
}

/** The device as the bus sees it. */
export class FwCfg implements Device<FwCfgState> {
  readonly name = 'fw-cfg';
  private readonly registers: { readonly DATA: number; readonly SELECTOR: number; readonly DMA: number };
  private readonly isMmio: boolean;
  private readonly memory: DmaMemory;
  private readonly entries = new Map<number, Entry>();
  private selector = 0;
  private position = 0;
  private dmaHigh = 0;

  constructor({ layout, memory, memoryBytes = 0, cpuCount, files }: FwCfgWiring) {
    this.isMmio = layout === 'mmio';
    this.registers = this.isMmio ? MMIO : PORTS;
    this.memory = memory;
    const fixed: readonly (readonly [number, readonly number[]])[] = [
      [FW_CFG.SIGNATURE, [0x51, 0x45, 0x4d, 0x55]],
      [FW_CFG.ID, littleEndian(FW_CFG_VERSION, 4)],
      [FW_CFG.RAM_SIZE, littleEndian(memoryBytes, 8)],
      [FW_CFG.NB_CPUS, littleEndian(cpuCount, 2)],
    ];
    for (const [key, bytes] of fixed) this.entries.set(key, { bytes: Uint8Array.from(bytes), written: undefined });
    this.addFiles(files);
  }

  read(offset: number, width: AccessWidth): number {
    const { DATA, DMA } = this.registers;
    const isData = this.isMmio ? offset < MMIO.SELECTOR : offset === DATA;
    let value = 0;
    // Both registers are streams of bytes: the first one is at the lowest address.
    if (isData) for (let i = 0; i < width; i++) value += this.readByte() * 256 ** i;
    else if (offset >= DMA) for (let i = 0; i < width; i++) value += (DMA_SIGNATURE[offset - DMA + i] ?? 0) * 256 ** i;
    return value;
  }

  write(offset: number, value: number, width: AccessWidth): void {
    const { SELECTOR, DMA } = this.registers;
    if (offset === SELECTOR && width === 2) this.select(this.isMmio ? swap(value, 2) : value);
    else if (offset === DMA && width === 4) this.dmaHigh = swap(value, 4);
    else if (offset === DMA + 4 && width === 4) this.transfer(this.dmaHigh * 2 ** 32 + swap(value, 4));
  }

  reset(): void {
    this.selector = 0;
    this.position = 0;
    this.dmaHigh = 0;
  }

  save(): FwCfgState {
    const { selector, position, dmaHigh } = this;
    const writable = [...this.entries].filter(([, entry]) => entry.written !== undefined);
    return { selector, position, dmaHigh, contents: writable.map(([key, { bytes }]) => [key, bytes.slice()]) };
  }

  restore(state: FwCfgState): void {
    this.selector = state.selector;
    this.position = state.position;
    this.dmaHigh = state.dmaHigh;
    for (const [key, bytes] of state.contents) this.entries.get(key)!.bytes = bytes.slice();
  }

  /** The directory lists files by name, as QEMU sorts them. */
  private addFiles(files: readonly FwCfgFile[]): void {
    const sorted = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const directory = new Uint8Array(4 + FILE_ENTRY_BYTES * files.length);
    directory.set(bigEndian(files.length, 4));
    for (const [i, { name, bytes, written }] of sorted.entries()) {
      assert(name.length < FILE_NAME_BYTES, `fw_cfg file name ${name} is short enough`);
      const key = FW_CFG.FILE_FIRST + i;
      const at = 4 + FILE_ENTRY_BYTES * i;
      directory.set([...bigEndian(bytes.length, 4), ...bigEndian(key, 2)], at);
      directory.set(Buffer.from(name, 'latin1'), at + 8);
      this.entries.set(key, { bytes: bytes.slice(), written });
    }
    this.entries.set(FW_CFG.FILE_DIR, { bytes: directory, written: undefined });
  }

  private select(key: number): void {
    this.selector = key;
    this.position = 0;
  }

  private readByte(): number {
    const byte = this.entries.get(this.selector)?.bytes[this.position] ?? 0;
    this.position += 1;
    return byte;
  }

  /** Performs the access that is described at `paddr`, and reports back in its control word. */
  private transfer(paddr: number): void {
    const access = this.memory.read(paddr, DMA_ACCESS_BYTES);
    const control = readBigEndian(access, 0, 4);
    const length = readBigEndian(access, 4, 4);
    const address = readBigEndian(access, 8, 8);
    if ((control & DMA_CTL.SELECT) !== 0) this.select(control >>> 16);
    const worked = this.perform(control, length, address);
    this.memory.write(paddr, Uint8Array.from(bigEndian(worked ? 0 : DMA_CTL.ERROR, 4)));
  }

  private perform(control: number, length: number, address: number): boolean {
    const entry = this.entries.get(this.selector);
    const start = this.position;
    if ((control & (DMA_CTL.READ | DMA_CTL.WRITE | DMA_CTL.SKIP)) !== 0) this.position += length;
    if ((control & DMA_CTL.READ) !== 0) {
      const part = entry?.bytes.subarray(start, start + length) ?? new Uint8Array(0);
      this.memory.write(address, part);
      this.fillZero(address + part.length, length - part.length);
      return true;
    }
    if ((control & DMA_CTL.WRITE) === 0) return true;
    if (entry?.written === undefined || start + length > entry.bytes.length) return false;
    this.memory.readInto(address, entry.bytes.subarray(start, start + length));
    entry.written(entry.bytes.slice());
    return true;
  }

  /** What lies behind a file's end reads as zeros. */
  private fillZero(address: number, length: number): void {
    const zeroes = new Uint8Array(4096);
    for (let done = 0; done < length; done += zeroes.length)
      this.memory.write(address + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)));
  }
}

/** The file `etc/vmcoreinfo`, into which Linux's qemu_fw_cfg driver writes where its vmcoreinfo note is. */
export function vmcoreinfoFile(found: (location: VmcoreinfoLocation) => void): FwCfgFile {
  const HOST_FORMAT_ELF = 1;
  const bytes = Uint8Array.from([...littleEndian(HOST_FORMAT_ELF, 2), ...Array.from({ length: 14 }, () => 0)]);
  return {
    name: 'etc/vmcoreinfo',
    bytes,
    written: content => {
      const little = content.slice().reverse();
      found({
        guestFormat: readBigEndian(little, 12, 2),
        size: readBigEndian(little, 8, 4),
        paddr: readBigEndian(little, 0, 8),
      });
    },
  };
}

function littleEndian(value: number, width: number): number[] {
  return Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

function bigEndian(value: number, width: number): number[] {
  return littleEndian(value, width).reverse();
}

function readBigEndian(bytes: Uint8Array, offset: number, width: number): number {
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + bytes[offset + i]!;
  return value;
}

/** Turns round the bytes of a register that is big endian. */
function swap(value: number, width: number): number {
  let result = 0;
  for (let i = 0; i < width; i++) result = result * 256 + (Math.floor(value / 256 ** i) % 256);
  return result;
}
