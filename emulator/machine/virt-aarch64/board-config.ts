/** What a `virt` board is made of, as the one who makes it says. */
import type { EngineOptions } from '../../cpu/execute/engine.ts';
import type { Trace } from '../../debug/trace.ts';
import type { FwCfgFile } from '../../devices/fw-cfg.ts';
import type { ExtraDevice, VirtioDrive } from '../board-devices.ts';

/** What a board is made of. */
export interface VirtConfig {
  /** `-cpu`: cortex-a53, cortex-a57, cortex-a72, cortex-a76, max. */
  readonly cpu: string;
  readonly cpuCount: number;
  /** RAM in bytes, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  readonly gicVersion: 2 | 3;
  /** ITS beside a GICv3. */
  readonly its: boolean;
  /** EL2 is there, and kernels start in it. */
  readonly virtualization: boolean;
  /** The device tree has seeds (always the same ones). */
  readonly seeds: boolean;
  readonly drives: readonly VirtioDrive[];
  /** Plugged behind the drives, in this order. */
  readonly devices?: readonly ExtraDevice[];
  /** Takes each character that the guest sends to its UART. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  /** Files that the guest finds in fw_cfg, beside the board's own. */
  readonly firmwareFiles?: readonly FwCfgFile[];
  readonly engine?: Partial<EngineOptions>;
  /** What is traced; without it nothing is. */
  readonly trace?: Trace;
}
