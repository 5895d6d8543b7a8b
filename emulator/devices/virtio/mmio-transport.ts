/**
 * virtio over memory-mapped registers.
 *
 * Source: virtio 1.2 §4.2 "Virtio Over MMIO": §4.2.2 "MMIO Device Register Layout" (version 2), §4.2.4 "Legacy interface"
 * (version 1, which QEMU's `virt` and `microvm` show unless told otherwise).
 * Modelled: both versions; a transport without a device (DeviceID 0), as most of the 32 slots are.
 * Not modelled: shared memory regions, queue reset.
 */
import type { AccessWidth, Device, DmaMemory, InterruptLine } from '../../memory/device.ts';
import { VirtioCore, type VirtioCoreState, type VirtioDevice } from './device-core.ts';
import { FEATURE, MAX_QUEUE_SIZE } from './spec.ts';
import type { SplitQueue, SplitQueueState } from './split-queue.ts';

const MagicValue = 0x000;
const Version = 0x004;
const DeviceID = 0x008;
const VendorID = 0x00c;
const DeviceFeatures = 0x010;
const DeviceFeaturesSel = 0x014;
const DriverFeatures = 0x020;
const DriverFeaturesSel = 0x024;
const GuestPageSize = 0x028;
const QueueSel = 0x030;
const QueueNumMax = 0x034;
const QueueNum = 0x038;
const QueueAlign = 0x03c;
const QueuePFN = 0x040;
const QueueReady = 0x044;
const QueueNotify = 0x050;
const InterruptStatus = 0x060;
const InterruptACK = 0x064;
const Status = 0x070;
const QueueDescLow = 0x080;
const QueueDescHigh = 0x084;
const QueueDriverLow = 0x090;
const QueueDriverHigh = 0x094;
const QueueDeviceLow = 0x0a0;
const QueueDeviceHigh = 0x0a4;
const ConfigGeneration = 0x0fc;
const Config = 0x100;

/** "virt", little endian. */
const MAGIC = 0x7472_6976;
/** "QEMU", little endian: what QEMU's devices call their vendor. */
const VENDOR = 0x554d_4551;

/** Bytes that one transport takes on `virt` and `microvm`. */
export const VIRTIO_MMIO_SIZE = 0x200;

/** What a snapshot holds. */
export interface VirtioMmioState {
  deviceFeaturesSel: number;
  driverFeaturesSel: number;
  queueSel: number;
  guestPageSize: number;
  queueAlign: number;
  core: VirtioCoreState | null;
}

/** What a board gives to a transport. */
export interface VirtioMmioWiring {
  readonly interrupt: InterruptLine;
  readonly memory: DmaMemory;
  /** 1 (legacy) or 2. */
  readonly version: 1 | 2;
  /** Without a device the slot reads as DeviceID 0. */
  readonly device?: VirtioDevice;
}

/** One transport as the bus sees it. */
export class VirtioMmioTransport implements Device<VirtioMmioState> {
  readonly name: string;
  private readonly interrupt: InterruptLine;
  private readonly version: 1 | 2;
  private readonly core: VirtioCore | undefined;
  private state = initialState();

  constructor({ interrupt, memory, version, device }: VirtioMmioWiring) {
    this.interrupt = interrupt;
    this.version = version;
    this.name = device === undefined ? 'virtio-mmio' : `virtio-mmio-${device.name}`;
    const features = version === 2 ? FEATURE.VERSION_1 : FEATURE.NOTIFY_ON_EMPTY;
    const signal = (): void => this.updateInterrupt();
    if (device === undefined) return;
    const sizes = device.queueSizes.map(() => MAX_QUEUE_SIZE);
    this.core = new VirtioCore(device, memory, { queue: signal, config: signal }, features, sizes);
  }

  read(offset: number, width: AccessWidth): number {
    const { core } = this;
    if (core === undefined) return this.readEmpty(offset);
    if (offset >= Config) return core.readConfig(offset - Config, width);
    switch (offset) {
      case MagicValue:
        return MAGIC;
      case Version:
        return this.version;
      case DeviceID:
        return core.device.deviceId;
      case VendorID:
        return VENDOR;
      case DeviceFeatures:
        return this.readFeatures(core);
      case InterruptStatus:
        return core.isr;
      case Status:
        return core.status;
      case ConfigGeneration:
        return this.version === 2 ? core.configGeneration : 0;
      default:
        return this.readQueue(core, offset);
    }
  }

  write(offset: number, value: number, width: AccessWidth): void {
    const { core, state } = this;
    if (core === undefined) return;
    if (offset >= Config) {
      core.writeConfig(offset - Config, value, width);
      return;
    }
    switch (offset) {
      case QueueSel:
        state.queueSel = value;
        break;
      case QueueNotify:
        core.notify(value);
        break;
      case InterruptACK:
        core.isr &= ~value;
        this.updateInterrupt();
        break;
      case Status:
        core.writeStatus(value & 0xff);
        this.updateInterrupt();
        break;
      default:
        if (offset < QueueSel) this.writeNegotiation(core, offset, value);
        else this.writeQueue(core, offset, value);
    }
  }

  reset(): void {
    this.state = initialState();
    this.core?.reset();
    this.updateInterrupt();
  }

  save(): VirtioMmioState {
    return { ...this.state, core: this.core?.save() ?? null };
  }

  restore(state: VirtioMmioState): void {
    this.state = { ...state, core: null };
    if (state.core !== null) this.core?.restore(state.core);
    this.updateInterrupt();
  }

  private readEmpty(offset: number): number {
    if (offset === MagicValue) return MAGIC;
    if (offset === Version) return this.version;
    return offset === VendorID ? VENDOR : 0;
  }

  /** Legacy devices have 32 feature bits. */
  private readFeatures(core: VirtioCore): number {
    const select = this.state.deviceFeaturesSel;
    return this.version === 1 && select > 0 ? 0 : core.deviceFeatures(select);
  }

  private writeNegotiation(core: VirtioCore, offset: number, value: number): void {
    const { state } = this;
    switch (offset) {
      case DeviceFeaturesSel:
        state.deviceFeaturesSel = value;
        break;
      case DriverFeatures:
        if (this.version === 2 || state.driverFeaturesSel === 0) core.setDriverFeatures(state.driverFeaturesSel, value);
        break;
      case DriverFeaturesSel:
        state.driverFeaturesSel = value;
        break;
      case GuestPageSize:
        state.guestPageSize = value;
        break;
      default: // Read-only registers ignore writes.
    }
  }

  private queue(core: VirtioCore): SplitQueue | undefined {
    return core.queues[this.state.queueSel];
  }

  private readQueue(core: VirtioCore, offset: number): number {
    const queue = this.queue(core);
    if (queue === undefined) return 0;
    switch (offset) {
      case QueueNumMax:
        return queue.max;
      case QueuePFN:
        return this.version === 1 ? Math.floor(queue.state.desc / (this.state.guestPageSize || 1)) : 0;
      case QueueReady:
        return this.version === 2 && queue.state.ready ? 1 : 0;
      default:
        return 0;
    }
  }

  private writeQueue(core: VirtioCore, offset: number, value: number): void {
    const queue = this.queue(core);
    if (queue === undefined) return;
    if (offset === QueueNum) queue.setSize(value);
    else if (this.version === 1) this.writeLegacyQueue(queue, offset, value);
    else if (offset === QueueReady) queue.state.ready = value === 1;
    else writeQueueAddress(queue.state, offset, value);
  }

  private writeLegacyQueue(queue: SplitQueue, offset: number, value: number): void {
    if (offset === QueueAlign) this.state.queueAlign = value;
    else if (offset === QueuePFN && value === 0) queue.reset();
    else if (offset === QueuePFN)
      queue.setLegacyAddress(value * this.state.guestPageSize, Math.max(this.state.queueAlign, 4));
  }

  private updateInterrupt(): void {
    this.interrupt.set((this.core?.isr ?? 0) !== 0);
  }
}

function writeQueueAddress(state: SplitQueueState, offset: number, value: number): void {
  switch (offset) {
    case QueueDescLow:
      state.desc = withLow(state.desc, value);
      break;
    case QueueDescHigh:
      state.desc = withHigh(state.desc, value);
      break;
    case QueueDriverLow:
      state.avail = withLow(state.avail, value);
      break;
    case QueueDriverHigh:
      state.avail = withHigh(state.avail, value);
      break;
    case QueueDeviceLow:
      state.used = withLow(state.used, value);
      break;
    case QueueDeviceHigh:
      state.used = withHigh(state.used, value);
      break;
    default: // Read-only and reserved registers ignore writes.
  }
}

const HALF = 2 ** 32;

/** Replaces the low 32 bits of an address. */
export function withLow(address: number, low: number): number {
  return Math.floor(address / HALF) * HALF + low;
}

/** Replaces bits 52 to 32 of an address; no memory is above. */
export function withHigh(address: number, high: number): number {
  return (address % HALF) + (high % 2 ** 21) * HALF;
}

function initialState(): VirtioMmioState {
  return { deviceFeaturesSel: 0, driverFeaturesSel: 0, queueSel: 0, guestPageSize: 0, queueAlign: 4096, core: null };
}
