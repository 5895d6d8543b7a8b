/**
 * Damaged and hostile inputs of every kind that `makedumpfile` and its like read: each case ends with a result or with one line, soon.
 *
 * The short version runs with all tests. A campaign: `KDUMP_LAB_FUZZ_RUNS=10000 npx vitest run --project conformance
 * tests/conformance/makedumpfile/fuzz.test.ts`; `KDUMP_LAB_FUZZ_SEED` is the number of its first case (1), so that one case can be run
 * again. Each case may take 5 s, and the process 1 GiB.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { filterSource, sourceOf } from '../../../capture/create-dump.ts';
import { FormatError, UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { parseKdumpConf } from '../../../capture/kdump-conf.ts';
import { formatRecord, readLog } from '../../../capture/dmesg.ts';
import { MemorySink } from '../../../capture/output/dump-sink.ts';
import { openDump, uncached } from '../../../capture/sources/dump-file.ts';
import { excludeUnusedVmemmap } from '../../../capture/unused-vmemmap.ts';
import { FlattenedSink, rearrange } from '../../../capture/writer-flattened.ts';
import { parseCrashKernel } from '../../../kexec/crash-kernel.ts';
import { makedumpfile } from '../../../scripts/commands/makedumpfile.ts';
import { parseEraseConfig } from '../../../scripts/commands/makedumpfile/erase-config.ts';
import { CorruptMemory } from '../../support/corrupt-memory.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';
import { hostileDump, hostileVmcoreinfo, type HostileArchitecture } from '../../support/hostile-dump.ts';
import { Random } from '../../support/random.ts';

const RUNS = Number(process.env['KDUMP_LAB_FUZZ_RUNS'] ?? 300);
const FIRST = Number(process.env['KDUMP_LAB_FUZZ_SEED'] ?? 1);
const LONGEST_MS = 5000;
const LARGEST_KIB = 1024 * 1024;
const HOURS = 3_600_000;

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-fuzz-'));
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

const ARCHITECTURES = ['x86_64', 'aarch64'] as const;
const FORMATS = ['elf', 'zlib', 'lzo', 'snappy', 'zstd'] as const;
/** Whole dumps; each case damages one. */
const bases: Uint8Array[] = [];
/** Two parts of one dump. */
const parts: Uint8Array[] = [];

beforeAll(async () => {
  for (const architecture of ARCHITECTURES) {
    for (const format of FORMATS) bases.push(await hostileDump(architecture, format));
    bases.push(flatten(await hostileDump(architecture, 'elf')), flatten(await hostileDump(architecture, 'lzo')));
  }
  writeFileSync(at('whole'), bases[0]!);
  await run(['--split', '--splitblock-size', '64', '-c', at('whole'), at('part1'), at('part2')]);
  parts.push(readFileSync(at('part1')), readFileSync(at('part2')));
}, HOURS);

function flatten(bytes: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  const sink = new FlattenedSink('flattened', piece => void pieces.push(piece.slice()));
  for (let offset = 0; offset < bytes.length; offset += 30_000)
    sink.write(offset, bytes.subarray(offset, offset + 30_000));
  sink.commit();
  return Buffer.concat(pieces);
}

const WORDS = [
  0n,
  1n,
  2n,
  0x7fn,
  0xffn,
  0xfffn,
  0x1000n,
  0xffff_ffffn,
  0x8000_0000n,
  1n << 40n,
  1n << 63n,
  (1n << 64n) - 1n,
];
/** Headers, notes and tables of contents lie here. */
const HEADERS = 16_384;

function damage(original: Uint8Array, random: Random): Buffer {
  const bytes = Buffer.from(original);
  const reach = random.below(2) === 0 ? Math.min(HEADERS, bytes.length) : bytes.length;
  for (let count = 1 + random.below(6); count > 0; count--) {
    const offset = random.below(reach);
    const aligned = Math.min(offset & ~7, bytes.length - 8);
    switch (random.below(5)) {
      case 0:
        bytes[offset] = random.below(256);
        break;
      case 1:
        bytes.writeBigUInt64LE(random.pick(WORDS), aligned);
        break;
      case 2:
        bytes.writeUInt32LE(Number(random.pick(WORDS) & 0xffff_ffffn), aligned);
        break;
      case 3:
        bytes.writeBigUInt64BE(random.pick(WORDS), aligned);
        break;
      default:
        bytes.copy(bytes, random.below(bytes.length), offset, offset + random.below(512));
    }
  }
  return random.below(6) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

interface Ended {
  readonly code: number;
  readonly messages: string;
}

async function run(args: readonly string[]): Promise<Ended> {
  let messages = '';
  const print = (text: string): void => void (messages += text);
  const code = await makedumpfile(['-f', ...args], { out: print, err: print });
  return { code, messages };
}

const COMMANDS: readonly (readonly string[])[] = [
  ['-l', '-d', '31', at('input'), at('output')],
  ['-z', '-d', '16,31', '-L', '200K', at('input'), at('output')],
  ['-E', '-d', '31', at('input'), at('output')],
  ['-e', '--work-dir', folder, '-p', '-d', '31', at('input'), at('output')],
  ['--split', '-c', '-d', '1', at('input'), at('output'), at('output2'), at('output3')],
  ['--dry-run', '--show-stats', '--vtop', '0xffffffff80010000', at('input'), at('output')],
  ['--dump-dmesg', at('input'), at('output')],
  ['--partial-dmesg', '--dump-dmesg', at('input'), at('output')],
  ['--mem-usage', at('input')],
  ['--reassemble', at('input'), at('output')],
];

function expectWords({ code, messages }: Ended): void {
  expect([0, 1, 2]).toContain(code);
  if (code !== 0) expect(messages).toMatch(/\S+.*\n[^]*makedumpfile Failed/);
  expect(messages).not.toMatch(/^ {4}at |TypeError|RangeError|undefined/m);
}

/** A damaged file, one command. */
async function fileCase(random: Random): Promise<void> {
  writeFileSync(at('input'), damage(random.pick(bases), random));
  expectWords(await run(random.pick(COMMANDS)));
}

/** VMCOREINFO that lies about the kernel. */
async function vmcoreinfoCase(random: Random): Promise<void> {
  const architecture: HostileArchitecture = random.pick(ARCHITECTURES);
  const text = damageText(hostileVmcoreinfo(architecture), random);
  writeFileSync(at('input'), await hostileDump(architecture, random.pick(FORMATS), text));
  expectWords(await run(random.pick(COMMANDS)));
}

/** Parts that do not fit together. */
async function partsCase(random: Random): Promise<void> {
  const [first, second] = parts;
  writeFileSync(at('part1'), random.below(3) === 0 ? first! : damage(first!, random));
  writeFileSync(at('part2'), random.below(3) === 0 ? random.pick(bases) : damage(second!, random));
  expectWords(await run(['--reassemble', at('part1'), at('part2'), at('output')]));
}

/** Every page of a damaged dump, and `-R`. */
function readerCase(random: Random): void {
  const bytes = damage(random.pick(bases), random);
  writeFileSync(at('input'), bytes);
  toleratesBadInput(() => {
    using dump = openDump([at('input')]);
    let pages = 0;
    for (let pfn = 0; pfn < Math.min(dump.memory.maxPfn, 1000); pfn++) {
      if (dump.memory.hasPage(pfn)) toleratesBadInput(() => (pages += dump.memory.readPage(pfn).length));
    }
    expect(pages).toBeGreaterThanOrEqual(0);
  });
  let position = 0;
  const read = (length: number): Uint8Array => bytes.subarray(position, (position += length));
  toleratesBadInput(() => rearrange(read, new LimitedSink(), 'input'));
}

/** Takes what a file of 64 MiB would. */
class LimitedSink extends MemorySink {
  override write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.length > 2 ** 26) throw new UsageError('the test has no more room');
    super.write(offset, bytes);
  }
}

function toleratesBadInput(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    const isExpected = [FormatError, UsageError, UnimplementedError].some(kind => error instanceof kind);
    if (!isExpected && !(error instanceof Error && error.name === 'FaultError')) throw error;
  }
}

const KDUMP_CONF = `path /var/crash
ext4 /dev/vda
core_collector makedumpfile -l --message-level 7 -d 31
ssh user@my.server.com
nfs my.server.com:/export/tmp
failure_action shell
final_action reboot
kdump_pre /usr/bin/pre
extra_modules gfs2
dracut_args --add "x y"
force_rebuild 1
`;
const ERASE_CONF = `[vmlinux]
erase jiffies
erase mystruct.data size 1024
for m in modules.list.next within module:list
  erase m.holders_dir.name nullify
endfor
[ext4]
erase a.b size c.d
`;
const CRASHKERNEL =
  'quiet crashkernel=512M-2G:64M,2G-:128M@16M crashkernel=1G,high crashkernel=72M,low crashkernel=64M,cma x=y';

/** Files of text: other lines, other words, other numbers. */
function textCase(random: Random): void {
  toleratesBadInput(() => parseKdumpConf(damageText(KDUMP_CONF, random)));
  toleratesBadInput(() => parseEraseConfig(damageText(ERASE_CONF, random), 'erase.conf'));
  toleratesBadInput(() => parseCrashKernel(damageText(CRASHKERNEL, random), 2 ** 32));
}

const TEXTS = [
  '',
  '0',
  '-1',
  '99999999999999999999',
  'ffffffffffffffff',
  '0x',
  '/',
  '@',
  ':',
  ',',
  '[',
  ']',
  '"',
  '\0',
  '\u{10ffff}',
  'x'.repeat(5000),
];

function damageText(text: string, random: Random): string {
  let changed = text;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const [from, length] = [random.below(changed.length + 1), random.below(12)];
    const piece =
      random.below(2) === 0 ? random.pick(TEXTS) : changed.slice(random.below(changed.length + 1)).slice(0, 40);
    changed = changed.slice(0, from) + piece + changed.slice(from + length);
  }
  return changed;
}

const OPTIONS = [
  '-c',
  '-l',
  '-p',
  '-z',
  '-E',
  '-e',
  '-d',
  '31',
  '1,8,31',
  '-L',
  '1M',
  '0x100',
  '--split',
  '--splitblock-size',
  '-1',
  '--num-threads',
  '2',
  '--dump-dmesg',
  '--partial-dmesg',
  '--mem-usage',
  '--reassemble',
  '--dry-run',
  '--show-stats',
  '--check-params',
  '--message-level',
  '--vtop',
  'ffffffff80000000',
  '-D',
  '-g',
  '-i',
  '-x',
  '--config',
  '--work-dir',
  '--cyclic-buffer',
  '--',
  '-',
  '',
  '--non-mmap',
  '--eppic',
  '-X',
];

/** Command lines that nobody would write. */
async function optionsCase(random: Random): Promise<void> {
  writeFileSync(at('input'), random.pick(bases));
  const words = Array.from({ length: random.below(7) }, () => random.pick(OPTIONS));
  const files = random.below(4) === 0 ? [] : [at('input'), at('output'), at('output2')].slice(0, 1 + random.below(3));
  const { code, messages } = await run([...words, ...files]);
  expect([0, 1, 2]).toContain(code);
  expect(messages).not.toMatch(/^ {4}at |TypeError|RangeError/m);
}

const references = (['x86_64-6.1', 'aarch64-6.1'] as const).flatMap(name => findDumpFolder(name) ?? []);

/** A real kernel whose memory is damaged: page tables, page structures, the log, free lists. */
function kernelCase(random: Random): void {
  if (references.length === 0) return;
  using dump = openDump([join(random.pick(references), 'vmcore')]);
  const every = random.pick([20, 200, 2000]);
  const memory = new CorruptMemory(uncached(dump.memory), { seed: random.word() >>> 1, every });
  const damaged = { ...dump, memory, vmcoreinfo: dump.vmcoreinfo };
  toleratesBadInput(() => {
    const source = sourceOf(damaged);
    toleratesBadInput(() => readLog(source.kernel!).map(record => formatRecord(record)));
    const { dumped, counts } = filterSource(source, random.below(32));
    const left = source.pages.available.count() - Object.values(counts).reduce((sum, count) => sum + count, 0);
    expect(dumped.count()).toBe(left);
    toleratesBadInput(() => excludeUnusedVmemmap(source.kernel!, source.pages.exists, dumped));
  });
}

const CASES: readonly ((random: Random) => void | Promise<void>)[] = [
  fileCase,
  fileCase,
  fileCase,
  vmcoreinfoCase,
  partsCase,
  readerCase,
  readerCase,
  textCase,
  optionsCase,
  kernelCase,
];

test(
  `${RUNS} hostile inputs, from case ${FIRST}, end with a result or a clear error`,
  async () => {
    const failures: string[] = [];
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const random = new Random(seed);
      const start = performance.now();
      const name = CASES[seed % CASES.length]!;
      try {
        await name(random);
      } catch (error) {
        failures.push(`case ${seed} (${name.name}): ${String(error)}`);
      }
      const ms = performance.now() - start;
      if (ms > LONGEST_MS) failures.push(`case ${seed} (${name.name}) took ${Math.round(ms)} ms`);
    }
    expect(failures).toEqual([]);
    expect(process.resourceUsage().maxRSS).toBeLessThan(LARGEST_KIB);
  },
  HOURS,
);
