/**
 * What an x86_64 CPU needs from the board: its local APIC, ports, the time-stamp counter, and reset.
 *
 * The CPU imports no device; the board passes objects of these shapes.
 */

/** The CPU's side of a local APIC. */
export interface LocalApicInterface {
  /** IA32_APIC_BASE. */
  readBase(): bigint;
  /** @returns false for a transition that is not allowed (#GP) */
  writeBase(value: bigint): boolean;
  /** RDMSR of 0x800 + `register` in x2APIC mode; undefined for registers that do not exist (#GP). */
  readMsr(register: number): bigint | undefined;
  /** @returns false for registers that cannot be written (#GP) */
  writeMsr(register: number, value: bigint): boolean;
  readonly isX2apic: boolean;
  readTscDeadline(): bigint;
  writeTscDeadline(value: bigint): void;
  readCR8(): bigint;
  writeCR8(value: bigint): void;
  /** The CPU takes the interrupt: its vector, or -1 when there is none any more. */
  acknowledge(): number;
}

/** The port space. Unassigned ports read as all ones; writes to them are lost. */
export interface PortSpace {
  /** @param width 1, 2 or 4 bytes */
  read(port: number, width: 1 | 2 | 4): number;
  write(port: number, value: number, width: 1 | 2 | 4): void;
}

/** What CPUs do to each other and to the machine. */
export interface X64Host {
  /** A fault in the delivery of #DF: the machine resets. */
  tripleFault(): void;
}

/** All that the board passes to a CPU. */
export interface X64Surroundings {
  readonly apic: LocalApicInterface;
  readonly ports: PortSpace;
  /** The time-stamp counter before TSC_ADJUST: one for each retired instruction, and for each nanosecond that all CPUs slept. */
  readonly timestamp: () => bigint;
  readonly host: X64Host;
}
