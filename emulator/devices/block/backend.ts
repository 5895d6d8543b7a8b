/**
 * What stands behind a virtual disk.
 *
 * Offsets and lengths are bytes and lie inside the disk: the device checks them. Failing is a value, because the guest gets to see
 * it as an I/O error; `error` keeps what happened for the person who runs the machine.
 */
export interface BlockBackend {
  /** Size of the disk, a multiple of 512. */
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** The first host error, for the report at the end of a run. */
  readonly error: Error | undefined;
  /** Fills `target` from the disk. @returns whether it worked */
  read(offset: number, target: Uint8Array): boolean;
  write(offset: number, bytes: Uint8Array): boolean;
  /** Makes what was written durable. */
  flush(): boolean;
  /** Makes a range zero, without keeping room for it where that is possible. */
  writeZeroes(offset: number, length: number): boolean;
  /** The disk's contents as far as a snapshot has to hold them; `null` where they are not rolled back (host files). */
  save(): unknown;
  restore(state: unknown): void;
}
