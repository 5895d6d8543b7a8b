/** Damaged dumps: every command ends with a result or with one line, never with an exception of ours or a hang. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { dumpGuestMemory } from '../../../capture/dump-guest-memory.ts';
import { buildNote } from '../../../capture/formats/elf-notes.ts';
import { MemorySink } from '../../../capture/output/dump-sink.ts';
import { makedumpfile } from '../../../scripts/commands/makedumpfile.ts';
import { PAGE_SIZE, machineState } from '../../support/synthetic-dump.ts';

const RUNS = 150;
const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-hostile-'));
const input = join(folder, 'input');
const output = join(folder, 'output');

const VMCOREINFO: Readonly<Record<'x86_64' | 'aarch64', string>> = {
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
SIZE(page)=64
OFFSET(page.flags)=0
OFFSET(page.mapping)=24
OFFSET(page.lru)=8
OFFSET(page._mapcount)=48
OFFSET(page.private)=40
OFFSET(page.compound_head)=8
LENGTH(zone.free_area)=11
NUMBER(PG_lru)=4
NUMBER(PG_private)=13
NUMBER(PG_slab)=9
NUMBER(PG_head_mask)=65536
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
SYMBOL(prb)=ffffffff80013000
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

/** A machine of which every page can be page table, page structure and log: all mappings lead somewhere. */
function machine(architecture: 'x86_64' | 'aarch64', vmcoreinfo: string) {
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

async function dumpOf(
  architecture: 'x86_64' | 'aarch64',
  format: 'elf' | 'lzo',
  vmcoreinfo: string,
): Promise<Uint8Array> {
  const sink = new MemorySink();
  await dumpGuestMemory(machine(architecture, vmcoreinfo), sink, { format });
  return new Uint8Array(sink.contents);
}

const COMMANDS = [
  ['-l', '-d', '31', input, output],
  ['-E', '-d', '31', input, output],
  ['--dump-dmesg', input, output],
  ['--mem-usage', input],
  ['--reassemble', input, output],
];

/** Runs all commands: each must end with 0 or 1, and with words when it fails. */
async function survives(bytes: Uint8Array): Promise<void> {
  writeFileSync(input, bytes);
  for (const command of COMMANDS) {
    let messages = '';
    const print = (text: string): void => void (messages += text);
    const code = await makedumpfile(['-f', '--message-level', '6', ...command], { out: print, err: print });
    expect([0, 1]).toContain(code);
    if (code === 1) expect(messages).toMatch(/\S+.*\n[^]*makedumpfile Failed/);
    expect(messages).not.toContain('    at ');
  }
}

afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  ['x86_64', 'elf'],
  ['x86_64', 'lzo'],
  ['aarch64', 'elf'],
  ['aarch64', 'lzo'],
] as const)('%s, %s', (architecture, format) => {
  let whole: Uint8Array;

  beforeAll(async () => {
    whole = await dumpOf(architecture, format, VMCOREINFO[architecture] + COMMON);
  });

  test('is read while it is whole', async () => {
    await survives(whole);
  });

  test('survives changed bytes in headers', async () => {
    const change = fc.tuple(fc.nat(3 * PAGE_SIZE), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async changes => {
        const bytes = new Uint8Array(whole);
        for (const [offset, value] of changes) bytes[offset] = value;
        await survives(bytes);
      }),
      { numRuns: RUNS },
    );
  });

  test('survives a cut anywhere', async () => {
    for (const length of [1, 15, 63, 64, 463, 464, 4095, 4096, 4200, 8192, 12_288, 16_384, 20_000, 300_000])
      await survives(whole.subarray(0, length));
  });

  test('survives VMCOREINFO that lies', async () => {
    const lines = (VMCOREINFO[architecture] + COMMON).trimEnd().split('\n');
    const value = fc.constantFrom(
      '0',
      '1',
      '-1',
      '7',
      '63',
      '64',
      '4095',
      '65536',
      '999999999999999',
      'ffffffffffffffff',
      '0x7fffffffffffffff',
      '',
      'x',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(lines.length - 1), value), { minLength: 1, maxLength: 3 }),
        async changes => {
          const changed = [...lines];
          for (const [index, text] of changes) changed[index] = `${changed[index]!.split('=')[0]}=${text}`;
          await survives(await dumpOf(architecture, format, `${changed.join('\n')}\n`));
        },
      ),
      { numRuns: RUNS },
    );
  });
});
