/**
 * What the flow needs of a machine: power it on with a kernel and a disk, see its console, learn why it stopped.
 *
 * Backends: our own machine, and QEMU (the judge and the yardstick of the benchmark).
 */
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import type { ControlOption } from '../commands/boot/controls.ts';
import type { KexecEvent } from './kexec-trace.ts';
import type { HostPart } from './provocations.ts';
import type { TriggerName } from './triggers.ts';

/** Where the dump disk is: virtio-mmio, virtio-pci, or (q35) the SATA port that QEMU's `-hda` takes. */
export type DiskBus = 'mmio' | 'pci' | 'ide';

/** A machine as it is at power-on. Names and defaults of its parts are QEMU's. */
export interface LabMachineConfig {
  readonly architecture: Architecture;
  /** Value of QEMU's `-machine`: `virt,gic-version=3`, `q35`, `microvm,pit=on`. */
  readonly machine: string;
  /** Value of QEMU's `-cpu`. */
  readonly cpu: string;
  readonly cpus: number;
  /** RAM in bytes. */
  readonly memorySize: number;
  /** Kernel image file. */
  readonly kernel: string;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
  /** Raw disk image file; the guest writes to it. */
  readonly disk: string;
  readonly diskBus: DiskBus;
  /** Value of QEMU's `-nic`, `user,…`; undefined: there is no card. */
  readonly nic?: string | undefined;
  /** Whether the device tree has `kaslr-seed` and `rng-seed`. */
  readonly seeds: boolean;
  /** Host mode: the image that the host loads and starts when the kernel crashes. Undefined: the guest has its own. */
  readonly capture?: LabCaptureImage | undefined;
  /** What tells the host of the crash. */
  readonly trigger?: TriggerName;
  /** Observe kexec in the guest. */
  readonly traceKexec?: boolean;
  /** What the host does to the kernel so that it crashes in a particular state. */
  readonly provocation?: HostPart | undefined;
  /** Sockets from which the machine is controlled while it runs. */
  readonly controls?: readonly ControlOption[];
}

/** What the host starts after a crash. */
export interface LabCaptureImage {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** Why a machine stopped. */
export type LabStop =
  | { readonly kind: 'power-off' }
  /** `cause` when the guest did not ask for it: a triple fault. */
  | { readonly kind: 'reset'; readonly cause?: string }
  /** `interrupt` was called. */
  | { readonly kind: 'interrupted'; readonly reason: string }
  /** A limit in guest seconds was reached. */
  | { readonly kind: 'timeout'; readonly guestSeconds: number }
  /** The machine cannot go on (triple fault, all CPUs off, host error). */
  | { readonly kind: 'failed'; readonly message: string };

/** Where a machine is, at the moment of asking. */
export interface LabProgress {
  /** Guest time since power-on in seconds; undefined when the backend cannot tell (QEMU). */
  readonly guestSeconds: number | undefined;
  /** Retired instructions of all CPUs since power-on; undefined when the backend cannot tell (QEMU). */
  readonly instructions: number | undefined;
  /** Frames that the guest has sent over its network card; undefined when the backend does not count, or there is none. */
  readonly frames?: number | undefined;
}

/** Who listens to a machine. Calls come in guest order, and never after `run` has settled. */
export interface LabMachineListener {
  /** Bytes of the first serial port, in pieces of any size. */
  onConsole(bytes: Uint8Array): void;
  /** What `traceKexec` sees. */
  onKexecEvent?(event: KexecEvent): void;
}

/** One machine, run once. */
export interface LabMachine {
  /** For the report: `kdump-lab 0.1.0`, `QEMU 7.2.22`. */
  readonly name: string;
  /**
   * Powers on and runs until the guest stops, a limit is reached or `interrupt` is called.
   * Rejects only for bad input (UsageError, ImageError) and bugs; what the guest does is a value.
   * @param limits guest seconds after which to stop with `timeout` (backends without guest time count wall seconds)
   */
  run(listener: LabMachineListener, limits: { readonly guestSeconds: number }): Promise<LabStop>;
  /** Stops a running machine soon; `run` then resolves with `interrupted`. Does nothing otherwise. */
  interrupt(reason: string): void;
  /** Guest time and instruction count now; `onConsole` may call it. */
  progress(): LabProgress;
}

/** Makes a machine. @throws UsageError for a configuration that the backend does not have */
export type LabMachineFactory = (config: LabMachineConfig) => LabMachine;
