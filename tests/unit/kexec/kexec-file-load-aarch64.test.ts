/**
 * Against kexec_file_load of a real arm64 kernel. No Debian kernel has CONFIG_KEXEC_FILE, so what one did is recorded: Debian's source of
 * Linux 6.1 (6.1.176), configured as small as possible with it, loaded itself with `kexec -p -s`, on a `virt` machine of 512 MiB.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FlatTree } from '../../../kexec/flat-tree.ts';
import { ARM64_IMAGE_HEADER } from '../../../kexec/images.ts';
import { planKexecFileLoad } from '../../../kexec/load-plan-aarch64.ts';
import { findPlanned, NO_LIMITS } from '../../../kexec/load-plan.ts';
import type { RunningSystem } from '../../../kexec/running-system.ts';

interface Range {
  readonly start: number;
  readonly end: number;
}

/** `load.json`: addresses of the linear map and the kernel's are hexadecimal text. */
interface Recorded {
  readonly kernel: { readonly file: number; readonly image_size: number; readonly text_offset: number };
  readonly initrd: number;
  readonly commandLine: string;
  /** Where the kernel found its device tree. */
  readonly treePaddr: number;
  readonly system: {
    readonly systemRam: readonly Range[];
    readonly crashRegions: readonly Range[];
    readonly cpuNotes: readonly { readonly paddr: number; readonly size: number }[];
    readonly vmcoreinfo: { readonly paddr: number; readonly size: number };
    readonly kernelText: { readonly paddr: number; readonly size: number; readonly vaddr: string };
    readonly pageOffset: string;
    readonly physOffset: number;
  };
  readonly start: number;
  readonly segments: readonly {
    readonly what: string;
    readonly mem: number;
    readonly memsz: number;
    readonly bufsz: number;
  }[];
}

const FOLDER = join(import.meta.dirname, '../../fixtures/kexec/arm64-kexec-file-load');
const read = (name: string): Uint8Array => readFileSync(join(FOLDER, name));
const recorded = JSON.parse(Buffer.from(read('load.json')).toString('utf8')) as Recorded;

/** A kernel of the recorded one's size. */
function image({ file, image_size, text_offset }: Recorded['kernel']): Uint8Array {
  const bytes = new Uint8Array(file);
  bytes.set(ARM64_IMAGE_HEADER.build({ magic: 'ARM\x64', image_size, text_offset, flags: 0xan }));
  return bytes;
}

function systemOf({ system }: Recorded): RunningSystem {
  return {
    ...system,
    architecture: 'aarch64',
    usableRam: system.systemRam,
    kernelText: { ...system.kernelText, vaddr: BigInt(system.kernelText.vaddr) },
    pageOffset: BigInt(system.pageOffset),
    deviceTree: read('production.dtb'),
  };
}

describe('kexec_file_load of an arm64 kernel', () => {
  const chosen = new FlatTree(read('capture.dtb'));
  const seed = chosen.property('chosen', 'kaslr-seed');
  const plan = planKexecFileLoad(
    systemOf(recorded),
    {
      kernel: image(recorded.kernel),
      initrd: new Uint8Array(recorded.initrd),
      commandLine: recorded.commandLine,
      onPanic: true,
      noChecks: true,
      memory: NO_LIMITS,
      entry: undefined,
      dtb: undefined,
      // Random: passed on.
      kaslrSeed: seed && Buffer.from(seed).readBigUInt64BE(),
      rngSeed: chosen.property('chosen', 'rng-seed'),
    },
    undefined,
    recorded.treePaddr,
  );

  test('gave its segments the same places and sizes', () => {
    const planned = plan.segments.map(({ name, mem, memsz, bytes }) => ({
      what: name,
      mem,
      memsz,
      bufsz: bytes.length,
    }));
    expect(planned).toEqual(recorded.segments);
    expect(plan.entry).toBe(recorded.start);
  });

  test.each([
    ['elfcorehdr', 'elfcorehdr.bin'],
    ['dtb', 'capture.dtb'],
  ] as const)('made the same %s, byte by byte', (name, file) => {
    expect(Buffer.from(findPlanned(plan, name)!.bytes).equals(read(file))).toBe(true);
  });
});
