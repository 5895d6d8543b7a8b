/**
 * Loops without an operating system (micro/micro.c): integer arithmetic, copying, SHA-256, decompression. The guest writes a
 * letter at the beginning of each; wall time and instructions are taken when it arrives.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findBackend } from '../../scripts/commands/backends.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import type { Backend } from './flow.ts';
import { median, ratio, seconds, table } from './table.ts';

const IMAGES: Readonly<Record<Architecture, string>> = { aarch64: 'micro.Image', x86_64: 'micro.vmlinux' };
const LOOPS = {
  i: 'integer',
  c: 'copy (2 GiB)',
  r: 'copy between rival pages (64 MiB)',
  s: 'SHA-256 (48 MiB)',
  u: 'decompression (128 MiB)',
} as const;
const LETTERS = Object.keys(LOOPS) as (keyof typeof LOOPS)[];
const TIMEOUT_SECONDS = 120;

interface Mark {
  readonly wallMs: number;
  readonly instructions: number;
}

type Marks = ReadonlyMap<string, Mark>;

/** Runs the loops on each machine and prints the comparison. */
export async function benchMicro(
  architecture: Architecture,
  backends: readonly Backend[],
  runs: number,
): Promise<void> {
  const results: Record<Backend, Marks[]> = { 'kdump-lab': [], qemu: [] };
  for (let run = 0; run < runs; run++) {
    for (const backend of backends) results[backend].push(await runOnce(architecture, backend));
  }
  console.log(
    `\n## Loops: ${architecture}, ${ARCHITECTURE_DEFAULTS[architecture].cpu}, ${runs} run${runs === 1 ? '' : 's'} each, medians\n`,
  );
  const rows = LETTERS.map((letter, i) => {
    const end = LETTERS[i + 1] ?? '.';
    const took = (marks: Marks): number => (marks.get(end)!.wallMs - marks.get(letter)!.wallMs) / 1000;
    const [first] = results['kdump-lab'];
    const instructions = first!.get(end)!.instructions - first!.get(letter)!.instructions;
    const mine = median(results['kdump-lab'].map(took));
    const other = results.qemu.length === 0 ? undefined : median(results.qemu.map(took));
    const speed = (time: number | undefined): string =>
      time === undefined ? '–' : Math.round(instructions / time / 1e6).toLocaleString('en');
    return [
      LOOPS[letter],
      seconds(mine),
      other === undefined ? '–' : seconds(other),
      ratio(mine, other),
      speed(mine),
      speed(other),
    ];
  });
  console.log(table(['Loop', 'kdump-lab', 'QEMU', 'ratio', 'kdump-lab, M insns/s', 'QEMU, M insns/s'], rows));
}

async function runOnce(architecture: Architecture, backend: Backend): Promise<Marks> {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-bench-'));
  try {
    const disk = join(folder, 'disk');
    writeFileSync(disk, new Uint8Array(2 ** 20));
    const { cpus, memorySize } = DEFAULT_SCENARIO;
    const hardware = { architecture, ...ARCHITECTURE_DEFAULTS[architecture], cpus, memorySize, disk };
    const lab = findBackend(backend)({
      ...hardware,
      kernel: join(import.meta.dirname, 'micro', IMAGES[architecture]),
      initrd: new Uint8Array(4096),
      commandLine: '',
      seeds: false,
    });
    const marks = new Map<string, Mark>();
    const onConsole = (bytes: Uint8Array): void => {
      const mark = { wallMs: performance.now(), instructions: lab.progress().instructions ?? 0 };
      for (const letter of Buffer.from(bytes).toString('latin1').trim().split('\n')) marks.set(letter, mark);
    };
    await lab.run({ onConsole }, { guestSeconds: TIMEOUT_SECONDS });
    if (!marks.has('.')) throw new Error(`the loops did not end on ${backend}`);
    return marks;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
