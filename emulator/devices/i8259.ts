/**
 * 8259A: the two cascaded interrupt controllers of PCs, with the edge/level registers of later chip sets.
 *
 * Source: Intel 8259A data sheet "Programming the 8259A"; EISA ELCR.
 * Modelled: initialisation, masks, rotating priorities, specific and non-specific EOI, automatic EOI, special mask mode, poll.
 * Not modelled: the MCS-80 mode, buffered mode, special fully nested mode.
 */
import { assert } from '../../capture/formats/errors.ts';
import type { Device, InterruptLine } from '../memory/device.ts';

/** What a snapshot holds of one chip. */
export interface I8259ChipState {
  irr: number;
  isr: number;
  imr: number;
  /** Wires, to find edges. */
  lines: number;
  elcr: number;
  vectorBase: number;
  lowestPriority: number;
  /** Next initialisation word expected: 0 = none. */
  initStep: number;
  needsIcw4: boolean;
  autoEoi: boolean;
  rotateOnAutoEoi: boolean;
  readIsr: boolean;
  specialMask: boolean;
  poll: boolean;
}

const ICW1 = { INIT: 0x10, ICW4: 0x01 } as const;
const ICW4_AUTO_EOI = 0x02;
const OCW3 = 0x08;

/** Lines of the cascade and of the interrupts that are always edge-triggered. */
const CASCADE = 2;
const ELCR_WRITABLE = [0xf8, 0xde] as const;
const NO_INTERRUPT = -1;
const SPURIOUS = 7;

/** One 8259A. */
class Chip {
  state: I8259ChipState = initialChip();

  /** Sets a request line; edges are latched, levels follow. */
  setLine(line: number, level: boolean): void {
    const { state } = this;
    const bit = 1 << line;
    const isLevel = (state.elcr & bit) !== 0;
    if (level) {
      if (isLevel || (state.lines & bit) === 0) state.irr |= bit;
      state.lines |= bit;
    } else {
      if (isLevel) state.irr &= ~bit;
      state.lines &= ~bit;
    }
  }

  /** The line to be served next, or -1: the highest unmasked request above everything in service. */
  pending(): number {
    const { irr, imr, isr, specialMask } = this.state;
    const request = this.highest(irr & ~imr);
    if (request === NO_INTERRUPT) return NO_INTERRUPT;
    const inService = this.highest(specialMask ? isr & ~imr : isr);
    return inService === NO_INTERRUPT || this.rank(request) < this.rank(inService) ? request : NO_INTERRUPT;
  }

  /** Takes a line into service. */
  acknowledge(line: number): void {
    const { state } = this;
    const bit = 1 << line;
    if (!state.autoEoi) state.isr |= bit;
    else if (state.rotateOnAutoEoi) state.lowestPriority = line;
    if ((state.elcr & bit) === 0) state.irr &= ~bit;
  }

  read(offset: number): number {
    const { state } = this;
    if (state.poll) {
      state.poll = false;
      const line = this.pending();
      if (line === NO_INTERRUPT) return 0;
      this.acknowledge(line);
      return 0x80 | line;
    }
    if (offset === 1) return state.imr;
    return state.readIsr ? state.isr : state.irr;
  }

  write(offset: number, value: number): void {
    if (offset === 1) this.writeData(value);
    else if ((value & ICW1.INIT) !== 0) this.initialise(value);
    else if ((value & OCW3) !== 0) this.writeOcw3(value);
    else this.writeOcw2(value);
  }

  private initialise(icw1: number): void {
    const { lines, elcr } = this.state;
    this.state = { ...initialChip(), lines, elcr, initStep: 2, needsIcw4: (icw1 & ICW1.ICW4) !== 0 };
  }

  private writeData(value: number): void {
    const { state } = this;
    switch (state.initStep) {
      case 2:
        state.vectorBase = value & 0xf8;
        state.initStep = 3;
        break;
      case 3: // Which line is the cascade is fixed by the board.
        state.initStep = state.needsIcw4 ? 4 : 0;
        break;
      case 4:
        state.autoEoi = (value & ICW4_AUTO_EOI) !== 0;
        state.initStep = 0;
        break;
      default:
        state.imr = value;
    }
  }

  private writeOcw3(value: number): void {
    const { state } = this;
    if ((value & 0x04) !== 0) state.poll = true;
    if ((value & 0x02) !== 0) state.readIsr = (value & 0x01) !== 0;
    if ((value & 0x40) !== 0) state.specialMask = (value & 0x20) !== 0;
  }

  /** Rotate, specific, EOI in bits 7:5; a line in bits 2:0. */
  private writeOcw2(value: number): void {
    const { state } = this;
    const line = value & 7;
    switch (value >>> 5) {
      case 0:
      case 4:
        state.rotateOnAutoEoi = value >>> 5 === 4;
        break;
      case 1:
      case 5:
        this.endHighest(value >>> 5 === 5);
        break;
      case 3:
        state.isr &= ~(1 << line);
        break;
      case 6:
        state.lowestPriority = line;
        break;
      case 7:
        state.isr &= ~(1 << line);
        state.lowestPriority = line;
        break;
      default: // No operation.
    }
  }

  private endHighest(rotate: boolean): void {
    const line = this.highest(this.state.isr);
    if (line === NO_INTERRUPT) return;
    this.state.isr &= ~(1 << line);
    if (rotate) this.state.lowestPriority = line;
  }

  /** 0 is the highest priority. */
  private rank(line: number): number {
    return (line - this.state.lowestPriority + 7) & 7;
  }

  private highest(mask: number): number {
    if (mask === 0) return NO_INTERRUPT;
    for (let rank = 0; rank < 8; rank++) {
      const line = (this.state.lowestPriority + 1 + rank) & 7;
      if ((mask & (1 << line)) !== 0) return line;
    }
    return NO_INTERRUPT;
  }
}

/** Both chips. Master and slave have two ports each, ELCR two more. */
export class I8259Pair {
  /** Ports 0x20 and 0x21. */
  readonly masterPorts: Device<I8259ChipState>;
  /** Ports 0xa0 and 0xa1. */
  readonly slavePorts: Device<I8259ChipState>;
  /** Ports 0x4d0 and 0x4d1. */
  readonly elcrPorts: Device<null>;
  private readonly master = new Chip();
  private readonly slave = new Chip();
  private readonly output: InterruptLine;

  /** @param output INTR, which goes to LINT0 of the boot CPU's local APIC */
  constructor(output: InterruptLine) {
    this.output = output;
    this.masterPorts = this.ports('i8259-master', this.master);
    this.slavePorts = this.ports('i8259-slave', this.slave);
    this.elcrPorts = this.elcr();
  }

  /** Input of IRQ 0 to 15 (2 is the cascade). */
  line(irq: number): InterruptLine {
    assert(irq >= 0 && irq < 16 && irq !== CASCADE, `IRQ ${irq} is an input`);
    const chip = irq < 8 ? this.master : this.slave;
    return {
      set: level => {
        chip.setLine(irq & 7, level);
        this.update();
      },
    };
  }

  /** INTA: the CPU takes the vector. A request that went away is line 7, the spurious one. */
  acknowledge(): number {
    const line = this.master.pending();
    if (line === NO_INTERRUPT) return this.master.state.vectorBase + SPURIOUS;
    this.master.acknowledge(line);
    let vector = this.master.state.vectorBase + line;
    if (line === CASCADE) {
      const behind = this.slave.pending();
      if (behind !== NO_INTERRUPT) this.slave.acknowledge(behind);
      vector = this.slave.state.vectorBase + (behind === NO_INTERRUPT ? SPURIOUS : behind);
    }
    this.update();
    return vector;
  }

  private update(): void {
    this.master.setLine(CASCADE, this.slave.pending() !== NO_INTERRUPT);
    if (this.slave.pending() === NO_INTERRUPT) this.master.state.irr &= ~(1 << CASCADE);
    this.output.set(this.master.pending() !== NO_INTERRUPT);
  }

  private ports(name: string, chip: Chip): Device<I8259ChipState> {
    return {
      name,
      read: offset => {
        const value = chip.read(offset);
        this.update();
        return value;
      },
      write: (offset, value) => {
        chip.write(offset, value & 0xff);
        this.update();
      },
      reset: () => {
        chip.state = initialChip();
        this.update();
      },
      save: () => ({ ...chip.state }),
      restore: state => {
        chip.state = { ...state };
        this.update();
      },
    };
  }

  private elcr(): Device<null> {
    const chips = [this.master, this.slave] as const;
    return {
      name: 'elcr',
      read: offset => chips[offset]?.state.elcr ?? 0,
      write: (offset, value) => {
        const chip = chips[offset];
        if (chip !== undefined) chip.state.elcr = value & ELCR_WRITABLE[offset]!;
      },
      reset: () => {
        for (const chip of chips) chip.state.elcr = 0;
      },
      save: () => null,
      restore: () => undefined,
    };
  }
}

function initialChip(): I8259ChipState {
  return {
    irr: 0,
    isr: 0,
    imr: 0,
    lines: 0,
    elcr: 0,
    vectorBase: 0,
    lowestPriority: 7,
    initStep: 0,
    needsIcw4: false,
    autoEoi: false,
    rotateOnAutoEoi: false,
    readIsr: false,
    specialMask: false,
    poll: false,
  };
}
