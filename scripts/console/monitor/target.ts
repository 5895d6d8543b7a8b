/** What the monitor needs of a session: the machine, and who runs it. */
import type { Machine } from '../../../emulator/index.ts';
import type { GuestDumper } from '../guest-dump.ts';

/** A disk, for `info block`. */
export interface MonitorDisk {
  readonly option: {
    readonly id: string;
    readonly file: string;
    readonly readOnly: boolean;
    readonly snapshot: boolean;
  };
}

/** A snapshot, for `info snapshots`. */
export interface MonitorSnapshot {
  readonly name: string;
  readonly taken: Date;
  readonly guestSeconds: number;
}

/** A machine with somebody at it. */
export interface MonitorTarget {
  readonly machine: Machine;
  /** In QEMU's words: `running`, `paused`, `prelaunch`, `shutdown`, `guest-panicked`. */
  readonly state: string;
  readonly paused: boolean;
  readonly guestSeconds: number;
  pause(): void;
  /** @returns false when it has to be reset first */
  resume(): boolean;
  reset(): void;
  quit(): void;
  /** Presses the power key. */
  powerDown(): void;
  readonly dumper: GuestDumper;
  readonly disks: readonly MonitorDisk[];
  /** Serial port, consoles, monitor, gdb: each with where it is connected. */
  readonly characterDevices: readonly { readonly name: string; readonly place: string }[];
  readonly snapshot: MonitorSnapshot | undefined;
  saveSnapshot(name: string): void;
  loadSnapshot(name: string): boolean;
  forgetSnapshot(): void;
}

/** Lines to show; later, when the command takes its time. */
export type MonitorAnswer = string[] | Promise<string[]>;

/** What a user has set with `cpu`, and other things that last from one command to the next. */
export interface MonitorState {
  cpu: number;
  /** Format and size that `x`, `xp` and `print` used last. */
  letter: string;
  size: number;
}

/** `hex(10n, 4)` is `000a`. */
export function hex(value: bigint | number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
