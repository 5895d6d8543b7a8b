/**
 * pvpanic: one register by which a guest says that it has panicked, or that it has jumped into a capture kernel.
 *
 * Source: QEMU docs/specs/pvpanic.rst. Modelled: the port (0x505 on PCs) and the PCI function.
 */
import type { AccessWidth, Device } from '../memory/device.ts';
import { PciConfigSpace } from './pci/config-space.ts';
import type { BarHandler, PciFunction } from './pci/function.ts';
import { QEMU_SUBSYSTEM_ID, VENDOR } from './pci/host-bridge.ts';

/** Events; a read tells which of them are understood. */
export const PVPANIC = { PANICKED: 1, CRASH_LOADED: 2 } as const;
const SUPPORTED = PVPANIC.PANICKED | PVPANIC.CRASH_LOADED;

/** What the guest said. */
export type PvpanicEvent = 'panicked' | 'crash-loaded';

/** The register. On PCs it is a port; as a PCI function it is behind BAR 0. */
export class Pvpanic implements Device<null> {
  readonly name = 'pvpanic';
  private readonly report: (event: PvpanicEvent) => void;

  constructor(report: (event: PvpanicEvent) => void) {
    this.report = report;
  }

  read(offset: number, _width: AccessWidth): number {
    return offset === 0 ? SUPPORTED : 0;
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    if (offset !== 0) return;
    if ((value & PVPANIC.PANICKED) !== 0) this.report('panicked');
    else if ((value & PVPANIC.CRASH_LOADED) !== 0) this.report('crash-loaded');
  }

  reset(): void {
    // There is no state.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // There is no state.
  }
}

/** pvpanic-pci. */
export class PvpanicPci implements PciFunction<null> {
  readonly name = 'pvpanic-pci';
  readonly config = new PciConfigSpace(
    {
      vendorId: VENDOR.REDHAT,
      deviceId: 0x0011,
      revision: 1,
      classCode: 0x08_8000,
      subsystemVendorId: VENDOR.REDHAT_QUMRANET,
      subsystemId: QEMU_SUBSYSTEM_ID,
      interruptPin: 0,
    },
    [{ index: 0, kind: 'mem32', size: 2 }],
  );
  private readonly register: Pvpanic;

  constructor(report: (event: PvpanicEvent) => void) {
    this.register = new Pvpanic(report);
  }

  bar(): BarHandler {
    return this.register;
  }

  plug(): void {
    // It raises no interrupts.
  }

  reset(): void {
    // There is no state.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // There is no state.
  }
}
