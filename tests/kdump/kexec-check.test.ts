/**
 * `kexec check` in a live guest: what real kexec-tools loaded there passes, and each fault that is put into it behind the guest's back is
 * named.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeU64 } from '../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR } from '../../capture/formats/elf.ts';
import { recogniseSegments } from '../../kexec/recognise.ts';
import type { SegmentName } from '../../kexec/segments.ts';
import { checkMachine } from '../../scripts/lab/live-check.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';
import { machineStateOf } from '../../scripts/lab/watched-board.ts';
import { loadInGuest, type LoadedGuest } from '../support/loaded-guest.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-check-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A fault, and what the check says of it. */
interface Fault {
  readonly what: string;
  readonly segment: SegmentName;
  readonly damage: (bytes: Uint8Array) => void;
  readonly said: RegExp;
}

/** Changes a text in a segment. */
function rename(from: string, to: string): Fault['damage'] {
  return bytes => {
    bytes.set(Buffer.from(to, 'latin1'), Buffer.from(bytes).indexOf(from));
  };
}

const E_MACHINE = ELF64_EHDR.offsets.e_machine;
/** Behind the notes of one CPU and of VMCOREINFO. */
const FIRST_LOAD = ELF64_EHDR.size + 2 * ELF64_PHDR.size;
const EVERYWHERE: readonly Fault[] = [
  {
    what: 'no ELF core header',
    segment: 'elfcorehdr',
    damage: bytes => bytes.fill(0, 0, 4),
    said: /^error: no segment holds an ELF core header: \/proc\/vmcore will not exist$/m,
  },
  {
    what: 'an ELF core header of another architecture',
    segment: 'elfcorehdr',
    damage: bytes => void (bytes[E_MACHINE] = 8),
    said: /^error: the ELF core header is for machine 8$/m,
  },
  {
    what: 'an ELF core header with memory that is not there',
    segment: 'elfcorehdr',
    damage: bytes => writeU64(bytes, FIRST_LOAD + ELF64_PHDR.offsets.p_paddr, 0x70_0000_0000n),
    said: /^error: PT_LOAD 0x7000000000-.* is no System RAM$/m,
  },
  {
    what: 'an initrd that is not the one of the digest',
    segment: 'initrd',
    damage: bytes => void (bytes[1]! ^= 0xff),
    said: /^error: the purgatory would not jump: its SHA-256 is not that of the segments in memory$/m,
  },
];

const FAULTS: Readonly<Record<Scenario['architecture'], readonly Fault[]>> = {
  aarch64: [
    ...EVERYWHERE,
    {
      what: 'a device tree without linux,elfcorehdr',
      segment: 'dtb',
      damage: rename('linux,elfcorehdr', 'linux,elfcorehdX'),
      said: /^error: \/chosen has no linux,elfcorehdr: \/proc\/vmcore will not exist$/m,
    },
    {
      what: 'a kernel of another architecture',
      segment: 'kernel',
      damage: rename('ARM\x64', 'MIPS'),
      said: /^error: no segment holds an arm64 Image: wrong architecture/m,
    },
  ],
  x86_64: [
    ...EVERYWHERE,
    {
      what: 'a command line without elfcorehdr=',
      segment: 'boot_params',
      damage: rename('elfcorehdr=', 'elfcorehdX='),
      said: /^error: the command line has no elfcorehdr=: \/proc\/vmcore will not exist$/m,
    },
    {
      what: 'boot parameters of another architecture',
      segment: 'boot_params',
      damage: rename('HdrS', 'none'),
      said: /^error: no segment holds boot_params of an x86 kernel: wrong architecture/m,
    },
  ],
};

function findings({ board }: LoadedGuest): string {
  return checkMachine(machineStateOf(board))!
    .findings.map(({ severity, text }) => `${severity}: ${text}`)
    .join('\n');
}

/** What the check says while a segment is damaged. */
function findingsOf(guest: LoadedGuest, { segment, damage }: Fault): string {
  const { image, read, board } = guest;
  const { mem, memsz } = recogniseSegments(image, read, board.architecture).find(({ what }) => what === segment)!;
  const bytes = read(mem, memsz);
  const sound = bytes.slice();
  damage(bytes);
  const said = findings(guest);
  bytes.set(sound);
  return said;
}

/** Makes the kernel's `Crash kernel` resource shorter. @returns undoes it */
function shrinkRegion({ program, read }: LoadedGuest, size: number): () => void {
  const [ram] = [program.findGlobal('resource', 'iomem_resource')!];
  for (let at = ram.pointer('child'); at !== 0n; at = program.object('resource', at).pointer('sibling')) {
    for (let inner = program.object('resource', at).pointer('child'); inner !== 0n;) {
      const resource = program.object('resource', inner);
      if (program.memory.readString(resource.pointer('name'), 64) === 'Crash kernel') {
        const end = read(program.space.translate(resource.addressOf('end'))!, 8);
        const whole = end.slice();
        writeU64(end, 0, resource.big('start') + BigInt(size) - 1n);
        return () => end.set(whole);
      }
      inner = resource.pointer('sibling');
    }
  }
  throw new Error('nothing is reserved');
}

describe.each<[name: string, scenario: Partial<Scenario>]>([
  ['arm64', {}],
  ['x86_64', { architecture: 'x86_64', ...ARCHITECTURE_DEFAULTS.x86_64 }],
])('%s', (_, scenario) => {
  test('an image that kexec loaded is sound, and each fault is named', async () => {
    // With the purgatory's digest, which --fast leaves out.
    const words = { append: 'cryptomgr.notests', captureAppend: 'cryptomgr.notests' };
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, ...words, ...scenario });
    const guest = await loadInGuest(prepared, folder);
    expect(findings(guest)).toBe('');
    for (const fault of FAULTS[prepared.scenario.architecture])
      expect(findingsOf(guest, fault), fault.what).toMatch(fault.said);
    const undo = shrinkRegion(guest, 32 * 2 ** 20);
    expect(findings(guest)).toMatch(/^error: the region has 32 MiB, too little for kernel, initrd and CMA/m);
    undo();
    expect(findings(guest)).toBe('');
  });
});
