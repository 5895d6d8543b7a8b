/** SCTLR_EL1.A and SA. Source: Arm ARM DDI 0487 "Alignment of data accesses", "SP alignment checking". */
import { describe, expect, test } from 'vitest';
import { EXCEPTION_REGISTERS } from '../../../../../emulator/cpu/a64/system/registers/control.ts';
import { a64 } from '../../../../support/a64-assemble.ts';
import { createMappedMachine, exceptionOf, MEMORY, PSTATE, runFrom } from './mapped-memory.ts';
import { RAM_BASE, writeWords } from './machine.ts';

const CODE = 0x1000n;
const DATA = MEMORY.ordinary + 0x4000n;
const STOP = a64('B');
const SP = 31;
const SCTLR = { A: 1n << 1n, SA: 1n << 3n, SA0: 1n << 4n } as const;
const CLASS = { DATA_ABORT: 0x25, SP_ALIGNMENT: 0x26 } as const;
const ALIGNMENT = 0x21;
const WnR = 0x40;

const WORD = {
  'ldr x0, [sp]': a64('LDR (unsigned offset)', { size: 3, rn: SP }),
  'ldr x0, [sp, #8]': a64('LDR (unsigned offset)', { size: 3, imm12: 1, rn: SP }),
  'ldr w0, [sp, #4]': a64('LDR (unsigned offset)', { size: 2, imm12: 1, rn: SP }),
  'ldrh w0, [sp, #2]': a64('LDR (unsigned offset)', { size: 1, imm12: 1, rn: SP }),
  'strb w0, [sp]': a64('STR (unsigned offset)', { size: 0, rn: SP }),
  'str x0, [sp], #16': a64('STR (post-index)', { size: 3, imm9: 16, rn: SP }),
  'stp x0, x1, [sp, #-16]!': a64('STP (pre-index)', { sf: 1, imm7: -2, rn: SP, rt2: 1 }),
  'ldp w0, w1, [sp, #8]': a64('LDP (signed offset)', { sf: 0, imm7: 2, rn: SP, rt2: 1 }),
  'ldr q0, [sp]': a64('LDR (immediate, SIMD&FP, unsigned offset)', { size: 0, opc: 1, rn: SP }),
  'ldxr x0, [sp]': a64('LDXR', { size: 3, rn: SP }),
  'ldadd x1, x0, [sp]': a64('LDADD', { size: 3, rs: 1, rn: SP }),
  'prfm [sp]': a64('PRFM (unsigned offset)', { rn: SP }),
  'add x0, sp, #1': a64('ADD (immediate)', { sf: 1, imm12: 1, rn: SP }),
} as const;

describe.each([
  ['interpreted', Number.POSITIVE_INFINITY],
  ['compiled', 1],
])('%s', (_, compileThreshold) => {
  function run(
    words: readonly number[],
    control: bigint,
    x: Readonly<Record<number, bigint>>,
    spsr: number = PSTATE.EL1,
  ) {
    const { machine, cpu } = createMappedMachine({ compileThreshold, control });
    cpu.process.restore(spsr);
    cpu.process.setStackPointer(spsr === PSTATE.EL1 ? 1 : 0, x[SP] ?? DATA);
    cpu.contextChanged();
    writeWords(machine, RAM_BASE + Number(CODE), [...words, STOP]);
    for (const [n, value] of Object.entries(x)) if (Number(n) < SP) cpu.registers.setX(Number(n), value);
    runFrom(machine, cpu, MEMORY.ordinary + CODE);
    return {
      cpu,
      exception: cpu.engine.pc === MEMORY.ordinary + CODE + 4n * BigInt(words.length) ? undefined : exceptionOf(cpu),
    };
  }

  test.each((Object.keys(WORD) as (keyof typeof WORD)[]).filter(name => !/prfm|add x0/.test(name)))(
    'SCTLR_EL1.SA checks SP for %s',
    name => {
      for (const sp of [DATA + 8n, DATA + 4n, DATA + 1n]) {
        const { exception, cpu } = run([WORD[name]], SCTLR.SA, { [SP]: sp });
        expect(exception).toEqual({ class: CLASS.SP_ALIGNMENT, iss: 0, returns: MEMORY.ordinary + CODE, btype: 0 });
        expect(cpu.process.stackPointer(1)).toBe(sp);
      }
      expect(run([WORD[name]], SCTLR.SA, {}).exception).toBeUndefined();
    },
  );

  test.each(['prfm [sp]', 'add x0, sp, #1'] as const)('%s needs no aligned SP', name => {
    expect(run([WORD[name]], SCTLR.SA, { [SP]: DATA + 8n }).exception).toBeUndefined();
  });

  test('an aligned access after SP has changed is checked again', () => {
    const add8 = a64('ADD (immediate)', { sf: 1, imm12: 8, rn: SP, rd: SP });
    const { exception } = run([WORD['ldr x0, [sp]'], add8, WORD['ldr x0, [sp, #8]']], SCTLR.SA, {});
    expect(exception).toMatchObject({ class: CLASS.SP_ALIGNMENT, returns: MEMORY.ordinary + CODE + 8n });
  });

  test('SA is for EL1, SA0 for EL0', () => {
    const load = [WORD['ldr x0, [sp]']];
    const sp = { [SP]: DATA + 8n };
    expect(run(load, SCTLR.SA0, sp).exception).toBeUndefined();
    expect(run(load, 0n, sp).exception).toBeUndefined();
  });

  test.each<readonly [string, number, bigint, number]>([
    ['ldr x1, [x0]', a64('LDR (unsigned offset)', { size: 3, rn: 0, rt: 1 }), 4n, 0],
    ['ldr w1, [x0]', a64('LDR (unsigned offset)', { size: 2, rn: 0, rt: 1 }), 2n, 0],
    ['strh w1, [x0]', a64('STR (unsigned offset)', { size: 1, rn: 0, rt: 1 }), 1n, WnR],
    ['ldp x1, x2, [x0]', a64('LDP (signed offset)', { sf: 1, rn: 0, rt: 1, rt2: 2 }), 4n, 0],
    ['ldp w1, w2, [x0]', a64('LDP (signed offset)', { sf: 0, rn: 0, rt: 1, rt2: 2 }), 2n, 0],
    ['str q1, [x0]', a64('STR (immediate, SIMD&FP, unsigned offset)', { size: 0, opc: 1, rn: 0, rt: 1 }), 8n, WnR],
  ])('SCTLR_EL1.A wants %s aligned to its elements', (_name, word, misalignment, direction) => {
    const address = DATA + misalignment;
    const { exception, cpu } = run([word], SCTLR.A, { 0: address });
    expect(exception).toMatchObject({ class: CLASS.DATA_ABORT, iss: ALIGNMENT | direction });
    expect(cpu.read(EXCEPTION_REGISTERS.FAR_EL1)).toBe(address);
    expect(run([word], 0n, { 0: address }).exception).toBeUndefined();
    expect(run([word], SCTLR.A, { 0: DATA + 2n * misalignment }).exception).toBeUndefined();
  });

  test('ERET to an address that is not aligned faults there', () => {
    const { machine, cpu } = createMappedMachine({ compileThreshold, model: 'cortex-a57' });
    writeWords(machine, RAM_BASE + Number(CODE), [a64('ERET')]);
    cpu.write(EXCEPTION_REGISTERS.ELR_EL1, DATA + 2n);
    cpu.write(EXCEPTION_REGISTERS.SPSR_EL1, BigInt(PSTATE.EL1));
    runFrom(machine, cpu, MEMORY.ordinary + CODE);
    expect(exceptionOf(cpu)).toMatchObject({ class: 0x22, returns: DATA + 2n });
  });
});
