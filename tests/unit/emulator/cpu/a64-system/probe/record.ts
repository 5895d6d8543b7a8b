/**
 * Builds probe.s and records what QEMU's CPUs log: run by hand when the probe changes.
 *
 * Wants `llvm-mc`, `llvm-objcopy` and `qemu-system-aarch64` (the recordings here are of QEMU 7.2).
 * A line of a recording is the number of the test and what it logged, in hexadecimal: vector, ESR, FAR, ELR, SPSR of an
 * exception, or one value.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { LOG, LOG_SIZE, readLog } from './log.ts';

const here = import.meta.dirname;
const scratch = mkdtempSync(join(tmpdir(), 'probe-'));
const binary = join(here, 'probe.bin');

execFileSync(
  'llvm-mc',
  `-arch=aarch64 -mattr=+v8.2a,+pan -filetype=obj ${join(here, 'probe.s')} -o ${join(scratch, 'probe.o')}`.split(' '),
);
execFileSync('llvm-objcopy', ['-O', 'binary', '-j', '.text', join(scratch, 'probe.o'), binary]);

for (const cpu of ['cortex-a57', 'cortex-a76']) {
  const dump = join(scratch, cpu);
  const qemu = spawn(
    'qemu-system-aarch64',
    `-M virt -cpu ${cpu} -m 128 -kernel ${binary} -display none -serial none -monitor stdio`.split(' '),
  );
  await setTimeout(2000);
  qemu.stdout.resume();
  qemu.stdin.write(`pmemsave ${LOG} ${LOG_SIZE} "${dump}"\nquit\n`);
  await new Promise(resolve => {
    qemu.on('close', resolve);
  });
  writeFileSync(join(here, `${cpu}.txt`), `${readLog(readFileSync(dump)).join('\n')}\n`);
}
