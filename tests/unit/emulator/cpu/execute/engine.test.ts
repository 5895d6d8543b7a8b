import { describe, expect, test } from 'vitest';
import { NESTED_LOOP, toy, toyMachine } from '../../../../support/toy-guest.ts';

const EVALUATED = Number.POSITIVE_INFINITY;
const COMPILED = 1;
const MIXED = 5;

describe.each([
  ['evaluated', EVALUATED],
  ['compiled', COMPILED],
  ['mixed', MIXED],
])('%s code', (_, threshold) => {
  test('runs nested loops to the exact instruction count', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...NESTED_LOOP);
    machine.run(0x1000);
    expect(machine.register(2)).toBe(BigInt((50 * 100 * 101) / 2));
    const retired = 1 + 50 * (1 + 300 + 2);
    expect(machine.register(3)).toBe(BigInt(retired));
    expect(machine.toy.exceptions).toEqual([{ pc: 0x1020, retired: retired + 1, cause: 'trap' }]);
  });

  test('goes on across pages and through indirect jumps', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1ff8, toy.addi(0, 0, 1), toy.addi(1, 1, -1), toy.bnz(1, 2), toy.trap(), toy.jr(2));
    machine.setRegister(1, 1000n);
    machine.setRegister(2, 0x1ff8n);
    machine.run(0x1ff8);
    expect(machine.register(0)).toBe(1000n);
  });

  test.each([0xffff_ffff_ffff_ffffn, 0n])('comes back from a jump to %d, where there is no code', target => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, toy.jr(2));
    machine.toy.unmapped.add(0);
    machine.setRegister(2, target);
    machine.run(0x1000);
    expect(machine.toy.exceptions.map(({ pc }) => pc)).toEqual([Number(target)]);
  });

  test('keeps registers and count exact at a fault in the middle of a loop', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, toy.addi(0, 0, 1), toy.store(0, 1, 0), toy.addi(1, 1, 8), toy.jmp(-3));
    machine.setRegister(1, 0x4000n);
    machine.toy.unmapped.add(0x5000);
    machine.run(0x1000);
    expect(machine.register(0)).toBe(513n);
    expect(machine.register(1)).toBe(0x5000n);
    expect(machine.toy.exceptions).toEqual([{ pc: 0x1004, retired: 512 * 4 + 1, cause: 'write 20480' }]);
  });

  test('loads and stores across a page boundary', () => {
    const machine = toyMachine(threshold);
    const value = 0x1122_3344_5566_7788n;
    machine.program(0x1000, toy.store(0, 1, -4), toy.load(2, 1, -4), toy.addi(3, 3, -1), toy.bnz(3, -3), toy.trap());
    machine.setRegister(0, value);
    machine.setRegister(1, 0x5000n);
    machine.setRegister(3, 20n);
    machine.run(0x1000);
    expect(machine.register(2)).toBe(value);
  });

  test('runs new code after a store into code that ran before', () => {
    const machine = toyMachine(threshold);
    machine.program(0x2000, toy.addi(0, 0, 1), toy.jr(6));
    // Calls the routine 30 times, then overwrites it with one that adds 5, and calls it 30 times more.
    machine.program(
      0x1000,
      toy.addi(1, 7, 30),
      toy.call(6, 2),
      toy.jmp(2),
      toy.jr(5),
      toy.addi(1, 1, -1),
      toy.bnz(1, -4),
      toy.store(2, 5, 0),
      toy.addi(1, 7, 30),
      toy.call(6, 2),
      toy.jmp(2),
      toy.jr(5),
      toy.addi(1, 1, -1),
      toy.bnz(1, -4),
      toy.trap(),
    );
    const replacement = new DataView(Uint8Array.from([...toy.addi(0, 0, 5), ...toy.jr(6)]).buffer);
    machine.setRegister(2, replacement.getBigInt64(0, true));
    machine.setRegister(5, 0x2000n);
    machine.run(0x1000);
    expect(machine.register(0)).toBe(30n + 150n);
  });

  test('ends slices at the same instructions', () => {
    const boundaries = (compileThreshold: number): number[] => {
      const machine = toyMachine(compileThreshold);
      machine.program(0x1000, ...NESTED_LOOP);
      machine.cpu.pc = 0x1000n;
      const counts: number[] = [];
      for (let i = 0; i < 40 && machine.toy.idle === 'running'; i++) {
        machine.engine.runSlice(machine.cpu, 100);
        counts.push(machine.engine.retired, Number(machine.cpu.pc));
      }
      return counts;
    };
    expect(boundaries(threshold)).toEqual(boundaries(EVALUATED));
  });
});

test('goes on when there are more regions than the limit', () => {
  const machine = toyMachine(COMPILED, { regionLimit: 8 });
  // Pages 0x10000, 0x11000 … each add 1 to r0 and go on to the next; the last one goes back r1 times.
  const pages = 40;
  for (let page = 0; page < pages; page++) {
    const last = page === pages - 1;
    machine.program(
      0x10000 + page * 0x1000,
      toy.addi(0, 0, 1),
      toy.addi(5, 5, page),
      ...(last ? [toy.addi(1, 1, -1), toy.bnz(1, 2), toy.trap(), toy.jr(2)] : [toy.add(3, 4), toy.jr(3)]),
    );
  }
  machine.program(0x1000, toy.add(3, 2), toy.jr(2));
  machine.setRegister(1, 1n);
  machine.setRegister(2, 0x10000n);
  machine.setRegister(4, 0x1000n);
  machine.run(0x1000);
  expect(machine.register(0)).toBe(BigInt(pages));
  expect(machine.engine.compiler.statistics.regions).toBeGreaterThan(pages);
});
