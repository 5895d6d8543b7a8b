import { describe, expect, test } from 'vitest';

import type { NetworkBackend } from '../../../../../emulator/devices/net/backend.ts';
import { VirtioMmioTransport } from '../../../../../emulator/devices/virtio/mmio-transport.ts';
import { VirtioNet } from '../../../../../emulator/devices/virtio/net.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { GuestQueue, initialise } from '../../../../support/virtio-driver.ts';
import { mmioDriver } from '../../../../support/virtio-mmio-driver.ts';

const RAM = 0x4000_0000;
const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const FRAME = Uint8Array.from({ length: 60 }, (_, index) => index);
const GUEST_CSUM = 2n;
const [RECEIVE, TRANSMIT] = [0, 1];

/** A network that keeps what the guest sends. */
class Wire implements NetworkBackend {
  readonly description = 'wire';
  readonly sent: Uint8Array[] = [];
  hungUp = 0;
  deliver: (frame: Uint8Array) => void = () => undefined;

  attach(_: Uint8Array, deliver: (frame: Uint8Array) => void): void {
    this.deliver = deliver;
  }

  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }

  hangUp(): void {
    this.hungUp++;
  }
}

function setup(version: 1 | 2, without = 0n) {
  const memory = new ArrayMemory(2 ** 20, RAM);
  const wire = new Wire();
  const device = new VirtioNet(MAC.slice(), wire, { post: event => event(), expect: () => undefined });
  const transport = new VirtioMmioTransport({ interrupt: new FakeLine(), memory, version, device });
  const driver = mmioDriver(transport, version);
  const receive = new GuestQueue(memory, RAM, 256);
  const transmit = new GuestQueue(memory, RAM + 0x8_0000, 256);
  initialise(driver, [receive, transmit], without);
  return { wire, driver, transport, receive, transmit };
}

/** Old drivers have a shorter header. */
describe.each([
  [1, 10],
  [2, 12],
] as const)('virtio-net over mmio version %i, with a header of %i bytes', (version, headerBytes) => {
  test('shows its address and that the link is up', () => {
    const { driver } = setup(version);
    expect(Array.from(MAC, (_, at) => driver.readConfig(at, 1))).toEqual([...MAC]);
    expect(driver.readConfig(6, 2)).toBe(1);
  });

  test('sends frames without the header, in whatever pieces', () => {
    const { driver, transmit, wire } = setup(version);
    transmit.add([new Uint8Array(headerBytes), FRAME]);
    transmit.add([new Uint8Array(4), new Uint8Array(headerBytes - 4), FRAME.subarray(0, 9), FRAME.subarray(9)]);
    transmit.add([new Uint8Array(headerBytes)]);
    driver.notify(TRANSMIT);
    expect(wire.sent).toEqual([FRAME, FRAME]);
    expect([transmit.take()?.written, transmit.take()?.written, transmit.take()?.written]).toEqual([0, 0, 0]);
  });

  test('delivers frames behind the header, and keeps those that there is no buffer for', () => {
    const { driver, receive, wire } = setup(version);
    wire.deliver(FRAME);
    expect(receive.take()).toBeUndefined();
    receive.add([1600]);
    driver.notify(RECEIVE);
    const { written, buffers } = receive.take()!;
    expect(written).toBe(headerBytes + FRAME.length);
    expect([...buffers[0]!.subarray(headerBytes, written)]).toEqual([...FRAME]);
    // Checksums need not be looked at; the frame is in one buffer.
    expect([...buffers[0]!.subarray(0, headerBytes)]).toEqual(
      [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0].slice(0, headerBytes),
    );
  });

  test('says nothing of checksums to a driver that does not know of them', () => {
    const { receive, wire } = setup(version, GUEST_CSUM);
    receive.add([1600]);
    wire.deliver(FRAME);
    expect(receive.take()?.buffers[0]![0]).toBe(0);
  });

  test('loses a frame that is longer than the buffer', () => {
    const { receive, wire } = setup(version);
    receive.add([40]);
    wire.deliver(FRAME);
    expect(receive.take()?.written).toBe(0);
  });

  test('forgets what waits, and its connections, when a driver resets it', () => {
    const { driver, receive, wire } = setup(version);
    const before = wire.hungUp;
    wire.deliver(FRAME);
    driver.setStatus(0);
    expect(wire.hungUp).toBe(before + 1);
    initialise(driver, [receive]);
    receive.add([1600]);
    driver.notify(RECEIVE);
    expect(receive.take()).toBeUndefined();
  });

  test('goes back with a snapshot, and its connections end', () => {
    const { driver, receive, wire, transport } = setup(version);
    wire.deliver(FRAME);
    const before = wire.hungUp;
    const state = transport.save();
    receive.add([1600]);
    driver.notify(RECEIVE);
    transport.restore(state);
    expect(wire.hungUp).toBe(before + 1);
    expect(transport.save().core).toEqual(state.core);
  });
});
