/**
 * What a loader hands to a machine: memory contents and the registers of the boot CPU.
 *
 * Sources: `Documentation/arch/arm64/booting.rst` (Linux v6.12) "Call the kernel image";
 * `Documentation/arch/x86/boot.rst` "64-bit boot protocol".
 */

/** Bytes to place in guest-physical memory before the first instruction. */
export interface LoadSegment {
  /** What it is, for traces and reports: `kernel`, `initrd`, `dtb`, `purgatory`. */
  readonly name: string;
  readonly paddr: number;
  readonly bytes: Uint8Array;
  /** Bytes that the segment occupies (at least `bytes.length`); the rest is zero. */
  readonly memorySize: number;
}

/** State in which the boot CPU starts. */
export type EntryRegisters =
  | {
      readonly architecture: 'aarch64';
      readonly pc: number;
      /** x0 to x3; the boot protocol wants the device tree in x0 and zeros in the others. */
      readonly x: readonly [bigint, bigint, bigint, bigint];
      /** Exception level at entry; MMU and caches off, DAIF masked. */
      readonly exceptionLevel: 1 | 2;
    }
  | {
      readonly architecture: 'x86_64';
      /** `long64`: 64-bit mode, identity-mapped, as the 64-bit boot protocol wants; `protected32`: flat 32-bit (PVH). */
      readonly mode: 'long64' | 'protected32';
      readonly rip: number;
      readonly rsi: number;
      readonly rbx: number;
      /** 0 unless the protocol says more (Multiboot). */
      readonly rax?: number;
    };

/** A machine's contents at power-on. */
export interface BootState {
  readonly segments: readonly LoadSegment[];
  readonly entry: EntryRegisters;
}
