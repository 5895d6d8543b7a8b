/**
 * The slow path of guest memory accesses: what the inline TLB probe of compiled code does not settle, and all accesses of
 * evaluated code. TLB misses, page crossings, devices, alignment checks, stores to pages with translated code.
 *
 * Values pass through the scratch area of the CPU state block.
 */
import type { Bus } from '../../memory/bus.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { MemoryAccess } from '../ir/block.ts';
import type { AccessSize } from '../ir/types.ts';
import type { CodeCache } from './code-cache.ts';
import { CPU_STATE, EXIT } from './cpu-state.ts';
import type { AccessKind, AccessRegime, GuestCpu, WalkResult } from './guest.ts';
import type { Watchpoints } from './watchpoints.ts';
import { BANK, tlbOffset, type TranslationBanks } from './soft-tlb.ts';

/** Results of `#resolve` that are no linear-memory address. */
const FAULT = -1;
const DEVICE = -2;

const PAGE = 4096;

/** What one CPU's memory accesses go through. */
export class MemoryUnit {
  readonly #memory: GuestMemory;
  readonly #bus: Bus;
  readonly #banks: TranslationBanks;
  readonly #code: CodeCache;
  readonly #base: number;
  readonly #scratch: number;
  readonly #guest: GuestCpu;
  readonly #watchpoints: Watchpoints;
  /** Number of the CPU. */
  readonly #cpu: number;
  readonly #walked: WalkResult = {
    paddr: 0,
    readable: false,
    writable: false,
    executable: false,
    leafSize: PAGE,
    guarded: false,
  };
  /** Bytes of the access under way that are in the page for which the guest walks. */
  accessSize = 0;
  /** Whether the page that `fetch` found last is guarded. */
  fetchedGuarded = false;
  /** A store into translated code was held back: its instruction is to run alone. Whoever sees to that clears it. */
  heldBack = false;
  /** Stores into translated code go ahead: the block ends with their instruction, or need not notice. */
  #changesCode: boolean;
  readonly #holdsBack: boolean;
  /** Physical address of the last access that `#resolve` sent to a device. */
  #devicePaddr = 0;

  /** @param holdsBack stores into translated code wait until their instruction runs alone */
  constructor(
    memory: GuestMemory,
    bus: Bus,
    banks: TranslationBanks,
    code: CodeCache,
    base: number,
    guest: GuestCpu,
    holdsBack: boolean,
    watchpoints: Watchpoints,
    cpu: number,
  ) {
    this.#watchpoints = watchpoints;
    this.#cpu = cpu;
    this.#memory = memory;
    this.#bus = bus;
    this.#banks = banks;
    this.#code = code;
    this.#base = base;
    this.#scratch = base + CPU_STATE.scratch;
    this.#guest = guest;
    this.#holdsBack = holdsBack;
    this.#changesCode = !holdsBack;
  }

  /** Lets an instruction that runs alone store into translated code. */
  allowingCodeWrites(run: () => void): void {
    this.#changesCode = true;
    this.heldBack = false;
    run();
    this.#changesCode = !this.#holdsBack;
  }

  /** See `EngineCpu.mayWrite`. Addresses that are no RAM may be written. */
  mayWrite(address: number, size: number): boolean {
    if (this.#changesCode || address < 0 || !this.#code.isWatched(address, size)) return true;
    this.heldBack = true;
    this.#fault();
    return false;
  }

  /** Loads into the scratch area, zero-extended to 8 bytes (16 for a vector). @returns false when it faulted: `exit` is set */
  load(low: number, high: number, access: MemoryAccess): boolean {
    const { size, regime, forWrite } = access;
    const kind = forWrite ? 'write' : 'read';
    if ((low & (access.alignment - 1)) !== 0) return this.#alignmentFault(low, high, kind);
    this.accessSize = size;
    if (crossesPage(low, size)) return this.#loadCrossing(low, high, access);
    const address = this.#resolve(low, high, kind, regime);
    if (address >= 0) this.#copyIn(address, size);
    else if (address === FAULT) return false;
    else return this.#readDevice(low, high, size);
    return true;
  }

  /** Stores the first `size` bytes of the scratch area. @returns false when it faulted: `exit` is set */
  store(low: number, high: number, access: MemoryAccess): boolean {
    const { size, regime } = access;
    if ((low & (access.alignment - 1)) !== 0) return this.#alignmentFault(low, high, 'write');
    this.accessSize = size;
    if (crossesPage(low, size)) return this.#storeCrossing(low, high, access);
    const address = this.#resolve(low, high, 'write', regime);
    if (address >= 0) {
      if (!this.mayWrite(address, size)) return false;
      this.#copyOut(address, size);
      if (this.#code.hasCode(address)) this.#code.written(address, size);
      return true;
    }
    return address === DEVICE && this.#writeDevice(low, high, size);
  }

  /**
   * Translates the address of an instruction.
   * @returns linear-memory address, or -1 when the fetch faulted (the guest keeps the fault; `exit` is not set)
   */
  fetch(low: number, high: number): number {
    this.fetchedGuarded = false;
    const walked = this.#walked;
    if (!this.#guest.walk(low, high, 'execute', 'current', walked)) return -1;
    const address = this.#memory.ramAddress(walked.paddr);
    if (address < 0) {
      this.#guest.busFault(low, high, 'execute');
      return -1;
    }
    this.fetchedGuarded = walked.guarded;
    this.#banks.noteFetch(this.#bank('current'), low, high, walked.leafSize);
    return address + (low & (PAGE - 1));
  }

  /** Linear-memory address of a byte, for bulk operations up to the end of its page: -1 when it faulted, -2 for a device. */
  resolve(low: number, high: number, kind: 'read' | 'write', regime: AccessRegime): number {
    // Watched bytes are looked for access by access
    if (this.#watchpoints.watchesPage(low, high)) return DEVICE;
    return this.#resolve(low, high, kind, regime);
  }

  #bank(regime: AccessRegime) {
    const field = regime === 'current' ? CPU_STATE.bank : CPU_STATE.unprivilegedBank;
    return this.#banks.at(this.#memory.int32[(this.#base + field) >> 2]!);
  }

  /** Linear-memory address of the byte, filling the TLB; FAULT or DEVICE otherwise. */
  #resolve(low: number, high: number, kind: 'read' | 'write', regime: AccessRegime): number {
    const { int32 } = this.#memory;
    const bank = this.#bank(regime);
    const entry = (bank.base + tlbOffset(low)) >> 2;
    const tag = entry + (kind === 'read' ? BANK.readTag >> 2 : BANK.writeTag >> 2);
    if (int32[tag] === (low & -PAGE) && int32[tag + 1] === high)
      return (low + int32[entry + (BANK.addend >> 2)]!) >>> 0;
    const walked = this.#walked;
    if (!this.#guest.walk(low, high, kind, regime, walked)) return this.#fault();
    if (this.#watchpoints.watchesPage(low, high)) {
      if (this.#stopsAt(low, high, kind)) return this.#fault();
      walked.readable = false;
      walked.writable = false;
    }
    const address = this.#memory.ramAddress(walked.paddr);
    if (address < 0) {
      this.#devicePaddr = walked.paddr + (low & (PAGE - 1));
      return DEVICE;
    }
    const { history } = this.#memory;
    if (kind === 'write') history.keep(address);
    const writable = walked.writable && !this.#code.hasCode(address) && history.isKept(address);
    this.#banks.fill(bank, low, high, address, walked.readable, writable, walked.leafSize);
    return address + (low & (PAGE - 1));
  }

  /** Stops at watched bytes: the slice ends before the instruction, without an exception of the guest. */
  #stopsAt(low: number, high: number, kind: 'read' | 'write'): boolean {
    const range = this.#watchpoints.find(low, high, this.accessSize, kind);
    if (range === undefined) return false;
    this.#memory.int32[(this.#base + CPU_STATE.exit) >> 2]! |= EXIT.budget;
    this.#watchpoints.hit(this.#cpu, range);
    return true;
  }

  #fault(): number {
    this.#memory.int32[(this.#base + CPU_STATE.exit) >> 2]! |= EXIT.exception;
    return FAULT;
  }

  #alignmentFault(low: number, high: number, kind: AccessKind): false {
    this.#guest.alignmentFault(low, high, kind);
    this.#fault();
    return false;
  }

  #copyIn(address: number, size: AccessSize): void {
    const { view, bytes } = this.#memory;
    const scratch = this.#scratch;
    view.setUint32(scratch + 4, 0, true);
    if (size === 1) view.setUint32(scratch, bytes[address]!, true);
    else if (size === 2) view.setUint32(scratch, view.getUint16(address, true), true);
    else for (let i = 0; i < size; i += 4) view.setUint32(scratch + i, view.getUint32(address + i, true), true);
  }

  #copyOut(address: number, size: AccessSize): void {
    const { view, bytes } = this.#memory;
    const scratch = this.#scratch;
    if (size === 1) bytes[address] = bytes[scratch]!;
    else if (size === 2) view.setUint16(address, view.getUint16(scratch, true), true);
    else for (let i = 0; i < size; i += 4) view.setUint32(address + i, view.getUint32(scratch + i, true), true);
  }

  #loadCrossing(low: number, high: number, access: MemoryAccess): boolean {
    const { view, bytes } = this.#memory;
    const kind = access.forWrite ? 'write' : 'read';
    const first = PAGE - (low & (PAGE - 1));
    const [nextLow, nextHigh] = advance(low, high, first);
    const head = this.#resolve(low, high, kind, access.regime);
    const headPaddr = this.#devicePaddr;
    if (head === FAULT) return false;
    this.accessSize = access.size - first;
    const tail = this.#resolve(nextLow, nextHigh, kind, access.regime);
    const tailPaddr = this.#devicePaddr;
    if (tail === FAULT) return false;
    view.setBigUint64(this.#scratch, 0n, true);
    for (let i = 0; i < access.size; i++) {
      const address = i < first ? head : tail;
      const offset = i < first ? i : i - first;
      bytes[this.#scratch + i] =
        address >= 0
          ? bytes[address + offset]!
          : (this.#bus.read((i < first ? headPaddr : tailPaddr) + offset, 1) ?? 0);
    }
    return true;
  }

  #storeCrossing(low: number, high: number, access: MemoryAccess): boolean {
    const { bytes } = this.#memory;
    const first = PAGE - (low & (PAGE - 1));
    const [nextLow, nextHigh] = advance(low, high, first);
    const head = this.#resolve(low, high, 'write', access.regime);
    const headPaddr = this.#devicePaddr;
    if (head === FAULT) return false;
    this.accessSize = access.size - first;
    const tail = this.#resolve(nextLow, nextHigh, 'write', access.regime);
    const tailPaddr = this.#devicePaddr;
    if (tail === FAULT) return false;
    if (!this.mayWrite(head, first) || !this.mayWrite(tail, access.size - first)) return false;
    for (let i = 0; i < access.size; i++) {
      const address = i < first ? head : tail;
      const offset = i < first ? i : i - first;
      const byte = bytes[this.#scratch + i]!;
      if (address < 0) this.#bus.write((i < first ? headPaddr : tailPaddr) + offset, byte, 1);
      else {
        bytes[address + offset] = byte;
        if (this.#code.hasCode(address + offset)) this.#code.written(address + offset, 1);
      }
    }
    return true;
  }

  #readDevice(low: number, high: number, size: AccessSize): boolean {
    const { view } = this.#memory;
    const paddr = this.#devicePaddr;
    view.setBigUint64(this.#scratch, 0n, true);
    if (size <= 4) {
      const value = this.#bus.read(paddr, size as 1 | 2 | 4);
      if (value === undefined) return this.#unassigned(low, high, 'read');
      view.setUint32(this.#scratch, value, true);
      return true;
    }
    for (let offset = 0; offset < size; offset += 8) {
      const value = this.#bus.readLong(paddr + offset);
      if (value === undefined) return this.#unassigned(low, high, 'read');
      view.setBigUint64(this.#scratch + offset, value, true);
    }
    return true;
  }

  #writeDevice(low: number, high: number, size: AccessSize): boolean {
    const { view } = this.#memory;
    const paddr = this.#devicePaddr;
    const scratch = this.#scratch;
    if (size === 16 || size === 8) {
      for (let offset = 0; offset < size; offset += 8) {
        const value = view.getBigUint64(scratch + offset, true);
        if (!this.#bus.writeLong(paddr + offset, value)) return this.#unassigned(low, high, 'write');
      }
      return true;
    }
    const value =
      size === 4 ? view.getUint32(scratch, true) : size === 2 ? view.getUint16(scratch, true) : view.getUint8(scratch);
    return this.#bus.write(paddr, value, size) || this.#unassigned(low, high, 'write');
  }

  /** Nothing answers at the address: a guest fault, or zeros, as the guest says. */
  #unassigned(low: number, high: number, kind: AccessKind): boolean {
    if (!this.#guest.busFault(low, high, kind)) return true;
    this.#fault();
    return false;
  }
}

function crossesPage(low: number, size: number): boolean {
  return (low & (PAGE - 1)) + size > PAGE;
}

/** Address + distance on 32-bit halves. */
function advance(low: number, high: number, distance: number): readonly [low: number, high: number] {
  const sum = (low >>> 0) + distance;
  return [sum | 0, (high + (sum > 0xffff_ffff ? 1 : 0)) | 0];
}
