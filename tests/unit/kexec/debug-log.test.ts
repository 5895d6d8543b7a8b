/** Against what kexec 2.0.25 printed with -p -c -d on Debian 12's amd64 kernel (less its relocations), 512 MiB, crashkernel=128M. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../capture/formats/errors.ts';
import { firmwareOfDebugLog, loadOfDebugLog, systemOfDebugLog } from '../../../kexec/debug-log.ts';

const LOG = readFileSync(join(import.meta.dirname, '../../fixtures/kexec/debian12-amd64-kexec-p-c-d.log'), 'latin1');

describe('the log of kexec -d on x86_64', () => {
  const system = systemOfDebugLog(LOG, new Uint8Array(0), 'log', 'x86_64');

  test('has memory and the crash kernel region', () => {
    expect(system.crashRegions).toEqual([{ start: 0x1600_0000, end: 0x1e00_0000 }]);
    expect(system.systemRam).toEqual([
      { start: 0x1000, end: 0x9_fc00 },
      { start: 0x10_0000, end: 0x1ffd_f000 },
    ]);
    expect(system.pageOffset).toBe(0xffff_8921_8000_0000n);
  });

  test('has notes and the kernel', () => {
    expect(system.cpuNotes).toEqual([{ paddr: 0x1e23_9400, size: 0x170 }]);
    expect(system.vmcoreinfo).toEqual({ paddr: 0x132_e000, size: 0x1024 });
    expect(system.kernelText).toEqual({ paddr: 0x1240_0000, size: 0x283_0000, vaddr: 0xffff_ffff_b120_0000n });
  });

  test("has the firmware's map and its root pointer of ACPI", () => {
    const { acpiRsdp, memoryMap } = firmwareOfDebugLog(LOG);
    expect(acpiRsdp).toBe(0xf_59e0);
    expect(memoryMap.map(({ start, type }) => [start, type])).toEqual([
      [0, 2],
      [0x1000, 1],
      [0x9_fc00, 2],
      [0xf_0000, 2],
      [0x10_0000, 1],
      [0x1ffd_f000, 2],
      [0xb000_0000, 2],
      [0xfed1_c000, 2],
      [0xfffc_0000, 2],
      [0xfd_0000_0000, 2],
    ]);
  });

  test('has the system call', () => {
    const { entry, flags, segments } = loadOfDebugLog(LOG);
    expect([entry, flags, segments.length]).toEqual([0x1df5_4760, 0x3e_0001, 6]);
    expect(segments[4]).toEqual({ bufsz: 0x400, mem: 0x1df5_d000, memsz: 0x4000 });
  });

  test.each([
    ['', /no lines of \/proc\/iomem/],
    [LOG.replaceAll('Elf header', 'x'), /no PT_LOAD/],
  ])('is refused when it is another one', (log, expected) => {
    const read = (): unknown => systemOfDebugLog(log, new Uint8Array(0), 'log', 'x86_64');
    expect(read).toThrow(FormatError);
    expect(read).toThrow(expected);
  });
});
