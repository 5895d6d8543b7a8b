import { describe, expect, test } from 'vitest';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { PciHost } from '../../../../../emulator/devices/pci/host.ts';
import { PciWindow } from '../../../../../emulator/devices/pci/windows.ts';
import { VirtioBlock } from '../../../../../emulator/devices/virtio/block.ts';
import { VirtioPciFunction } from '../../../../../emulator/devices/virtio/pci-transport.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { GuestQueue, initialise } from '../../../../support/virtio-driver.ts';
import {
  enableFunction,
  enableMsix,
  PCI_ADDRESSES,
  pciLegacyDriver,
  pciModernDriver,
} from '../../../../support/virtio-pci-driver.ts';

const RAM = 0x4000_0000;
const SLOT = 1 << 3;
const DOORBELL = 0x0809_0040;
const READ_REQUEST = new Uint8Array(16);

function setup() {
  const memory = new ArrayMemory(2 ** 20, RAM);
  const intx = Array.from({ length: 4 }, () => new FakeLine());
  const messages: { address: number; data: number; requesterId: number }[] = [];
  const host = new PciHost({
    windows: {
      io: new PciWindow('io', 0, 0x10000),
      memory: [new PciWindow('mem', 0x1000_0000, 0x2eff_0000), new PciWindow('mem64', 0x80_0000_0000, 2 ** 39)],
    },
    intx,
    msi: { send: (address, data, requesterId) => messages.push({ address, data, requesterId }) },
  });
  host.plug(1, new VirtioPciFunction(new VirtioBlock(createMemoryDisk(2 ** 20)), memory));
  enableFunction(host, SLOT);
  return { memory, host, intx, messages };
}

describe.each([
  { kind: 'modern with MSI-X', make: (host: PciHost) => pciModernDriver(host, true), msix: true },
  { kind: 'modern with INTx', make: (host: PciHost) => pciModernDriver(host, false), msix: false },
  { kind: 'legacy with INTx', make: (host: PciHost) => pciLegacyDriver(host), msix: false },
])('virtio-blk over PCI, $kind', ({ make, msix }) => {
  function started() {
    const all = setup();
    if (msix) enableMsix(all.host, SLOT, 2, DOORBELL, 0x20);
    const driver = make(all.host);
    const queue = new GuestQueue(all.memory, RAM, 256);
    initialise(driver, [queue]);
    queue.wantInterrupt(true);
    return { ...all, driver, queue };
  }

  test('performs a request and interrupts', () => {
    const { driver, queue, intx, messages } = started();
    queue.add([READ_REQUEST, 512, 1]);
    driver.notify(0);
    expect(queue.take()!.written).toBe(513);
    // Device 1, INTA: line (1 + 0) mod 4.
    expect(intx.map(line => line.level)).toEqual([false, !msix, false, false]);
    expect(messages).toEqual(msix ? [{ address: DOORBELL, data: 0x21, requesterId: SLOT }] : []);
    expect(driver.takeInterrupt()).toBe(1);
    expect(driver.takeInterrupt()).toBe(0);
    expect(intx[1]!.level).toBe(false);
  });

  test('shows the disk’s configuration', () => {
    const { driver } = started();
    expect([driver.readConfig(0, 4), driver.readConfig(0xc, 4), driver.readConfig(0x20, 1)]).toEqual([2048, 0xfe, 1]);
  });

  test('is taken over by a capture kernel after a reset by status', () => {
    const { driver, queue, memory } = started();
    queue.add([READ_REQUEST, 512, 1]);
    const capture = new GuestQueue(memory, RAM + 0x80000, 256);
    initialise(driver, [capture]);
    capture.add([READ_REQUEST, 512, 1]);
    driver.notify(0);
    expect([queue.take(), capture.take()!.written]).toEqual([undefined, 513]);
  });

  test('continues from a saved state', () => {
    const first = started();
    const second = setup();
    second.host.restore(first.host.save());
    expect(second.host.save()).toEqual(first.host.save());
    first.queue.add([READ_REQUEST, 512, 1]);
    second.memory.bytes.set(first.memory.bytes);
    make(second.host).notify(0);
    expect(second.memory.readU16(first.queue.used + 2)).toBe(1);
    expect(msix ? second.messages.length : second.intx[1]!.rises).toBe(1);
  });
});

describe('virtio-pci', () => {
  test('remembers an interrupt while its vector is masked', () => {
    const { host, messages, memory } = setup();
    enableMsix(host, SLOT, 2, DOORBELL, 0x20);
    const window = host.windows.memory[0]!;
    const vectorControl = PCI_ADDRESSES.msix - window.busBase + 16 + 12;
    window.write(vectorControl, 1, 4);
    const driver = pciModernDriver(host, true);
    const queue = new GuestQueue(memory, RAM, 256);
    initialise(driver, [queue]);
    queue.wantInterrupt(true);
    queue.add([READ_REQUEST, 512, 1]);
    driver.notify(0);
    expect(messages).toEqual([]);
    expect(window.read(PCI_ADDRESSES.msix - window.busBase + 0x800, 4)).toBe(2);
    window.write(vectorControl, 0, 4);
    expect(messages).toHaveLength(1);
  });

  test('sends nothing while bus mastering is off', () => {
    const { host, messages, memory } = setup();
    enableMsix(host, SLOT, 2, DOORBELL, 0x20);
    const driver = pciModernDriver(host, true);
    const queue = new GuestQueue(memory, RAM, 256);
    initialise(driver, [queue]);
    queue.wantInterrupt(true);
    host.writeConfig(SLOT, 4, 3, 2);
    queue.add([READ_REQUEST, 512, 1]);
    driver.notify(0);
    expect(messages).toEqual([]);
  });

  test('refuses a vector that does not exist', () => {
    const { host } = setup();
    const registers = host.windows.memory[1]!;
    registers.write(0x10, 5, 2);
    expect(registers.read(0x10, 2)).toBe(0xffff);
  });
});
