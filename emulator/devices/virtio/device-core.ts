/**
 * What all virtio devices share, whatever bus they sit on: status, features, queues.
 *
 * Source: virtio 1.2 §2 "Basic Facilities of a Virtio Device", §3.1 "Device Initialization".
 * A transport (mmio, PCI) maps registers onto a `VirtioCore`; the core drives a `VirtioDevice` (block, rng, console).
 */
import type { DmaMemory } from '../../memory/device.ts';
import { FEATURE, ISR, RING_FEATURES, STATUS } from './spec.ts';
import { SplitQueue, type SplitQueueState } from './split-queue.ts';

/** One kind of device: what it can do and what it does with its queues. */
export interface VirtioDevice<State = unknown> {
  readonly name: string;
  /** virtio 1.2 §5 "Device Types". */
  readonly deviceId: number;
  /** PCI class code (base class, sub-class, interface) that a PCI function of this kind shows. */
  readonly pciClass: number;
  /** The device's own feature bits. */
  readonly features: bigint;
  /** Feature bits that it offers only where VERSION_1 is not on offer. */
  readonly legacyFeatures?: bigint;
  /** Size of each queue as its PCI function announces it. */
  readonly queueSizes: readonly number[];
  /** Bytes of the device-specific configuration. */
  readonly configSize: number;
  /** One byte of the device-specific configuration. */
  readConfig(offset: number): number;
  writeConfig(offset: number, value: number): void;
  /** The driver made buffers available in a queue. */
  process(index: number, queue: SplitQueue): void;
  /** The driver is gone; the configuration stays. */
  reset(): void;
  /** Gives devices that act on their own (console input) the way to their queues. */
  attach?(host: VirtioHost): void;
  save(): State;
  restore(state: State): void;
}

/** What a device may ask of its transport. */
export interface VirtioHost {
  readonly memory: DmaMemory;
  /** Features that the driver accepted. */
  readonly accepted: bigint;
  /** Processes a queue as if the driver had rung. */
  run(index: number): void;
  /** Says that the configuration changed. */
  configChanged(): void;
}

/** How a transport raises interrupts. */
export interface VirtioSignals {
  queue(index: number): void;
  config(): void;
}

/** What a snapshot holds; transports add their own selectors. */
export interface VirtioCoreState {
  readonly status: number;
  readonly isr: number;
  readonly driverFeatures: bigint;
  readonly configGeneration: number;
  readonly queues: readonly SplitQueueState[];
  readonly device: unknown;
}

/**
 * The status machine: a bit takes effect when it is first written, if what it requires is there. Bits never go away but by writing
 * 0, which resets. Drivers from before version 1.0 leave FEATURES_OK out.
 */
const STATUS_STEPS = [
  { bit: STATUS.ACKNOWLEDGE, requires: 0 },
  { bit: STATUS.DRIVER, requires: STATUS.ACKNOWLEDGE },
  { bit: STATUS.FEATURES_OK, requires: STATUS.ACKNOWLEDGE | STATUS.DRIVER },
  { bit: STATUS.DRIVER_OK, requires: STATUS.ACKNOWLEDGE | STATUS.DRIVER },
  { bit: STATUS.FAILED, requires: 0 },
] as const;

/** Status, features and queues of one device. */
export class VirtioCore implements VirtioHost {
  readonly device: VirtioDevice;
  readonly memory: DmaMemory;
  readonly queues: readonly SplitQueue[];
  /** Pending interrupt causes as the ISR shows them. */
  isr = 0;
  private readonly signals: VirtioSignals;
  private readonly offered: bigint;
  private statusBits = 0;
  private driverFeatures = 0n;
  private generation = 0;

  /**
   * @param transportFeatures what the transport adds: VERSION_1, or what legacy devices have instead
   * @param queueSizes sizes that the transport announces (default: the device's)
   */
  constructor(
    device: VirtioDevice,
    memory: DmaMemory,
    signals: VirtioSignals,
    transportFeatures: bigint,
    queueSizes: readonly number[] = device.queueSizes,
  ) {
    this.device = device;
    this.memory = memory;
    this.signals = signals;
    const isLegacy = (transportFeatures & FEATURE.VERSION_1) === 0n;
    const legacyFeatures = isLegacy ? (device.legacyFeatures ?? 0n) : 0n;
    this.offered = device.features | legacyFeatures | RING_FEATURES | transportFeatures;
    this.queues = queueSizes.map(size => new SplitQueue(memory, size));
    device.attach?.(this);
  }

  get accepted(): bigint {
    return this.driverFeatures;
  }

  get status(): number {
    return this.statusBits;
  }

  get configGeneration(): number {
    return this.generation;
  }

  /** Offered features, 32 at a time. @param select 0 or 1; others read 0 */
  deviceFeatures(select: number): number {
    return select < 2 ? Number((this.offered >> BigInt(32 * select)) & 0xffff_ffffn) : 0;
  }

  driverFeaturesWord(select: number): number {
    return select < 2 ? Number((this.driverFeatures >> BigInt(32 * select)) & 0xffff_ffffn) : 0;
  }

  /** Takes accepted features, 32 at a time; ignored once they are agreed on. */
  setDriverFeatures(select: number, value: number): void {
    if (select > 1 || (this.statusBits & (STATUS.FEATURES_OK | STATUS.DRIVER_OK)) !== 0) return;
    const shift = BigInt(32 * select);
    const others = this.driverFeatures & ~(0xffff_ffffn << shift);
    this.driverFeatures = others | (BigInt(value) << shift);
  }

  writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    for (const { bit, requires } of STATUS_STEPS) {
      const isNew = (value & bit) !== 0 && (this.statusBits & bit) === 0;
      if (!isNew || (this.statusBits & requires) !== requires) continue;
      if (bit === STATUS.FEATURES_OK && !this.agrees()) continue;
      if (bit === STATUS.DRIVER_OK) this.driverFeatures &= this.offered;
      this.statusBits |= bit;
    }
    this.applyFeatures();
  }

  /** The driver rang for a queue. */
  notify(index: number): void {
    if ((this.statusBits & STATUS.DRIVER_OK) !== 0) this.run(index);
  }

  run(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.state.ready || queue.fault !== undefined) return;
    this.device.process(index, queue);
    if (queue.takeInterrupt()) {
      this.isr |= ISR.QUEUE;
      this.signals.queue(index);
    }
    if (queue.fault !== undefined) this.breakDown();
  }

  configChanged(): void {
    this.generation = (this.generation + 1) & 0xff;
    if ((this.statusBits & STATUS.DRIVER_OK) === 0) return;
    this.isr |= ISR.CONFIG;
    this.signals.config();
  }

  /** Reads the device-specific configuration; ones behind its end, as QEMU does. */
  readConfig(offset: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) {
      const at = offset + i;
      value = value * 256 + (at < this.device.configSize ? this.device.readConfig(at) : 0xff);
    }
    return value;
  }

  writeConfig(offset: number, value: number, width: number): void {
    for (let i = 0; i < width; i++)
      if (offset + i < this.device.configSize) this.device.writeConfig(offset + i, (value >>> (8 * i)) & 0xff);
  }

  reset(): void {
    this.statusBits = 0;
    this.isr = 0;
    this.driverFeatures = 0n;
    for (const queue of this.queues) queue.reset();
    this.applyFeatures();
    this.device.reset();
  }

  save(): VirtioCoreState {
    const { statusBits: status, isr, driverFeatures, generation: configGeneration } = this;
    const queues = this.queues.map(queue => ({ ...queue.state }));
    return { status, isr, driverFeatures, configGeneration, queues, device: this.device.save() };
  }

  restore(state: VirtioCoreState): void {
    this.statusBits = state.status;
    this.isr = state.isr;
    this.driverFeatures = state.driverFeatures;
    this.generation = state.configGeneration;
    for (const [i, queue] of this.queues.entries()) {
      queue.state = { ...state.queues[i]! };
      queue.fault = undefined;
    }
    this.applyFeatures();
    this.device.restore(state.device);
  }

  /** The driver accepted nothing that was not offered, and version 1 where it was. */
  private agrees(): boolean {
    const version1 = this.offered & FEATURE.VERSION_1;
    return (this.driverFeatures & ~this.offered) === 0n && (this.driverFeatures & version1) === version1;
  }

  private applyFeatures(): void {
    const eventIdx = (this.driverFeatures & FEATURE.EVENT_IDX) !== 0n;
    const indirect = (this.driverFeatures & FEATURE.INDIRECT_DESC) !== 0n;
    const notifyOnEmpty = (this.driverFeatures & FEATURE.NOTIFY_ON_EMPTY) !== 0n;
    for (const queue of this.queues) {
      queue.eventIdx = eventIdx;
      queue.indirect = indirect;
      queue.notifyOnEmpty = notifyOnEmpty;
    }
  }

  /** virtio 1.2 §2.1.2 "Device Requirements: Device Status Field": a device that cannot go on says so. */
  private breakDown(): void {
    this.statusBits |= STATUS.DEVICE_NEEDS_RESET;
    this.configChanged();
  }
}
