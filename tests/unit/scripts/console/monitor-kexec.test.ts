/** `kexec check` and `info kexec` where there is nothing to look at; on real kernels tests/kdump/kexec-host-mode.test.ts does. */
import { expect, test } from 'vitest';
import { checkKexec } from '../../../../scripts/console/monitor/kexec.ts';

test.each(['aarch64', 'x86_64'] as const)('says that no %s kernel has described itself', async architecture => {
  const ram = new Uint8Array(2 ** 20);
  const memory = {
    ranges: [{ start: 0, size: ram.length }],
    read: (paddr: number, length: number) => ram.subarray(paddr, paddr + length),
    write: () => undefined,
  };
  const machine = { architecture, memory } as unknown as Parameters<typeof checkKexec>[0]['machine'];
  expect(await checkKexec({ machine })).toEqual(['no kernel here has described itself (VMCOREINFO)']);
});
