import { describe, expect, test } from 'vitest';
import { Gicv3 } from '../../../../../emulator/devices/gicv3/gicv3.ts';
import { Gicv3Its } from '../../../../../emulator/devices/gicv3/its.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';

const RAM = 0x4000_0000;
const [QUEUE, DEVICE_TABLE, COLLECTION_TABLE, PROPERTIES, PENDING0, PENDING1, ITT] = [
  RAM,
  RAM + 0x10000,
  RAM + 0x20000,
  RAM + 0x30000,
  RAM + 0x40000,
  RAM + 0x50000,
  RAM + 0x60000,
];
const [CTLR, CBASER, CWRITER, CREADR, BASER0, BASER1] = [0, 0x80, 0x88, 0x90, 0x100, 0x108];
const VALID = 1n << 63n;
const DEVICE = 0x0008; // requester id of 00:01.0

function setup() {
  const memory = new ArrayMemory(0x100000, RAM);
  const irq = [new FakeLine(), new FakeLine()];
  const gic = new Gicv3({ affinities: [0, 1], spiCount: 224, irq, fiq: [new FakeLine(), new FakeLine()], memory });
  const its = new Gicv3Its(gic.core, memory);
  its.reset();
  let tail = 0;
  /** Puts commands into the queue and rings, as its_send_single_command does. */
  const send = (...commands: (readonly [bigint, bigint, bigint, bigint])[]): void => {
    for (const command of commands) {
      for (const [i, word] of command.entries()) memory.writeU64(QUEUE + tail + i * 8, word);
      tail = (tail + 32) % 0x10000;
    }
    its.write(CWRITER, tail, 4);
  };
  return { memory, irq, gic, its, send };
}

/** Linux drivers/irqchip/irq-gic-v3-its.c: tables, queue, redistributors and one collection a CPU. */
function startAsLinux({ gic, its, send }: ReturnType<typeof setup>): void {
  gic.distributor.write(0, 0x13, 4);
  its.writeLong(CBASER, VALID | BigInt(QUEUE) | 0xfn);
  its.writeLong(BASER0, VALID | BigInt(DEVICE_TABLE) | 0x200n);
  its.writeLong(BASER1, VALID | BigInt(COLLECTION_TABLE) | 0x200n);
  its.write(CWRITER, 0, 4);
  its.write(CTLR, 1, 4);
  for (const [cpu, pending] of [PENDING0, PENDING1].entries()) {
    gic.redistributors.writeLong(cpu * 0x20000 + 0x70, BigInt(PROPERTIES) | 0x78fn);
    gic.redistributors.writeLong(cpu * 0x20000 + 0x78, BigInt(pending) | 0x780n);
    gic.redistributors.write(cpu * 0x20000, 1, 4);
    gic.cpuInterfaces[cpu]!.writePMR(0xf0n);
    gic.cpuInterfaces[cpu]!.writeIGRPEN1(1n);
    send([9n, 0n, VALID | (BigInt(cpu) << 16n) | BigInt(cpu), 0n], [0xdn, 0n, BigInt(cpu), 0n]);
  }
}

const mapd = (device: number, valid = true): [bigint, bigint, bigint, bigint] => [
  8n | (BigInt(device) << 32n),
  4n,
  (valid ? VALID : 0n) | BigInt(ITT),
  0n,
];
const onEvent = (opcode: bigint, event: number, lpi = 0, collection = 0): [bigint, bigint, bigint, bigint] => [
  opcode | (BigInt(DEVICE) << 32n),
  (BigInt(lpi) << 32n) | BigInt(event),
  BigInt(collection),
  0n,
];
const mapti = (event: number, lpi: number, collection: number) => onEvent(0xan, event, lpi, collection);

function mapped() {
  const all = setup();
  startAsLinux(all);
  all.memory.write(PROPERTIES, Uint8Array.of(0xa3, 0xa3));
  all.send(mapd(DEVICE), mapti(0, 8192, 0), mapti(1, 8193, 1));
  return all;
}

describe('GICv3 ITS', () => {
  test('consumes the queue as soon as it is written', () => {
    const all = setup();
    startAsLinux(all);
    expect(all.its.read(CREADR, 4)).toBe(4 * 32);
    expect(all.its.read(CTLR, 4)).toBe(0x8000_0001);
  });

  test('translates an MSI to an LPI on the collection’s CPU', () => {
    const { its, gic, irq } = mapped();
    its.translate(DEVICE, 1);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, true]);
    const cpu = gic.cpuInterfaces[1]!;
    expect([cpu.readIAR1(), cpu.readRPR()]).toEqual([8193n, 0xa0n]);
    cpu.writeEOIR1(8193n);
    expect([cpu.readRPR(), irq[1]!.level]).toEqual([0xffn, false]);
  });

  test('shows a pending LPI in the pending table in memory', () => {
    const { its, gic, memory } = mapped();
    its.translate(DEVICE, 0);
    expect(memory.read(PENDING0 + 1024, 1)[0]).toBe(1);
    gic.cpuInterfaces[0]!.readIAR1();
    expect(memory.read(PENDING0 + 1024, 1)[0]).toBe(0);
  });

  test('holds back an LPI that its configuration disables, until INV', () => {
    const { its, irq, memory, send } = mapped();
    memory.write(PROPERTIES, Uint8Array.of(0xa2));
    its.translate(DEVICE, 0);
    expect(irq[0]!.level).toBe(false);
    memory.write(PROPERTIES, Uint8Array.of(0xa3));
    send(onEvent(0xcn, 0));
    expect(irq[0]!.level).toBe(true);
  });

  test('MOVI takes a pending LPI along', () => {
    const { its, irq, send } = mapped();
    its.translate(DEVICE, 0);
    send(onEvent(1n, 0, 0, 1));
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, true]);
    its.translate(DEVICE, 0);
    expect(irq[0]!.level).toBe(false);
  });

  test('MOVALL empties one CPU into another', () => {
    const { its, irq, send } = mapped();
    its.translate(DEVICE, 0);
    send([0xen, 0n, 0n, 1n << 16n]);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, true]);
  });

  test('INT raises, CLEAR takes back, DISCARD unmaps', () => {
    const { its, irq, send } = mapped();
    send(onEvent(3n, 0));
    expect(irq[0]!.level).toBe(true);
    send(onEvent(4n, 0));
    expect(irq[0]!.level).toBe(false);
    send(onEvent(0xfn, 0));
    its.translate(DEVICE, 0);
    expect(irq[0]!.level).toBe(false);
  });

  test.each([
    { what: 'an unknown device', device: 9, event: 0 },
    { what: 'an event beyond the device’s table', device: DEVICE, event: 32 },
    { what: 'an unmapped event', device: DEVICE, event: 5 },
    { what: 'a device beyond the table', device: 0xffff, event: 0 },
  ])('drops the MSI of $what', ({ device, event }) => {
    const { its, irq } = mapped();
    its.translate(device, event);
    expect([irq[0]!.level, irq[1]!.level]).toEqual([false, false]);
  });

  test('MAPD with V=0 unmaps the device', () => {
    const { its, irq, send } = mapped();
    send(mapd(DEVICE, false));
    its.translate(DEVICE, 0);
    expect(irq[0]!.level).toBe(false);
  });

  test('finds devices through a two-level table', () => {
    const all = setup();
    startAsLinux(all);
    const { its, memory, irq, send } = all;
    its.write(CTLR, 0, 4);
    its.writeLong(BASER0, VALID | (1n << 62n) | BigInt(DEVICE_TABLE)); // 4 KiB pages, one of them
    its.write(CTLR, 1, 4);
    memory.writeU64(DEVICE_TABLE + 8, VALID | BigInt(RAM + 0x70000)); // devices 512 to 1023
    memory.write(PROPERTIES, Uint8Array.of(0xa3));
    send([8n | (600n << 32n), 4n, VALID | BigInt(ITT), 0n], [0xan | (600n << 32n), 8192n << 32n, 0n, 0n]);
    its.translate(600, 0);
    expect(irq[0]!.level).toBe(true);
    its.translate(8, 0);
  });

  test('a capture kernel finds the redistributor’s tables in use and keeps them', () => {
    const { gic, its, irq } = mapped();
    gic.redistributors.writeLong(0x70, 0n); // ignored while EnableLPIs is set
    expect(gic.redistributors.read(0, 4)).toBe(3);
    its.translate(DEVICE, 0);
    expect(irq[0]!.level).toBe(true);
  });

  test('restores its registers and pending LPIs', () => {
    const first = mapped();
    first.its.translate(DEVICE, 0);
    const second = setup();
    second.memory.bytes.set(first.memory.bytes);
    second.gic.distributor.restore(first.gic.distributor.save());
    second.gic.redistributors.restore(first.gic.redistributors.save());
    second.its.restore(first.its.save());
    expect(second.its.save()).toEqual(first.its.save());
    expect(second.irq[0]!.level).toBe(true);
    second.its.translate(DEVICE, 1);
    expect(second.irq[1]!.level).toBe(true);
  });
});
