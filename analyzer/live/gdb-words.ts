/** What the analyzer's thread and the one that holds the connection to a gdb stub say to each other. */

/** What a worker is given. */
export interface WorkerSetup {
  readonly host: string;
  readonly port: number;
  readonly shared: SharedArrayBuffer;
}

/** What is asked for. */
export interface Exchange {
  readonly packets: readonly Uint8Array[];
  /** So many answers end it. */
  readonly answers: number;
  /** To stop the machine, which ends it. */
  readonly interrupt: boolean;
  /** Acknowledgements end behind this exchange. */
  readonly endsAcknowledging: boolean;
}

/** Words at the front of the shared memory. */
export const WORD = { STATE: 0, LENGTH: 1 } as const;
/** Values of `WORD.STATE`. */
export const STATE = { WAITING: 0, ANSWERED: 1, GONE: 2 } as const;
/** Where the answers begin, a line each, or the reason why there is none. */
export const TEXT_OFFSET = 8;
