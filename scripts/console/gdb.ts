/** The gdb server of a session. */
import { GDB_SIGNAL, GdbServer, type GdbTarget } from '../../emulator/index.ts';
import type { MachineSession } from './machine-session.ts';
import { runMonitorCommand } from './monitor.ts';

/** Listens for a debugger of the session's machine. @throws UsageError when the port is taken */
export async function serveGdb(session: MachineSession, port: number): Promise<GdbServer> {
  const server = await GdbServer.listen(gdbTarget(session), port);
  session.machine.onBreakpoint = cpu => {
    session.pause();
    server.stopped(GDB_SIGNAL.TRAP, cpu);
  };
  session.machine.debug.watchpoints.hit = (cpu, range) => server.watched(cpu, range);
  return server;
}

function gdbTarget(session: MachineSession): GdbTarget {
  return {
    view: session.machine.debug,
    pause: () => session.pause(),
    resume: () => void session.resume(),
    monitor: line => runMonitorCommand(session, line),
    kill: () => session.quit(),
  };
}
