/**
 * A bank of interrupts as every GIC keeps them: 32 to a word, one bit each in group, enable, pending, active and
 * configuration registers, one priority byte each.
 *
 * Source: GIC architecture specification IHI 0069 (v3, v4) and IHI 0048 (v2), "Interrupt handling state machine".
 * GICv3 has one bank of SPIs in the distributor and one of SGIs and PPIs in each redistributor.
 */

/** What a snapshot holds; index = interrupt / 32 within the bank. */
export interface InterruptBankState {
  readonly group: Uint32Array;
  readonly enabled: Uint32Array;
  /** Pending by an edge, an SGI or a write to ISPENDR. A level-sensitive input counts beside it. */
  readonly latched: Uint32Array;
  readonly active: Uint32Array;
  /** The wires. */
  readonly level: Uint32Array;
  /** 1 = edge-triggered. */
  readonly edge: Uint32Array;
  readonly priority: Uint8Array;
}

/** The bit-per-interrupt registers of a bank. */
export type BankBits = Exclude<keyof InterruptBankState, 'priority'>;

/** The pending interrupt that a CPU should take first. */
export interface Candidate {
  intid: number;
  /** 0 (highest) to 0xff. */
  priority: number;
  group: 0 | 1;
}

/** What stands when nothing is pending: lower than every priority mask. */
export const IDLE_PRIORITY = 0xff;

/** State and rules of a bank that begins at INTID `first`. */
export class InterruptBank {
  readonly first: number;
  readonly words: number;
  state: InterruptBankState;

  constructor(first: number, words: number) {
    this.first = first;
    this.words = words;
    this.state = emptyState(words);
  }

  reset(): void {
    const { level } = this.state;
    this.state = { ...emptyState(this.words), level };
  }

  /** Drives an input wire. @returns whether that may change what is pending */
  setLevel(index: number, level: boolean): boolean {
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    const { state } = this;
    if (((state.level[word]! & bit) !== 0) === level) return false;
    if (level) {
      state.level[word]! |= bit;
      if ((state.edge[word]! & bit) !== 0) state.latched[word]! |= bit;
    } else {
      state.level[word]! &= ~bit;
    }
    return true;
  }

  /** Bits of the interrupts of a word that are pending: latched, or level-sensitive with the wire asserted. */
  pending(word: number): number {
    const { latched, level, edge } = this.state;
    return (latched[word]! | (level[word]! & ~edge[word]!)) >>> 0;
  }

  /** Pending → active, as an acknowledge does it. */
  activate(index: number): void {
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    this.state.active[word]! |= bit;
    this.state.latched[word]! &= ~bit;
  }

  deactivate(index: number): void {
    this.state.active[index >>> 5]! &= ~(1 << (index & 31));
  }

  latch(index: number): void {
    this.state.latched[index >>> 5]! |= 1 << (index & 31);
  }

  groupOf(index: number): 0 | 1 {
    return ((this.state.group[index >>> 5]! >>> (index & 31)) & 1) as 0 | 1;
  }

  /**
   * Improves `best` with what this bank has pending, enabled and not active; a lower INTID wins among equals.
   * @param groups bit n set: group n is enabled
   * @param accepts whether the interrupt with this index is for the CPU in question
   */
  select(best: Candidate, groups: number, accepts?: (index: number) => boolean): void {
    const { enabled, active, group, priority } = this.state;
    for (let word = 0; word < this.words; word++) {
      let bits = this.pending(word) & enabled[word]! & ~active[word]!;
      if ((groups & 1) === 0) bits &= group[word]!;
      if ((groups & 2) === 0) bits &= ~group[word]!;
      while (bits !== 0) {
        const position = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        const index = word * 32 + position;
        if (priority[index]! >= best.priority) continue;
        if (accepts !== undefined && !accepts(index)) continue;
        best.priority = priority[index]!;
        best.intid = this.first + index;
        best.group = this.groupOf(index);
      }
    }
  }

  /** ICFGR: two bits an interrupt, of which the upper one says edge. @param register index of a 16-interrupt register */
  readConfig(register: number): number {
    const half = this.state.edge[register >>> 1]! >>> ((register & 1) * 16);
    let value = 0;
    for (let i = 0; i < 16; i++) value |= ((half >>> i) & 1) << (2 * i + 1);
    return value >>> 0;
  }

  writeConfig(register: number, value: number): void {
    let half = 0;
    for (let i = 0; i < 16; i++) half |= ((value >>> (2 * i + 1)) & 1) << i;
    const shift = (register & 1) * 16;
    const word = register >>> 1;
    this.state.edge[word] = (this.state.edge[word]! & ~(0xffff << shift)) | (half << shift);
  }

  /** Reads `width` bytes of IPRIORITYR from interrupt `index` on. */
  readPriority(index: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + (this.state.priority[index + i] ?? 0);
    return value;
  }

  /** @param implemented mask of the priority bits that exist */
  writePriority(index: number, value: number, width: number, implemented: number): void {
    for (let i = 0; i < width; i++) this.state.priority[index + i] = (value >>> (8 * i)) & implemented;
  }

  save(): InterruptBankState {
    return structuredClone(this.state);
  }

  restore(state: InterruptBankState): void {
    this.state = structuredClone(state);
  }
}

/**
 * The registers that set bits by writing ones (`is…`) or clear them (`ic…`), in the order both distributors have them;
 * both read as the bits themselves.
 */
export const BIT_REGISTERS: readonly { readonly bits: BankBits; readonly action: 'write' | 'set' | 'clear' }[] = [
  { bits: 'group', action: 'write' }, // IGROUPR 0x080
  { bits: 'enabled', action: 'set' }, // ISENABLER 0x100
  { bits: 'enabled', action: 'clear' }, // ICENABLER 0x180
  { bits: 'latched', action: 'set' }, // ISPENDR 0x200
  { bits: 'latched', action: 'clear' }, // ICPENDR 0x280
  { bits: 'active', action: 'set' }, // ISACTIVER 0x300
  { bits: 'active', action: 'clear' }, // ICACTIVER 0x380
];
/** Offsets of the bit registers in a distributor or SGI frame: 0x80 bytes each. */
export const BIT_REGISTERS_START = 0x080;
export const BIT_REGISTERS_END = 0x400;

/** Reads the bit register at `offset` (0x080 to 0x3ff) for `word` of the bank. */
export function readBitRegister(bank: InterruptBank, offset: number, word: number): number {
  const { bits } = BIT_REGISTERS[(offset >>> 7) - 1]!;
  return bits === 'latched' ? bank.pending(word) : bank.state[bits][word]! >>> 0;
}

/** Writes the bit register at `offset` (0x080 to 0x3ff) for `word` of the bank. */
export function writeBitRegister(bank: InterruptBank, offset: number, word: number, value: number): void {
  const { bits, action } = BIT_REGISTERS[(offset >>> 7) - 1]!;
  const target = bank.state[bits];
  if (action === 'set') target[word]! |= value;
  else if (action === 'clear') target[word]! &= ~value;
  else target[word] = value;
}

/** A new candidate that loses against everything. */
export function idleCandidate(): Candidate {
  return { intid: 1023, priority: IDLE_PRIORITY, group: 1 };
}

function emptyState(words: number): InterruptBankState {
  return {
    group: new Uint32Array(words),
    enabled: new Uint32Array(words),
    latched: new Uint32Array(words),
    active: new Uint32Array(words),
    level: new Uint32Array(words),
    edge: new Uint32Array(words),
    priority: new Uint8Array(words * 32),
  };
}
