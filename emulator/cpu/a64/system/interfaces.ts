/**
 * What an A64 CPU needs from the board: interrupt controller, timers, power control, and the other CPUs.
 *
 * The CPU imports no device; the board passes objects of these shapes.
 */

/** ICC_* system registers of a GICv3 CPU interface; 64-bit values as MRS and MSR move them. */
export interface GicCpuInterface {
  readIAR0(): bigint;
  readIAR1(): bigint;
  readHPPIR0(): bigint;
  readHPPIR1(): bigint;
  writeEOIR0(value: bigint): void;
  writeEOIR1(value: bigint): void;
  writeDIR(value: bigint): void;
  readPMR(): bigint;
  writePMR(value: bigint): void;
  readBPR0(): bigint;
  writeBPR0(value: bigint): void;
  readBPR1(): bigint;
  writeBPR1(value: bigint): void;
  readCTLR(): bigint;
  writeCTLR(value: bigint): void;
  readSRE(): bigint;
  readSREEL2(): bigint;
  readIGRPEN0(): bigint;
  writeIGRPEN0(value: bigint): void;
  readIGRPEN1(): bigint;
  writeIGRPEN1(value: bigint): void;
  readRPR(): bigint;
  readAP0R0(): bigint;
  writeAP0R0(value: bigint): void;
  readAP1R0(): bigint;
  writeAP1R0(value: bigint): void;
  writeSGI0R(value: bigint): void;
  writeSGI1R(value: bigint): void;
  writeASGI1R(value: bigint): void;
}

/** One timer of the generic timer. */
export interface TimerRegisters {
  readCTL(): bigint;
  writeCTL(value: bigint): void;
  readCVAL(): bigint;
  writeCVAL(value: bigint): void;
  readTVAL(): bigint;
  writeTVAL(value: bigint): void;
}

/** The generic timer of a CPU. */
export interface GenericTimerRegisters {
  readonly cntp: TimerRegisters;
  readonly cntv: TimerRegisters;
  readonly cnthp: TimerRegisters;
  readonly cnthv: TimerRegisters;
  readCNTFRQ(): bigint;
  readCNTPCT(): bigint;
  readCNTVCT(): bigint;
  readCNTVOFF(): bigint;
  writeCNTVOFF(value: bigint): void;
  readCNTKCTL(): bigint;
  writeCNTKCTL(value: bigint): void;
  /** Guest time in nanoseconds of the next event of the event stream; `undefined` while it is off. */
  nextEvent(): number | undefined;
}

/** How a CPU_ON call ends; values of PSCI DEN 0022 "Return error codes". */
export type CpuOnResult = 'success' | 'already-on' | 'on-pending' | 'invalid-parameters' | 'invalid-address';

/** What PSCI does to the machine. */
export interface PsciHost {
  /**
   * Starts a CPU that is off.
   * @param affinity Aff3, Aff2, Aff1, Aff0 at their places in MPIDR_EL1
   * @param entry physical address of its first instruction
   * @param context its X0
   * @param exceptionLevel in which it starts: that of the caller
   */
  cpuOn(affinity: bigint, entry: bigint, context: bigint, exceptionLevel: 1 | 2): CpuOnResult;
  /** Whether the CPU of an affinity is on; `undefined` when there is none. */
  cpuIsOn(affinity: bigint): boolean | undefined;
  /** The machine stops; the calling CPU does not return. */
  systemOff(): void;
  /** The machine resets; the calling CPU does not return. */
  systemReset(): void;
}

/** What CPUs do to each other. */
export interface CpuCluster<Cpu> {
  /** Calls `action` for every CPU of the inner-shareable domain, the caller included. */
  forEachCpu(action: (cpu: Cpu) => void): void;
}

/** All that the board passes to a CPU. */
export interface CpuSurroundings<Cpu> {
  /** Absent on boards with a GICv2. */
  readonly gic: GicCpuInterface | undefined;
  readonly timer: GenericTimerRegisters;
  readonly psci: PsciHost;
  readonly cluster: CpuCluster<Cpu>;
}
