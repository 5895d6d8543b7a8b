/** What a PC is made of, as the one who makes it says. */
import type { EngineOptions } from '../../cpu/execute/engine.ts';
import type { Trace } from '../../debug/trace.ts';
import type { FwCfgFile } from '../../devices/fw-cfg.ts';
import type { Drive, ExtraDevice, IsaDevice } from '../board-devices.ts';
import type { PcBoard } from './layout.ts';

/** Parts that QEMU's `-machine` turns on and off; all are there unless something else is said. */
export interface PcParts {
  /** ACPI tables and hardware. Without them there are MP tables, and nothing powers the machine off. */
  readonly acpi: boolean;
  /** The i8254. */
  readonly pit: boolean;
  /** The pair of i8259. */
  readonly pic: boolean;
  /** The MC146818; q35 always has it. */
  readonly rtc: boolean;
  /** COM1; q35 always has it. */
  readonly isaSerial: boolean;
  /** q35 only. */
  readonly hpet: boolean;
}

/** What a PC has unless something else is said. */
export const ALL_PARTS: PcParts = { acpi: true, pit: true, pic: true, rtc: true, isaSerial: true, hpet: true };

/** The board and its parts. */
export interface PcConfig {
  readonly board: PcBoard;
  readonly parts?: Partial<PcParts>;
  /** `-cpu`: qemu64, Nehalem, Haswell, max. */
  readonly cpu: string;
  readonly cpuCount: number;
  /** RAM in bytes, a multiple of 64 KiB. */
  readonly memoryBytes: number;
  /** microvm has no PCI bus and no SATA ports, q35 no virtio-mmio. */
  readonly drives: readonly Drive[];
  /** Plugged behind the drives, in this order. */
  readonly devices?: readonly (ExtraDevice | IsaDevice)[];
  /** Takes each character that the guest sends to COM1. */
  readonly consoleOutput: (byte: number) => void;
  /** Date of the real-time clock at power-on, seconds since 1970-01-01 UTC. */
  readonly epochSeconds: number;
  /** Files that the guest finds in fw_cfg, beside the board's own. */
  readonly firmwareFiles?: readonly FwCfgFile[];
  readonly engine?: Partial<EngineOptions>;
  /** What is traced; without it nothing is. */
  readonly trace?: Trace;
}
