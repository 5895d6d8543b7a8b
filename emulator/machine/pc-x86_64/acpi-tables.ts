/**
 * The ACPI tables of q35 and microvm, at the addresses where firmware would have put them.
 *
 * Source: ACPI specification 6.4 "ACPI Software Programming Model"; HPET: "IA-PC HPET Specification" 1.0a; MCFG: PCI Firmware
 * Specification 3.x; WAET: "Windows ACPI Emulated Devices Table". Contents as QEMU 7.2 and SeaBIOS leave them.
 *
 * Differences from QEMU, on purpose: the FADT has no SMI command port, because the machine is in ACPI mode from the start (there is no
 * firmware to hand over from); see dsdt.ts for what the DSDT leaves out.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { LoadSegment } from '../boot-state.ts';
import { type Aml, littleEndian } from './aml.ts';
import { ALL_PARTS, type PcParts } from './board-config.ts';
import type { BiosDisk } from './edd.ts';
import { microvmDsdt, microvmSlots, q35Dsdt } from './dsdt.ts';
import { acpiTablesRegion, FIRMWARE, GSI, IRQ, LAYOUT, type PcBoard, PORT, type Region } from './layout.ts';

/** What of the machine its tables say. */
export interface AcpiConfig {
  readonly board: PcBoard;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  /** microvm: number of virtio-mmio devices. */
  readonly virtioDevices: number;
  readonly parts?: PcParts;
  /** CPUID.1:EAX. */
  readonly cpuSignature?: number;
  /** q35: what the BIOS finds. */
  readonly disks?: readonly BiosDisk[];
  /** Port of a pvpanic device, when there is one. */
  readonly pvpanicPort?: number | undefined;
}

/** The tables as memory contents. */
export interface AcpiTables {
  /** Address of the root pointer, for boot_params.acpi_rsdp_addr. */
  readonly rsdp: number;
  readonly segments: readonly LoadSegment[];
  /** Each table by signature, for judges. */
  readonly tables: ReadonlyMap<string, Uint8Array>;
}

const OEM_ID = 'BOCHS ';
const OEM_TABLE_ID = 'BXPC    ';
const CREATOR_ID = 'BXPC';
const HEADER_BYTES = 36;
const CHECKSUM_AT = 9;

/** Builds all tables of a board. */
export function buildAcpiTables(config: AcpiConfig): AcpiTables {
  const place = new Placement(acpiTablesRegion(config.board, config.memoryBytes));
  const { parts = ALL_PARTS } = config;
  const isQ35 = config.board === 'q35';
  const dsdt = place.add(
    'DSDT',
    table(
      'DSDT',
      isQ35 ? 1 : 2,
      isQ35 ? q35Dsdt({ ...config, parts }) : microvmDsdt(microvmSlots(config.virtioDevices), { ...config, parts }),
    ),
  );
  const listed = [place.add('FACP', isQ35 ? q35Fadt(place.add('FACS', facs()), dsdt) : microvmFadt(dsdt))];
  listed.push(place.add('APIC', madt(config)));
  if (isQ35) {
    if (parts.hpet) listed.push(place.add('HPET', hpetTable()));
    listed.push(place.add('MCFG', mcfg()));
    listed.push(place.add('WAET', waet()));
  }
  const root = isQ35
    ? place.add(
        'RSDT',
        table(
          'RSDT',
          1,
          listed.flatMap(address => littleEndian(address, 4)),
        ),
      )
    : place.add(
        'XSDT',
        table(
          'XSDT',
          1,
          listed.flatMap(address => littleEndian(address, 8)),
        ),
      );
  const rsdp = rootPointer(isQ35, root);
  const pointerAt = FIRMWARE.RSDP;
  const pointer = { name: 'acpi-rsdp', paddr: pointerAt, bytes: rsdp, memorySize: rsdp.length };
  return { rsdp: pointerAt, segments: [pointer, place.segment()], tables: place.tables };
}

/** Puts tables one behind the other. */
class Placement {
  readonly tables = new Map<string, Uint8Array>();
  private readonly region: Region;
  private readonly parts: { at: number; bytes: Uint8Array }[] = [];
  private next: number;

  constructor(region: Region) {
    this.region = region;
    this.next = region.base;
  }

  /** @returns the table's address, a multiple of 64 as FACS wants it */
  add(signature: string, bytes: Uint8Array): number {
    const at = this.next;
    this.tables.set(signature, bytes);
    this.parts.push({ at, bytes });
    this.next = Math.ceil((at + bytes.length) / 64) * 64;
    return at;
  }

  segment(): LoadSegment {
    const { base, size } = this.region;
    const bytes = new Uint8Array(this.next - base);
    assert(bytes.length <= size, 'the ACPI tables fit their region');
    for (const part of this.parts) bytes.set(part.bytes, part.at - base);
    return { name: 'acpi-tables', paddr: base, bytes, memorySize: size };
  }
}

/** A table with its header: signature, length, revision, checksum, ids. */
function table(signature: string, revision: number, body: Aml): Uint8Array {
  const bytes = Uint8Array.from([
    ...ascii(signature),
    ...littleEndian(HEADER_BYTES + body.length, 4),
    revision,
    0,
    ...ascii(OEM_ID),
    ...ascii(OEM_TABLE_ID),
    ...littleEndian(1, 4),
    ...ascii(CREATOR_ID),
    ...littleEndian(1, 4),
    ...body,
  ]);
  bytes[CHECKSUM_AT] = checksum(bytes);
  return bytes;
}

/** What makes all bytes add up to zero. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}

/** "Root System Description Pointer": revision 0 with an RSDT, revision 2 with an XSDT. */
function rootPointer(hasRsdt: boolean, root: number): Uint8Array {
  const first = Uint8Array.from([
    ...ascii('RSD PTR '),
    0,
    ...ascii(OEM_ID),
    hasRsdt ? 0 : 2,
    ...littleEndian(hasRsdt ? root : 0, 4),
  ]);
  first[8] = checksum(first);
  if (hasRsdt) return first;
  const EXTENDED_BYTES = 36;
  const all = Uint8Array.from([...first, ...littleEndian(EXTENDED_BYTES, 4), ...littleEndian(root, 8), 0, 0, 0, 0]);
  all[32] = checksum(all);
  return all;
}

/** "Firmware ACPI Control Structure": has no checksum. */
function facs(): Uint8Array {
  const FACS_BYTES = 64;
  const bytes = new Uint8Array(FACS_BYTES);
  bytes.set([...ascii('FACS'), FACS_BYTES]);
  return bytes;
}

/** Flags of the FADT. */
const FADT = {
  WBINVD: 1 << 0,
  PROC_C1: 1 << 2,
  SLP_BUTTON: 1 << 5,
  RTC_S4: 1 << 7,
  RESET_REG_SUP: 1 << 10,
  USE_PLATFORM_CLOCK: 1 << 15,
  HW_REDUCED_ACPI: 1 << 20,
} as const;
/** IAPC_BOOT_ARCH: an 8042 is there. */
const BOOT_ARCH_8042 = 1 << 1;
const SYSTEM_MEMORY = 0;
const SYSTEM_IO = 1;
const C_STATE_UNSUPPORTED = 0xfff;
const CENTURY_REGISTER = 0x32;
const RESET_VALUE_Q35 = 0x0f;
const RESET_VALUE_MICROVM = 0x42;

/** "Generic Address Structure". */
function address(space: number, base: number, bits: number): Aml {
  return [space, bits, 0, 0, ...littleEndian(base, 8)];
}
const NO_ADDRESS = address(SYSTEM_MEMORY, 0, 0);
/** PM1 event, PM1 control, PM2 control, PM timer, GPE0, GPE1; then the base of GPE1 and _CST. */
const BLOCK_LENGTHS = [4, 2, 0, 4, 16, 0, 0, 0] as const;

function zeros(count: number): Aml {
  return Array.from({ length: count }, () => 0);
}

/** "Fixed ACPI Description Table", revision 3. */
function q35Fadt(facsAt: number, dsdtAt: number): Uint8Array {
  const pm = PORT.ACPI_PM.base;
  const [event, control, timer, gpe] = [pm, pm + 4, pm + 8, pm + 0x20];
  const flags =
    FADT.WBINVD | FADT.PROC_C1 | FADT.SLP_BUTTON | FADT.RTC_S4 | FADT.RESET_REG_SUP | FADT.USE_PLATFORM_CLOCK;
  return table('FACP', 3, [
    ...littleEndian(facsAt, 4),
    ...littleEndian(dsdtAt, 4),
    1, // INT_MODEL: ACPI 1.0
    0, // preferred profile
    ...littleEndian(IRQ.SCI, 2),
    ...littleEndian(0, 4), // SMI_CMD
    ...zeros(4),
    ...[event, 0, control, 0, 0, timer, gpe, 0].flatMap(port => littleEndian(port, 4)),
    ...BLOCK_LENGTHS,
    ...littleEndian(C_STATE_UNSUPPORTED, 2),
    ...littleEndian(C_STATE_UNSUPPORTED, 2),
    ...zeros(8), // flush size and stride, duty offset and width, alarms of day and month
    CENTURY_REGISTER,
    ...littleEndian(BOOT_ARCH_8042, 2),
    0,
    ...littleEndian(flags, 4),
    ...address(SYSTEM_IO, PORT.RESET.base, 8),
    RESET_VALUE_Q35,
    ...zeros(3),
    ...littleEndian(0, 8), // X_FIRMWARE_CTRL: the 32-bit one counts
    ...littleEndian(dsdtAt, 8),
    ...address(SYSTEM_IO, event, 32),
    ...NO_ADDRESS,
    ...address(SYSTEM_IO, control, 16),
    ...NO_ADDRESS,
    ...NO_ADDRESS,
    ...address(SYSTEM_IO, timer, 32),
    ...address(SYSTEM_IO, gpe, 128),
    ...NO_ADDRESS,
  ]);
}

/** "Fixed ACPI Description Table", revision 5, hardware-reduced. */
function microvmFadt(dsdtAt: number): Uint8Array {
  const { base } = LAYOUT.GED_REGISTERS;
  const FIXED_HARDWARE_BYTES = 112 - HEADER_BYTES;
  return table('FACP', 5, [
    ...zeros(FIXED_HARDWARE_BYTES),
    ...littleEndian(FADT.HW_REDUCED_ACPI | FADT.RESET_REG_SUP, 4),
    ...address(SYSTEM_MEMORY, base + 2, 8),
    RESET_VALUE_MICROVM,
    ...zeros(3),
    ...zeros(8),
    ...littleEndian(dsdtAt, 8),
    ...Array.from({ length: 8 }, () => NO_ADDRESS).flat(),
    ...address(SYSTEM_MEMORY, base, 8),
    ...address(SYSTEM_MEMORY, base + 1, 8),
  ]);
}

/** Structures of the MADT. */
const MADT = { LOCAL_APIC: 0, IO_APIC: 1, OVERRIDE: 2, LOCAL_NMI: 4 } as const;
const PCAT_COMPAT = 1;
const ENABLED = 1;
/** Interrupt flags: level-triggered, active high. */
const ACTIVE_HIGH_LEVEL = 0x0d;
const ALL_PROCESSORS = 0xff;
/** ISA interrupts that q35's chip set drives as levels. */
const LEVEL_IRQS = [5, 9, 10, 11] as const;

/** "Multiple APIC Description Table". */
function madt({ board, cpuCount }: AcpiConfig): Uint8Array {
  const cpus = Array.from({ length: cpuCount }, (_, id) => [MADT.LOCAL_APIC, 8, id, id, ...littleEndian(ENABLED, 4)]);
  const first = ioApic(0, LAYOUT.IO_APIC, 0);
  const rest =
    board === 'q35'
      ? [...override(IRQ.TIMER, GSI.TIMER, 0), ...LEVEL_IRQS.flatMap(irq => override(irq, irq, ACTIVE_HIGH_LEVEL))]
      : ioApic(1, LAYOUT.IO_APIC2, GSI.SECOND);
  const localNmi = [MADT.LOCAL_NMI, 6, ALL_PROCESSORS, 0, 0, 1];
  const head = [...littleEndian(LAYOUT.LOCAL_APIC.base, 4), ...littleEndian(PCAT_COMPAT, 4)];
  return table('APIC', 1, [...head, ...cpus.flat(), ...first, ...rest, ...localNmi]);
}

function ioApic(id: number, { base }: Region, firstGsi: number): Aml {
  return [MADT.IO_APIC, 12, id, 0, ...littleEndian(base, 4), ...littleEndian(firstGsi, 4)];
}

function override(irq: number, gsi: number, flags: number): Aml {
  return [MADT.OVERRIDE, 10, 0, irq, ...littleEndian(gsi, 4), ...littleEndian(flags, 2)];
}

function hpetTable(): Uint8Array {
  const HARDWARE_ID = 0x8086_a201;
  return table('HPET', 1, [
    ...littleEndian(HARDWARE_ID, 4),
    ...address(SYSTEM_MEMORY, LAYOUT.HPET.base, 0),
    0,
    0,
    0,
    0,
  ]);
}

/** One segment, 256 buses. */
function mcfg(): Uint8Array {
  return table('MCFG', 1, [
    ...littleEndian(0, 8),
    ...littleEndian(LAYOUT.PCIE_ECAM.base, 8),
    0,
    0,
    0,
    0xff,
    0,
    0,
    0,
    0,
  ]);
}

/** One read of the ACPI timer is enough. */
function waet(): Uint8Array {
  return table('WAET', 1, littleEndian(2, 4));
}

function ascii(text: string): number[] {
  return [...Buffer.from(text, 'latin1')];
}
