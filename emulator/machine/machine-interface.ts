/** A whole machine as others see it, whatever board and architecture it has. */
import type { FwCfgFile, VmcoreinfoLocation } from '../devices/fw-cfg.ts';
import type { DebugView } from '../debug/debug-view.ts';
import type { Trace } from '../debug/trace.ts';
import type { TranslatedCode } from '../cpu/execute/code-cache.ts';
import type { EngineOptions } from '../cpu/execute/engine.ts';
import type { Fdt } from '../../capture/formats/fdt.ts';
import type { Nanoseconds } from '../memory/device.ts';
import type { RamRange } from '../memory/guest-memory.ts';
import type { Drive, ExtraDevice, IsaDevice } from './board-devices.ts';
import type { BootState, LoadSegment } from './boot-state.ts';
import type { StopReason } from './machine.ts';
import type { PcParts } from './pc-x86_64/board-config.ts';
import type { PcSnapshot } from './pc-x86_64/board.ts';
import type { VirtSnapshot } from './virt-aarch64/board.ts';

/** `-machine`: the board, with the properties that it has. */
export type BoardChoice =
  | {
      readonly type: 'virt';
      readonly gicVersion: 2 | 3;
      /** ITS beside a GICv3. */
      readonly its: boolean;
      /** EL2 is there, and kernels start in it. */
      readonly virtualization: boolean;
      /** The device tree has seeds, always the same ones (`dtb-randomness`). */
      readonly seeds: boolean;
    }
  | { readonly type: 'q35' | 'microvm'; readonly parts?: Partial<PcParts> };

/** What a machine is made of, in QEMU's terms. */
export interface MachineConfig {
  readonly board: BoardChoice;
  /** `-cpu`. */
  readonly cpu: string;
  /** `-smp`. */
  readonly cpuCount: number;
  /** `-m`, in bytes: a multiple of 64 KiB. */
  readonly memoryBytes: number;
  /** `-drive` with `-device virtio-blk-…`, or `if=ide` on q35. */
  readonly drives: readonly Drive[];
  /** `-device`, plugged behind the drives in this order; ISA devices on PCs only. */
  readonly devices?: readonly (ExtraDevice | IsaDevice)[];
  /** `-serial`: takes each character that the guest sends to its first serial port. */
  readonly serialOutput: (byte: number) => void;
  /** `-rtc base=`: date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  /** `-fw_cfg`. */
  readonly firmwareFiles?: readonly FwCfgFile[];
  /** `-d`; without it nothing is traced. */
  readonly trace?: Trace;
  readonly engine?: Partial<EngineOptions>;
}

/** `-kernel` and what goes with it. */
export interface LinuxKernel {
  /** arm64: the raw Image; x86_64: the file as it is. */
  readonly kernel: Uint8Array;
  /** Bytes from its load address that the kernel needs at first; at least the size of the image. */
  readonly kernelMemorySize: number;
  /** `-initrd`. */
  readonly initrd?: Uint8Array;
  /** `-append`. */
  readonly commandLine: string;
  /** `-dtb`: used instead of the board's own tree; it is changed. */
  readonly deviceTree?: Fdt;
}

/** Takes characters for the guest. */
export interface InputPort {
  receive(bytes: Uint8Array): void;
}

/** A serial port. */
export interface SerialPort extends InputPort {
  /** Sends a break, by which Linux knows the magic SysRq key. */
  receiveBreak(): void;
}

/** Guest-physical RAM. */
export interface PhysicalMemory {
  readonly ranges: readonly RamRange[];
  /** A view of RAM; fewer bytes where RAM ends, none where there is none. */
  read(paddr: number, length: number): Uint8Array;
  /** Writes to RAM, and drops code translated from it. */
  write(paddr: number, bytes: Uint8Array): void;
}

/** A region of an address space with the device that answers there. */
export interface DeviceRegion {
  readonly space: 'memory' | 'io';
  readonly base: number;
  /** In bytes. */
  readonly size: number;
  readonly name: string;
  /** A copy of the device's state, plain data. */
  state(): unknown;
}

/** A function on the PCI bus. */
export interface PciFunctionInfo {
  readonly device: number;
  readonly function: number;
  readonly name: string;
  /** The first 256 bytes of its configuration space. */
  readonly config: Uint8Array;
  readonly bars: readonly {
    readonly index: number;
    readonly kind: 'io' | 'mem32' | 'mem64';
    readonly prefetchable: boolean;
    readonly size: number;
    /** Where it is; undefined while decoding is off. */
    readonly address: number | undefined;
  }[];
}

/** A moment of a machine. */
export type MachineSnapshot = VirtSnapshot | PcSnapshot;

/** A machine. Between calls of `run` it stands still, and everything else may be called. */
export interface Machine {
  readonly architecture: 'aarch64' | 'x86_64';
  readonly config: MachineConfig;
  readonly cpuCount: number;
  /** Guest time since power-on. */
  readonly guestNs: Nanoseconds;
  /** Instructions retired by all CPUs since power-on. */
  readonly instructions: number;
  /** Guest code as translated so far: a later machine of the same kind need not translate it again. */
  readonly translatedCode: TranslatedCode;

  /** Puts a kernel into memory, and the boot CPU at its entry. Once, before the machine runs. @throws ImageError */
  boot(kernel: LinuxKernel): void;
  /** Puts segments into memory, and the boot CPU at an entry. */
  load(state: BootState): void;

  /** Runs until the machine stops or guest time reaches `untilNs`. */
  run(untilNs?: Nanoseconds): Promise<StopReason>;
  /** Ends `run` soon, with this reason: `{ kind: 'interrupted', reason: 'pause' }`. */
  stop(reason: StopReason): void;
  /** Runs one instruction of a CPU. */
  step(cpu: number): void;
  /** Resets the hardware and boots again what was loaded. */
  reset(): void;
  /** Presses the power key. */
  pressPowerButton(): void;

  /** Takes a snapshot to go back to; the one before is void. */
  takeSnapshot(): MachineSnapshot;
  restoreSnapshot(snapshot: MachineSnapshot): void;

  /** The first serial port. */
  readonly serial: SerialPort;
  /** The virtio consoles, in the order of the configuration. */
  readonly consoles: readonly InputPort[];
  readonly memory: PhysicalMemory;
  readonly debug: DebugView;
  /** Told when a CPU has come to a breakpoint, before the instruction. */
  onBreakpoint: (cpu: number) => void;
  /** What is where, in address order, memory before ports. */
  readonly regions: readonly DeviceRegion[];
  /** What was loaded before the first instruction. */
  readonly loaded: readonly LoadSegment[];
  /** Nothing on boards without PCI. */
  readonly pci: readonly PciFunctionInfo[];
  /** Where the guest says its vmcoreinfo note is, once its fw_cfg driver has. */
  readonly vmcoreinfo: VmcoreinfoLocation | undefined;
  /** The first host error behind a drive. */
  readonly driveError: Error | undefined;
}
