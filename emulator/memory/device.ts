/**
 * What a device on the bus is, and what a board gives it: interrupt lines and the machine's clock.
 *
 * Devices never see CPUs, RAM layout or each other; they meet on a board (`machine/<board>/board.ts`).
 */

/** Width of one bus access in bytes. */
export type AccessWidth = 1 | 2 | 4 | 8;

/** Guest-virtual nanoseconds since power-on: an integer below 2^53 (104 days). */
export type Nanoseconds = number;

/** A level-triggered wire into an interrupt controller. Setting the level it already has is a no-op. */
export interface InterruptLine {
  /** Drives the wire; `true` asserts it. */
  set(level: boolean): void;
}

/**
 * A memory-mapped (or port-mapped) device model.
 *
 * `State` is plain data (numbers, strings, booleans, bigints, typed arrays, arrays and records of these): all that a
 * snapshot needs, each register listed once. Host resources (files, sockets, lines) are not in it.
 */
export interface Device<State = unknown> {
  /** Name in traces, snapshots and error messages: `pl011`, `virtio-blk`. */
  readonly name: string;
  /**
   * Reads a register.
   * @param offset bytes from the device's base, `0 <= offset < size`
   * @returns an unsigned value of `width` bytes. Unassigned registers read as the data sheet says, or 0.
   *   Widths 1, 2 and 4 fit a number; for 8 use `readLong` when the device has registers that wide.
   */
  read(offset: number, width: AccessWidth): number;
  /** Writes a register; `value` is unsigned and below `2 ** (8 * width)`. */
  write(offset: number, value: number, width: AccessWidth): void;
  /** 64-bit access, for devices that have 64-bit registers (GICv3). Without it the bus splits into two 32-bit accesses, low half first. */
  readLong?(offset: number): bigint;
  writeLong?(offset: number, value: bigint): void;
  /** Returns to the power-on state. Wires are driven to match. */
  reset(): void;
  /** A copy of the state, independent of later changes. */
  save(): State;
  /** Takes over a state that `save` returned, and drives the wires to match. */
  restore(state: State): void;
}

/** Handle of a pending alarm; `cancel` may be called at any time, any number of times. */
export interface Alarm {
  cancel(): void;
}

/** The machine's one virtual clock: every timer in the guest derives from it. */
export interface Clock {
  /** Guest-virtual time now. Inside a device access this is exact to the instruction. */
  now(): Nanoseconds;
  /**
   * Calls `fire` once when guest time reaches `at` (at once on the next instruction boundary when `at` has passed).
   * Alarms are not part of a snapshot: a device re-arms from its own state in `restore`.
   */
  schedule(at: Nanoseconds, fire: () => void): Alarm;
}

/** The way by which the host's doings (a packet comes) reach a machine: between two turns of its CPUs, and never while it stands still. */
export interface HostEvents {
  /** Lets something happen in the machine, soon. */
  post(event: () => void): void;
  /** Adds a source of events; while it says that one is on its way, idle time goes no faster than the host's. */
  expect(source: () => boolean): void;
}

/** Guest-physical memory as a DMA master sees it. Out-of-range access reads zeros and drops writes, as an unassigned bus address does. */
export interface DmaMemory {
  read(paddr: number, length: number): Uint8Array;
  /** Copies into `target` without allocating. */
  readInto(paddr: number, target: Uint8Array): void;
  /** Writes bytes, and drops translated code of the pages touched. */
  write(paddr: number, bytes: Uint8Array): void;
  readU16(paddr: number): number;
  readU32(paddr: number): number;
  readU64(paddr: number): bigint;
  writeU16(paddr: number, value: number): void;
  writeU32(paddr: number, value: number): void;
  writeU64(paddr: number, value: bigint): void;
}
