/**
 * One port of an AHCI controller: its registers, its command list, and the disk behind it.
 *
 * Source: Serial ATA AHCI 1.3.1 "Port Registers", "System Memory Structures"; Serial ATA 3.x "FIS types".
 * Modelled: DMA and PIO commands, native command queuing, software and COMRESET resets. Commands complete at once.
 * Not modelled: port multipliers, power management of links, command completion coalescing.
 */
import { readSize64, readU16, readU32, writeU32 } from '../../../capture/formats/bytes.ts';
import type { DmaMemory } from '../../memory/device.ts';
import { ATA_STATUS, type AtaCommand, type AtaDisk, type AtaResult, isQueued } from './ata-disk.ts';

/** Registers, from the port's base. */
const PORT = {
  CLB: 0x00,
  CLBU: 0x04,
  FB: 0x08,
  FBU: 0x0c,
  IS: 0x10,
  IE: 0x14,
  CMD: 0x18,
  TFD: 0x20,
  SIG: 0x24,
  SSTS: 0x28,
  SCTL: 0x2c,
  SERR: 0x30,
  SACT: 0x34,
  CI: 0x38,
} as const;
export const AHCI_PORT_SIZE = 0x80;

/** PxIS and PxIE. */
const IS = { DHRS: 1 << 0, PSS: 1 << 1, SDBS: 1 << 3, TFES: 1 << 30 } as const;
/** PxCMD. */
const CMD = { ST: 1 << 0, SUD: 1 << 1, POD: 1 << 2, FRE: 1 << 4, FR: 1 << 14, CR: 1 << 15 } as const;
const CMD_WRITABLE = CMD.ST | CMD.SUD | CMD.POD | CMD.FRE;
/** PxSSTS: a device, communication established, generation 1, active. */
const LINK_UP = 0x113;
const SIGNATURE_ATA = 0x101;
const SERR_EXCHANGED = 1 << 26;
const SCTL_DET = 0xf;
const STATUS_IDLE = ATA_STATUS.READY | ATA_STATUS.SEEK;
const STATUS_NO_DEVICE = 0x7f;

/** Command header: flags and PRDT length, byte count, command table. */
const HEADER_BYTES = 32;
const SLOTS = 32;
const TABLE_PRDT = 0x80;
const PRD_BYTES = 16;
const CFIS_BYTES = 20;

/** FIS types, and where the received ones go. */
const FIS = { REGISTER_H2D: 0x27, REGISTER_D2H: 0x34, PIO_SETUP: 0x5f, SET_DEVICE_BITS: 0xa1 } as const;
const RECEIVED = { PIO_SETUP: 0x20, REGISTER_D2H: 0x40, SET_DEVICE_BITS: 0x58 } as const;
const FIS_INTERRUPT = 1 << 6;
const H2D_COMMAND = 1 << 7;
const CONTROL_SRST = 1 << 2;

/** What a snapshot holds. */
export interface AhciPortState {
  commandList: number;
  receivedFis: number;
  interruptStatus: number;
  interruptEnable: number;
  command: number;
  taskFile: number;
  signature: number;
  sstatus: number;
  scontrol: number;
  serror: number;
  sactive: number;
  issued: number;
  /** A software reset has begun. */
  inReset: boolean;
}

/** A port. */
export class AhciPort {
  private readonly disk: AtaDisk | undefined;
  private readonly memory: DmaMemory;
  private readonly interruptChanged: () => void;
  private state: AhciPortState;

  /** @param interruptChanged is told when `interrupt` may have changed */
  constructor(disk: AtaDisk | undefined, memory: DmaMemory, interruptChanged: () => void) {
    this.disk = disk;
    this.memory = memory;
    this.interruptChanged = interruptChanged;
    this.state = this.initialState();
  }

  /** An enabled interrupt is pending. */
  get interrupt(): boolean {
    return (this.state.interruptStatus & this.state.interruptEnable) !== 0;
  }

  read(offset: number): number {
    const { state } = this;
    switch (offset) {
      case PORT.CLB:
        return state.commandList % 2 ** 32;
      case PORT.CLBU:
        return Math.floor(state.commandList / 2 ** 32);
      case PORT.FB:
        return state.receivedFis % 2 ** 32;
      case PORT.FBU:
        return Math.floor(state.receivedFis / 2 ** 32);
      default:
        return this.readRegister(offset) >>> 0;
    }
  }

  private readRegister(offset: number): number {
    const { state } = this;
    switch (offset) {
      case PORT.IS:
        return state.interruptStatus;
      case PORT.IE:
        return state.interruptEnable;
      case PORT.CMD:
        return state.command;
      case PORT.TFD:
        return state.taskFile;
      case PORT.SIG:
        return state.signature;
      case PORT.SSTS:
        return state.sstatus;
      case PORT.SCTL:
        return state.scontrol;
      case PORT.SERR:
        return state.serror;
      case PORT.SACT:
        return state.sactive;
      case PORT.CI:
        return state.issued;
      default:
        return 0;
    }
  }

  write(offset: number, value: number): void {
    const { state } = this;
    switch (offset) {
      case PORT.CLB:
        state.commandList = withLow(state.commandList, value - (value % 1024));
        break;
      case PORT.CLBU:
        state.commandList = (state.commandList % 2 ** 32) + value * 2 ** 32;
        break;
      case PORT.FB:
        state.receivedFis = withLow(state.receivedFis, value - (value % 256));
        break;
      case PORT.FBU:
        state.receivedFis = (state.receivedFis % 2 ** 32) + value * 2 ** 32;
        break;
      default:
        this.writeRegister(offset, value | 0);
    }
  }

  private writeRegister(offset: number, value: number): void {
    const { state } = this;
    switch (offset) {
      case PORT.IS:
        state.interruptStatus &= ~value;
        this.interruptChanged();
        break;
      case PORT.IE:
        state.interruptEnable = value;
        this.interruptChanged();
        break;
      case PORT.CMD:
        this.writeCommand(value);
        break;
      case PORT.SCTL:
        this.writeControl(value);
        break;
      case PORT.SERR:
        state.serror &= ~value;
        break;
      case PORT.SACT:
        state.sactive |= value;
        break;
      case PORT.CI:
        if ((state.command & CMD.ST) === 0) break;
        state.issued |= value;
        this.runCommands();
    }
  }

  /** The whole controller is reset. */
  reset(): void {
    this.state = this.initialState();
  }

  save(): AhciPortState {
    return { ...this.state };
  }

  restore(state: AhciPortState): void {
    this.state = { ...state };
  }

  private initialState(): AhciPortState {
    const isPresent = this.disk !== undefined;
    return {
      commandList: 0,
      receivedFis: 0,
      interruptStatus: 0,
      interruptEnable: 0,
      command: CMD.SUD | CMD.POD,
      taskFile: isPresent ? STATUS_IDLE : STATUS_NO_DEVICE,
      signature: isPresent ? SIGNATURE_ATA : 0xffff_ffff,
      sstatus: isPresent ? LINK_UP : 0,
      scontrol: 0,
      serror: isPresent ? SERR_EXCHANGED : 0,
      sactive: 0,
      issued: 0,
      inReset: false,
    };
  }

  private writeCommand(value: number): void {
    const { state } = this;
    const running = ((value & CMD.ST) === 0 ? 0 : CMD.CR) | ((value & CMD.FRE) === 0 ? 0 : CMD.FR);
    const wasReceiving = (state.command & CMD.FR) !== 0;
    state.command = (value & CMD_WRITABLE) | running;
    if ((value & CMD.ST) === 0) {
      state.issued = 0;
      state.sactive = 0;
    }
    if (!wasReceiving && (value & CMD.FRE) !== 0 && this.disk !== undefined) this.sendRegisters({ error: 0 }, false);
  }

  /** DET 1, then 0: COMRESET. */
  private writeControl(value: number): void {
    const { state } = this;
    const wasResetting = (state.scontrol & SCTL_DET) === 1;
    state.scontrol = value;
    if (!wasResetting || (value & SCTL_DET) !== 0) return;
    const { taskFile, signature, sstatus, serror } = this.initialState();
    Object.assign(state, { taskFile, signature, sstatus, serror: state.serror | serror, issued: 0, sactive: 0 });
    if ((state.command & CMD.FR) !== 0 && this.disk !== undefined) this.sendRegisters({ error: 0 }, false);
  }

  private runCommands(): void {
    const { state } = this;
    for (let slot = 0; slot < SLOTS; slot++) {
      if ((state.issued & (1 << slot)) === 0) continue;
      if (!this.runSlot(slot)) break;
      state.issued &= ~(1 << slot);
    }
    this.interruptChanged();
  }

  /** @returns false when it failed: the list stops there until the driver starts it again */
  private runSlot(slot: number): boolean {
    const headerAt = this.state.commandList + slot * HEADER_BYTES;
    const header = this.memory.read(headerAt, HEADER_BYTES);
    const table = readSize64(header, 8);
    const fis = this.memory.read(table, CFIS_BYTES);
    if (this.disk === undefined || fis[0] !== FIS.REGISTER_H2D) return true;
    if ((fis[1]! & H2D_COMMAND) === 0) {
      this.softwareReset(fis[15]!);
      return true;
    }
    const command = ataCommand(fis);
    const regions = this.regions(table, readU16(header, 2));
    const result = this.disk.execute(command, this.gather(regions, this.disk.inputBytes(command)));
    if (result.data !== undefined) {
      const moved = this.scatter(regions, result.data);
      this.memory.writeU32(headerAt + 4, moved);
    } else {
      this.memory.writeU32(headerAt + 4, this.disk.inputBytes(command));
    }
    return this.complete(command, result);
  }

  private complete(command: AtaCommand, result: AtaResult): boolean {
    const { state } = this;
    if (isQueued(command.command)) {
      this.sendDeviceBits(command.count >> 3, result.error);
    } else {
      if (result.error === 0 && this.disk!.isPio(command)) this.sendPioSetup();
      this.sendRegisters(result, true);
    }
    if (result.error !== 0) state.interruptStatus |= IS.TFES;
    return result.error === 0;
  }

  private softwareReset(control: number): void {
    const { state } = this;
    if ((control & CONTROL_SRST) !== 0) {
      state.inReset = true;
      return;
    }
    if (!state.inReset) return;
    state.inReset = false;
    state.signature = SIGNATURE_ATA;
    this.sendRegisters({ error: 0, lba: 1, count: 1 }, false);
  }

  /** Where data are in memory, by the physical region descriptors. */
  private regions(table: number, count: number): readonly Region[] {
    const bytes = this.memory.read(table + TABLE_PRDT, count * PRD_BYTES);
    return Array.from({ length: count }, (_, i) => {
      const at = i * PRD_BYTES;
      return { paddr: readSize64(bytes, at), size: (readU32(bytes, at + 12) & 0x3f_ffff) + 1 };
    });
  }

  private gather(regions: readonly Region[], length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    for (const { paddr, size } of regions) {
      const part = Math.min(size, length - done);
      if (part <= 0) break;
      this.memory.readInto(paddr, bytes.subarray(done, done + part));
      done += part;
    }
    return bytes.subarray(0, done);
  }

  /** @returns how many bytes there was room for */
  private scatter(regions: readonly Region[], data: Uint8Array): number {
    let done = 0;
    for (const { paddr, size } of regions) {
      const part = Math.min(size, data.length - done);
      if (part <= 0) break;
      this.memory.write(paddr, data.subarray(done, done + part));
      done += part;
    }
    return done;
  }

  // Frames to the host

  private sendRegisters(result: AtaResult, interrupts: boolean): void {
    const { error, lba = 0, count = 0 } = result;
    const status = STATUS_IDLE | (error === 0 ? 0 : ATA_STATUS.ERR);
    const fis = new Uint8Array(20);
    fis.set([FIS.REGISTER_D2H, interrupts ? FIS_INTERRUPT : 0, status, error]);
    for (let i = 0; i < 3; i++) fis[4 + i] = Math.floor(lba / 256 ** i) % 256;
    for (let i = 0; i < 3; i++) fis[8 + i] = Math.floor(lba / 256 ** (3 + i)) % 256;
    fis[12] = count & 0xff;
    this.receive(RECEIVED.REGISTER_D2H, fis);
    this.state.taskFile = (error << 8) | status;
    if (interrupts) this.state.interruptStatus |= IS.DHRS;
  }

  private sendPioSetup(): void {
    const FROM_DEVICE = 1 << 5;
    const fis = new Uint8Array(20);
    fis.set([FIS.PIO_SETUP, FIS_INTERRUPT | FROM_DEVICE, STATUS_IDLE | ATA_STATUS.DRQ, 0]);
    fis[15] = STATUS_IDLE;
    this.receive(RECEIVED.PIO_SETUP, fis);
    this.state.taskFile = STATUS_IDLE;
    this.state.interruptStatus |= IS.PSS;
  }

  /** A queued command has ended: its tag's bit is cleared in PxSACT. */
  private sendDeviceBits(tag: number, error: number): void {
    const { state } = this;
    const status = STATUS_IDLE | (error === 0 ? 0 : ATA_STATUS.ERR);
    const fis = new Uint8Array(8);
    fis.set([FIS.SET_DEVICE_BITS, FIS_INTERRUPT, status & 0x77, error]);
    writeU32(fis, 4, (1 << tag) >>> 0);
    this.receive(RECEIVED.SET_DEVICE_BITS, fis);
    state.taskFile = (error << 8) | status;
    if (error === 0) state.sactive &= ~(1 << tag);
    state.interruptStatus |= IS.SDBS;
  }

  private receive(at: number, fis: Uint8Array): void {
    if ((this.state.command & CMD.FR) !== 0) this.memory.write(this.state.receivedFis + at, fis);
  }
}

/** A stretch of guest memory. */
interface Region {
  readonly paddr: number;
  readonly size: number;
}

/** "Register Host to Device FIS". */
function ataCommand(fis: Uint8Array): AtaCommand {
  const bytes = [fis[4]!, fis[5]!, fis[6]!, fis[8]!, fis[9]!, fis[10]!];
  return {
    command: fis[2]!,
    features: fis[3]! | (fis[11]! << 8),
    lba: bytes.reduce((sum, byte, i) => sum + byte * 256 ** i, 0),
    count: fis[12]! | (fis[13]! << 8),
    device: fis[7]!,
  };
}

function withLow(address: number, low: number): number {
  return address - (address % 2 ** 32) + low;
}
