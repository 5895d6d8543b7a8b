import { describe, expect, test } from 'vitest';
import { OverlayBackend, ZeroBackend } from '../../../../../emulator/devices/block/overlay-backend.ts';
import { PcBoard, type PcConfig } from '../../../../../emulator/machine/pc-x86_64/board.ts';
import { BOOT_LAYOUT, directBoot } from '../../../../../emulator/machine/pc-x86_64/direct-boot.ts';
import { LAYOUT } from '../../../../../emulator/machine/pc-x86_64/layout.ts';

const MIB = 2 ** 20;

function createBoard(config: Partial<PcConfig> = {}): { board: PcBoard; console: () => string } {
  let text = '';
  const board = new PcBoard({
    board: 'q35',
    cpu: 'qemu64',
    cpuCount: 1,
    memoryBytes: 128 * MIB,
    drives: [{ backend: new OverlayBackend(new ZeroBackend(MIB)), bus: config.board === 'microvm' ? 'mmio' : 'pci' }],
    consoleOutput: byte => {
      text += String.fromCharCode(byte);
    },
    epochSeconds: 0,
    ...config,
  });
  return { board, console: () => text };
}

/** A bzImage whose 64-bit entry is this code. */
function bzImage(code: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(2 * 512 + 0x200 + code.length);
  bytes[0x1f1] = 1;
  bytes.writeUInt16LE(0x6aeb, 0x200);
  bytes.writeUInt32LE(0x5372_6448, 0x202);
  bytes[0x211] = 1;
  bytes.writeUInt32LE(0x7fff_ffff, 0x22c);
  bytes.writeUInt16LE(1, 0x236);
  bytes.writeUInt32LE(255, 0x238);
  bytes.set(code, 2 * 512 + 0x200);
  return bytes;
}

const AL_A = [0xb0, 0x41]; // mov al, 'A'
const DX_COM1 = [0x66, 0xba, 0xf8, 0x03]; // mov dx, 0x3f8
const OUT_AL = [0xee];
const STOP = [0xfa, 0xf4]; // cli; hlt
const UD2 = [0x0f, 0x0b];
const PRINT_A = [...AL_A, ...DX_COM1, ...OUT_AL];

describe('q35', () => {
  const { board } = createBoard();

  test.each([
    ['the host bridge', 0, 0x29c0_8086],
    ['the first disk, virtio-blk-pci,', 2, 0x1001_1af4],
    ['the ICH9 LPC bridge', 31, 0x2918_8086],
  ])('has %s in PCI slot %i', (_, slot, id) => {
    expect(board.bus.read(LAYOUT.PCIE_ECAM.base + slot * 0x8000, 4)).toBe(id);
  });

  describe('a local APIC that its CPU moves', () => {
    const apic = board.chipset.interrupts.localApics[0]!;
    const [VERSION, NOTHING] = [0x0005_0014, 0xffff_ffff];
    const versionAt = (address: number) => board.bus.read(address + 0x30, 4);

    test.each([
      ['is at the new address, and no longer at the old one', 0xfed4_0900n, 0xfed4_0000, VERSION, NOTHING],
      ['leaves other devices where they are', 0xfed0_0900n, 0xfed4_0000, undefined, NOTHING],
      ['comes back', 0xfee0_0900n, 0xfed4_0000, undefined, VERSION],
    ])('%s', (_what, base, moved, there, usual) => {
      expect(apic.writeBase(base)).toBe(true);
      expect([apic.readBase(), versionAt(moved), versionAt(LAYOUT.LOCAL_APIC.base)]).toEqual([base, there, usual]);
    });
  });

  test('has the boot CPU’s local APIC with version 0x14 and six LVT entries', () => {
    expect(board.bus.read(LAYOUT.LOCAL_APIC.base + 0x30, 4)).toBe(0x0005_0014);
  });
});

test('microvm has its first disk in the last virtio-mmio transport', () => {
  const { board } = createBoard({ board: 'microvm' });
  const DEVICE_ID = 8;
  const BLOCK = 2;
  const { base, size } = LAYOUT.VIRTIO_MMIO;
  expect(board.bus.read(base + 23 * size + DEVICE_ID, 4)).toBe(BLOCK);
  expect(board.bus.read(base + DEVICE_ID, 4)).toBe(0);
});

test('memory beyond 2 GiB lies above 4 GiB on q35 with 3 GiB', () => {
  const ends = createBoard({ memoryBytes: 2816 * MIB }).board.memory.ranges.map(({ start, size }) => start + size);
  expect(ends).toEqual([0xa_0000, 0x8000_0000, 0x1_0000_0000 + 768 * MIB]);
});

describe('a kernel', () => {
  test('starts in 64-bit mode at its entry, and COM1 prints', async () => {
    const { board, console } = createBoard();
    board.loadLinux({ kernel: bzImage([...PRINT_A, ...STOP]), commandLine: '' });
    await board.machine.run(1e6);
    expect(console()).toBe('A');
    expect(board.cpus[0]!.idle).toBe('waiting-for-interrupt');
  });

  test('resets the machine by a triple fault, and a reset starts it again', async () => {
    const { board, console } = createBoard();
    board.loadLinux({ kernel: bzImage([...PRINT_A, ...UD2]), commandLine: '' });
    expect(await board.machine.run(1e6)).toEqual({ kind: 'reset', cause: 'triple fault' });
    board.reset();
    expect(await board.machine.run(2e6)).toEqual({ kind: 'reset', cause: 'triple fault' });
    expect(console()).toBe('AA');
  });

  test.each([
    ['powers off by S5 in PM1a_CNT', [0x66, 0xb8, 0x00, 0x20, 0x66, 0xba, 0x04, 0x06, 0x66, 0xef], 'power-off'],
    ['resets by port 0xcf9', [0xb0, 0x06, 0x66, 0xba, 0xf9, 0x0c, 0xee], 'reset'],
    ['resets by port 0x92', [0xb0, 0x01, 0xe6, 0x92], 'reset'],
    ['resets by the keyboard controller', [0xb0, 0xfe, 0xe6, 0x64], 'reset'],
  ])('%s', async (_, code, kind) => {
    const { board } = createBoard();
    board.loadLinux({ kernel: bzImage([...code, ...STOP]), commandLine: '' });
    expect(await board.machine.run(1e6)).toEqual({ kind });
  });

  test.each([
    ['a byte', [0xb0, 0x03, 0xe6, 0xf4]], // mov al, 3; out 0xf4, al
    ['four bytes', [0xb8, 0x03, 0, 0, 0, 0xe7, 0xf4]], // mov eax, 3; out 0xf4, eax
  ])('ends the run with a status by %s to isa-debug-exit', async (_, code) => {
    const { board } = createBoard({ devices: [{ type: 'isa-debug-exit', port: 0xf4 }] });
    board.loadLinux({ kernel: bzImage([...code, ...STOP]), commandLine: '' });
    expect(await board.machine.run(1e6)).toEqual({ kind: 'exit', status: 7 });
  });

  test('panics to pvpanic where one is asked for', async () => {
    const events: string[] = [];
    const { board } = createBoard({ devices: [{ type: 'pvpanic-isa', report: event => events.push(event) }] });
    const code = [0xb0, 0x01, 0x66, 0xba, 0x05, 0x05, ...OUT_AL, ...STOP];
    board.loadLinux({ kernel: bzImage(code), commandLine: '' });
    await board.machine.run(1e6);
    expect(events).toEqual(['panicked']);
  });

  // mov ecx, 1000; pause; dec ecx; jnz
  const PAUSES = [0xb9, 0xe8, 3, 0, 0, 0xf3, 0x90, 0xff, 0xc9, 0x75, 0xfa];

  test.each([
    ['keep its turn while the other CPU sleeps', false, (entered: number) => entered < 100],
    ['give the other CPU, which runs, its turns', true, (entered: number) => entered > 500],
  ])('PAUSEs of a CPU %s', async (_, othersRun, isExpected) => {
    const { board } = createBoard({ cpuCount: 2 });
    board.loadLinux({ kernel: bzImage([...PAUSES, ...STOP]), commandLine: '' });
    if (othersRun) {
      board.memory.ramSlice(0x8000, 2).set([0xeb, 0xfe]); // jmp to itself
      board.cpus[1]!.startup(8);
    }
    await board.machine.run(3e7);
    expect(board.cpus[0]!.idle).toBe('waiting-for-interrupt');
    expect(board.machine.engine.statistics.entered).toSatisfy(isExpected);
  });

  test('reads all ones from ports that nothing answers at', async () => {
    const { board, console } = createBoard();
    // in al, 0xf0; not al; add al, 'A'; out
    const code = [0xe4, 0xf0, 0xf6, 0xd0, 0x04, 0x41, ...DX_COM1, ...OUT_AL, ...STOP];
    board.loadLinux({ kernel: bzImage(code), commandLine: '' });
    await board.machine.run(1e6);
    expect(console()).toBe('A');
  });
});

describe('a kernel on microvm', () => {
  const { base } = LAYOUT.GED_REGISTERS;
  test.each([
    ['powers off by S5 (type 5) in the sleep control register', 0, 0x34, 'power-off'],
    ['resets by the reset register that the FADT tells of', 2, 0x42, 'reset'],
  ])('%s', async (_, offset, value, kind) => {
    const { board } = createBoard({ board: 'microvm' });
    const pointer = [0xb8, ...[0, 8, 16, 24].map(shift => ((base + offset) >>> shift) & 0xff)]; // mov eax, address
    board.loadLinux({ kernel: bzImage([...pointer, 0xc6, 0x00, value, ...STOP]), commandLine: '' });
    expect(await board.machine.run(1e6)).toEqual({ kind });
  });

  test('finds no ACPI root pointer with acpi=off, but MP tables, and its disk on the command line', () => {
    const { board } = createBoard({ board: 'microvm', parts: { acpi: false } });
    board.loadLinux({ kernel: bzImage(STOP), commandLine: 'quiet' });
    const text = (paddr: number, size = 4): string =>
      Buffer.from(board.memory.ramSlice(paddr, size)).toString('latin1');
    expect(text(BOOT_LAYOUT.COMMAND_LINE, 44)).toBe('quiet virtio_mmio.device=512@0xfeb00e00:12\0\0');
    expect([text(0xf_0000), text(0xf_0010), text(0xf_59e0)]).toEqual(['_MP_', 'PCMP', '\0\0\0\0']);
  });
});

test('a snapshot brings back CPU, devices and memory', async () => {
  const { board, console } = createBoard();
  const INC_AL = [0xfe, 0xc0];
  const INC_MEMORY = [0xfe, 0x04, 0x25, 0x00, 0x00, 0x40, 0x00]; // inc byte [0x400000]
  const BACK_TO_OUT = [0xf3, 0x90, 0xeb, 0xf2]; // pause; jmp
  const code = [...AL_A, ...DX_COM1, ...OUT_AL, ...INC_AL, ...INC_MEMORY, ...BACK_TO_OUT];
  board.loadLinux({ kernel: bzImage(code), commandLine: '' });
  await board.machine.run(1e6);
  const snapshot = board.takeSnapshot();
  const before = {
    length: console().length,
    counter: board.memory.ramSlice(0x40_0000, 1)[0]!,
    ns: board.machine.guestNs,
  };
  await board.machine.run(before.ns + 1e6);
  const first = console().slice(before.length);
  board.restoreSnapshot(snapshot);
  expect(board.machine.guestNs).toBe(before.ns);
  expect(board.memory.ramSlice(0x40_0000, 1)[0]).toBe(before.counter);
  const again = console().length;
  await board.machine.run(before.ns + 1e6);
  expect(first.length).toBeGreaterThan(50);
  expect(console().slice(again)).toBe(first);
});

test('slices end at the same instruction whether code is interpreted or compiled, in loops that are entered from above too', () => {
  const NOP = 0x90;
  // mov ecx, 5; nops; loop: dec ecx; jnz loop; jmp to the beginning
  const code = [0xb9, 5, 0, 0, 0, ...Array.from({ length: 20 }, () => NOP), 0xff, 0xc9, 0x75, 0xfc, 0xeb, 0xe1];
  const stops = [1, Number.POSITIVE_INFINITY].map(compileThreshold => {
    const { engine } = loaded(code, { engine: { compileThreshold } });
    return Array.from({ length: 300 }, (_, i) => {
      engine.runSlice(engine.cpus[0]!, 1 + (i % 37));
      return [engine.retired, engine.cpus[0]!.pc];
    });
  });
  expect(stops[0]).toEqual(stops[1]);
});

test('a repeated store takes as long into code that has run as into other memory', async () => {
  // the nops are code that has run; lea rsi, [rip]; mov edi, …; add edi, 0x200; mov ecx, 5; rep movsb
  const program = (destination: number): number[] => {
    const nops = Array.from({ length: 8 }, () => 0x90);
    const edi = [0xbf, 0, 0, destination >> 16, 0, 0x81, 0xc7, 0, 2, 0, 0];
    return [...nops, 0x48, 0x8d, 0x35, 0, 0, 0, 0, ...edi, 0xb9, 5, 0, 0, 0, 0xf3, 0xa4, ...STOP];
  };
  const retired = [0x10_0000, 0x40_0000].map(async destination => {
    const machine = loaded(program(destination), {});
    await machine.run(1e6);
    return machine.instructions;
  });
  expect(await retired[0]).toBe(await retired[1]);
});

function loaded(code: readonly number[], config: Partial<PcConfig>): PcBoard['machine'] {
  const { board } = createBoard(config);
  board.loadLinux({ kernel: bzImage(code), commandLine: '' });
  return board.machine;
}

test('what the loader places is in memory', () => {
  const { board } = createBoard();
  const boot = { kernel: bzImage(STOP), commandLine: 'quiet' };
  board.loadLinux(boot);
  const hardware = {
    board: 'q35',
    cpuCount: 1,
    memoryBytes: 128 * MIB,
    virtioDevices: 0,
    cpuSignature: board.cpus[0]!.model.signature,
    disks: [{ kind: 'virtio', device: 2, sectors: MIB / 512 }],
  } as const;
  for (const { paddr, bytes } of directBoot(boot, hardware).segments) {
    expect(Buffer.compare(board.memory.ramSlice(paddr, bytes.length), bytes)).toBe(0);
  }
});
