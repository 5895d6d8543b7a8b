/**
 * The pages to which CPUs move the registers of their local APICs.
 *
 * Source: Intel SDM vol. 3A "Relocating the Local APIC Registers". Not modelled: local APICs that are moved over RAM or other devices, which
 * stay in front.
 */
import type { ApicPage } from '../../devices/apic/apic-page.ts';
import type { Bus } from '../../memory/bus.ts';
import type { Device } from '../../memory/device.ts';

const PAGE = 4096;

/** Keeps the pages of local APICs that CPUs have moved on the memory bus. */
export class MovedLocalApics {
  private readonly page: ApicPage;
  private readonly memoryBus: Bus;
  private readonly placed = new Set<number>();

  constructor(page: ApicPage, memoryBus: Bus) {
    this.page = page;
    this.memoryBus = memoryBus;
  }

  /** A local APIC has moved. */
  update(): void {
    const wanted = this.page.movedAddresses();
    for (const address of this.placed) {
      if (wanted.has(address)) continue;
      this.memoryBus.unmap(address);
      this.placed.delete(address);
    }
    for (const address of wanted) {
      if (this.placed.has(address) || !this.isFree(address)) continue;
      this.memoryBus.map(address, PAGE, new MovedApicPage(this.page, address));
      this.placed.add(address);
    }
  }

  private isFree(address: number): boolean {
    return !this.memoryBus.regions.some(({ base, end }) => base < address + PAGE && end > address);
  }
}

/** A page with a local APIC on it, whose state is saved with the usual page. */
class MovedApicPage implements Device<null> {
  readonly name = 'local-apic (moved)';
  private readonly page: ApicPage;
  private readonly address: number;

  constructor(page: ApicPage, address: number) {
    this.page = page;
    this.address = address;
  }

  read(offset: number): number {
    return this.page.readAt(this.address, offset);
  }

  write(offset: number, value: number): void {
    this.page.writeAt(this.address, offset, value);
  }

  reset(): void {
    // It goes away with the reset of the local APIC.
  }

  save(): null {
    return null;
  }

  restore(): void {
    // The usual page restores it.
  }
}
