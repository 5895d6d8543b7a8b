/** Finds the kernel in a dump: its VMCOREINFO and the translation of its addresses. */
import { aarch64AddressSpace } from './addrxlat/aarch64.ts';
import { x86AddressSpace } from './addrxlat/x86_64.ts';
import { FormatError } from './formats/errors.ts';
import type { MemorySource } from './formats/memory-source.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import { KernelMemory } from './kernel-memory.ts';
import type { Architecture } from './sources/dump-file.ts';

/** A kernel whose memory can be read by virtual address. */
export interface DumpedKernel {
  readonly architecture: Architecture;
  readonly vmcoreinfo: Vmcoreinfo;
  readonly memory: KernelMemory;
}

/**
 * Opens the kernel of a dump.
 * @throws FormatError when VMCOREINFO lacks what translation needs
 */
export function openKernel(
  memory: MemorySource,
  vmcoreinfo: Vmcoreinfo,
  architecture = architectureOf(vmcoreinfo),
): DumpedKernel {
  const space =
    architecture === 'aarch64' ? aarch64AddressSpace(memory, vmcoreinfo) : x86AddressSpace(memory, vmcoreinfo);
  return { architecture, vmcoreinfo, memory: new KernelMemory(memory, space) };
}

/** Tells the architecture from what only one of them writes. @throws FormatError when nothing tells it */
export function architectureOf(vmcoreinfo: Vmcoreinfo): Architecture {
  if (vmcoreinfo.number('kimage_voffset') !== undefined) return 'aarch64';
  if (vmcoreinfo.number('phys_base') !== undefined || vmcoreinfo.symbol('phys_base') !== undefined) return 'x86_64';
  throw new FormatError('VMCOREINFO does not tell the architecture', {
    expected: 'NUMBER(kimage_voffset) or NUMBER(phys_base)',
    found: 'neither',
  });
}
