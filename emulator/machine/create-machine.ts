/** Makes machines: one face over the boards of both architectures. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { VmcoreinfoLocation } from '../devices/fw-cfg.ts';
import type { PciHost } from '../devices/pci/host.ts';
import type { TranslatedCode } from '../cpu/execute/code-cache.ts';
import type { DebugView } from '../debug/debug-view.ts';
import { Aarch64DebugView } from '../debug/gdb-aarch64.ts';
import { X64DebugView } from '../debug/gdb-x86_64.ts';
import type { Device, Nanoseconds } from '../memory/device.ts';
import { PhysicalDma } from '../memory/physical-dma.ts';
import { type ExtraDevice, isVirtioDrive, type IsaDevice } from './board-devices.ts';
import type { BootState, LoadSegment } from './boot-state.ts';
import type { StopReason } from './machine.ts';
import type {
  BoardChoice,
  DeviceRegion,
  InputPort,
  LinuxKernel,
  Machine,
  MachineConfig,
  MachineSnapshot,
  PciFunctionInfo,
  PhysicalMemory,
  SerialPort,
} from './machine-interface.ts';
import { PcBoard, type PcSnapshot } from './pc-x86_64/board.ts';
import { VirtBoard, type VirtSnapshot } from './virt-aarch64/board.ts';

/** A machine on one of the boards; `board` is for those who look inside. */
export type BoardMachine = VirtMachine | PcMachine;
type VirtMachine = WholeMachine<'aarch64', VirtBoard, VirtSnapshot>;
type PcMachine = WholeMachine<'x86_64', PcBoard, PcSnapshot>;

/** Makes a machine; it is off until something is booted on it. @throws UsageError when the board cannot have what is asked for */
export function createMachine(config: MachineConfig): BoardMachine {
  const { board } = config;
  return board.type === 'virt' ? createVirt(config, board) : createPc(config, board);
}

function createVirt(config: MachineConfig, choice: BoardChoice & { readonly type: 'virt' }): VirtMachine {
  const { devices = [], serialOutput: consoleOutput, board: _, ...rest } = config;
  const { type: __, ...properties } = choice;
  const isa = devices.find(isIsa);
  if (isa !== undefined) throw new UsageError(`-device ${isa.type}: virt has no ISA bus`);
  const others = devices.filter(device => !isIsa(device));
  const drives = rest.drives.filter(isVirtioDrive);
  if (drives.length < rest.drives.length) throw new UsageError('virt has no IDE or SATA: use virtio');
  const board = new VirtBoard({ ...rest, ...properties, drives, devices: others, consoleOutput });
  return new WholeMachine<'aarch64', VirtBoard, VirtSnapshot>(config, board, {
    architecture: 'aarch64',
    debug: new Aarch64DebugView(board.cpus, board.machine.engine),
    boot: kernel => board.loadLinux(kernel),
    pci: board.pci,
    ports: [],
  });
}

function createPc(config: MachineConfig, choice: BoardChoice & { readonly type: 'q35' | 'microvm' }): PcMachine {
  const { serialOutput: consoleOutput, board: _, ...rest } = config;
  checkBuses(config, choice.type);
  const { type, ...parts } = choice;
  const board = new PcBoard({ ...rest, ...parts, board: type, consoleOutput });
  return new WholeMachine<'x86_64', PcBoard, PcSnapshot>(config, board, {
    architecture: 'x86_64',
    debug: new X64DebugView(board.cpus, board.machine.engine),
    boot: ({ deviceTree, ...kernel }) => {
      if (deviceTree !== undefined) throw new UsageError('-dtb: PCs have no device tree');
      board.loadLinux(kernel);
    },
    pci: board.chipset.pci,
    ports: board.chipset.portDevices.map(({ region, device }) => describeRegion('io', region, device)),
  });
}

function checkBuses({ drives, devices = [] }: MachineConfig, board: 'q35' | 'microvm'): void {
  const buses = [
    ...drives.map(({ bus }) => bus),
    ...devices.map(device => ('bus' in device ? device.bus : device.type === 'pvpanic' ? 'pci' : 'isa')),
  ];
  if (board === 'q35' && buses.includes('mmio')) {
    throw new UsageError('q35 has no virtio-mmio bus: use virtio-…-pci');
  }
  if (board === 'microvm' && buses.includes('pci')) {
    throw new UsageError('microvm has no PCI bus: use virtio-…-device');
  }
}

function isIsa(device: ExtraDevice | IsaDevice): device is IsaDevice {
  return device.type === 'pvpanic-isa' || device.type === 'isa-debug-exit';
}

/** What differs between boards. */
interface BoardSide<Architecture> {
  readonly architecture: Architecture;
  readonly debug: DebugView;
  readonly boot: (kernel: LinuxKernel) => void;
  readonly pci: PciHost | undefined;
  readonly ports: readonly DeviceRegion[];
}

/** What boards have in common, as a machine is made of it. */
type BoardWith<Snapshot> = Pick<
  VirtBoard | PcBoard,
  | 'machine'
  | 'memory'
  | 'cpus'
  | 'bus'
  | 'uart'
  | 'consoles'
  | 'powerKey'
  | 'load'
  | 'loaded'
  | 'reset'
  | 'vmcoreinfo'
  | 'driveError'
> & {
  takeSnapshot(): Snapshot;
  restoreSnapshot(snapshot: Snapshot): void;
};

class WholeMachine<
  Architecture extends Machine['architecture'],
  Board extends BoardWith<Snapshot>,
  Snapshot extends MachineSnapshot,
> implements Machine {
  readonly architecture: Architecture;
  readonly config: MachineConfig;
  readonly board: Board;
  readonly memory: PhysicalMemory;
  readonly debug: DebugView;
  readonly #side: BoardSide<Architecture>;

  constructor(config: MachineConfig, board: Board, side: BoardSide<Architecture>) {
    this.config = config;
    this.board = board;
    this.architecture = side.architecture;
    this.debug = side.debug;
    this.#side = side;
    const { memory, machine } = board;
    const dma = new PhysicalDma(memory, (address, size) => machine.engine.code.written(address, size));
    this.memory = {
      ranges: memory.ranges,
      read: (paddr, length) => memory.ramSlice(paddr, length),
      write: (paddr, bytes) => dma.write(paddr, bytes),
    };
  }

  get cpuCount(): number {
    return this.board.cpus.length;
  }

  get guestNs(): Nanoseconds {
    return this.board.machine.guestNs;
  }

  get instructions(): number {
    return this.board.machine.instructions;
  }

  get translatedCode(): TranslatedCode {
    return this.board.machine.engine.code;
  }

  boot(kernel: LinuxKernel): void {
    this.#side.boot(kernel);
  }

  load(state: BootState): void {
    this.board.load(state);
  }

  get loaded(): readonly LoadSegment[] {
    return this.board.loaded;
  }

  run(untilNs?: Nanoseconds): Promise<StopReason> {
    return this.board.machine.run(untilNs);
  }

  stop(reason: StopReason): void {
    this.board.machine.stop(reason);
  }

  step(cpu: number): void {
    this.debug.step(cpu);
  }

  reset(): void {
    this.board.reset();
  }

  pressPowerButton(): void {
    this.board.powerKey.press();
  }

  takeSnapshot(): Snapshot {
    return this.board.takeSnapshot();
  }

  restoreSnapshot(snapshot: Snapshot): void {
    this.board.restoreSnapshot(snapshot);
  }

  get serial(): SerialPort {
    return this.board.uart;
  }

  get consoles(): readonly InputPort[] {
    return this.board.consoles;
  }

  get onBreakpoint(): (cpu: number) => void {
    return this.board.machine.engine.code.breakpoints.hit;
  }
  set onBreakpoint(hit: (cpu: number) => void) {
    this.board.machine.engine.code.breakpoints.hit = hit;
  }

  get vmcoreinfo(): VmcoreinfoLocation | undefined {
    return this.board.vmcoreinfo;
  }

  get driveError(): Error | undefined {
    return this.board.driveError;
  }

  get regions(): readonly DeviceRegion[] {
    const { memory, bus } = this.board;
    const ram = memory.ranges.map(({ start, size }): DeviceRegion => {
      return { space: 'memory', base: start, size, name: 'ram', state: () => null };
    });
    const devices = bus.regions.map(({ base, end, device }) =>
      describeRegion('memory', { base, size: end - base }, device),
    );
    return [...[...ram, ...devices].sort(byAddress), ...this.#side.ports.toSorted(byAddress)];
  }

  get pci(): readonly PciFunctionInfo[] {
    return this.#side.pci === undefined ? [] : functionsOf(this.#side.pci);
  }
}

function byAddress(a: DeviceRegion, b: DeviceRegion): number {
  return a.base - b.base;
}

function describeRegion(
  space: DeviceRegion['space'],
  { base, size }: { readonly base: number; readonly size: number },
  device: Device,
): DeviceRegion {
  return { space, base, size, name: device.name, state: () => device.save() };
}

function functionsOf(host: PciHost): PciFunctionInfo[] {
  return host.functions.map(({ slot, pciFunction: { name, config } }) => {
    const addresses = new Map(config.mappings().map(({ bar, address }) => [bar.index, address]));
    return {
      device: slot >> 3,
      function: slot & 7,
      name,
      config: config.bytes.slice(),
      bars: config.bars.map(({ index, kind, prefetchable = false, size }) => ({
        index,
        kind,
        prefetchable,
        size,
        address: addresses.get(index),
      })),
    };
  });
}
