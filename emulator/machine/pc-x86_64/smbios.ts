/**
 * SMBIOS tables: what `dmidecode` and the kernel's "Hardware name" tell of the machine.
 *
 * Source: DMTF DSP0134 "System Management BIOS (SMBIOS) Reference Specification" 2.8, "Structure definitions"; contents as QEMU 7.2 and
 * SeaBIOS 1.16.2 have them on q35. microvm has none.
 */
import type { LoadSegment } from '../boot-state.ts';
import { type Aml, littleEndian } from './aml.ts';
import { FIRMWARE, ramRanges } from './layout.ts';

/** What of the machine the tables say. */
export interface SmbiosConfig {
  readonly cpuCount: number;
  readonly memoryBytes: number;
  /** CPUID.1:EAX. */
  readonly cpuSignature: number;
}

const ENTRY_POINT_BYTES = 31;
const MAKER = 'QEMU';
const VERSION = 'pc-q35-7.2';
const UNKNOWN = 2;
const KIB = 1024;

/** Structure handles, as QEMU numbers them. */
const HANDLE = {
  BIOS: 0,
  SYSTEM: 0x100,
  CHASSIS: 0x300,
  CPU: 0x400,
  ARRAY: 0x1000,
  MEMORY: 0x1100,
  MAPPED: 0x1300,
} as const;
const HANDLE_BOOT = 0x2000;
const HANDLE_END = 0x7f00;

/** Entry point and structures of a q35. */
export function smbios(config: SmbiosConfig): LoadSegment {
  const structures = [
    bios(),
    system(),
    chassis(),
    processor(config),
    memoryArray(config),
    memoryDevice(config),
    ...mappedRanges(config),
    structure(32, HANDLE_BOOT, zeros(7)),
    structure(127, HANDLE_END, []),
  ];
  const table = structures.flat();
  const largest = Math.max(...structures.map(({ length }) => length));
  const bytes = Uint8Array.from([...entryPoint(table.length, structures.length, largest), 0, ...table]);
  return { name: 'smbios', paddr: FIRMWARE.SMBIOS, bytes, memorySize: bytes.length };
}

/** "SMBIOS 2.1 (32-bit) Entry Point"; the table follows, one byte further for its alignment. */
function entryPoint(tableBytes: number, count: number, largest: number): number[] {
  const tableAt = FIRMWARE.SMBIOS + ENTRY_POINT_BYTES + 1;
  const intermediate = [
    ...ascii('_DMI_'),
    0,
    ...littleEndian(tableBytes, 2),
    ...littleEndian(tableAt, 4),
    ...littleEndian(count, 2),
    0x28,
  ];
  intermediate[5] = checksum(intermediate);
  const entry = [
    ...ascii('_SM_'),
    0,
    ENTRY_POINT_BYTES,
    2,
    8,
    ...littleEndian(largest, 2),
    0,
    ...zeros(5),
    ...intermediate,
  ];
  entry[4] = checksum(entry);
  return entry;
}

/** "BIOS Information (Type 0)": the firmware whose leavings the kernel finds; virtual machine, no characteristics. */
function bios(): Aml {
  const CHARACTERISTICS_NOT_SUPPORTED = 8;
  const VIRTUAL_MACHINE = 0x14;
  const body = [1, 2, ...littleEndian(0xe800, 2), 3, 0, ...littleEndian(CHARACTERISTICS_NOT_SUPPORTED, 8)];
  return structure(0, HANDLE.BIOS, [...body, 0, VIRTUAL_MACHINE, 0, 0, 0xff, 0xff], 'SeaBIOS', '1.16.2', '04/01/2014');
}

/** "System Information (Type 1)". */
function system(): Aml {
  const POWER_SWITCH = 6;
  const body = [1, 2, 3, 0, ...zeros(16), POWER_SWITCH, 0, 0];
  return structure(1, HANDLE.SYSTEM, body, MAKER, 'Standard PC (Q35 + ICH9, 2009)', VERSION);
}

/** "System Enclosure or Chassis (Type 3)". */
function chassis(): Aml {
  const OTHER = 1;
  const SAFE = 3;
  const body = [1, OTHER, 2, 0, 0, SAFE, SAFE, SAFE, UNKNOWN, ...zeros(4), 0, 0, 0, 0, 0];
  return structure(3, HANDLE.CHASSIS, body, MAKER, VERSION);
}

/** "Processor Information (Type 4)": a socket with all CPUs as its cores, as QEMU has them by default. */
function processor({ cpuCount, cpuSignature }: SmbiosConfig): Aml {
  /** CPUID.1:EDX as all models have it. */
  const FEATURES = 0x078b_fbfd;
  const CENTRAL = 3;
  const OTHER = 1;
  const MHZ = 2000;
  const POPULATED_ENABLED = 0x41;
  const body = [
    1,
    CENTRAL,
    OTHER,
    2,
    ...littleEndian(cpuSignature, 4),
    ...littleEndian(FEATURES, 4),
    3,
    0,
    ...littleEndian(0, 2),
    ...littleEndian(MHZ, 2),
    ...littleEndian(MHZ, 2),
    POPULATED_ENABLED,
    OTHER,
    ...[0xffff, 0xffff, 0xffff].flatMap(cache => littleEndian(cache, 2)),
    0,
    0,
    0,
    cpuCount,
    cpuCount,
    cpuCount,
    ...littleEndian(UNKNOWN, 2),
    ...littleEndian(OTHER, 2),
  ];
  return structure(4, HANDLE.CPU, body, 'CPU 0', MAKER, VERSION);
}

/** "Physical Memory Array (Type 16)". */
function memoryArray({ memoryBytes }: SmbiosConfig): Aml {
  const OTHER = 1;
  const SYSTEM_MEMORY = 3;
  const MULTI_BIT_ECC = 6;
  const NO_ERROR_INFORMATION = 0xfffe;
  const body = [
    OTHER,
    SYSTEM_MEMORY,
    MULTI_BIT_ECC,
    ...littleEndian(memoryBytes / KIB, 4),
    ...littleEndian(NO_ERROR_INFORMATION, 2),
    ...littleEndian(1, 2),
    ...zeros(8),
  ];
  return structure(16, HANDLE.ARRAY, body);
}

/** "Memory Device (Type 17)": all of RAM in one module. */
function memoryDevice({ memoryBytes }: SmbiosConfig): Aml {
  const DIMM = 9;
  const RAM = 7;
  const OTHER = 2;
  const body = [
    ...littleEndian(HANDLE.ARRAY, 2),
    ...littleEndian(0xfffe, 2),
    ...littleEndian(0xffff, 2),
    ...littleEndian(0xffff, 2),
    ...littleEndian(memoryBytes / KIB / KIB, 2),
    DIMM,
    0,
    1,
    0,
    RAM,
    ...littleEndian(OTHER, 2),
    ...littleEndian(0, 2),
    2,
    0,
    0,
    0,
    0,
    ...zeros(4),
    ...zeros(8),
  ];
  return structure(17, HANDLE.MEMORY, body, 'DIMM 0', MAKER);
}

/** "Memory Array Mapped Address (Type 19)": RAM below and above 4 GiB. */
function mappedRanges({ memoryBytes }: SmbiosConfig): readonly Aml[] {
  const [, low, high] = ramRanges('q35', memoryBytes);
  const ranges = [{ start: 0, end: low!.end }, ...(high === undefined ? [] : [high])];
  return ranges.map(({ start, end }, i) => {
    const ends = [...littleEndian(start / KIB, 4), ...littleEndian(end / KIB - 1, 4)];
    return structure(19, HANDLE.MAPPED + i, [...ends, ...littleEndian(HANDLE.ARRAY, 2), 1, ...zeros(16)]);
  });
}

/** Type, length, handle, the formatted part, and the strings that it refers to by number. */
function structure(type: number, handle: number, body: readonly number[], ...strings: readonly string[]): Aml {
  const HEADER_BYTES = 4;
  const texts = strings.flatMap(text => [...ascii(text), 0]);
  return [
    type,
    HEADER_BYTES + body.length,
    ...littleEndian(handle, 2),
    ...body,
    ...(texts.length > 0 ? texts : [0]),
    0,
  ];
}

/** What makes all bytes add up to zero. */
function checksum(bytes: readonly number[]): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0);
}

function ascii(text: string): number[] {
  return [...Buffer.from(text, 'latin1')];
}
