/**
 * MP tables, by which a PC without ACPI tells of its CPUs, I/O APIC and interrupts.
 *
 * Source: Intel MultiProcessor Specification 1.4 "MP Configuration Table". Contents as QEMU's firmware writes them with `acpi=off`.
 */
import type { LoadSegment } from '../boot-state.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { type Aml, littleEndian } from './aml.ts';
import { FIRMWARE, GSI, IRQ, LAYOUT } from './layout.ts';

/** The table follows the floating pointer. */
const POINTER_AT = FIRMWARE.MP;
const POINTER_BYTES = 16;
const HEADER_BYTES = 44;
const SPEC_1_4 = 4;
const ENTRY = { PROCESSOR: 0, BUS: 1, IO_APIC: 2, IO_INTERRUPT: 3, LOCAL_INTERRUPT: 4 } as const;
const INTERRUPT = { INT: 0, NMI: 1, EXTINT: 3 } as const;
const CPU = { ENABLED: 1, BOOT: 2 } as const;
/** Version registers of local and I/O APIC. */
const APIC_VERSION = { LOCAL: 0x14, IO: 0x20 } as const;
/** CPUID.1: family 6, and that there are an FPU and an APIC. */
const CPU_SIGNATURE = 0x600;
const CPU_FEATURES = 0x201;
/** Polarity and trigger: active high and level; 0 is what the bus has. */
const ACTIVE_HIGH_LEVEL = 0x0d;
const ISA_IRQS = 16;
const PCI_SLOTS = 32;
const PCI_PINS = 4;
const ALL_CPUS = 0xff;

/** Builds floating pointer and configuration table. */
export function mpTables(config: Pick<AcpiConfig, 'board' | 'cpuCount'>): readonly LoadSegment[] {
  const entries = configurationEntries(config);
  const content = entries.flat();
  const table = Uint8Array.from([
    ...ascii('PCMP'),
    ...littleEndian(HEADER_BYTES + content.length, 2),
    SPEC_1_4,
    0,
    ...ascii('BOCHSCPU0.1         '),
    ...littleEndian(0, 4),
    ...littleEndian(0, 2),
    ...littleEndian(entries.length, 2),
    ...littleEndian(LAYOUT.LOCAL_APIC.base, 4),
    ...littleEndian(0, 4),
    ...content,
  ]);
  table[7] = checksum(table);
  const pointer = Uint8Array.from([
    ...ascii('_MP_'),
    ...littleEndian(POINTER_AT + POINTER_BYTES, 4),
    1,
    SPEC_1_4,
    0, // checksum
    ...littleEndian(0, 5), // no default configuration, no IMCR
  ]);
  pointer[10] = checksum(pointer);
  const bytes = Uint8Array.from([...pointer, ...table]);
  return [{ name: 'mp-tables', paddr: POINTER_AT, bytes, memorySize: bytes.length }];
}

function configurationEntries({ board, cpuCount }: Pick<AcpiConfig, 'board' | 'cpuCount'>): readonly Aml[] {
  const isQ35 = board === 'q35';
  const ioApicId = cpuCount;
  const [pci, isa] = isQ35 ? [0, 1] : [undefined, 0];
  const irqs = Array.from({ length: ISA_IRQS }, (_, irq) => irq).filter(irq => !isQ35 || irq !== GSI.TIMER);
  return [
    ...Array.from({ length: cpuCount }, (_, id) => processor(id)),
    ...(pci === undefined ? [] : [bus(pci, 'PCI   ')]),
    bus(isa, 'ISA   '),
    [ENTRY.IO_APIC, ioApicId, APIC_VERSION.IO, 1, ...littleEndian(LAYOUT.IO_APIC.base, 4)],
    ...(pci === undefined ? [] : pciInterrupts(pci, ioApicId)),
    ...irqs.map(irq => ioInterrupt(0, isa, irq, ioApicId, isQ35 && irq === IRQ.TIMER ? GSI.TIMER : irq)),
    [ENTRY.LOCAL_INTERRUPT, INTERRUPT.EXTINT, 0, 0, isa, 0, 0, 0],
    [ENTRY.LOCAL_INTERRUPT, INTERRUPT.NMI, 0, 0, isa, 0, ALL_CPUS, 1],
  ];
}

function processor(id: number): Aml {
  const flags = CPU.ENABLED | (id === 0 ? CPU.BOOT : 0);
  const identity = [...littleEndian(CPU_SIGNATURE, 4), ...littleEndian(CPU_FEATURES, 4)];
  return [ENTRY.PROCESSOR, id, APIC_VERSION.LOCAL, flags, ...identity, ...littleEndian(0, 8)];
}

function bus(id: number, name: string): Aml {
  return [ENTRY.BUS, id, ...ascii(name)];
}

/** Every pin of every slot but those of the host bridge. */
function pciInterrupts(busId: number, ioApicId: number): readonly Aml[] {
  const entries: Aml[] = [];
  for (let slot = 1; slot < PCI_SLOTS; slot++)
    for (let pin = 0; pin < PCI_PINS; pin++) {
      const gsi = GSI.PCI + ((slot + pin) % PCI_PINS);
      entries.push(ioInterrupt(ACTIVE_HIGH_LEVEL, busId, slot * PCI_PINS + pin, ioApicId, gsi));
    }
  return entries;
}

function ioInterrupt(flags: number, busId: number, irq: number, ioApicId: number, pin: number): Aml {
  return [ENTRY.IO_INTERRUPT, INTERRUPT.INT, ...littleEndian(flags, 2), busId, irq, ioApicId, pin];
}

/** What makes all bytes add up to zero. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

function ascii(text: string): number[] {
  return [...Buffer.from(text, 'latin1')];
}
