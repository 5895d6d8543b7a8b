/** What a PC is made of, as the one who makes it says. */
import type { EngineOptions } from '../../cpu/execute/engine.ts';
import type { Trace } from '../../debug/trace.ts';
import type { ExtraDevice, IsaDevice, VirtioDrive } from '../board-devices.ts';
import type { PcBoard } from './layout.ts';

/** The board and its parts. */
export interface PcConfig {
  readonly board: PcBoard;
  /** `-cpu`: qemu64, Nehalem, Haswell, max. */
  readonly cpu: string;
  readonly cpuCount: number;
  /** RAM in bytes, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  /** microvm has no PCI bus, q35 no virtio-mmio. */
  readonly drives: readonly VirtioDrive[];
  /** Plugged behind the drives, in this order. */
  readonly devices?: readonly (ExtraDevice | IsaDevice)[];
  /** Takes each character that the guest sends to COM1. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  readonly engine?: Partial<EngineOptions>;
  /** What is traced; without it nothing is. */
  readonly trace?: Trace;
}
