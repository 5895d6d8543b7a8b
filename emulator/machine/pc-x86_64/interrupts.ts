/**
 * How interrupts are wired on PCs: ISA interrupts reach the 8259 pair and an I/O APIC, everything else an I/O APIC only.
 *
 * Source: QEMU 7.2 hw/i386/x86.c `gsi_handler`; the boards' MADTs (acpi-tables.ts) say the same to the kernel.
 */
import { ApicPage } from '../../devices/apic/apic-page.ts';
import { IoApic } from '../../devices/apic/io-apic.ts';
import { type ApicCpu, LocalApic } from '../../devices/apic/local-apic.ts';
import { ApicBus } from '../../devices/apic/messages.ts';
import { I8259Pair } from '../../devices/i8259.ts';
import type { Clock, InterruptLine } from '../../memory/device.ts';
import { GSI, IRQ, type PcBoard } from './layout.ts';

const IO_APIC_PINS = 24;

/** What a board gives to its interrupt controllers. */
export interface PcInterruptWiring {
  readonly board: PcBoard;
  /** The pair of i8259 is there. */
  readonly hasPic: boolean;
  readonly clock: Clock;
  readonly cpus: readonly ApicCpu[];
  readonly tscHz: number;
  /** The CPU whose access is under way. */
  readonly currentCpu: () => number;
  /** A CPU has moved the registers of its local APIC in memory. */
  readonly localApicMoved: () => void;
}

/** The controllers of a PC, connected. */
export class PcInterrupts {
  readonly bus = new ApicBus();
  readonly pic: I8259Pair;
  readonly localApics: readonly LocalApic[];
  readonly localApicPage: ApicPage;
  /** One on q35, two on microvm. */
  readonly ioApics: readonly IoApic[];
  private readonly timerPin: number;
  private readonly hasPic: boolean;

  constructor({ board, hasPic, clock, cpus, tscHz, currentCpu, localApicMoved: moved }: PcInterruptWiring) {
    this.hasPic = hasPic;
    this.pic = new I8259Pair({ set: level => this.localApics[0]?.setLint(0, level) });
    const acknowledgePic = (): number => this.pic.acknowledge();
    this.localApics = cpus.map(
      (cpu, id) => new LocalApic({ id, bus: this.bus, cpu, clock, tscHz, acknowledgePic, moved }),
    );
    this.localApicPage = new ApicPage(this.localApics, currentCpu, this.bus);
    this.ioApics = board === 'q35' ? [new IoApic(this.bus)] : [new IoApic(this.bus), new IoApic(this.bus, 'io-apic-2')];
    // microvm's MADT has no override for the timer.
    this.timerPin = board === 'q35' ? GSI.TIMER : IRQ.TIMER;
  }

  /** An ISA interrupt. */
  isaLine(irq: number): InterruptLine {
    const pic = this.pic.line(irq);
    const apic = this.gsiLine(irq === IRQ.TIMER ? this.timerPin : irq);
    if (!this.hasPic) return apic;
    return {
      set: level => {
        pic.set(level);
        apic.set(level);
      },
    };
  }

  /** A global system interrupt: a pin of an I/O APIC. */
  gsiLine(gsi: number): InterruptLine {
    return this.ioApics[Math.floor(gsi / IO_APIC_PINS)]!.line(gsi % IO_APIC_PINS);
  }
}
