/**
 * virtio over PCI: transitional (legacy registers beside the modern ones, as QEMU plugs them into a root bus) or modern only.
 *
 * Source: virtio 1.2 §4.1 "Virtio Over PCI Bus"; §4.1.4.8 "Legacy Interfaces". Places of structures and capabilities are QEMU's.
 * Not modelled: the PCI configuration access capability's window (it is listed and reads as zero), notification data, queue reset.
 */
import type { AccessWidth, DmaMemory } from '../../memory/device.ts';
import { type BarDeclaration, type Capability, PciConfigSpace, type PciIdentity } from '../pci/config-space.ts';
import type { BarHandler, PciFunction, PciSlot } from '../pci/function.ts';
import { QEMU_SUBSYSTEM_ID, VENDOR } from '../pci/host-bridge.ts';
import { Msix, type MsixPlace, type MsixState } from '../pci/msix.ts';
import { VirtioCore, type VirtioCoreState, type VirtioDevice } from './device-core.ts';
import { withHigh, withLow } from './mmio-transport.ts';
import { DEVICE_ID, FEATURE } from './spec.ts';
import { NO_VECTOR, type SplitQueue } from './split-queue.ts';

/** virtio 1.2 §4.1.2.1 "Device Requirements: PCI Device Discovery": 0x1040 + type; older types have a transitional id. */
const MODERN_DEVICE_ID = 0x1040;
const TRANSITIONAL_DEVICE_ID: Readonly<Record<number, number>> = {
  [DEVICE_ID.NET]: 0x1000,
  [DEVICE_ID.BLOCK]: 0x1001,
  [DEVICE_ID.CONSOLE]: 0x1003,
  [DEVICE_ID.ENTROPY]: 0x1005,
  [DEVICE_ID.NINEP]: 0x1009,
};

const LEGACY_BAR = 0;
const MSIX_BAR = 1;
const MODERN_BAR = 4;
const MODERN_BAR_SIZE = 0x4000;
const STRUCTURE_SIZE = 0x1000;
const MSIX_PLACE: MsixPlace = { capabilityAt: 0x98, bar: MSIX_BAR, tableAt: 0, pendingAt: 0x800 };

/** Structures in the modern BAR. */
const STRUCTURE = { COMMON: 0, ISR: 1, DEVICE: 2, NOTIFY: 3 } as const;
/** Each queue has a notification address of its own. */
const NOTIFY_OFF_MULTIPLIER = 4;

/** virtio 1.2 §4.1.4 "Virtio Structure PCI Capabilities". */
const PCI_CAP_ID_VNDR = 9;
const VIRTIO_PCI_CAP = { COMMON_CFG: 1, NOTIFY_CFG: 2, ISR_CFG: 3, DEVICE_CFG: 4, PCI_CFG: 5 } as const;

/** struct virtio_pci_common_cfg. */
const device_feature_select = 0x00;
const device_feature = 0x04;
const driver_feature_select = 0x08;
const driver_feature = 0x0c;
const config_msix_vector = 0x10;
const num_queues = 0x12;
const device_status = 0x14;
const config_generation = 0x15;
const queue_select = 0x16;
const queue_size = 0x18;
const queue_msix_vector = 0x1a;
const queue_enable = 0x1c;
const queue_notify_off = 0x1e;
const queue_desc = 0x20;
const queue_driver = 0x28;
const queue_device = 0x30;

/** Legacy registers in I/O space. The configuration follows at 0x14, or at 0x18 while MSI-X is on. */
const LEGACY = {
  device_features: 0x00,
  driver_features: 0x04,
  queue_address: 0x08,
  queue_size: 0x0c,
  queue_select: 0x0e,
  queue_notify: 0x10,
  device_status: 0x12,
  isr_status: 0x13,
  config_msix_vector: 0x14,
  queue_msix_vector: 0x16,
} as const;
const LEGACY_CONFIG = 0x14;
const LEGACY_CONFIG_WITH_MSIX = 0x18;
const LEGACY_PAGE = 4096;

/** What a snapshot holds beyond configuration space. */
export interface VirtioPciState {
  readonly deviceFeatureSelect: number;
  readonly driverFeatureSelect: number;
  readonly queueSelect: number;
  readonly configVector: number;
  readonly msix: MsixState;
  readonly core: VirtioCoreState;
}

/** A virtio device as a PCI function. */
export class VirtioPciFunction implements PciFunction<VirtioPciState> {
  readonly name: string;
  readonly config: PciConfigSpace;
  private readonly core: VirtioCore;
  private readonly msix: Msix;
  private readonly handlers: Readonly<Record<number, BarHandler>>;
  private slot: PciSlot | undefined;
  private deviceFeatureSelect = 0;
  private driverFeatureSelect = 0;
  private queueSelect = 0;
  private configVector = NO_VECTOR;

  /** @param modernOnly leaves the legacy registers out (`disable-legacy=on`) */
  constructor(device: VirtioDevice, memory: DmaMemory, modernOnly = false) {
    this.name = `virtio-pci-${device.name}`;
    const vectors = device.queueSizes.length + 1;
    this.config = new PciConfigSpace(
      identityOf(device, modernOnly),
      barsOf(device, modernOnly),
      capabilitiesOf(vectors),
    );
    const signals = { queue: (index: number) => this.signalQueue(index), config: () => this.signalConfig() };
    this.core = new VirtioCore(device, memory, signals, FEATURE.VERSION_1);
    this.msix = new Msix(vectors, MSIX_PLACE, (address, data) => this.slot?.sendMsi(address, data));
    this.handlers = {
      [LEGACY_BAR]: {
        read: (offset, width) => this.readLegacy(offset, width),
        write: (offset, value, width) => this.writeLegacy(offset, value, width),
      },
      [MSIX_BAR]: this.msix,
      [MODERN_BAR]: {
        read: (offset, width) => this.readModern(offset, width),
        write: (offset, value, width) => this.writeModern(offset, value, width),
      },
    };
  }

  bar(index: number): BarHandler {
    return this.handlers[index]!;
  }

  plug(slot: PciSlot): void {
    this.slot = slot;
  }

  configWritten(): void {
    this.msix.updateControl(this.config);
  }

  reset(): void {
    this.core.reset();
    this.msix.reset();
    this.deviceFeatureSelect = 0;
    this.driverFeatureSelect = 0;
    this.queueSelect = 0;
    this.configVector = NO_VECTOR;
    this.updateIntx();
  }

  save(): VirtioPciState {
    const { deviceFeatureSelect, driverFeatureSelect, queueSelect, configVector } = this;
    const parts = { msix: this.msix.save(), core: this.core.save() };
    return { deviceFeatureSelect, driverFeatureSelect, queueSelect, configVector, ...parts };
  }

  restore(state: VirtioPciState): void {
    this.deviceFeatureSelect = state.deviceFeatureSelect;
    this.driverFeatureSelect = state.driverFeatureSelect;
    this.queueSelect = state.queueSelect;
    this.configVector = state.configVector;
    this.msix.restore(state.msix, this.config);
    this.core.restore(state.core);
    this.updateIntx();
  }

  private signalQueue(index: number): void {
    if (this.msix.isEnabled) this.msix.raise(this.core.queues[index]!.state.msixVector);
    else this.updateIntx();
  }

  private signalConfig(): void {
    if (this.msix.isEnabled) this.msix.raise(this.configVector);
    else this.updateIntx();
  }

  private updateIntx(): void {
    this.slot?.intx.set(this.core.isr !== 0 && !this.msix.isEnabled);
  }

  /** Reading the ISR acknowledges. */
  private takeIsr(): number {
    const { isr } = this.core;
    this.core.isr = 0;
    this.updateIntx();
    return isr;
  }

  private selected(): SplitQueue | undefined {
    return this.core.queues[this.queueSelect];
  }

  private readModern(offset: number, width: AccessWidth): number {
    const within = offset % STRUCTURE_SIZE;
    switch (Math.floor(offset / STRUCTURE_SIZE)) {
      case STRUCTURE.COMMON:
        return this.readCommon(within);
      case STRUCTURE.ISR:
        return within === 0 ? this.takeIsr() : 0;
      case STRUCTURE.DEVICE:
        return this.core.readConfig(within, width);
      default:
        return 0;
    }
  }

  private writeModern(offset: number, value: number, width: AccessWidth): void {
    const within = offset % STRUCTURE_SIZE;
    const structure = Math.floor(offset / STRUCTURE_SIZE);
    if (structure === STRUCTURE.COMMON) this.writeCommon(within, value);
    else if (structure === STRUCTURE.DEVICE) this.core.writeConfig(within, value, width);
    else if (structure === STRUCTURE.NOTIFY) this.core.notify(Math.floor(within / NOTIFY_OFF_MULTIPLIER));
  }

  private readCommon(offset: number): number {
    const { core } = this;
    switch (offset) {
      case device_feature_select:
        return this.deviceFeatureSelect;
      case device_feature:
        return core.deviceFeatures(this.deviceFeatureSelect);
      case driver_feature_select:
        return this.driverFeatureSelect;
      case driver_feature:
        return core.driverFeaturesWord(this.driverFeatureSelect);
      case config_msix_vector:
        return this.configVector;
      case num_queues:
        return core.queues.length;
      case device_status:
        return core.status;
      case config_generation:
        return core.configGeneration;
      case queue_select:
        return this.queueSelect;
      default:
        return this.readCommonQueue(offset);
    }
  }

  private readCommonQueue(offset: number): number {
    const state = this.selected()?.state;
    if (state === undefined) return 0;
    switch (offset) {
      case queue_size:
        return state.size;
      case queue_msix_vector:
        return state.msixVector;
      case queue_enable:
        return state.ready ? 1 : 0;
      case queue_notify_off:
        return this.queueSelect;
      default:
        return readHalf(state, offset);
    }
  }

  private writeCommon(offset: number, value: number): void {
    switch (offset) {
      case device_feature_select:
        this.deviceFeatureSelect = value;
        break;
      case driver_feature_select:
        this.driverFeatureSelect = value;
        break;
      case driver_feature:
        this.core.setDriverFeatures(this.driverFeatureSelect, value);
        break;
      case config_msix_vector:
        this.configVector = this.acceptVector(value);
        break;
      case device_status:
        this.writeStatus(value);
        break;
      case queue_select:
        this.queueSelect = value;
        break;
      default:
        this.writeCommonQueue(offset, value);
    }
  }

  private writeCommonQueue(offset: number, value: number): void {
    const queue = this.selected();
    if (queue === undefined) return;
    switch (offset) {
      case queue_size:
        queue.setSize(value);
        break;
      case queue_msix_vector:
        queue.state.msixVector = this.acceptVector(value);
        break;
      case queue_enable:
        queue.state.ready = queue.state.ready || value === 1;
        break;
      default:
        writeHalf(queue.state, offset, value);
    }
  }

  /** A vector that does not exist reads back as none: virtio 1.2 §4.1.5.1.2 "MSI-X Vector Configuration". */
  private acceptVector(vector: number): number {
    return vector < this.msix.vectors ? vector : NO_VECTOR;
  }

  private writeStatus(value: number): void {
    this.core.writeStatus(value & 0xff);
    if ((value & 0xff) === 0) this.configVector = NO_VECTOR;
    this.updateIntx();
  }

  private legacyConfigOffset(): number {
    return this.msix.isEnabled ? LEGACY_CONFIG_WITH_MSIX : LEGACY_CONFIG;
  }

  private readLegacy(offset: number, width: AccessWidth): number {
    const { core } = this;
    const configAt = this.legacyConfigOffset();
    if (offset >= configAt) return core.readConfig(offset - configAt, width);
    switch (offset) {
      case LEGACY.device_features:
        return core.deviceFeatures(0);
      case LEGACY.driver_features:
        return core.driverFeaturesWord(0);
      case LEGACY.queue_select:
        return this.queueSelect;
      case LEGACY.device_status:
        return core.status;
      case LEGACY.isr_status:
        return this.takeIsr();
      case LEGACY.config_msix_vector:
        return this.configVector;
      default:
        return this.readLegacyQueue(offset);
    }
  }

  private readLegacyQueue(offset: number): number {
    const queue = this.selected();
    if (queue === undefined) return 0;
    if (offset === LEGACY.queue_address) return Math.floor(queue.state.desc / LEGACY_PAGE);
    if (offset === LEGACY.queue_size) return queue.max;
    return offset === LEGACY.queue_msix_vector ? queue.state.msixVector : 0;
  }

  private writeLegacy(offset: number, value: number, width: AccessWidth): void {
    const { core } = this;
    const configAt = this.legacyConfigOffset();
    if (offset >= configAt) {
      core.writeConfig(offset - configAt, value, width);
      return;
    }
    switch (offset) {
      case LEGACY.driver_features:
        core.setDriverFeatures(0, value);
        break;
      case LEGACY.queue_address:
        this.writeLegacyAddress(value);
        break;
      case LEGACY.queue_select:
        this.queueSelect = value;
        break;
      case LEGACY.queue_notify:
        core.notify(value);
        break;
      case LEGACY.device_status:
        this.writeStatus(value);
        break;
      case LEGACY.config_msix_vector:
        this.configVector = this.acceptVector(value);
        break;
      case LEGACY.queue_msix_vector:
        this.writeCommonQueue(queue_msix_vector, value);
        break;
      default: // Read-only registers ignore writes.
    }
  }

  /** A page number of 0 takes the queue out of use. */
  private writeLegacyAddress(pfn: number): void {
    const queue = this.selected();
    if (pfn === 0) queue?.reset();
    else queue?.setLegacyAddress(pfn * LEGACY_PAGE, LEGACY_PAGE);
  }
}

type QueueAddress = 'desc' | 'avail' | 'used';

/** Which address a register is for, if any, and whether it is the upper half. */
function addressRegister(offset: number): { name: QueueAddress; upper: boolean } | undefined {
  const names: Readonly<Record<number, QueueAddress>> = {
    [queue_desc]: 'desc',
    [queue_driver]: 'avail',
    [queue_device]: 'used',
  };
  const name = names[offset & ~7];
  return name === undefined ? undefined : { name, upper: (offset & 4) !== 0 };
}

function readHalf(state: SplitQueue['state'], offset: number): number {
  const register = addressRegister(offset);
  if (register === undefined) return 0;
  const address = state[register.name];
  return register.upper ? Math.floor(address / 2 ** 32) : address % 2 ** 32;
}

function writeHalf(state: SplitQueue['state'], offset: number, value: number): void {
  const register = addressRegister(offset);
  if (register === undefined) return;
  const address = state[register.name];
  state[register.name] = register.upper ? withHigh(address, value) : withLow(address, value);
}

function identityOf(device: VirtioDevice, modernOnly: boolean): PciIdentity {
  const transitionalId = TRANSITIONAL_DEVICE_ID[device.deviceId];
  const isModern = modernOnly || transitionalId === undefined;
  return {
    vendorId: VENDOR.REDHAT_QUMRANET,
    deviceId: isModern ? MODERN_DEVICE_ID + device.deviceId : transitionalId,
    revision: isModern ? 1 : 0,
    classCode: device.pciClass,
    subsystemVendorId: VENDOR.REDHAT_QUMRANET,
    subsystemId: isModern ? QEMU_SUBSYSTEM_ID : device.deviceId,
    interruptPin: 1,
  };
}

function barsOf(device: VirtioDevice, modernOnly: boolean): BarDeclaration[] {
  const legacySize = 2 ** Math.ceil(Math.log2(LEGACY_CONFIG_WITH_MSIX + device.configSize));
  return [
    ...(modernOnly ? [] : [{ index: LEGACY_BAR, kind: 'io', size: legacySize } as const]),
    { index: MSIX_BAR, kind: 'mem32', size: 4096 },
    { index: MODERN_BAR, kind: 'mem64', prefetchable: true, size: MODERN_BAR_SIZE },
  ];
}

function capabilitiesOf(vectors: number): Capability[] {
  const multiplier = [NOTIFY_OFF_MULTIPLIER, 0, 0, 0];
  return [
    Msix.capability(vectors, MSIX_PLACE),
    { id: PCI_CAP_ID_VNDR, at: 0x84, body: [0x14, VIRTIO_PCI_CAP.PCI_CFG, 0] },
    structureCapability(0x70, VIRTIO_PCI_CAP.NOTIFY_CFG, STRUCTURE.NOTIFY, multiplier),
    structureCapability(0x60, VIRTIO_PCI_CAP.DEVICE_CFG, STRUCTURE.DEVICE),
    structureCapability(0x50, VIRTIO_PCI_CAP.ISR_CFG, STRUCTURE.ISR),
    structureCapability(0x40, VIRTIO_PCI_CAP.COMMON_CFG, STRUCTURE.COMMON),
  ];
}

/** struct virtio_pci_cap: length, type, BAR, three bytes of nothing, offset, size. */
function structureCapability(at: number, type: number, structure: number, extra: readonly number[] = []): Capability {
  const body = [16 + extra.length, type, MODERN_BAR, 0, 0, 0, 0, structure * 0x10, 0, 0, 0, 0x10, 0, 0, ...extra];
  return { id: PCI_CAP_ID_VNDR, at, body };
}
