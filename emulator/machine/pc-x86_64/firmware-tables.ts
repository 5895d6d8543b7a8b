/** The tables by which firmware describes the board: ACPI's, or MP tables without it; on q35 also SMBIOS. */
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
  const { rsdp, segments } = acpi ? buildAcpiTables(hardware) : { rsdp: 0, segments: mpTables(hardware) };
  const { board, cpuCount, memoryBytes, cpuSignature = 0 } = hardware;
  return {
    rsdp,
    segments: board === 'q35' ? [...segments, smbios({ cpuCount, memoryBytes, cpuSignature })] : segments,
  };
}
