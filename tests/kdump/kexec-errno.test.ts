/**
 * The table of kexec_load's errors against a real kernel: a small program makes the calls in a Debian guest and prints what each returns.
 * The program is written by the guest's shell; its calls are rows of its data.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeU32, writeU64 } from '../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC } from '../../capture/formats/elf.ts';
import { checkKexecLoad, ERRNO, type KexecKernel, type KexecLoadArguments } from '../../kexec/syscalls.ts';
import { EmulatedMachine } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-errno-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** For each row: kexec_load(entry, nr_segments, segments, flags); prints `E` and two digits of the error. */
// prettier-ignore
const CODE = [
  0x1000_0413, // adr x19, table
  0xd100_43ff, // sub sp, sp, #0x10
  0xf940_0e74, // ldr x20, [x19, #24]
  0xb400_0334, // cbz x20, done
  0xa940_0660, // ldp x0, x1, [x19]
  0x9100_8262, // add x2, x19, #0x20
  0xf940_0a63, // ldr x3, [x19, #16]
  0xd280_0d08, // mov x8, #0x68
  0xd400_0001, // svc #0x0
  0xcb00_03e0, // neg x0, x0
  0xd280_0141, // mov x1, #0xa
  0x9ac1_0802, // udiv x2, x0, x1
  0x9b01_8043, // msub x3, x2, x1, x0
  0x1100_c042, // add w2, w2, #0x30
  0x1100_c063, // add w3, w3, #0x30
  0x5280_08a4, // mov w4, #0x45
  0x3900_03e4, // strb w4, [sp]
  0x3900_07e2, // strb w2, [sp, #1]
  0x3900_0be3, // strb w3, [sp, #2]
  0x5280_0144, // mov w4, #0xa
  0x3900_0fe4, // strb w4, [sp, #3]
  0xd280_0020, // mov x0, #0x1
  0x9100_03e1, // mov x1, sp
  0xd280_0082, // mov x2, #0x4
  0xd280_0808, // mov x8, #0x40
  0xd400_0001, // svc #0x0
  0x9101_8273, // add x19, x19, #0x60
  0x17ff_ffe7, // b next
  0xd280_0000, // mov x0, #0x0
  0xd280_0ba8, // mov x8, #0x5d
  0xd400_0001, // svc #0x0
  0xd503_201f, // nop

];
/** entry, nr_segments, flags, 1 for "there is a row", and two segments of buf, bufsz, mem, memsz. */
const ROW_SIZE = 96;
const LOAD_ADDRESS = 0x40_0000n;
const REGION = { start: 0x5360_0000, end: 0x5b60_0000 };

const KERNEL: KexecKernel = {
  architecture: 'aarch64',
  hasKexecLoad: true,
  hasKexecFileLoad: false,
  knownFlags: 3,
  knownFileFlags: 0,
  mayBoot: true,
  loadDisabled: false,
  loadsLeft: { panic: undefined, reboot: undefined },
  busy: false,
  crashRegion: REGION,
  totalRamPages: 0x1_6000,
};
const ON_CRASH = 0xb7_0001n;
const IN_REGION = BigInt(REGION.start);
const one = { bufsz: 0n, mem: IN_REGION, memsz: 0x1000n };

const CALLS: readonly (readonly [what: string, call: KexecLoadArguments])[] = [
  ['unknown flag', { entry: 0n, nrSegments: 0, segments: [], flags: 0x100n }],
  ['17 segments', { entry: 0n, nrSegments: 17, segments: Array.from({ length: 17 }, () => one), flags: ON_CRASH }],
  ['another architecture', { entry: 0n, nrSegments: 0, segments: [], flags: 0x3e_0001n }],
  ['unload', { entry: 0n, nrSegments: 0, segments: [], flags: ON_CRASH }],
  ['entry below the region', { entry: IN_REGION - 1n, nrSegments: 1, segments: [one], flags: ON_CRASH }],
  ['entry behind the region', { entry: BigInt(REGION.end), nrSegments: 1, segments: [one], flags: ON_CRASH }],
  [
    'unaligned start',
    { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, mem: IN_REGION + 8n }], flags: ON_CRASH },
  ],
  ['unaligned end', { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, memsz: 0x1800n }], flags: ON_CRASH }],
  [
    'wraps around',
    {
      entry: IN_REGION,
      nrSegments: 1,
      segments: [{ ...one, mem: 0xffff_ffff_ffff_f000n, memsz: 0x2000n }],
      flags: ON_CRASH,
    },
  ],
  ['overlap', { entry: IN_REGION, nrSegments: 2, segments: [one, one], flags: ON_CRASH }],
  ['buffer too large', { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, bufsz: 0x1001n }], flags: ON_CRASH }],
  [
    'more than half of memory',
    { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, memsz: 0x1_8000_0000n }], flags: ON_CRASH },
  ],
  [
    'below the region',
    { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, mem: IN_REGION - 0x1000n }], flags: ON_CRASH },
  ],
  [
    'out of the region',
    { entry: IN_REGION, nrSegments: 1, segments: [{ ...one, mem: BigInt(REGION.end) }], flags: ON_CRASH },
  ],
];

/** A static executable of one segment. */
function program(): Uint8Array {
  const start = ELF64_EHDR.size + ELF64_PHDR.size;
  const table = start + CODE.length * 4;
  const bytes = new Uint8Array(table + (CALLS.length + 1) * ROW_SIZE);
  const entry = LOAD_ADDRESS + BigInt(start);
  bytes.set(
    ELF64_EHDR.build({
      magic: ELF_MAGIC,
      ei_class: 2,
      ei_data: 1,
      ei_version: 1,
      e_type: 2,
      e_machine: 183,
      e_version: 1,
      e_entry: entry,
      e_phoff: ELF64_EHDR.size,
      e_ehsize: ELF64_EHDR.size,
      e_phentsize: ELF64_PHDR.size,
      e_phnum: 1,
    }),
  );
  const size = { p_filesz: bytes.length, p_memsz: bytes.length };
  const place = { p_vaddr: LOAD_ADDRESS, p_paddr: LOAD_ADDRESS, p_align: 0x1_0000n };
  bytes.set(ELF64_PHDR.build({ p_type: 1, p_flags: 5, ...place, ...size }), ELF64_EHDR.size);
  for (const [i, word] of CODE.entries()) writeU32(bytes, start + i * 4, word);
  for (const [i, [, call]] of CALLS.entries()) writeRow(bytes, table + i * ROW_SIZE, call);
  return bytes;
}

function writeRow(bytes: Uint8Array, at: number, { entry, nrSegments, segments, flags }: KexecLoadArguments): void {
  for (const [n, value] of [entry, BigInt(nrSegments), flags, 1n].entries()) writeU64(bytes, at + n * 8, value);
  for (const [i, { bufsz, mem, memsz }] of segments.slice(0, 2).entries()) {
    for (const [n, value] of [LOAD_ADDRESS, bufsz, mem, memsz].entries())
      writeU64(bytes, at + 32 + i * 32 + n * 8, value);
  }
}

test('a Debian 12 kernel returns the errors of the table', async () => {
  const escaped = Array.from(program(), byte => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  const panic = `printf '${escaped}' > /tmp/calls; busybox chmod 755 /tmp/calls; /tmp/calls; poweroff -f`;
  const scenario = { ...DEFAULT_SCENARIO, fast: true, crashkernel: '128M', mode: 'host' as const, panic };
  await runFlow(await prepareRun(scenario), folder, config => new EmulatedMachine(config));
  const console = readFileSync(join(folder, 'console.log'), 'latin1').replaceAll('\r', '');
  const errors = [...console.matchAll(/^E(\d\d)$/gm)].map(([, digits]) => Number(digits));
  const expected = CALLS.map(([what, call]) => {
    const refusal = checkKexecLoad(call, KERNEL);
    return [what, refusal === undefined ? 0 : ERRNO[refusal.errno]];
  });
  expect(CALLS.map(([what], i) => [what, errors[i]])).toEqual(expected);
});
