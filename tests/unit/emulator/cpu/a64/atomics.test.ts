import { describe, expect, test } from 'vitest';
import { a64 } from '../../../../support/a64-assemble.ts';
import { CASE_MEMORY, REGISTER } from '../../../../support/a64-cases.ts';
import { ourDrivers } from '../../../../support/a64-drivers.ts';

/** X27 is the address of eight bytes that `run` sets first. */
const ADDRESS = 27;
const STORE = a64('STR (unsigned offset)', { size: 3, rn: ADDRESS, rt: 0 });
const LOAD = a64('LDR (unsigned offset)', { size: 3, rn: ADDRESS, rt: 26 });

describe.each(ourDrivers())('$name', driver => {
  /** Runs words on memory that begins as `memory`. @returns registers and what memory is then */
  function run(memory: bigint, x: Readonly<Record<number, bigint>>, words: readonly number[], offset = 0) {
    const registers = new BigUint64Array(REGISTER.count);
    for (const [n, value] of Object.entries(x)) registers[Number(n)] = value;
    registers[ADDRESS] = BigInt(CASE_MEMORY.scratch + 64 + offset);
    registers[0] = memory;
    const result = driver.run({ words: [STORE, ...words, LOAD], rows: [], registers }, CASE_MEMORY.code);
    return { x: result.registers, memory: result.registers[26]!, outcome: result.outcome };
  }

  // Arm ARM DDI 0487, pseudocode `MemAtomic`: values of the access size, compared as signed or unsigned numbers
  test.each([
    ['LDSMAX', 0, 0x7fn, 0xff80n, 0x7fn],
    ['LDSMAX', 0, 0x80n, 0x01n, 0x01n],
    ['LDSMAX', 1, 0xffffn, 0x0n, 0x0n],
    ['LDSMAX', 2, 0x8000_0000n, 0xffff_ffff_7fff_ffffn, 0x7fff_ffffn],
    ['LDSMIN', 0, 0x80n, 0x01n, 0x80n],
    ['LDSMIN', 1, 0x7fffn, 0x1_8000n, 0x8000n],
    ['LDSMIN', 2, 0x0n, 0xffff_ffffn, 0xffff_ffffn],
    ['LDUMAX', 0, 0x01n, 0xffff_ff00n, 0x01n],
    ['LDUMAX', 1, 0x8000n, 0x7fffn, 0x8000n],
    ['LDUMAX', 2, 0x5dn, 0xffc0_0000_0000_0000n, 0x5dn],
    ['LDUMIN', 0, 0xffn, 0x1_0001n, 0x01n],
    ['LDUMIN', 1, 0x1n, 0x1_0000n, 0x0n],
    ['LDUMIN', 2, 0x5dn, 0xffc0_0000_0000_0000n, 0x0n],
  ])('%s of 8 << %i bits: %x and %x give %x', (name, size, memory, operand, result) => {
    const after = run(memory, { 1: operand }, [a64(name, { size, rs: 1, rn: ADDRESS, rt: 2 })]);
    expect(after.memory).toBe(result);
    expect(after.x[2]).toBe(memory);
  });

  test('an exclusive store writes when memory is as it was loaded', () => {
    const after = run(5n, { 3: 9n }, [
      a64('LDXR', { size: 3, rn: ADDRESS, rt: 1 }),
      a64('STXR', { size: 3, rs: 2, rn: ADDRESS, rt: 3 }),
    ]);
    expect(after.memory).toBe(9n);
    expect(after.x[2]).toBe(0n);
  });
  test('an exclusive store fails when memory has changed', () => {
    const after = run(5n, { 3: 9n, 4: 6n }, [
      a64('LDXR', { size: 3, rn: ADDRESS, rt: 1 }),
      a64('STR (unsigned offset)', { size: 3, rn: ADDRESS, rt: 4 }),
      a64('STXR', { size: 3, rs: 2, rn: ADDRESS, rt: 3 }),
    ]);
    expect(after.memory).toBe(6n);
    expect(after.x[2]).toBe(1n);
  });
  test('an exclusive store fails after CLREX', () => {
    const after = run(5n, { 3: 9n }, [
      a64('LDXR', { size: 3, rn: ADDRESS, rt: 1 }),
      a64('CLREX'),
      a64('STXR', { size: 3, rs: 2, rn: ADDRESS, rt: 3 }),
    ]);
    expect(after.memory).toBe(5n);
    expect(after.x[2]).toBe(1n);
  });
  test('a second exclusive store fails', () => {
    const after = run(5n, { 3: 9n }, [
      a64('LDXR', { size: 3, rn: ADDRESS, rt: 1 }),
      a64('STXR', { size: 3, rs: 2, rn: ADDRESS, rt: 1 }),
      a64('STXR', { size: 3, rs: 4, rn: ADDRESS, rt: 3 }),
    ]);
    expect(after.memory).toBe(5n);
    expect([after.x[2], after.x[4]]).toEqual([0n, 1n]);
  });
  test('an exclusive load faults when it is not aligned', () => {
    expect(run(0n, {}, [a64('LDXR', { size: 3, rn: ADDRESS, rt: 1 })], 4).outcome).toBe('memory fault');
  });
  test('a compare and swap of odd pairs is UNDEFINED', () => {
    expect(run(0n, {}, [a64('CASP', { sz: 1, rs: 1, rn: ADDRESS, rt: 2 })]).outcome).toBe('undefined');
  });
  test('a signed 32-bit load clears the high half of the register', () => {
    const after = run(0x80n, { 1: -1n }, [a64('LDRSB/H (unsigned offset, 32-bit)', { size: 0, rn: ADDRESS, rt: 1 })]);
    expect(after.x[1]).toBe(0xffff_ff80n);
  });
  test('a faulting store leaves its pre-indexed base alone', () => {
    const registers = new BigUint64Array(REGISTER.count);
    registers[5] = BigInt(CASE_MEMORY.size - 8);
    const word = a64('STR (pre-index)', { size: 3, imm9: 64, rn: 5, rt: 0 });
    const result = driver.run({ words: [word], rows: [], registers }, CASE_MEMORY.code);
    expect(result.outcome).toBe('memory fault');
    expect(result.registers[5]).toBe(BigInt(CASE_MEMORY.size - 8));
  });
});
