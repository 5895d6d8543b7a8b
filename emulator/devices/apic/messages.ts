/**
 * Interrupt messages between I/O APICs, MSI sources and local APICs, and the bus that carries them.
 *
 * Source: Intel SDM vol. 3A "Advanced Programmable Interrupt Controller (APIC)": "Determining IPI Destination", "Message Signalled
 * Interrupts".
 */
import type { MsiSink } from '../pci/function.ts';

/** Delivery modes, as bits 10:8 of ICR, LVT, redirection entry and MSI data have them. */
export const DELIVERY = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6, EXTINT: 7 } as const;

/** What one agent sends to local APICs. */
export interface ApicMessage {
  readonly vector: number;
  /** One of DELIVERY. */
  readonly mode: number;
  readonly level: boolean;
  /** False only in the INIT level de-assert message. */
  readonly assert: boolean;
}

/** Whom a message is for. */
export interface ApicDestination {
  readonly logical: boolean;
  /** 8 bits from I/O APICs, MSIs and xAPIC, 32 bits from x2APIC. */
  readonly id: number;
  readonly wide: boolean;
}

/** What the bus needs of a local APIC. */
export interface ApicTarget {
  matches(destination: ApicDestination): boolean;
  /** Lower wins an arbitration for lowest-priority delivery. */
  readonly arbitrationPriority: number;
  accept(message: ApicMessage): void;
}

/** What hears of ends of level-triggered interrupts. */
export interface EoiListener {
  endOfInterrupt(vector: number): void;
}

/** Connects local APICs with everything that interrupts them. */
export class ApicBus implements MsiSink {
  private readonly targets: ApicTarget[] = [];
  private readonly listeners: EoiListener[] = [];

  addTarget(target: ApicTarget): void {
    this.targets.push(target);
  }

  addEoiListener(listener: EoiListener): void {
    this.listeners.push(listener);
  }

  /** Delivers to all that match; with lowest priority to the one among them that has the least to do, the first among equals. */
  deliver(destination: ApicDestination, message: ApicMessage): void {
    const matching = this.targets.filter(target => target.matches(destination));
    if (message.mode !== DELIVERY.LOWEST) {
      for (const target of matching) target.accept(message);
      return;
    }
    let best = matching[0];
    for (const target of matching) if (target.arbitrationPriority < best!.arbitrationPriority) best = target;
    best?.accept({ ...message, mode: DELIVERY.FIXED });
  }

  /** Delivers to every local APIC that `wanted` chooses: shorthand destinations. */
  broadcast(message: ApicMessage, wanted: (target: ApicTarget) => boolean): void {
    for (const target of this.targets) if (wanted(target)) target.accept(message);
  }

  broadcastEoi(vector: number): void {
    for (const listener of this.listeners) listener.endOfInterrupt(vector);
  }

  /** MSI: address 0xfee00000 | destination << 12 | logical << 2; data as the lower half of an ICR. */
  send(address: number, data: number): void {
    const destination = { logical: (address & 4) !== 0, id: (address >>> 12) & 0xff, wide: false };
    this.deliver(destination, decodeMessage(data));
  }
}

/** Decodes vector 7:0, delivery mode 10:8, level 14 and trigger mode 15. */
export function decodeMessage(word: number): ApicMessage {
  const level = (word & 0x8000) !== 0;
  return { vector: word & 0xff, mode: (word >>> 8) & 7, level, assert: !level || (word & 0x4000) !== 0 };
}
