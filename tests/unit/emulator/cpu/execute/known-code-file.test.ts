/** Translated code that goes from one machine to the next. */
import { describe, expect, test } from 'vitest';

import { NESTED_LOOP, toy, toyMachine } from '../../../../support/toy-guest.ts';

const EVALUATED = Number.POSITIVE_INFINITY;
const PROGRAM = 0x3000;

type Machine = ReturnType<typeof toyMachine>;

function start(threshold: number): Machine {
  const machine = toyMachine(threshold);
  machine.program(PROGRAM, ...NESTED_LOOP);
  return machine;
}

const results = (machine: Machine): unknown => [
  machine.register(2),
  machine.register(3),
  machine.engine.retired,
  machine.toy.exceptions,
];

describe.each([
  ['cold', EVALUATED],
  ['compiled', 4],
])('%s code', (_, threshold) => {
  test('is not translated again by the machine that takes it over', () => {
    const first = start(threshold);
    first.run(PROGRAM);
    const second = start(threshold);
    expect(second.engine.code.import(first.engine.code.export())).toBe(true);
    expect(second.engine.code.size).toBe(first.engine.code.size);
    second.run(PROGRAM);
    expect(second.translations).toBe(0);
    expect(second.engine.compiler.statistics.regions).toBe(0);
    expect(results(second)).toEqual(results(first));
  });

  test('goes on to a third machine with what the second one has translated', () => {
    const first = start(threshold);
    first.run(PROGRAM);
    const second = start(threshold);
    second.engine.code.import(first.engine.code.export());
    second.program(0x5000, toy.addi(4, 4, 1), toy.bnz(4, -1), toy.trap());
    second.setRegister(4, -100n);
    second.run(0x5000);
    const third = start(threshold);
    third.engine.code.import(second.engine.code.export());
    third.run(PROGRAM);
    expect(third.translations).toBe(0);
    expect(results(third)).toEqual(results(first));
  });
});

test('is not taken over by another kind of machine', () => {
  const first = start(EVALUATED);
  first.run(PROGRAM);
  const { code } = start(EVALUATED).engine;
  Object.defineProperty(code, 'identity', { value: 'another machine' });
  expect(code.import(first.engine.code.export())).toBe(false);
  expect(code.size).toBe(0);
});

test('is taken over from any place in memory', () => {
  const first = start(EVALUATED);
  first.run(PROGRAM);
  const exported = first.engine.code.export();
  const unaligned = new Uint8Array(exported.length + 1).subarray(1);
  unaligned.set(exported);
  const second = start(EVALUATED);
  expect(second.engine.code.import(unaligned)).toBe(true);
  second.run(PROGRAM);
  expect(second.translations).toBe(0);
});
