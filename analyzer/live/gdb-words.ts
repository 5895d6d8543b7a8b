/** What the analyzer's thread and the one that holds the connection to a gdb stub say to each other. */

/** What a worker is given. */
export interface WorkerSetup {
  readonly host: string;
  readonly port: number;
  readonly shared: SharedArrayBuffer;
}

/** What is asked for. */
export interface Exchange {
  /** Each has its own, in order. */
  readonly number: number;
  readonly packets: readonly Uint8Array[];
  /** So many answers end it. */
  readonly answers: number;
  /** To stop the machine, which ends it. */
  readonly interrupt: boolean;
  /** Acknowledgements end behind this exchange. */
  readonly endsAcknowledging: boolean;
}

/** Words at the front of the shared memory. */
export const WORD = {
  /** Number of the exchange that was settled last. */
  SETTLED: 0,
  STATE: 1,
  LENGTH: 2,
} as const;
/** Values of `WORD.STATE`. */
export const STATE = { ANSWERED: 1, GONE: 2 } as const;
/** Where the answers begin, a line each, or the reason why there is none. */
export const TEXT_OFFSET = 12;
