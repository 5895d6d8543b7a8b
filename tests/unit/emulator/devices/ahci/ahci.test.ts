/** The AHCI controller of q35, driven as Linux's libahci drives it, and beside QEMU's. */
import { describe, expect, test } from 'vitest';
import { Ahci } from '../../../../../emulator/devices/ahci/ahci.ts';
import { AtaDisk } from '../../../../../emulator/devices/ahci/ata-disk.ts';
import { createMemoryDisk } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { PciConfigPorts, PciHost } from '../../../../../emulator/devices/pci/host.ts';
import { PciWindow } from '../../../../../emulator/devices/pci/windows.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { busAccesses } from '../../../../support/bus-accesses.ts';
import { ArrayMemory } from '../../../../support/array-memory.ts';
import { FakeLine } from '../../../../support/fake-line.ts';
import { type Access, isInstalled, qtestAccesses } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-x86_64';
const MIB = 2 ** 20;
const SLOT = 0xfa; // 1f.2
const ABAR = 0xfebf_0000;
const PORT0 = ABAR + 0x100;
const [COMMAND_LIST, RECEIVED, TABLE, DATA] = [0x1_0000, 0x1_1000, 0x1_2000, 0x2_0000];

function setup() {
  const memory = new ArrayMemory(MIB);
  const intx = [new FakeLine(), new FakeLine(), new FakeLine(), new FakeLine()];
  const messages: [address: number, data: number][] = [];
  const io = new PciWindow('io', 0x1000, 0xf000);
  const window = new PciWindow('memory', 0xc000_0000, 0x3ec0_0000);
  const msi = { send: (address: number, data: number) => void messages.push([address, data]) };
  const host = new PciHost({ windows: { io, memory: [window] }, intx, msi });
  const backend = createMemoryDisk(MIB);
  const ahci = new Ahci([new AtaDisk(backend, 'QM00001')], memory);
  host.plug(SLOT >> 3, ahci, SLOT & 7);
  const ports = new Bus('ports');
  const devices = new Bus('memory');
  ports.map(0xcf8, 8, new PciConfigPorts(host));
  devices.map(window.busBase, window.size, window);
  return { memory, intx, messages, backend, ports, devices, ahci };
}

type Setup = ReturnType<typeof setup>;

/** Makes accesses to RAM, devices and ports. */
function perform({ memory, ports, devices }: Setup, accesses: readonly Access[]): bigint[] {
  const reads: bigint[] = [];
  for (const access of accesses) {
    const [kind, address, width, value] = access;
    const isRam = (kind === 'read' || kind === 'write') && address < MIB;
    if (isRam && value !== undefined) memory.write(address, littleEndian(Number(value), width));
    else if (isRam) reads.push(BigInt(littleEndianValue(memory.read(address, width))));
    else reads.push(...busAccesses(devices, [access], ports));
  }
  return reads;
}

function littleEndian(value: number, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

function littleEndianValue(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
}

const config = (offset: number, value: number): Access[] => [
  ['out', 0xcf8, 4, 0x8000_0000 + SLOT * 256 + offset],
  ['out', 0xcfc, 4, value],
];
const readConfig = (offset: number): Access[] => [
  ['out', 0xcf8, 4, 0x8000_0000 + SLOT * 256 + offset],
  ['in', 0xcfc, 4],
];
const register = (offset: number): Access => ['read', PORT0 + offset, 4];
const setRegister = (offset: number, value: number): Access => ['write', PORT0 + offset, 4, value];

const ENABLE = [...config(0x20, 0xc040), ...config(0x24, ABAR), ...config(0x04, 7)];
/** ahci_start_engine: command list, received FIS, receiving, running; interrupts of the port. */
const START: readonly Access[] = [
  ['write', ABAR + 4, 4, 0x8000_0002],
  setRegister(0x00, COMMAND_LIST),
  setRegister(0x08, RECEIVED),
  setRegister(0x18, 0x16),
  setRegister(0x30, 0xffff_ffff),
  setRegister(0x10, 0xffff_ffff),
  setRegister(0x14, 0x7dc0_007f),
  setRegister(0x18, 0x17),
];

interface Request {
  readonly command: number;
  readonly lba?: number;
  readonly count?: number;
  readonly features?: number;
  readonly bytes: number;
  readonly write?: boolean;
}

/** Fills slot 0 with a command whose data are at DATA. */
function prepare({ command, lba = 0, count = 0, features = 0, bytes, write = false }: Request): Access[] {
  const word = (at: number, value: number): Access => ['write', at, 4, value];
  return [
    word(COMMAND_LIST, 5 + (write ? 0x40 : 0) + (bytes > 0 ? 0x1_0000 : 0)),
    word(COMMAND_LIST + 4, 0),
    word(COMMAND_LIST + 8, TABLE),
    word(COMMAND_LIST + 12, 0),
    word(TABLE, 0x8027 + command * 0x1_0000 + (features % 256) * 0x100_0000),
    word(TABLE + 4, (lba % 0x100_0000) + 0x4000_0000),
    word(TABLE + 8, Math.floor(lba / 0x100_0000) + Math.floor(features / 256) * 0x100_0000),
    word(TABLE + 12, count),
    word(TABLE + 0x80, DATA),
    word(TABLE + 0x84, 0),
    word(TABLE + 0x88, 0),
    word(TABLE + 0x8c, Math.max(bytes - 1, 0)),
  ];
}

const words = (at: number, count: number): Access[] =>
  Array.from({ length: count }, (_, i): Access => ['read', at + 4 * i, 4]);

describe.skipIf(!isInstalled(QEMU))('beside QEMU', () => {
  const options = ['-M', 'q35', '-m', '16', '-blockdev', `driver=null-co,node-name=d,size=${MIB},read-zeroes=on`];
  const disk = ['-device', 'ide-hd,drive=d,bus=ide.0,serial=QM00001'];
  const CASES: { name: string; accesses: readonly Access[] }[] = [
    {
      name: 'configuration space',
      accesses: [...ENABLE, ...[0x00, 0x08, 0x20, 0x24, 0x2c, 0x34, 0x80, 0xa8, 0xac].flatMap(readConfig)],
    },
    {
      name: 'registers after reset',
      accesses: [
        ...ENABLE,
        ...[0, 8, 12, 16].map((at): Access => ['read', ABAR + at, 4]),
        register(0x28),
        register(0x38),
      ],
    },
    {
      name: 'IDENTIFY DEVICE: data, task file, interrupt status',
      accesses: [
        ...ENABLE,
        ...START,
        register(0x24),
        ...prepare({ command: 0xec, bytes: 512 }),
        setRegister(0x38, 1),
        register(0x38),
        register(0x20),
        register(0x10),
        ['read', COMMAND_LIST + 4, 4],
        ...words(DATA, 128),
      ],
    },
  ];

  test.each(CASES)('$name', async ({ accesses }) => {
    const expected = await qtestAccesses(QEMU, [...options, ...disk], accesses);
    expect(perform(setup(), accesses)).toEqual(expected);
  });
});

describe('a driver', () => {
  function started(): Setup {
    const all = setup();
    perform(all, [...ENABLE, ...START]);
    return all;
  }

  test('writes and reads by DMA with 48-bit addresses, and gets interrupts until it clears them', () => {
    const all = started();
    all.memory.write(DATA, new Uint8Array(1024).fill(0x5a));
    perform(all, [...prepare({ command: 0x35, lba: 3, count: 2, bytes: 1024, write: true }), setRegister(0x38, 1)]);
    expect(all.intx.some(({ level }) => level)).toBe(true);
    expect(perform(all, [register(0x10)])).toEqual([1n]); // DHRS
    perform(all, [setRegister(0x10, 1), ['write', ABAR + 8, 4, 1]]);
    expect(all.intx.some(({ level }) => level)).toBe(false);
    const stored = new Uint8Array(2048);
    all.backend.read(2 * 512, stored);
    expect([stored[511], stored[512], stored[1535], stored[1536]]).toEqual([0, 0x5a, 0x5a, 0]);
    all.memory.write(DATA, new Uint8Array(1024));
    perform(all, [...prepare({ command: 0x25, lba: 3, count: 2, bytes: 1024 }), setRegister(0x38, 1)]);
    expect(all.memory.read(DATA, 1024).every(byte => byte === 0x5a)).toBe(true);
  });

  test('trims sectors, which read as zeros then', () => {
    const all = started();
    all.backend.write(0, new Uint8Array(2048).fill(9));
    perform(all, prepare({ command: 0x06, features: 1, count: 1, bytes: 512, write: true }));
    all.memory.write(DATA, Uint8Array.of(1, 0, 0, 0, 0, 0, 2, 0)); // two sectors from 1 on
    perform(all, [setRegister(0x38, 1)]);
    const stored = new Uint8Array(2048);
    all.backend.read(0, stored);
    expect([stored[511], stored[512], stored[1535], stored[1536]]).toEqual([9, 0, 0, 9]);
  });

  test('queues commands: PxSACT is cleared, and a Set Device Bits FIS names the tag', () => {
    const all = started();
    all.backend.write(512, new Uint8Array(512).fill(7));
    const queued = prepare({ command: 0x60, lba: 1, features: 1, count: 0, bytes: 512 });
    perform(all, [...queued, setRegister(0x34, 1), setRegister(0x38, 1)]);
    expect(perform(all, [register(0x34), register(0x38), register(0x10)])).toEqual([0n, 0n, 8n]);
    expect(perform(all, words(RECEIVED + 0x58, 2))).toEqual([0x0050_40a1n, 1n]);
    expect(all.memory.read(DATA, 512).every(byte => byte === 7)).toBe(true);
  });

  test('gets an error for sectors behind the end, and an aborted packet command', () => {
    const all = started();
    perform(all, [...prepare({ command: 0x25, lba: 2048, count: 1, bytes: 512 }), setRegister(0x38, 1)]);
    expect(perform(all, [register(0x20), register(0x38)])).toEqual([0x1051n, 1n]);
    expect(Number(perform(all, [register(0x10)])[0]) & 0x4000_0000).not.toBe(0);
    perform(all, [setRegister(0x18, 0x16), setRegister(0x18, 0x17)]);
    perform(all, [...prepare({ command: 0xa0, bytes: 0 }), setRegister(0x38, 1)]);
    expect(perform(all, [register(0x20)])).toEqual([0x451n]);
  });

  test('with MSI gets a message for each command, and no level', () => {
    const all = started();
    perform(all, [
      ...config(0x84, 0xfee0_1000),
      ...config(0x88, 0),
      ...config(0x8c, 0x41),
      ...config(0x80, 0x0001_0000),
    ]);
    perform(all, [...prepare({ command: 0xe7, bytes: 0 }), setRegister(0x38, 1), setRegister(0x10, 1)]);
    expect(all.messages).toEqual([[0xfee0_1000, 0x41]]);
    expect(all.intx.some(({ level }) => level)).toBe(false);
  });

  test('finds the controller as it was after a snapshot', () => {
    const all = started();
    const state = all.ahci.save();
    perform(all, [...prepare({ command: 0xe7, bytes: 0 }), setRegister(0x38, 1)]);
    all.ahci.restore(state);
    expect(all.ahci.save()).toEqual(state);
    expect(perform(all, [register(0x10), register(0x00)])).toEqual([0n, BigInt(COMMAND_LIST)]);
  });
});
