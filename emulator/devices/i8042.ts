/**
 * i8042: the keyboard controller of PCs, with a keyboard that answers commands and never types.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference "Keyboard and Auxiliary Device Controller".
 * Modelled: self-test, interface tests, command byte, output port's reset pulse; keyboard reset, identify, acknowledgements.
 * Not modelled: a mouse (the controller reports none), A20 (always on), scan codes.
 */
import type { AccessWidth, Device, InterruptLine } from '../memory/device.ts';

const STATUS = { OUTPUT_FULL: 0x01, SYSTEM: 0x04, COMMAND: 0x08, UNLOCKED: 0x10 } as const;
const CTR = { KBD_INTERRUPT: 0x01, SYSTEM: 0x04, KBD_DISABLED: 0x10, AUX_DISABLED: 0x20, TRANSLATE: 0x40 } as const;

const COMMAND = {
  READ_CTR: 0x20,
  WRITE_CTR: 0x60,
  AUX_DISABLE: 0xa7,
  AUX_ENABLE: 0xa8,
  AUX_TEST: 0xa9,
  SELF_TEST: 0xaa,
  KBD_TEST: 0xab,
  KBD_DISABLE: 0xad,
  KBD_ENABLE: 0xae,
  READ_OUTPUT: 0xd0,
  WRITE_OUTPUT: 0xd1,
  RESET: 0xfe,
} as const;
const SELF_TEST_PASSED = 0x55;
const AUX_CLOCK_STUCK = 0x01;
const OUTPUT_PORT = 0xcf;

const KBD = { RESET: 0xff, GET_ID: 0xf2, ECHO: 0xee } as const;
const KBD_ACK = 0xfa;
const KBD_BAT_PASSED = 0xaa;
/** A keyboard behind a translating controller shows this id. */
const KBD_ID = [0xab, 0x41] as const;

/** What a snapshot holds. */
export interface I8042State {
  ctr: number;
  /** Command that waits for its byte at port 0x60; -1 = the byte is for the keyboard. */
  expecting: number;
  lastWasCommand: boolean;
  readonly output: number[];
}

/** The controller as the bus sees it. Ports 0x60 (offset 0) and 0x64 (offset 4). */
export class I8042 implements Device<I8042State> {
  readonly name = 'i8042';
  private readonly interrupt: InterruptLine;
  private readonly resetMachine: () => void;
  private state: I8042State = initialState();

  /** @param interrupt IRQ 1 */
  constructor(interrupt: InterruptLine, resetMachine: () => void) {
    this.interrupt = interrupt;
    this.resetMachine = resetMachine;
  }

  read(offset: number, _width: AccessWidth): number {
    const { state } = this;
    if (offset === 4) {
      const flags = (state.output.length > 0 ? STATUS.OUTPUT_FULL : 0) | (state.lastWasCommand ? STATUS.COMMAND : 0);
      return flags | (state.ctr & STATUS.SYSTEM) | STATUS.UNLOCKED;
    }
    const byte = state.output.shift() ?? 0;
    this.updateInterrupt();
    return byte;
  }

  write(offset: number, value: number, _width: AccessWidth): void {
    this.state.lastWasCommand = offset === 4;
    if (offset === 4) this.command(value & 0xff);
    else this.data(value & 0xff);
    this.updateInterrupt();
  }

  reset(): void {
    this.state = initialState();
    this.updateInterrupt();
  }

  save(): I8042State {
    return structuredClone(this.state);
  }

  restore(state: I8042State): void {
    this.state = structuredClone(state);
    this.updateInterrupt();
  }

  private command(command: number): void {
    const { state } = this;
    switch (command) {
      case COMMAND.READ_CTR:
        state.output.push(state.ctr);
        break;
      case COMMAND.SELF_TEST:
        state.ctr |= CTR.SYSTEM;
        state.output.push(SELF_TEST_PASSED);
        break;
      case COMMAND.KBD_TEST:
        state.output.push(0);
        break;
      case COMMAND.AUX_TEST:
        state.output.push(AUX_CLOCK_STUCK);
        break;
      case COMMAND.READ_OUTPUT:
        state.output.push(OUTPUT_PORT);
        break;
      case COMMAND.WRITE_CTR:
      case COMMAND.WRITE_OUTPUT:
        state.expecting = command;
        break;
      default:
        this.simpleCommand(command);
    }
  }

  private simpleCommand(command: number): void {
    const { state } = this;
    if (command === COMMAND.KBD_DISABLE) state.ctr |= CTR.KBD_DISABLED;
    else if (command === COMMAND.KBD_ENABLE) state.ctr &= ~CTR.KBD_DISABLED;
    else if (command === COMMAND.AUX_DISABLE) state.ctr |= CTR.AUX_DISABLED;
    else if (command === COMMAND.AUX_ENABLE)
      state.ctr |= CTR.AUX_DISABLED; // There is none to enable.
    // 0xf0 to 0xff pulse output lines that are zero in the low nibble; line 0 is the CPU's reset.
    else if (command >= 0xf0 && (command & 1) === 0) this.resetMachine();
  }

  private data(byte: number): void {
    const { state } = this;
    const { expecting } = state;
    state.expecting = -1;
    if (expecting === COMMAND.WRITE_CTR) state.ctr = byte;
    else if (expecting === COMMAND.WRITE_OUTPUT) {
      if ((byte & 1) === 0) this.resetMachine();
    } else this.keyboard(byte);
  }

  private keyboard(byte: number): void {
    const { output } = this.state;
    if (byte === KBD.ECHO) output.push(KBD.ECHO);
    else output.push(KBD_ACK);
    if (byte === KBD.RESET) output.push(KBD_BAT_PASSED);
    if (byte === KBD.GET_ID) output.push(...KBD_ID);
  }

  private updateInterrupt(): void {
    const { ctr, output } = this.state;
    this.interrupt.set(output.length > 0 && (ctr & CTR.KBD_INTERRUPT) !== 0);
  }
}

function initialState(): I8042State {
  return {
    ctr: CTR.KBD_INTERRUPT | CTR.SYSTEM | CTR.TRANSLATE | CTR.AUX_DISABLED,
    expecting: -1,
    lastWasCommand: false,
    output: [],
  };
}
