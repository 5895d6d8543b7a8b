/** Bridges as functions: configuration space by which they are found, and nothing else. */
import { assert } from '../../../capture/formats/errors.ts';
import { PciConfigSpace, type PciIdentity } from './config-space.ts';
import type { BarHandler, PciFunction } from './function.ts';

/** QEMU's vendor ids: Red Hat's own, and the one of its virtio devices (which also is the default subsystem vendor). */
export const VENDOR = { REDHAT: 0x1b36, REDHAT_QUMRANET: 0x1af4, INTEL: 0x8086 } as const;
/** Subsystem id of devices without one of their own. */
export const QEMU_SUBSYSTEM_ID = 0x1100;
const BRIDGE_HOST = 0x06_0000;
const BRIDGE_ISA = 0x06_0100;

/** The generic host of `virt`. */
export const GPEX_IDENTITY: PciIdentity = {
  vendorId: VENDOR.REDHAT,
  deviceId: 0x0008,
  revision: 0,
  classCode: BRIDGE_HOST,
  subsystemVendorId: VENDOR.REDHAT_QUMRANET,
  subsystemId: QEMU_SUBSYSTEM_ID,
  interruptPin: 0,
};

/** The memory controller hub of q35. */
export const Q35_IDENTITY: PciIdentity = { ...GPEX_IDENTITY, vendorId: VENDOR.INTEL, deviceId: 0x29c0 };

/** The LPC bridge of q35's ICH9, at 00:1f.0: what is behind it sits at fixed ports. */
export const ICH9_LPC_IDENTITY: PciIdentity = {
  ...Q35_IDENTITY,
  deviceId: 0x2918,
  revision: 2,
  classCode: BRIDGE_ISA,
};

/** A function without registers. */
export class PciHostBridge implements PciFunction<null> {
  readonly name = 'pci-host-bridge';
  readonly config: PciConfigSpace;

  /** @param contents bytes of configuration space that firmware has set, by offset; they cannot be written */
  constructor(identity: PciIdentity, contents: Readonly<Record<number, number>> = {}) {
    this.config = new PciConfigSpace(identity, [], [], contents);
  }

  bar(index: number): BarHandler {
    assert(false, `a host bridge has no BAR ${index}`);
  }

  plug(): void {
    // It raises no interrupts.
  }

  reset(): void {
    // Configuration space is reset by the host.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // Configuration space is restored by the host.
  }
}
