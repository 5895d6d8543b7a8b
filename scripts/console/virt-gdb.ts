/** The gdb server of a session. */
import { GdbServer } from '../../emulator/debug/gdb-server.ts';
import { GDB_SIGNAL, type GdbTarget } from '../../emulator/debug/gdb-stub.ts';
import { runMonitorCommand } from './monitor.ts';
import type { VirtSession } from './virt-session.ts';

/** Listens for a debugger of the session's machine. @throws UsageError when the port is taken */
export async function serveGdb(session: VirtSession, port: number): Promise<GdbServer> {
  const server = await GdbServer.listen(gdbTarget(session), port);
  session.onBreakpoint = cpu => {
    session.pause();
    server.stopped(GDB_SIGNAL.TRAP, cpu);
  };
  return server;
}

function gdbTarget(session: VirtSession): GdbTarget {
  const { debugView: view } = session;
  return {
    cpuCount: view.cpuCount,
    description: view.description,
    generalRegisters: view.generalRegisters,
    readRegister: (cpu, register) => view.readRegister(cpu, register),
    writeRegister: (cpu, register, bytes) => view.writeRegister(cpu, register, bytes),
    readMemory: (cpu, address, length) => view.readMemory(cpu, address, length),
    writeMemory: (cpu, address, bytes) => view.writeMemory(cpu, address, bytes),
    addBreakpoint: address => view.addBreakpoint(address),
    removeBreakpoint: address => view.removeBreakpoint(address),
    describe: cpu => view.describe(cpu),
    pause: () => session.pause(),
    resume: () => session.resume(),
    step: cpu => view.step(cpu),
    monitor: line => {
      const answer = runMonitorCommand(session, line);
      return answer instanceof Promise ? ["it goes on in the background: see 'info dump'"] : answer;
    },
    kill: () => session.quit(),
  };
}
