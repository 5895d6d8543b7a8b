import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createTestMachine } from './machine.ts';
import { LOG, LOG_SIZE, readLog } from './probe/log.ts';

const PROBE = join(import.meta.dirname, 'probe');
/** Where QEMU loads a flat binary. */
const ENTRY = 0x4008_0000;

/** Records where QEMU 7.2 is wrong, and what the Arm ARM demands instead. */
const CORRECTIONS: ReadonlyMap<string, string> = new Map([
  // MSR DAIFSet trapped from EL0: QEMU has op1 and op2 of the ISS swapped ("ISS encoding for an exception from MSR, MRS …")
  ['2c 400 620793e4 0 41081330 3c0', '2c 400 620cd3e4 0 41081330 3c0'],
  // QEMU 7.2 does not check the alignment of SP ("SP alignment checking"): at EL0 it goes on to the translation fault …
  ['3b 400 92000005 18 41081398 3c0', '3b 400 9a000000 0 41081398 3c0'],
  // … and at EL1 there is a record more, behind this one
  ['e 200 96000061 40601001 400811e8 3c5', 'e 200 96000061 40601001 400811e8 3c5\nf 200 9a000000 0 400811fc 3c5'],
]);

/** PAR_EL1 of a device page: SH is 0b10 whatever the descriptor says (pseudocode `PAREncodeShareability`); QEMU 7.2 reports the descriptor's. */
function correct(line: string): string {
  return CORRECTIONS.get(line) ?? line.replace(/^(\w+) 400000040300a00$/, '$1 400000040300b00');
}

function runProbe(model: 'cortex-a57' | 'cortex-a76', compileThreshold: number): string[] {
  const machine = createTestMachine({ model, compileThreshold });
  const program = readFileSync(join(PROBE, 'probe.bin'));
  machine.memory.bytes.set(program, machine.memory.ramAddress(ENTRY));
  const cpu = machine.cpus[0]!;
  cpu.start(BigInt(ENTRY), [], 1);
  while (cpu.idle === 'running' && machine.engine.retired < 1_000_000)
    machine.engine.runSlice(machine.engine.cpus[0]!, 10_000);
  return readLog(machine.memory.ramSlice(LOG, LOG_SIZE));
}

describe.each(['cortex-a57', 'cortex-a76'] as const)('%s', model => {
  const recorded = readFileSync(join(PROBE, `${model}.txt`), 'utf8')
    .trim()
    .split('\n')
    .flatMap(line => correct(line).split('\n'));

  test.each([
    ['evaluated', Infinity],
    ['compiled', 1],
  ])('takes every exception of the probe as QEMU does, %s', (_, compileThreshold) => {
    expect(recorded.length).toBeGreaterThan(900);
    expect(runProbe(model, compileThreshold)).toEqual(recorded);
  });
});
