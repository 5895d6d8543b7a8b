/** 32-bit and PAE paging. Source: Intel SDM vol. 3A "32-Bit Paging", "PAE Paging", "PDPTE Registers". */
import { describe, expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { CR0, CR4, EFER } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT } from '../../../../support/x64-machine.ts';
import { X64LegacyMachine } from '../../../../support/x64-legacy-machine.ts';

const HLT = 0xf4;
const LOAD_CR0 = [0x0f, 0x22, 0xc0]; // mov cr0, eax
const LOAD_CR3 = [0x0f, 0x22, 0xd8]; // mov cr3, eax
const LOAD_CR4 = [0x0f, 0x22, 0xe0]; // mov cr4, eax
/** Linear address of a page beyond what is mapped to itself, and its place. */
const FAR = 0x40_0000;
const LOAD_FAR = [0xa1, 0, 0, 0x40, 0]; // mov eax, [0x400000]
const STORE_FAR = [0xa3, 0, 0, 0x40, 0]; // mov [0x400000], eax
/** Two tables of PDPTEs: the second one is for reloads. */
const [TABLE, OTHER_TABLE] = [0x1_2020, 0x1_2040];
const [P, W, U, PS] = [1n, 2n, 4n, 0x80n];

/** With the first 4 MiB mapped to themselves by 32-bit paging with pages of 4 MiB. */
function withPse(entry: bigint): X64LegacyMachine {
  const machine = new X64LegacyMachine();
  machine.write64(AT.PML4, P | W | U | PS | (entry << 32n));
  Object.assign(machine.cpu.registers, { cr0: CR0.PE | CR0.ET | CR0.PG, cr3: AT.PML4, cr4: CR4.PSE });
  machine.cpu.translationChanged();
  return machine;
}

/** In front of PAE paging: page directory of the first GiB at AT.PD, which maps the first 2 MiB and the page at FAR. */
function withPaeTables(far: bigint): X64LegacyMachine {
  const machine = new X64LegacyMachine();
  for (const table of [TABLE, OTHER_TABLE]) machine.write64(table, BigInt(AT.PD) | P);
  machine.write64(AT.PD, P | W | U | PS);
  machine.write64(AT.PD + 16, far);
  Object.assign(machine.cpu.registers, { cr3: TABLE, cr4: CR4.PAE, efer: EFER.NXE });
  machine.cpu.translationChanged();
  return machine;
}

const CR0_PAGING = BigInt((CR0.PE | CR0.ET | CR0.PG) >>> 0);

describe('pages of 4 MiB', () => {
  const cases: readonly (readonly [string, bigint, readonly number[], bigint | undefined])[] = [
    ['a present one', P | W | PS, LOAD_FAR, undefined],
    ['address bits 39 to 32 in bits 20 to 13 (nothing is there)', P | W | PS | (1n << 13n), LOAD_FAR, undefined],
    ['bit 12 is PAT', P | W | PS | (1n << 12n), LOAD_FAR, undefined],
    ['bit 21 is reserved', P | W | PS | (1n << 21n), LOAD_FAR, 9n],
    ['bit 21 is reserved, in a write', P | W | PS | (1n << 21n), STORE_FAR, 11n],
    ['one that is not present', 0n, LOAD_FAR, 0n],
  ];
  test.each(cases)('%s', (_name, entry, code, error) => {
    const machine = withPse(entry);
    expect(machine.run(...code, HLT)).toBe(error === undefined ? undefined : 14);
    if (error === undefined) return;
    expect(BigInt(machine.words(1)[0]!)).toBe(error);
    expect(machine.cpu.registers.cr2).toBe(BigInt(FAR));
  });

  test('without CR4.PSE the entry names a table', () => {
    const machine = withPse(BigInt(AT.PT) | P | W | PS);
    machine.write64(AT.PML4, P | W | U | BigInt(AT.PD) | ((BigInt(AT.PT) | P | W | PS) << 32n));
    for (let page = 0; page < 1024; page++) machine.write(AT.PD + 4 * page, 3, (page << 4) & 0xf0, page >> 4, 0);
    machine.write(AT.PT, 3, 0, 2, 0); // DATA
    machine.write64(AT.DATA, 0x77n);
    machine.cpu.registers.cr4 = 0;
    machine.cpu.translationChanged();
    expect(machine.run(...LOAD_FAR, HLT)).toBeUndefined();
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(0x77n);
  });
});

describe('PDPTE registers', () => {
  test('are loaded with paging, and hold what the table no longer has', () => {
    const machine = withPaeTables(P | W | PS);
    machine.cpu.state.setGpr(GPR.AX, CR0_PAGING);
    // mov [TABLE], 0: no effect before the next load of CR3
    machine.run(...LOAD_CR0, 0xc7, 0x05, 0x20, 0x20, 1, 0, 0, 0, 0, 0, ...LOAD_FAR, HLT);
    expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + 19);
  });

  test.each([
    ['bit 1', 1n << 1n],
    ['bit 2', 1n << 2n],
    ['bit 5', 1n << 5n],
    ['bit 8', 1n << 8n],
    ['bit 63', 1n << 63n],
    ['an address beyond the physical width', 1n << 45n],
  ])('MOV to CR3 of a table with %s is #GP(0)', (_name, bit) => {
    const machine = withPaeTables(P | W | PS);
    machine.write64(OTHER_TABLE + 24, P | bit);
    machine.cpu.state.setGpr(GPR.AX, CR0_PAGING);
    machine.run(...LOAD_CR0, 0xb8, 0x40, 0x20, 1, 0, ...LOAD_CR3, HLT);
    expect(Number(machine.cpu.engine.pc)).toBe(AT.HANDLERS + 16 * 13 + 1);
    expect(machine.words(2)).toEqual([0, AT.CODE + 8]);
    expect(machine.cpu.registers.cr3).toBe(TABLE);
  });

  test.each([
    ['MOV to CR0 that turns on paging', LOAD_CR0, CR0_PAGING, 13],
    ['MOV to CR0 without paging', LOAD_CR0, BigInt(CR0.PE), undefined],
    ['MOV to CR4 without paging', LOAD_CR4, BigInt(CR4.PAE | CR4.PGE), undefined],
  ])('%s with reserved bits in the table', (_name, code, value, vector) => {
    const machine = withPaeTables(P | W | PS);
    machine.write64(TABLE + 8, P | W);
    machine.cpu.state.setGpr(GPR.AX, value);
    expect(machine.run(...code, HLT)).toBe(vector);
  });

  test('an entry that is not present may have any bits', () => {
    const machine = withPaeTables(P | W | PS);
    machine.write64(TABLE + 8, W | (1n << 63n));
    machine.cpu.state.setGpr(GPR.AX, CR0_PAGING);
    expect(machine.run(...LOAD_CR0, HLT)).toBeUndefined();
  });
});

describe('pages of 2 MiB', () => {
  test.each([
    ['a present one', P | W | PS, undefined],
    ['bit 13 is reserved', P | W | PS | (1n << 13n), 9],
    ['bit 13 is reserved with NX', P | W | PS | (1n << 13n) | (1n << 63n), 9],
  ])('%s', (_name, entry, error) => {
    const machine = withPaeTables(entry);
    machine.cpu.state.setGpr(GPR.AX, CR0_PAGING);
    expect(machine.run(...LOAD_CR0, ...LOAD_FAR, HLT)).toBe(error === undefined ? undefined : 14);
    if (error !== undefined) expect(machine.words(1)).toEqual([error]);
  });
});
