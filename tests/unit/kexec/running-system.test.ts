import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../capture/formats/errors.ts';
import { loadOfDebugLog, systemOfDebugLog } from '../../../kexec/debug-log.ts';
import { kernelTextOf, memoryOf, parseIomem, parseKallsyms } from '../../../kexec/running-system.ts';

/** Of a Debian 12 arm64 guest with 512 MiB. */
const IOMEM = `09000000-09000fff : pl011@9000000
  09000000-09000fff : 9000000.pl011 pl011@9000000
40000000-5fffffff : System RAM
  40210000-4158ffff : Kernel code
  41590000-41a0ffff : reserved
  41a10000-41caffff : Kernel data
  48000000-4a5a3fff : reserved
  53600000-5b5fffff : Crash kernel
`;

describe('/proc/iomem', () => {
  const memory = memoryOf(parseIomem(IOMEM));

  test('keeps kernel and crash kernel region usable, and nothing else that lies in RAM', () => {
    expect(memory.systemRam).toEqual([{ start: 0x4000_0000, end: 0x6000_0000 }]);
    expect(memory.usableRam).toEqual([
      { start: 0x4000_0000, end: 0x4159_0000 },
      { start: 0x41a1_0000, end: 0x4800_0000 },
      { start: 0x4a5a_4000, end: 0x6000_0000 },
    ]);
    expect(memory.crashRegions).toEqual([{ start: 0x5360_0000, end: 0x5b60_0000 }]);
  });
  test('gives the image with _text before _stext', () => {
    const kallsyms = `ffff800008000000 T _text
ffff800008010000 T _stext
ffff800009390000 T __init_begin
`;
    const found = parseKallsyms(kallsyms, ['_text', '_stext', '__init_begin']);
    const addresses = {
      _text: found.get('_text')!,
      _stext: found.get('_stext')!,
      __init_begin: found.get('__init_begin')!,
    };
    // What kexec -d printed in that guest.
    expect(kernelTextOf(memory, addresses)).toEqual({
      paddr: 0x4020_0000,
      size: 0x1ab_0000,
      vaddr: 0xffff_8000_0800_0000n,
    });
  });
  test('is refused when a line is something else', () => {
    expect(() => parseIomem('MemTotal: 12 kB\n')).toThrow(FormatError);
  });
});

/** Lines of kexec-tools 2.0.25 in that guest. */
const LOG = `set_phys_offset: phys_offset : 0000000040000000 (method : vmcoreinfo pt_note)
System RAM ranges;
0000000040000000-000000004158ffff (0)
0000000053600000-000000005b5fffff (0)
image_arm64_load: phys_offset:    0000000040000000
Reserved memory range
0000000053600000-000000005b5fffff (0)
Coredump memory ranges
0000000040000000-00000000535fffff (0)
000000005b600000-000000005fffffff (0)
load_crashdump_segments: page_offset:   ffff000000000000
Elf header: p_type = 4, p_offset = 0x5fed4000 p_paddr = 0x5fed4000 p_vaddr = 0x0 p_filesz = 0x1a8 p_memsz = 0x1a8
vmcoreinfo header: p_type = 4, p_offset = 0x422fa000 p_paddr = 0x422fa000 p_vaddr = 0x0 p_filesz = 0x1024 p_memsz = 0x1024
Kernel text Elf header: p_type = 1, p_offset = 0x40200000 p_paddr = 0x40200000 p_vaddr = 0xffff800008000000 p_filesz = 0x1ab0000 p_memsz = 0x1ab0000
Elf header: p_type = 1, p_offset = 0x40000000 p_paddr = 0x40000000 p_vaddr = 0xffff000000000000 p_filesz = 0x13600000 p_memsz = 0x13600000
kexec_load: entry = 0x556156a0 flags = 0xb70001
nr_segments = 2
segment[0].buf   = 0xffff80af6010
segment[0].bufsz = 0x1a09fc0
segment[0].mem   = 0x53600000
segment[0].memsz = 0x1ab0000
segment[1].buf   = 0xaaaae79e3480
segment[1].bufsz = 0x400
segment[1].mem   = 0x5b5ff000
segment[1].memsz = 0x1000
`;

describe('the log of kexec -d', () => {
  test('describes the system', () => {
    const system = systemOfDebugLog(LOG, new Uint8Array(0));
    expect(system.systemRam).toEqual([{ start: 0x4000_0000, end: 0x6000_0000 }]);
    expect(system.cpuNotes).toEqual([{ paddr: 0x5fed_4000, size: 424 }]);
    expect(system.vmcoreinfo).toEqual({ paddr: 0x422f_a000, size: 0x1024 });
    expect(system.kernelText).toEqual({ paddr: 0x4020_0000, size: 0x1ab_0000, vaddr: 0xffff_8000_0800_0000n });
    expect(system.pageOffset).toBe(0xffff_0000_0000_0000n);
    expect(system.physOffset).toBe(0x4000_0000);
  });
  test('tells the system call', () => {
    expect(loadOfDebugLog(LOG)).toEqual({
      entry: 0x5561_56a0,
      flags: 0xb7_0001,
      segments: [
        { bufsz: 0x1a0_9fc0, mem: 0x5360_0000, memsz: 0x1ab_0000 },
        { bufsz: 0x400, mem: 0x5b5f_f000, memsz: 0x1000 },
      ],
    });
  });
  test('is refused without a -d log', () => {
    expect(() => systemOfDebugLog('kdump-lab: phase=panic\n', new Uint8Array(0), 'console.log')).toThrow(
      /console\.log: not the log/,
    );
    expect(() => loadOfDebugLog('')).toThrow(FormatError);
  });
});
