/**
 * Boots a Linux kernel without firmware, as QEMU's `-kernel` does: places kernel, initrd and device tree, and starts the
 * boot CPU at the kernel's first instruction.
 *
 * Source: Linux `Documentation/arch/arm64/booting.rst` "Call the kernel image"; QEMU 7.2 hw/arm/boot.c for the addresses.
 */
import { ImageError } from '../../../capture/formats/errors.ts';
import type { Fdt } from '../../../capture/formats/fdt.ts';
import type { BootState, LoadSegment } from '../boot-state.ts';
import { buildDeviceTree, type VirtDeviceTreeConfig } from './device-tree.ts';
import { chooseLoadAddresses, LAYOUT } from './layout.ts';
import { completeDeviceTree } from './supplied-device-tree.ts';

/** A Linux kernel and what goes with it. */
export interface LinuxBoot {
  /** The raw `Image` (not compressed). */
  readonly kernel: Uint8Array;
  /** Bytes from its load address that the kernel needs before it reads the device tree; at least the size of the Image. */
  readonly kernelMemorySize: number;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  /** Used instead of the board's own tree; it is changed. */
  readonly deviceTree?: Fdt;
}

/** Offset of `text_offset` in the Image header. */
const TEXT_OFFSET = 8;

/**
 * @param hardware the board, as the device tree describes it
 * @param exceptionLevel in which the kernel starts
 * @throws ImageError when kernel, initrd and device tree do not fit into memory
 */
export function directBoot(
  boot: LinuxBoot,
  hardware: Omit<VirtDeviceTreeConfig, 'bootargs' | 'initrd'>,
  exceptionLevel: 1 | 2,
): BootState {
  const { kernel, initrd } = boot;
  const textOffset = new DataView(kernel.buffer, kernel.byteOffset, kernel.length).getUint32(TEXT_OFFSET, true);
  const at = chooseLoadAddresses(hardware.memoryBytes, textOffset, initrd?.length ?? 0);
  const settings = {
    ...hardware,
    bootargs: boot.commandLine,
    ...(initrd && { initrd: { start: at.initrd, end: at.initrd + initrd.length } }),
  };
  const dtb = boot.deviceTree ? completeDeviceTree(boot.deviceTree, settings) : buildDeviceTree(settings);
  const segments: LoadSegment[] = [
    { name: 'kernel', paddr: at.kernel, bytes: kernel, memorySize: Math.max(kernel.length, boot.kernelMemorySize) },
    ...(initrd ? [{ name: 'initrd', paddr: at.initrd, bytes: initrd, memorySize: initrd.length }] : []),
    { name: 'dtb', paddr: at.dtb, bytes: dtb, memorySize: dtb.length },
  ];
  checkFit(segments, hardware.memoryBytes);
  return {
    segments,
    entry: { architecture: 'aarch64', pc: at.kernel, x: [BigInt(at.dtb), 0n, 0n, 0n], exceptionLevel },
  };
}

function checkFit(segments: readonly LoadSegment[], memoryBytes: number): void {
  const end = LAYOUT.RAM.base + memoryBytes;
  for (const [i, segment] of segments.entries()) {
    const limit = segments[i + 1]?.paddr ?? end;
    const room = Math.min(limit, end) - segment.paddr;
    if (segment.memorySize <= room) continue;
    throw new ImageError(
      `${segment.name} of ${mebibytes(segment.memorySize)} does not fit: there is room for ${mebibytes(Math.max(room, 0))} with ${mebibytes(memoryBytes)} of memory; give the machine more (-m)`,
    );
  }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
