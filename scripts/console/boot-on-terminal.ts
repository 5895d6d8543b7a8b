/** Runs one machine with its console on the terminal, or in a file. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import type { BootPlan } from '../commands/boot.ts';
import { ConsoleBuffer } from '../lab/console-buffer.ts';
import { InteractiveConsole } from './interactive.ts';
import { VirtSession, type SessionEnd } from './virt-session.ts';

/** How long a character without a newline may wait to be shown. */
const FLUSH_MS = 20;

/** Boots and runs until the end. @returns exit status @throws UsageError, ImageError, UnimplementedError */
export async function bootOnTerminal(plan: BootPlan): Promise<number> {
  using sink = openSink(plan);
  const output = new ConsoleBuffer(bytes => sink.write(bytes));
  using session = new VirtSession(plan, byte => output.write(byte));
  // Prompts end without a newline.
  const flusher = setInterval(() => output.flush(), FLUSH_MS);
  try {
    const withMonitor = plan.serial.kind === 'terminal' && plan.serial.withMonitor;
    using _console = new InteractiveConsole(session, withMonitor);
    return report(await session.run(), session.diskError);
  } finally {
    clearInterval(flusher);
    output.flush();
  }
}

interface Sink extends Disposable {
  write(bytes: Uint8Array): void;
}

function openSink({ serial }: BootPlan): Sink {
  if (serial.kind === 'terminal')
    return { write: bytes => process.stdout.write(bytes), [Symbol.dispose]: () => undefined };
  if (serial.kind === 'none') return { write: () => undefined, [Symbol.dispose]: () => undefined };
  const fd = openSerialFile(serial.path);
  return { write: bytes => writeSync(fd, bytes), [Symbol.dispose]: () => closeSync(fd) };
}

function openSerialFile(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw new UsageError(`-serial file:${path}: cannot be written`, { cause: error });
  }
}

function report(end: SessionEnd, diskError: Error | undefined): number {
  if (diskError !== undefined) process.stderr.write(`kdump-lab: ${diskError.message}\n`);
  if (end.kind === 'halted')
    process.stderr.write('kdump-lab: all CPUs wait for interrupts that no device will raise\n');
  return diskError === undefined && end.kind !== 'halted' ? 0 : 1;
}
