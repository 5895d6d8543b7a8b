/** Runs one machine with its console on the terminal, or in a file. */
import type { BootPlan } from '../commands/boot.ts';
import { ConsoleBuffer } from '../lab/console-buffer.ts';
import { openSink } from './character-sink.ts';
import { InteractiveConsole } from './interactive.ts';
import { serveGdb } from './virt-gdb.ts';
import { VirtSession, type SessionEnd } from './virt-session.ts';

/** How long a character without a newline may wait to be shown. */
const FLUSH_MS = 20;

/** Boots and runs until the end. @returns exit status @throws UsageError, ImageError, UnimplementedError */
export async function bootOnTerminal(plan: BootPlan): Promise<number> {
  using sink = openSink(plan.serial, '-serial');
  const output = new ConsoleBuffer(bytes => sink.write(bytes));
  using session = new VirtSession(plan, byte => output.write(byte));
  // Prompts end without a newline.
  const flusher = setInterval(() => output.flush(), FLUSH_MS);
  try {
    const withMonitor = plan.serial.kind === 'terminal' && plan.serial.withMonitor;
    using _console = new InteractiveConsole(session, withMonitor);
    using gdb = plan.gdbPort === undefined ? undefined : await serveGdb(session, plan.gdbPort);
    const status = report(await session.run(), session.diskError);
    gdb?.exited(status);
    return status;
  } finally {
    clearInterval(flusher);
    output.flush();
  }
}

function report(end: SessionEnd, diskError: Error | undefined): number {
  if (diskError !== undefined) process.stderr.write(`kdump-lab: ${diskError.message}\n`);
  if (end.kind === 'panicked') process.stderr.write('kdump-lab: the guest says that it has panicked (pvpanic)\n');
  if (end.kind === 'halted')
    process.stderr.write('kdump-lab: all CPUs wait for interrupts that no device will raise\n');
  return diskError === undefined && end.kind !== 'halted' ? 0 : 1;
}
