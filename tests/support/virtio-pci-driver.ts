/** Linux drivers/virtio/virtio_pci_modern.c and virtio_pci_legacy.c, over a host bridge. */
import type { PciHost } from '../../emulator/devices/pci/host.ts';
import type { BarHandler } from '../../emulator/devices/pci/function.ts';
import type { DriverTransport, GuestQueue } from './virtio-driver.ts';

/** What Linux assigns on `virt`: I/O, MSI-X table, modern registers. */
export const PCI_ADDRESSES = { io: 0x1000, msix: 0x1000_0000, modern: 0x80_0000_0000 } as const;

/** Assigns BARs and switches decoding and mastering on. @param slot device << 3 */
export function enableFunction(host: PciHost, slot: number): void {
  host.writeConfig(slot, 0x10, PCI_ADDRESSES.io, 4);
  host.writeConfig(slot, 0x14, PCI_ADDRESSES.msix, 4);
  host.writeConfig(slot, 0x20, PCI_ADDRESSES.modern % 2 ** 32, 4);
  host.writeConfig(slot, 0x24, PCI_ADDRESSES.modern / 2 ** 32, 4);
  host.writeConfig(slot, 0x04, 7, 2);
}

/** Programs vector n to write `data + n` to `address`, and enables MSI-X: msix_capability_init. */
export function enableMsix(host: PciHost, slot: number, vectors: number, address: number, data: number): void {
  const table = at(host, 'memory', PCI_ADDRESSES.msix);
  host.writeConfig(slot, 0x9a, 0xc001, 2);
  for (let vector = 0; vector < vectors; vector++) {
    table.write(vector * 16, address, 4);
    table.write(vector * 16 + 4, 0, 4);
    table.write(vector * 16 + 8, data + vector, 4);
    table.write(vector * 16 + 12, 0, 4);
  }
  host.writeConfig(slot, 0x9a, 0x8001, 2);
}

/** Accesses relative to a PCI bus address, through whichever window holds it. */
function at(host: PciHost, kind: 'io' | 'memory', address: number): BarHandler {
  const windows = kind === 'io' ? [host.windows.io] : host.windows.memory;
  const window = windows.find(candidate => candidate.holds(address, address + 1))!;
  const base = address - window.busBase;
  return {
    read: (offset, width) => window.read(base + offset, width),
    write: (offset, value, width) => window.write(base + offset, value, width),
  };
}

/** @param useMsix vector 0 for configuration changes, vector 1 + n for queue n */
export function pciModernDriver(host: PciHost, useMsix: boolean): DriverTransport {
  const registers = at(host, 'memory', PCI_ADDRESSES.modern);
  const address = (offset: number, paddr: number): void => {
    registers.write(offset, paddr % 2 ** 32, 4);
    registers.write(offset + 4, Math.floor(paddr / 2 ** 32), 4);
  };
  const word = (select: number): bigint => {
    registers.write(0, select, 4);
    return BigInt(registers.read(4, 4));
  };
  const setUpQueue = (index: number, queue: GuestQueue): void => {
    registers.write(0x16, index, 2);
    if (registers.read(0x18, 2) < queue.size || registers.read(0x1c, 2) !== 0)
      throw new Error('queue cannot be set up');
    registers.write(0x18, queue.size, 2);
    address(0x20, queue.desc);
    address(0x28, queue.avail);
    address(0x30, queue.used);
    if (useMsix) {
      registers.write(0x1a, index + 1, 2);
      if (registers.read(0x1a, 2) !== index + 1) throw new Error('no vector');
    }
    registers.write(0x1c, 1, 2);
  };
  return {
    isLegacy: false,
    offeredFeatures: () => (word(1) << 32n) | word(0),
    acceptFeatures: features => {
      for (const select of [0, 1]) {
        registers.write(8, select, 4);
        registers.write(0xc, Number((features >> BigInt(32 * select)) & 0xffff_ffffn), 4);
      }
    },
    setStatus: status => registers.write(0x14, status, 1),
    status: () => registers.read(0x14, 1),
    setUpQueue,
    notify: index => registers.write(0x3000 + 4 * index, index, 2),
    takeInterrupt: () => registers.read(0x1000, 1),
    readConfig: (offset, width) => registers.read(0x2000 + offset, width),
  };
}

/** Registers in I/O space, INTx. */
export function pciLegacyDriver(host: PciHost): DriverTransport {
  const registers = at(host, 'io', PCI_ADDRESSES.io);
  return {
    isLegacy: true,
    offeredFeatures: () => BigInt(registers.read(0, 4)),
    acceptFeatures: features => registers.write(4, Number(features & 0xffff_ffffn), 4),
    setStatus: status => registers.write(0x12, status, 1),
    status: () => registers.read(0x12, 1),
    setUpQueue: (index, queue) => {
      registers.write(0xe, index, 2);
      if (registers.read(0xc, 2) !== queue.size || registers.read(8, 4) !== 0)
        throw new Error('queue cannot be set up');
      registers.write(8, queue.desc / 4096, 4);
    },
    notify: index => registers.write(0x10, index, 2),
    takeInterrupt: () => registers.read(0x13, 1),
    readConfig: (offset, width) => registers.read(0x14 + offset, width),
  };
}
