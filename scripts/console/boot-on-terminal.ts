/** Runs one machine with its console on the terminal, or in a file. */
import type { BootPlan } from '../commands/boot.ts';
import { ConsoleBuffer } from '../lab/console-buffer.ts';
import { openSink } from './character-sink.ts';
import { ControlServer } from './control/control-server.ts';
import { serveGdb } from './gdb.ts';
import { InteractiveConsole } from './interactive.ts';
import { LineTimestamps } from './line-timestamps.ts';
import { MachineSession, type SessionEnd } from './machine-session.ts';

/** How long a character without a newline may wait to be shown. */
const FLUSH_MS = 20;

/** Boots and runs until the end. @returns exit status @throws UsageError, ImageError, UnimplementedError */
export async function bootOnTerminal(plan: BootPlan): Promise<number> {
  using sink = openSink(plan.serial, '-serial');
  const stamps = new LineTimestamps();
  const output = new ConsoleBuffer(bytes => sink.write(stamps.apply(bytes)));
  using session = new MachineSession(plan, byte => output.write(byte));
  // Prompts end without a newline.
  const flusher = setInterval(() => {
    try {
      output.flush();
    } catch {
      // the last flush throws it again, where it is heard
      clearInterval(flusher);
      session.quit();
    }
  }, FLUSH_MS);
  try {
    using _control = await ControlServer.open(session, plan.controls);
    using gdb = plan.gdbPort === undefined ? undefined : await serveGdb(session, plan.gdbPort);
    using _console = new InteractiveConsole(session, {
      mux:
        plan.serial.kind === 'terminal'
          ? plan.serial.mux
          : plan.monitor === 'none' && session.devices.consoleOnTerminal,
      monitor: plan.monitor,
      escapeKey: plan.escapeKey,
      toggleTimestamps: () => stamps.toggle(),
    });
    const status = report(await session.run(), session, plan);
    gdb?.exited(status);
    return status;
  } finally {
    clearInterval(flusher);
    output.flush();
  }
}

const EXIT_FAILURE = 1;

/** Says what the console did not. @returns exit status */
function report(end: SessionEnd, { diskError }: MachineSession, plan: BootPlan): number {
  if (diskError !== undefined) say(diskError.message);
  if (end.kind === 'panicked') say('the guest says that it has panicked (pvpanic)');
  if (end.kind === 'halted') say('all CPUs wait for interrupts that no device will raise');
  if (end.kind === 'reset' && end.cause !== undefined) say(`the guest was reset: ${end.cause}`);
  if (end.kind === 'exit') return end.status;
  const failed = end.kind === 'halted' || (end.kind === 'panicked' && plan.actions.panic === 'exit-failure');
  return diskError !== undefined || failed ? EXIT_FAILURE : 0;
}

function say(text: string): void {
  process.stderr.write(`kdump-lab: ${text}\n`);
}
