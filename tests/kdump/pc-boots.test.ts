/**
 * Debian's amd64 kernels boot to user space on every PC, however its clocks, CPUs and memory are chosen, without a complaint about them.
 *
 * A boot is deterministic, so each is of another machine. `KDUMP_LAB_BOOTS=50` makes a campaign of as many boots.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';

import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';
import { Random } from '../support/random.ts';

const BOOTS = Number(process.env['KDUMP_LAB_BOOTS'] ?? 2);
const MIB = 2 ** 20;
/** What a kernel says of clocks, interrupt controllers and registers that are not as it expects them. */
const COMPLAINTS =
  /IO-APIC \+ timer doesn't work|alibration failed|nable to calibrate|clocksource.*unstable|Marking TSC unstable due to (?!TSCs unsynchronized)|unchecked MSR|WARNING:|Firmware Bug|not consistent/;

/** A boot: the scenario, and what QEMU calls `-kernel`. */
interface Boot {
  readonly scenario: Scenario;
  readonly image: 'bzImage' | 'vmlinux';
}

/** Machines in an order that reaches each board, count of CPUs and format soon. */
function boots(): readonly Boot[] {
  const random = new Random(50);
  return Array.from({ length: BOOTS }, (_, i): Boot => {
    const isQ35 = i % 2 === 0;
    const suite = ['trixie', 'bookworm', 'bookworm', 'sid'][i % 4]!;
    const scenario: Scenario = {
      ...DEFAULT_SCENARIO,
      architecture: 'x86_64',
      suite,
      machine: isQ35 ? 'q35' : 'microvm',
      diskBus: isQ35 ? 'pci' : 'mmio',
      cpu: random.pick(['qemu64', 'Nehalem', 'Haswell', 'max']),
      cpus: 1 + ((3 + i * 2 + (i >> 2)) % 4),
      memorySize: (512 + 16 * random.below(64)) * MIB,
      append: random.pick(['', 'nokaslr', 'nox2apic', 'quiet']),
      fast: true,
    };
    // the payload of bookworm's kernel is compressed with LZ4
    return { scenario, image: suite !== 'bookworm' && i % 8 < 4 ? 'vmlinux' : 'bzImage' };
  });
}

/** The vmlinux inside a bzImage whose payload is compressed with Zstandard, in a file. Source: boot.rst "payload_offset". */
function extractVmlinux(bzImage: Uint8Array, file: string): string {
  const setupBytes = (bzImage[0x1f1]! + 1) * 512;
  const view = new DataView(bzImage.buffer, bzImage.byteOffset);
  const start = setupBytes + view.getUint32(0x248, true);
  const payload = bzImage.subarray(start, start + view.getUint32(0x24c, true));
  // the last four bytes are the size of what was compressed
  writeFileSync(file, zstdDecompressSync(payload.subarray(0, -4)));
  return file;
}

async function bootToInit({ scenario, image }: Boot): Promise<{ phases: readonly string[]; console: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  try {
    const phases: string[] = [];
    const reached = new AbortController();
    const onPhase = ({ name }: { readonly name: string }): void => {
      phases.push(name);
      if (name === 'production-init') reached.abort();
    };
    const packaged = await prepareRun(scenario);
    const kernelPath =
      image === 'bzImage' ? packaged.kernelPath : extractVmlinux(packaged.image.bytes, join(folder, 'vmlinux'));
    const prepared = { ...packaged, kernelPath };
    await runFlow(prepared, folder, config => new EmulatedMachine(config), { onPhase }, reached.signal);
    return { phases, console: readFileSync(join(folder, 'console.log'), 'latin1') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const named = boots().map((boot, i) => {
  const { suite, machine, cpu, cpus, memorySize, append } = boot.scenario;
  const words = [suite, boot.image, machine, cpu, `${cpus} CPUs`, `${memorySize / MIB} MiB`, append];
  return { name: `${i + 1}: ${words.join(' ')}`, boot };
});

test.each(named)('boot $name', async ({ boot }) => {
  const { phases, console } = await bootToInit(boot);
  expect(phases).toContain('production-init');
  expect(console.split('\n').filter(line => COMPLAINTS.test(line))).toEqual([]);
});
