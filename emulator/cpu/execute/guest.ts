/**
 * What an architecture must provide to run on the engine, and what the engine offers it.
 *
 * The engine owns translated code, TLBs and the instruction budget. The guest owns what instructions mean: translation of
 * blocks, page walks, exceptions, system registers. Neither calls the other except through this file.
 */
import type { Block, MemoryAccess } from '../ir/block.ts';
import type { StateLayout } from '../ir/state-field.ts';

/** Bit that the engine adds to a mode key for code from a guarded page (`WalkResult.guarded`); otherwise the guest's keys have 0 there. */
export const GUARDED_MODE = 16;

/** Mode keys are below this. */
export const MODE_KEYS = 512;

/** What an access wants to do with a page. */
export type AccessKind = 'read' | 'write' | 'execute';

/** Regime of a data access: that of the current mode, or of unprivileged loads and stores (LDTR, STTR). */
export type AccessRegime = 'current' | 'unprivileged';

/**
 * Result of a successful page walk. The guest fills one reused object, because walks are on the hot path.
 * Permissions are those of the access regime that was asked for, so that one walk serves reads and writes.
 */
export interface WalkResult {
  /** Physical address of the 4 KiB page. */
  paddr: number;
  readable: boolean;
  /** False also where the first write has to set a dirty bit: such a page walks again when written. */
  writable: boolean;
  executable: boolean;
  /** Bytes that the leaf descriptor maps (4096 or more): a TLB invalidation anywhere in it drops all of it. */
  leafSize: number;
  /** Instruction fetches are checked for BTI landing pads (guarded page). */
  guarded: boolean;
}

/** One guest CPU as the engine drives it. Virtual addresses on hot paths come as two signed 32-bit halves. */
export interface GuestCpu {
  /**
   * Translates a virtual address by the current page tables.
   * @returns false when it faults; the guest keeps the fault, and `deliverException` takes it
   */
  walk(low: number, high: number, kind: AccessKind, regime: AccessRegime, result: WalkResult): boolean;
  /** Keeps an alignment fault for `deliverException`. */
  alignmentFault(low: number, high: number, kind: AccessKind): void;
  /** Keeps an external abort (access to an unassigned physical address) for `deliverException`. @returns false when the access goes on (reads as zero) */
  busFault(low: number, high: number, kind: AccessKind): boolean;
  /** Takes the exception kept by `walk`, a helper, or a fault: changes PC, mode and registers as the architecture says. The state's PC is that of the instruction. */
  deliverException(): void;
  /** Takes a pending, unmasked interrupt if there is one, before the instruction at the state's PC. @returns true when PC and mode have changed */
  takeInterrupt(): boolean;
  /** An interrupt is asserted and not masked by the CPU's interface, whether or not PSTATE masks it: wakes WFI. */
  readonly wakeUp: boolean;
  /** Why the CPU does not run now. */
  readonly idle: 'running' | 'waiting-for-interrupt' | 'waiting-for-event' | 'off';
  /** Guest time, in nanoseconds, of the next event that ends `waiting-for-event` by itself; `undefined` when there is none. */
  readonly nextEventNs?: number | undefined;
  /** That event has come: the CPU is `running` again. */
  endWaitForEvent?(): void;
  /** Key of the facts that translation depends on besides the bytes. */
  modeKey(): number;
  /** The guest-virtual address in the state's PC, when the guest keeps more than that there. */
  visiblePc?(pc: bigint): bigint;
}

/** What the engine offers to the guest CPU that it drives. */
export interface EngineCpu {
  readonly index: number;
  /** Linear-memory address of the CPU state block. */
  readonly base: number;
  /** The linear memory, for state fields (offset `base + field.offset`) and RAM. Views stay valid: the memory never grows. */
  readonly view: DataView;
  readonly int32: Int32Array;
  /** Guest-virtual address of the instruction under way (inside helpers) or next (outside), as `GuestCpu.visiblePc` shows it. */
  pc: bigint;
  /** Bytes of the data access for which the guest walks. */
  readonly accessSize: number;
  /**
   * Says which translations apply from now on. Contexts with the same key share TLB entries; the guest packs into the key what distinguishes them (ASID,
   * exception level, PAN, MMU on or off); keys are integers below 2^31. Cheap: called at every exception and return.
   */
  setContext(current: number, unprivileged: number): void;
  /** Makes compiled code leave the block after this helper, so that the exception kept by the guest is delivered. */
  requestException(): void;
  /** Makes the run loop look at interrupts and idle state at the next block boundary. */
  requestAttention(): void;
  /** The CPU waits in a loop for what another one does: the others get their turns, if one of them can go on. */
  yieldTurn(): void;

  // TLB maintenance on this CPU
  flushTlb(): void;
  flushTlbPage(low: number, high: number): void;
  /** Flushes contexts whose key satisfies the predicate. */
  flushTlbContexts(matches: (key: number) => boolean): void;
  /** In contexts whose key satisfies the predicate, flushes addresses whose highest bit is 0. */
  flushTlbLowerHalf(matches: (key: number) => boolean): void;

  // Guest-virtual memory, for helpers that may fault. A fault is kept by the guest, and delivered when the helper returns

  /** Loads into the scratch area of the CPU state, zero-extended to 8 bytes. @returns false when it faulted */
  load(low: number, high: number, access: MemoryAccess): boolean;
  /** Stores the first bytes of the scratch area. @returns false when it faulted */
  store(low: number, high: number, access: MemoryAccess): boolean;
  /**
   * Linear-memory address of a byte, for bulk operations up to the end of its page: -1 when it faulted, -2 when it is no RAM.
   * Whoever writes there tells `written`.
   */
  resolve(low: number, high: number, kind: 'read' | 'write', regime: AccessRegime): number;
  /**
   * To be asked before `size` bytes are written at a linear-memory address in RAM. @returns false when they are translated code of a guest
   * whose stores change running code: the helper returns as after a fault, and its instruction runs again by itself
   */
  mayWrite(address: number, size: number): boolean;
  /** Drops code translated from bytes that were written at a linear-memory address in RAM. */
  written(address: number, size: number): void;

  // Guest-physical memory, for page walks and descriptor updates
  /** Linear-memory address of RAM at `paddr`, to be read or written within its page; -1 when it is not RAM. */
  ramAddress(paddr: number): number;
  /** Instructions retired by all CPUs so far, exact inside helpers: virtual time. */
  instructionsRetired(): number;
}

/** Implementation of a helper; arguments and result as its declaration says. */
export type HelperImplementation = (...args: never[]) => number | bigint | void;

/** An instruction set as the engine sees it. */
export interface Guest {
  readonly name: 'aarch64' | 'x86_64';
  /**
   * Says what translation depends on besides bytes and mode: what was translated for one guest is good for every other one of the same
   * name and variant. Undefined when each place is to be translated by itself, as traces want it.
   */
  readonly variant: string | undefined;
  readonly layout: StateLayout;
  /**
   * Translates the block that starts at byte `start` of a page of code. The block ends within the page, except that one instruction
   * that crosses into the next page is a block of its own.
   * @param code the 4096 bytes of the page, live
   * @param modeKey as `GuestCpu.modeKey` gave it
   * @param nextPage gives the bytes of the page behind, or undefined when fetching from it faults
   * @param limit the block ends behind the first instruction that comes to this offset in the page: 4096 without a debugger
   * @param debuggerSteps the block is one instruction for a debugger, to whom each element of a repeated one is a step
   * @returns undefined when it needed the next page and did not get it
   */
  translateBlock(
    code: DataView,
    start: number,
    modeKey: number,
    nextPage: () => DataView | undefined,
    limit: number,
    debuggerSteps?: boolean,
  ): Block | undefined;
  /** Bytes to which instructions are aligned, when they are: the lower bits of the state's PC may then tell more. */
  readonly instructionAlignment?: number;
  /**
   * Bytes behind the last instruction of a block that may decide that it is the last one: where an instruction that is not all
   * in the page ends a block, or one that is none.
   */
  readonly lookahead: number;
  /**
   * A store into code that runs takes effect at the next instruction, without a barrier. The engine then leaves the block before such a store,
   * runs its instruction alone, and looks the code up anew.
   */
  readonly storesChangeRunningCode?: boolean;
  /** Whether two contexts (keys of `setContext`) translate negative addresses alike, as those of one kernel's address spaces do. */
  sharesUpperHalf?(context: number, other: number): boolean;
  /** Implementations of all helpers that translated blocks call, by name. They act on the CPU that runs now. */
  readonly helpers: Readonly<Record<string, HelperImplementation>>;
}
