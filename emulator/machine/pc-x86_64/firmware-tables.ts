/**
 * The tables by which firmware describes the board: ACPI's and, on q35 or without ACPI, MP tables; on q35 also SMBIOS. A kernel that is
 * told `acpi=off` has all CPUs and the I/O APIC by the MP tables.
 */
import type { LoadSegment } from '../boot-state.ts';
import { type AcpiConfig, buildAcpiTables } from './acpi-tables.ts';
import { ALL_PARTS } from './board-config.ts';
import { mpTables } from './mp-tables.ts';
import { smbios } from './smbios.ts';

/** Tables in memory, and what the kernel is told of them. */
export interface FirmwareTables {
  /** Address of the ACPI root pointer, for boot_params.acpi_rsdp_addr; 0 without ACPI. */
  readonly rsdp: number;
  readonly segments: readonly LoadSegment[];
}

/** Builds what the board's configuration asks for. */
export function buildFirmwareTables(hardware: AcpiConfig): FirmwareTables {
  const { acpi } = hardware.parts ?? ALL_PARTS;
  const { rsdp, segments } = acpi ? buildAcpiTables(hardware) : { rsdp: 0, segments: [] };
  const { board, cpuCount, memoryBytes, cpuSignature = 0 } = hardware;
  const isQ35 = board === 'q35';
  return {
    rsdp,
    segments: [
      ...segments,
      ...(isQ35 || !acpi ? mpTables(hardware) : []),
      ...(isQ35 ? [smbios({ cpuCount, memoryBytes, cpuSignature })] : []),
    ],
  };
}
