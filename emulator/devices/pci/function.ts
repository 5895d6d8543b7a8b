/** What a host bridge needs of a PCI function, and what the function gets from it. */
import type { Device, InterruptLine } from '../../memory/device.ts';
import type { PciConfigSpace } from './config-space.ts';

/** Registers behind a BAR. */
export type BarHandler = Pick<Device, 'read' | 'write'>;

/** Takes message-signalled interrupts: a board sends them to an ITS, a v2m frame or local APICs. */
export interface MsiSink {
  /**
   * A device writes `data` to `address`.
   * @param requesterId bus << 8 | device << 3 | function, which an ITS takes as DeviceID
   */
  send(address: number, data: number, requesterId: number): void;
}

/** What a function gets when it is plugged. */
export interface PciSlot {
  /** INTA to INTD of this function, already routed. */
  readonly intx: InterruptLine;
  /** Sends an MSI in the function's name. */
  readonly sendMsi: (address: number, data: number) => void;
}

/** One function of a device on the bus. */
export interface PciFunction<State = unknown> {
  readonly name: string;
  readonly config: PciConfigSpace;
  /** Registers behind BAR `index`. */
  bar(index: number): BarHandler;
  /** The host has given the function its place. */
  plug(slot: PciSlot): void;
  /** Configuration space was written at `offset`. */
  configWritten?(offset: number, width: number): void;
  /** Lets a function answer configuration reads that have effects. */
  beforeConfigRead?(offset: number): void;
  reset(): void;
  /** State beyond configuration space, which the host saves. */
  save(): State;
  restore(state: State): void;
}
