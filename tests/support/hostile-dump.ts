/** A small dump whose every page can be page table, page structure and log, so that all mappings lead somewhere; for fuzzing. */
import { dumpGuestMemory } from '../../capture/dump-guest-memory.ts';
import type { GuestDumpOptions } from '../../capture/dump-guest-memory.ts';
import { buildNote } from '../../capture/formats/elf-notes.ts';
import { MemorySink } from '../../capture/output/dump-sink.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import { PAGE_VMCOREINFO_6_1 } from './page-vmcoreinfo.ts';
import { PAGE_SIZE, machineState } from './synthetic-dump.ts';

export type HostileArchitecture = 'x86_64' | 'aarch64';

const OF_ARCHITECTURE: Readonly<Record<HostileArchitecture, string>> = {
  x86_64: `NUMBER(phys_base)=0
SYMBOL(init_top_pgt)=ffffffff80010000
SYMBOL(swapper_pg_dir)=ffffffff80010000
NUMBER(pgtable_l5_enabled)=0
`,
  aarch64: `NUMBER(VA_BITS)=48
NUMBER(kimage_voffset)=0xffff800000000000
NUMBER(PHYS_OFFSET)=0x0
NUMBER(TCR_EL1_T1SZ)=0x10
SYMBOL(swapper_pg_dir)=ffff800000010000
`,
};
const COMMON = `OSRELEASE=6.1.0
PAGESIZE=4096
SYMBOL(init_uts_ns)=ffffffff80012000
SYMBOL(mem_section)=ffffffff80011000
LENGTH(mem_section)=2048
SIZE(mem_section)=16
OFFSET(mem_section.section_mem_map)=0
NUMBER(SECTION_SIZE_BITS)=27
NUMBER(MAX_PHYSMEM_BITS)=46
${PAGE_VMCOREINFO_6_1}SYMBOL(prb)=ffffffff80013000
SIZE(printk_ringbuffer)=88
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=48
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
SIZE(printk_info)=88
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
`;

/** Lines of VMCOREINFO. */
export function hostileVmcoreinfo(architecture: HostileArchitecture): string {
  return OF_ARCHITECTURE[architecture] + COMMON;
}

/** A machine of which every page can be page table, page structure and log: all mappings lead somewhere. */
function machine(architecture: HostileArchitecture, vmcoreinfo: string): MachineState {
  const note = buildNote({ name: 'VMCOREINFO', type: 0, descriptor: Buffer.from(vmcoreinfo) });
  const page = new Uint8Array(PAGE_SIZE);
  const entries = new BigUint64Array(page.buffer);
  for (let index = 0; index < entries.length; index++) entries[index] = BigInt((16 + (index % 60)) * PAGE_SIZE) + 3n;
  return machineState({
    architecture,
    read: (paddr, length) => {
      const bytes = new Uint8Array(length);
      for (let offset = 0; offset < length; offset += PAGE_SIZE) bytes.set(page, offset);
      const at = 100 * PAGE_SIZE - paddr;
      if (at >= 0 && at < length) bytes.set(note.subarray(0, length - at), at);
      return bytes;
    },
    vmcoreinfoNote: { paddr: 100 * PAGE_SIZE, size: note.length },
  });
}

/** Such a dump. */
export async function hostileDump(
  architecture: HostileArchitecture,
  format: GuestDumpOptions['format'],
  vmcoreinfo = hostileVmcoreinfo(architecture),
): Promise<Uint8Array> {
  const sink = new MemorySink();
  await dumpGuestMemory(machine(architecture, vmcoreinfo), sink, { format });
  return new Uint8Array(sink.contents);
}
