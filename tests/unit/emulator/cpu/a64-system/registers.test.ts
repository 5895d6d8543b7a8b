import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type A64Configuration,
  CPU_MODEL_NAMES,
  cpuModel,
  type CpuModelName,
} from '../../../../../emulator/cpu/a64/models.ts';
import { genericName, keyOf } from '../../../../../emulator/cpu/a64/system/register-key.ts';
import { findRegisterByName, SYSTEM_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/index.ts';
import { SYSTEM_INSTRUCTIONS } from '../../../../../emulator/cpu/a64/system/system-instructions.ts';
import { UsageError } from '../../../../../capture/formats/errors.ts';
import { createTestMachine } from './machine.ts';

/** Names and encodings as LLVM's assembler (llvm-mc 14) knows them. */
const LLVM = new Map(
  readFileSync(join(import.meta.dirname, 'llvm-encodings.tsv'), 'utf8')
    .trim()
    .split('\n')
    .map(line => line.split('\t') as [name: string, encoding: string]),
);
/** Registers newer than that assembler; encodings from Linux' arch/arm64/tools/sysreg. */
const NEWER = new Map([
  ['ID_AA64ZFR0_EL1', 'S3_0_C0_C4_4'],
  ['ID_AA64SMFR0_EL1', 'S3_0_C0_C4_5'],
  ['ID_DFR1_EL1', 'S3_0_C0_C3_5'],
]);

describe('the table of system registers', () => {
  test('has each encoding and each name once', () => {
    expect(new Set(SYSTEM_REGISTERS.map(row => row.key)).size).toBe(SYSTEM_REGISTERS.length);
    expect(new Set(SYSTEM_REGISTERS.map(row => row.name)).size).toBe(SYSTEM_REGISTERS.length);
  });

  test('has the encodings that an assembler has', () => {
    const named = SYSTEM_REGISTERS.filter(row => row.name !== genericName(row.key));
    const expected = named.map(row => `${row.name} ${LLVM.get(row.name) ?? NEWER.get(row.name)}`);
    expect(named.map(row => `${row.name} ${genericName(row.key)}`)).toEqual(expected);
  });

  test('fits into the CPU state block', () => {
    const fields = SYSTEM_REGISTERS.flatMap(row => (row.kind === 'storage' ? [row.field] : []));
    expect(Math.max(...fields.map(field => field.offset + 8))).toBeLessThanOrEqual(4096);
  });

  /** What the two-kernel flow of Debian's 6.1 and 7.2 executed under QEMU, other than by op0..op2 names. */
  test.each(
    `AIDR CCSIDR CLIDR CONTEXTIDR CNTKCTL CPACR ELR ESR FAR ICC_AP0R0 ICC_AP1R0 ICC_BPR1 ICC_CTLR ICC_EOIR1 ICC_IAR1
     ICC_IGRPEN1 ICC_PMR ICC_SGI1R ICC_SRE ID_AA64DFR0 ID_AA64DFR1 ID_AA64ISAR0 ID_AA64ISAR1 ID_AA64MMFR0 ID_AA64MMFR1
     ID_AA64MMFR2 ID_AA64PFR0 ID_AA64PFR1 MAIR MDSCR MIDR MPIDR OSDLR OSLAR PMINTENCLR REVIDR SCTLR SPSR TCR TPIDR TTBR0
     TTBR1 VBAR`.split(/\s+/),
  )('has %s_EL1, which Linux uses', name => {
    expect(findRegisterByName(`${name}_EL1`)).toBeDefined();
  });

  test.each(
    `CNTFRQ CNTVCT CNTV_CTL CNTV_CVAL CTR DCZID PMCEID0 PMCEID1 PMCNTENCLR PMCR PMOVSCLR PMUSERENR SP TPIDR TPIDRRO`.split(
      ' ',
    ),
  )('has %s_EL0, which Linux uses', name => {
    expect(findRegisterByName(`${name}_EL0`)).toBeDefined();
  });
});

test('system instructions have the encodings that an assembler has', () => {
  const rows = [...SYSTEM_INSTRUCTIONS].map(([key, { name }]) => `${name} ${genericName(key)}`);
  expect(rows).toEqual([...SYSTEM_INSTRUCTIONS.values()].map(({ name }) => `${name} ${LLVM.get(name)}`));
});

function configurationOf(name: string): A64Configuration {
  return { model: cpuModel(name), affinity: 0, hasEl2: false, hasGicv3: true, psciConduit: 'hvc' };
}

function valueOf(configuration: A64Configuration, name: string): bigint {
  if (name === 'MIDR_EL1') return configuration.model.MIDR_EL1;
  const row = findRegisterByName(name);
  return row?.kind === 'constant' ? row.value(configuration) : -1n;
}

describe('identification', () => {
  /** As QEMU 7.2 shows them at EL1 of `virt,gic-version=3`. */
  const QEMU: Readonly<Record<Exclude<CpuModelName, 'max'>, Readonly<Record<string, bigint>>>> = {
    'cortex-a53': {
      MIDR_EL1: 0x410f_d034n,
      CTR_EL0: 0x8444_8004n,
      CLIDR_EL1: 0xa20_0023n,
      ID_AA64ISAR0_EL1: 0x1_1120n,
      ID_AA64MMFR0_EL1: 0x1122n,
      ID_AA64DFR0_EL1: 0x1030_5106n,
      ID_AA64PFR0_EL1: 0x100_0022n,
    },
    'cortex-a57': {
      MIDR_EL1: 0x411f_d070n,
      CTR_EL0: 0x8444_c004n,
      CLIDR_EL1: 0xa20_0023n,
      ID_AA64ISAR0_EL1: 0x1_1120n,
      ID_AA64ISAR1_EL1: 0n,
      ID_AA64MMFR0_EL1: 0x1124n,
      ID_AA64MMFR1_EL1: 0n,
      ID_AA64MMFR2_EL1: 0n,
      ID_AA64DFR0_EL1: 0x1030_5106n,
      ID_AA64PFR0_EL1: 0x100_0022n,
      ID_AA64PFR1_EL1: 0n,
    },
    'cortex-a72': {
      MIDR_EL1: 0x410f_d083n,
      CTR_EL0: 0x8444_c004n,
      ID_AA64ISAR0_EL1: 0x1_1120n,
      ID_AA64MMFR0_EL1: 0x1124n,
      ID_AA64PFR0_EL1: 0x100_0022n,
    },
    'cortex-a76': {
      MIDR_EL1: 0x414f_d0b1n,
      CTR_EL0: 0x8444_c004n,
      CLIDR_EL1: 0x8200_0023n,
      ID_AA64ISAR0_EL1: 0x1000_1021_1120n,
      ID_AA64ISAR1_EL1: 0x10_0001n,
      ID_AA64MMFR0_EL1: 0x10_1122n,
      ID_AA64MMFR1_EL1: 0x1021_2122n,
      ID_AA64MMFR2_EL1: 0x1011n,
      ID_AA64DFR0_EL1: 0x1030_5408n,
      ID_AA64PFR0_EL1: 0x1100_0000_1111_0012n,
      ID_AA64PFR1_EL1: 0x10n,
    },
  };

  /** Fields in which we announce less: AArch32 at EL0 and EL1, big-endian data, the Virtualization Host Extensions. */
  const LESS: Readonly<Record<string, readonly [mask: bigint, value: bigint]>> = {
    ID_AA64PFR0_EL1: [0xffn, 0x11n],
    ID_AA64MMFR0_EL1: [0xf00n, 0n],
    ID_AA64MMFR1_EL1: [0xf00n, 0n],
  };

  const rows = Object.entries(QEMU).flatMap(([model, registers]) =>
    Object.entries(registers).map(([name, value]) => [model as CpuModelName, name, value] as const),
  );

  test.each(rows)("of %s has QEMU's %s", (model, name, value) => {
    const [mask, less] = LESS[name] ?? [0n, 0n];
    expect(valueOf(configurationOf(model), name)).toBe((value & ~mask) | less);
  });

  test.each([
    ['cortex-a53', [0x700f_e01an, 0x201f_e00an, 0x707f_e07an]],
    ['cortex-a57', [0x701f_e00an, 0x201f_e012n, 0x70ff_e07an]],
    ['cortex-a72', [0x701f_e00an, 0x201f_e012n, 0x707f_e07an]],
    ['cortex-a76', [0x701f_e01an, 0x201f_e01an, 0x707f_e03an]],
  ] as const)("of %s has QEMU's caches", (name, caches) => {
    expect(cpuModel(name).CCSIDR_EL1).toEqual(caches);
  });

  test('announces EL2 and the GIC only where the board has them', () => {
    const bare = { ...configurationOf('cortex-a57'), hasGicv3: false };
    expect(valueOf(bare, 'ID_AA64PFR0_EL1')).toBe(0x11n);
    expect(valueOf({ ...bare, hasEl2: true }, 'ID_AA64PFR0_EL1')).toBe(0x111n);
  });

  // Source: QEMU 7.2 docs/system/arm/cpu-features.rst, and what its gdb server shows; fields of Arm ARM DDI 0487 "ID_AA64ISAR1_EL1", "ID_AA64MMFR0_EL1"
  test.each([
    ['max', 'ID_AA64ISAR1_EL1', { APA: 1n, API: 0n, GPA: 1n, GPI: 0n }],
    ['max,pauth-impdef=on', 'ID_AA64ISAR1_EL1', { APA: 0n, API: 1n, GPA: 0n, GPI: 1n }],
    ['max,pauth=off', 'ID_AA64ISAR1_EL1', { APA: 0n, API: 0n, GPA: 0n, GPI: 0n }],
    ['max,pauth=off,pauth-impdef=on', 'ID_AA64ISAR1_EL1', { APA: 0n, API: 0n, GPA: 0n, GPI: 0n }],
    [
      'max,lpa2=on,sve=off',
      'ID_AA64MMFR0_EL1',
      { TGran4: 1n, TGran16: 2n, TGran4_2: 3n, TGran16_2: 3n, TGran64_2: 2n },
    ],
    ['max,lpa2=off', 'ID_AA64MMFR0_EL1', { TGran4: 0n, TGran16: 1n, TGran4_2: 2n, TGran16_2: 2n, TGran64_2: 2n }],
    ['cortex-a57,aarch64=on,pmu=on', 'ID_AA64MMFR0_EL1', { TGran4: 0n }],
  ] as const)('of -cpu %s has the fields of %s', (text, register, fields) => {
    const LOWEST = {
      APA: 4n,
      API: 8n,
      GPA: 24n,
      GPI: 28n,
      TGran16: 20n,
      TGran4: 28n,
      TGran16_2: 32n,
      TGran64_2: 36n,
      TGran4_2: 40n,
    } as const;
    const value = valueOf({ ...configurationOf('max'), model: cpuModel(text) }, register);
    for (const [field, expected] of Object.entries(fields)) {
      expect([field, (value >> LOWEST[field as keyof typeof LOWEST]) & 15n]).toEqual([field, expected]);
    }
  });

  test.each([
    ['max,sve=on', 'SVE'],
    ['cortex-a57,aarch64=off', 'AArch32'],
    ['cortex-a57,pauth=off', 'cortex-a57 has no property pauth'],
    ['max,pauth=maybe', 'it is on or off'],
    ['max,color=on', 'max has no property color'],
  ])('refuses -cpu %s', (text, why) => {
    expect(() => cpuModel(text)).toThrow(why);
  });

  test('refuses an unknown model by name', () => {
    expect(() => cpuModel('cortex-a99')).toThrow(UsageError);
    expect(CPU_MODEL_NAMES).toContain('max');
  });
});

describe('out of reset', () => {
  const machine = createTestMachine();
  const cpu = machine.cpus[0]!;

  test.each([
    ['SCTLR_EL1', 0xc5_0838n],
    ['OSLSR_EL1', 0xan],
    ['CPACR_EL1', 0n],
    ['TCR_EL1', 0n],
    ['MDSCR_EL1', 0n],
  ])("%s has QEMU's value", (name, value) => {
    expect(Object.fromEntries(cpu.systemRegisters())[name]).toBe(value);
  });

  test('PSTATE is EL1 with its own stack pointer and everything masked', () => {
    expect(cpu.process.saved()).toBe(0x3c5);
  });
});

test('keys are as in the instruction: op0, op1, CRn, CRm, op2', () => {
  expect(keyOf('S3_0_C1_C0_0')).toBe(0b11_000_0001_0000_000);
  expect(genericName(0b11_011_1101_0000_010)).toBe('S3_3_C13_C0_2');
});
