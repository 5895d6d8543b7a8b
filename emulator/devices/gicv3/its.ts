/**
 * The GICv3 Interrupt Translation Service: turns a device's MSI (DeviceID, EventID) into an LPI on a CPU.
 *
 * Source: GICv3 IHI 0069 "The Interrupt Translation Service" and "The ITS command interface".
 * Modelled: physical LPIs; device, collection and interrupt translation tables in guest memory (flat, two-level device
 * table); commands run at once when GITS_CWRITER is written. Table entries have a layout of our own, as the architecture
 * leaves it to the implementation; their sizes are QEMU's. Not modelled: GICv4 commands, caching (so INV, INVALL and SYNC
 * have nothing to wait for).
 */
import type { AccessWidth, Device, DmaMemory } from '../../memory/device.ts';
import type { Gicv3Core } from './core.ts';
import { IDENTIFICATION, IIDR, readIdentification } from './identification.ts';
import { FIRST_LPI } from './intids.ts';
import { COMMAND, COMMAND_BYTES, decodeCommand, type ItsCommand } from './its-commands.ts';
import { ItsTables, type TranslationEntry } from './its-tables.ts';

const GITS_CTLR = 0x0000;
const GITS_IIDR = 0x0004;
const GITS_TYPER = 0x0008;
const GITS_CBASER = 0x0080;
const GITS_CWRITER = 0x0088;
const GITS_CREADR = 0x0090;
const GITS_BASER = 0x0100;
const GITS_BASER_END = 0x0140;
/** The write-only register that devices aim at, in the second 64 KiB frame. */
export const GITS_TRANSLATER = 0x10040;

/** GITS_CTLR. */
const CTLR = { Enabled: 1 << 0, Quiescent: 0x8000_0000 } as const;
/** Physical, ITT entries of 12 bytes, 16-bit EventIDs, 16-bit DeviceIDs, 16-bit collections (CIL, CIDbits), PTA = 0. */
const TYPER = 0x1f_0001_efb1n;
const CBASER_VALID = 1n << 63n;
/** Physical_Address 51:12 of GITS_CBASER, Offset 19:5 of GITS_CWRITER and GITS_CREADR, Stalled in bit 0. */
const CBASER_ADDRESS = 0xf_ffff_ffff_f000n;
const QUEUE_OFFSET = 0xf_ffe0;
/** Bits that GITS_CBASER has: Valid 63, InnerCache 61:59, OuterCache 55:53, address 51:12, Shareability 11:10, Size 7:0. */
const CBASER_WRITABLE = 0xb8ef_ffff_ffff_fcffn;

/** What a snapshot holds. */
export interface ItsState {
  enabled: boolean;
  cbaser: bigint;
  cwriter: number;
  creadr: number;
  readonly baser: bigint[];
}

/** GITS_* as the bus sees them. MSIs of PCI devices arrive by `translate`, with the requester's id. */
export class Gicv3Its implements Device<ItsState> {
  readonly name = 'gicv3-its';
  private readonly core: Gicv3Core;
  private readonly memory: DmaMemory;
  private readonly tables: ItsTables;
  private enabled = false;
  private cbaser = 0n;
  private cwriter = 0;
  private creadr = 0;

  constructor(core: Gicv3Core, memory: DmaMemory) {
    this.core = core;
    this.memory = memory;
    this.tables = new ItsTables(memory);
  }

  /** A device writes its EventID to GITS_TRANSLATER. What no table maps is dropped. */
  translate(deviceId: number, eventId: number): void {
    if (!this.enabled) return;
    const entry = this.tables.findTranslation(deviceId, eventId);
    if (entry !== undefined) this.setPending(entry, true);
  }

  read(offset: number, width: AccessWidth): number {
    if (width !== 4) return 0;
    switch (offset) {
      case GITS_CTLR:
        return this.enabled ? CTLR.Quiescent + CTLR.Enabled : CTLR.Quiescent;
      case GITS_IIDR:
        return IIDR;
      default: {
        const long = this.readLongRegister(offset & ~7);
        if (long === undefined) return readIdentification(offset, IDENTIFICATION.its);
        return Number((offset & 4) === 0 ? long & 0xffff_ffffn : long >> 32n);
      }
    }
  }

  write(offset: number, value: number, width: AccessWidth): void {
    if (offset === GITS_TRANSLATER) {
      this.translate(0, value); // A CPU has no DeviceID of its own; QEMU, too, takes it for device 0.
      return;
    }
    if (width !== 4) return;
    if (offset === GITS_CTLR) {
      this.enabled = (value & CTLR.Enabled) !== 0;
      this.processCommands();
      return;
    }
    const old = this.readLongRegister(offset & ~7);
    if (old === undefined) return;
    const half = BigInt(value);
    const lower = (offset & 4) === 0;
    this.writeLong(offset & ~7, lower ? (old & ~0xffff_ffffn) | half : (old & 0xffff_ffffn) | (half << 32n));
  }

  readLong(offset: number): bigint {
    const long = this.readLongRegister(offset);
    return long ?? (BigInt(this.read(offset + 4, 4)) << 32n) | BigInt(this.read(offset, 4));
  }

  writeLong(offset: number, value: bigint): void {
    if (offset >= GITS_BASER && offset < GITS_BASER_END) {
      if (!this.enabled) this.tables.writeBASER((offset - GITS_BASER) >>> 3, value);
    } else if (offset === GITS_CBASER) {
      if (!this.enabled) this.writeCBASER(value);
    } else if (offset === GITS_CWRITER) {
      this.cwriter = Number(value) & QUEUE_OFFSET;
      this.processCommands();
    }
  }

  reset(): void {
    this.restore({ enabled: false, cbaser: 0n, cwriter: 0, creadr: 0, baser: this.tables.resetValues() });
  }

  save(): ItsState {
    const { enabled, cbaser, cwriter, creadr } = this;
    return { enabled, cbaser, cwriter, creadr, baser: this.tables.save() };
  }

  restore(state: ItsState): void {
    this.enabled = state.enabled;
    this.cbaser = state.cbaser;
    this.cwriter = state.cwriter;
    this.creadr = state.creadr;
    this.tables.restore(state.baser);
  }

  private readLongRegister(offset: number): bigint | undefined {
    if (offset >= GITS_BASER && offset < GITS_BASER_END) return this.tables.readBASER((offset - GITS_BASER) >>> 3);
    switch (offset) {
      case GITS_TYPER:
        return TYPER;
      case GITS_CBASER:
        return this.cbaser;
      case GITS_CWRITER:
        return BigInt(this.cwriter);
      case GITS_CREADR:
        return BigInt(this.creadr);
      default:
        return undefined;
    }
  }

  /** Writing the queue's base makes both ends zero. */
  private writeCBASER(value: bigint): void {
    this.cbaser = value & CBASER_WRITABLE;
    this.creadr = 0;
    this.cwriter = 0;
  }

  private processCommands(): void {
    if (!this.enabled || (this.cbaser & CBASER_VALID) === 0n) return;
    const base = Number(this.cbaser & CBASER_ADDRESS);
    const size = (Number(this.cbaser & 0xffn) + 1) * 4096;
    if (this.cwriter >= size) return;
    while (this.creadr !== this.cwriter) {
      this.execute(decodeCommand(this.memory, base + this.creadr));
      this.creadr = (this.creadr + COMMAND_BYTES) % size;
    }
  }

  /** A command that names something unmapped or out of range is ignored, as the architecture allows instead of a stall. */
  private execute(command: ItsCommand): void {
    switch (command.opcode) {
      case COMMAND.MAPD:
        this.tables.mapDevice(command);
        break;
      case COMMAND.MAPC:
        this.tables.mapCollection(command, this.core.cpuCount);
        break;
      case COMMAND.MAPTI:
      case COMMAND.MAPI:
        this.mapInterrupt(command);
        break;
      case COMMAND.MOVALL:
        this.moveAll(command);
        break;
      case COMMAND.SYNC:
        break;
      case COMMAND.INVALL:
        this.core.update();
        break;
      default:
        this.executeOnInterrupt(command);
    }
  }

  private mapInterrupt({ opcode, deviceId, eventId, physicalId, collection }: ItsCommand): void {
    const intid = opcode === COMMAND.MAPI ? eventId : physicalId;
    if (intid >= FIRST_LPI && intid < 65536) this.tables.writeEntry(deviceId, eventId, { intid, collection });
  }

  private executeOnInterrupt(command: ItsCommand): void {
    const { opcode, deviceId, eventId } = command;
    const entry = this.tables.findTranslation(deviceId, eventId);
    if (entry === undefined) return;
    switch (opcode) {
      case COMMAND.INT:
        this.setPending(entry, true);
        break;
      case COMMAND.CLEAR:
        this.setPending(entry, false);
        break;
      case COMMAND.DISCARD:
        this.setPending(entry, false);
        this.tables.writeEntry(deviceId, eventId, undefined);
        break;
      case COMMAND.MOVI:
        this.moveInterrupt(command, entry);
        break;
      case COMMAND.INV:
        this.core.update();
        break;
      default: // Unknown commands do nothing.
    }
  }

  private moveInterrupt({ deviceId, eventId, collection }: ItsCommand, entry: TranslationEntry): void {
    const from = this.tables.findCollection(entry.collection);
    const to = this.tables.findCollection(collection);
    if (from === undefined || to === undefined) return;
    this.tables.writeEntry(deviceId, eventId, { intid: entry.intid, collection });
    if (from === to || this.core.lpis[from]?.isPending(entry.intid) !== true) return;
    this.core.clearLpiPending(from, entry.intid);
    this.core.setLpiPending(to, entry.intid);
  }

  private moveAll({ target, secondTarget }: ItsCommand): void {
    const from = this.core.lpis[target];
    const to = this.core.lpis[secondTarget];
    if (from === undefined || to === undefined || from === to) return;
    for (const intid of from.takePending()) to.setPending(intid);
    this.core.update();
  }

  private setPending(entry: TranslationEntry, pending: boolean): void {
    const cpu = this.tables.findCollection(entry.collection);
    if (cpu === undefined) return;
    if (pending) this.core.setLpiPending(cpu, entry.intid);
    else this.core.clearLpiPending(cpu, entry.intid);
  }
}
