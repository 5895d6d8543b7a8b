/** A vmlinux keeps the addresses that it was linked for; kexec-tools 2.0.25 `kexec-elf-x86_64.c` for the rest. */
import { expect, test } from 'vitest';
import { readU16, readU32 } from '../../../capture/formats/bytes.ts';
import { ELF64_EHDR, ELF64_PHDR, ELF_MAGIC } from '../../../capture/formats/elf.ts';
import { readBootParams } from '../../../kexec/boot-params.ts';
import { planX86VmlinuxLoad } from '../../../kexec/load-plan-x86_64-elf.ts';
import { findPlanned, NO_LIMITS } from '../../../kexec/load-plan.ts';

const MIB = 2 ** 20;
const LINKED_AT = 16 * MIB;

function vmlinux(machine = 62): Uint8Array {
  const ehdr = ELF64_EHDR.build({
    magic: ELF_MAGIC,
    ei_class: 2,
    ei_data: 1,
    ei_version: 1,
    e_type: 2,
    e_machine: machine,
    e_version: 1,
    e_entry: BigInt(LINKED_AT),
    e_phoff: ELF64_EHDR.size,
    e_phentsize: ELF64_PHDR.size,
    e_phnum: 1,
  });
  const phdr = ELF64_PHDR.build({
    p_type: 1,
    p_offset: 0x1000,
    p_paddr: BigInt(LINKED_AT),
    p_filesz: 0x800,
    p_memsz: 2 * MIB,
  });
  const bytes = new Uint8Array(0x1800).fill(0x90);
  bytes.set(ehdr);
  bytes.set(phdr, ELF64_EHDR.size);
  return bytes;
}

function plan(region: { start: number; end: number }, kernel = vmlinux()) {
  const system = {
    architecture: 'x86_64' as const,
    systemRam: [{ start: 0x10_0000, end: 0x1ffd_f000 }],
    usableRam: [{ start: 0x10_0000, end: 0x1ffd_f000 }],
    crashRegions: [region],
    cpuNotes: [{ paddr: 0x1fc1_0000, size: 368 }],
    vmcoreinfo: undefined,
    kernelText: { paddr: 0x1240_0000, size: 0x283_0000, vaddr: 0xffff_ffff_8100_0000n },
    pageOffset: 0xffff_8880_0000_0000n,
    physOffset: 0,
    deviceTree: new Uint8Array(0),
  };
  const memoryMap = [
    { start: 0x1000, end: 0x9_fc00, type: 1 },
    { start: 0x10_0000, end: 0x1ffd_f000, type: 1 },
  ];
  return planX86VmlinuxLoad(
    system,
    { memoryMap, acpiRsdp: 0 },
    {
      kernel,
      initrd: new Uint8Array(MIB),
      commandLine: 'nr_cpus=1',
      onPanic: true,
      noChecks: true,
      memory: NO_LIMITS,
      entry: undefined,
      dtb: undefined,
      kaslrSeed: undefined,
      rngSeed: undefined,
    },
  );
}

test('lies where it was linked, the purgatory and its parameters in the first hole', () => {
  const loaded = plan({ start: 16 * MIB, end: 80 * MIB });
  expect(findPlanned(loaded, 'kernel')).toMatchObject({ mem: LINKED_AT, memsz: 2 * MIB });
  const purgatory = findPlanned(loaded, 'purgatory')!;
  expect(purgatory.mem).toBe(18 * MIB);
  const params = findPlanned(loaded, 'boot_params')!;
  expect(params.mem).toBe(purgatory.mem + purgatory.memsz);
  const told = readBootParams(params.bytes)!;
  expect(told.commandLinePaddr).toBe(params.mem + 0x1000);
  expect(Buffer.from(params.bytes.subarray(0x1000)).toString('latin1')).toMatch(/^nr_cpus=1 elfcorehdr=\d+K\0/);
  expect(told.initrd!.start).toBe(findPlanned(loaded, 'initrd')!.mem);
  // Without a setup header: protocol 2.06, initrd below 896 MiB.
  expect([readU16(params.bytes, 0x206), readU32(params.bytes, 0x22c)]).toEqual([0x0206, 0x37ff_ffff]);
});

test('needs a region at its address', () => {
  expect(() => plan({ start: 0x1500_0000, end: 0x1d00_0000 })).toThrow('Invalid memory segment 0x1000000 - 0x11fffff');
});

test.each([[new Uint8Array(100)], [vmlinux(183)]])('refuses what is no x86_64 executable', file => {
  expect(() => plan({ start: 16 * MIB, end: 80 * MIB }, file)).toThrow(/Not (an )?ELF/);
});
