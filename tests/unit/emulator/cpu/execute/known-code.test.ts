/** Code that is known by its bytes, wherever its page is. */
import { describe, expect, test } from 'vitest';

import { toy, toyMachine } from '../../../../support/toy-guest.ts';

const EVALUATED = Number.POSITIVE_INFINITY;

type Machine = ReturnType<typeof toyMachine>;

/** r0 counts r1 down, by `step` a round, and sums it up in r2. */
const loop = (step: number): number[][] => [
  toy.addi(2, 7, 0),
  toy.add(2, 0),
  toy.addi(0, 0, -step),
  toy.bnz(0, -2),
  toy.trap(),
];

/** @returns translations that it took */
function runAt(machine: Machine, address: number, from: number): number {
  const before = machine.translations;
  machine.setRegister(0, BigInt(from));
  machine.toy.idle = 'running';
  machine.run(address);
  return machine.translations - before;
}

describe.each([
  ['cold', EVALUATED],
  ['compiled', 4],
])('%s code', (_, threshold) => {
  test('is not translated again in another page', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...loop(1));
    machine.program(0x5000, ...loop(1));
    expect(runAt(machine, 0x1000, 100)).toBeGreaterThan(0);
    expect(machine.register(2)).toBe(5050n);
    expect(runAt(machine, 0x5000, 200)).toBe(0);
    expect(machine.register(2)).toBe(20100n);
  });

  test('is another one where its bytes differ', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...loop(1));
    machine.program(0x5000, ...loop(2));
    runAt(machine, 0x1000, 100);
    expect(runAt(machine, 0x5000, 100)).toBeGreaterThan(0);
    expect(machine.register(2)).toBe(2550n);
  });

  test('is another one at another place of its page', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...loop(1));
    machine.program(0x5010, ...loop(1));
    runAt(machine, 0x1000, 100);
    expect(runAt(machine, 0x5010, 100)).toBeGreaterThan(0);
    expect(machine.register(2)).toBe(5050n);
  });

  test('that is written over and comes back is known', () => {
    const machine = toyMachine(threshold);
    for (const step of [1, 2]) {
      machine.program(0x1000, ...loop(step));
      machine.engine.code.written(machine.memory.ramAddress(0x1000), 4096);
      runAt(machine, 0x1000, 100);
    }
    machine.program(0x1000, ...loop(1));
    machine.engine.code.written(machine.memory.ramAddress(0x1000), 4096);
    expect(runAt(machine, 0x1000, 100)).toBe(0);
    expect(machine.register(2)).toBe(5050n);
  });

  test('in a page that takes over a region traps the first write into any of its blocks', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...loop(1));
    machine.program(0x5000, ...loop(1));
    runAt(machine, 0x1000, 100);
    runAt(machine, 0x5000, 100);
    const steps = machine.memory.ramAddress(0x5008);
    expect(machine.engine.code.isWatched(steps, 4)).toBe(true);
    machine.program(0x5008, toy.addi(0, 0, -2));
    machine.engine.code.written(steps, 4);
    runAt(machine, 0x5000, 100);
    expect(machine.register(2)).toBe(2550n);
  });

  test('is not taken over where there is a breakpoint', () => {
    const machine = toyMachine(threshold);
    machine.program(0x1000, ...loop(1));
    machine.program(0x5000, ...loop(1));
    runAt(machine, 0x1000, 100);
    const hits: number[] = [];
    machine.engine.code.breakpoints.hit = cpu => hits.push(cpu);
    machine.engine.code.breakpoints.add(0x5004n);
    machine.setRegister(0, 3n);
    machine.toy.idle = 'running';
    machine.run(0x5000, 2);
    expect(hits).toEqual([0, 0]);
  });
});

test('a region serves another page before its code is hot there', () => {
  const machine = toyMachine(4);
  machine.program(0x1000, ...loop(1));
  machine.program(0x5000, ...loop(1));
  runAt(machine, 0x1000, 100);
  const { regions } = machine.engine.compiler.statistics;
  const { interpreted } = machine.engine.statistics;
  runAt(machine, 0x5000, 3);
  expect(machine.register(2)).toBe(6n);
  expect(machine.engine.compiler.statistics.regions).toBe(regions);
  // the first and the last block are cold everywhere
  expect(machine.engine.statistics.interpreted - interpreted).toBeLessThanOrEqual(2);
});

test.each([
  [0, 0],
  [8, 2],
])('with a lookahead of %d what follows a block without an end of its own counts', (lookahead, translations) => {
  const machine = toyMachine(EVALUATED, {}, lookahead);
  // a block of 32 instructions, the longest, and one that a helper ends; what comes behind them differs
  const longest = Array.from({ length: 32 }, () => toy.addi(0, 0, 1));
  machine.program(0x1000, ...longest, toy.trap());
  machine.program(0x5000, ...longest, toy.trap());
  machine.program(0x5084, toy.addi(5, 5, 1));
  runAt(machine, 0x1000, 0);
  expect(runAt(machine, 0x5000, 0)).toBe(translations);
});
