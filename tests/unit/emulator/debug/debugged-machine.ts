/** A machine without a kernel that gdb itself starts and stops. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';

import { createMachine, GDB_SIGNAL, GdbServer, type GdbTarget, type Machine } from '../../../../emulator/index.ts';

const NS_PER_SLICE = 10_000;

export const hasGdb = spawnSync('gdb-multiarch', ['--version']).status === 0;

/** Where programs begin, by architecture. */
export const ENTRY = { aarch64: 0x4000_0000, x86_64: 0x1000 } as const;
type Architecture = keyof typeof ENTRY;

function machineWith(architecture: Architecture, program: Uint8Array, cpu: string): Machine {
  const machine = createMachine({
    board:
      architecture === 'aarch64'
        ? { type: 'virt', gicVersion: 3, its: false, virtualization: false, seeds: false }
        : { type: 'microvm' },
    cpu,
    cpuCount: 2,
    memoryBytes: 2 ** 20,
    drives: [],
    serialOutput: () => undefined,
    epochSeconds: 0,
  });
  const entry = ENTRY[architecture];
  machine.load({
    segments: [{ name: 'program', paddr: entry, bytes: program, memorySize: program.length }],
    entry:
      architecture === 'aarch64'
        ? { architecture, pc: entry, x: [0n, 0n, 0n, 0n], exceptionLevel: 1 }
        : { architecture, mode: 'protected32', rip: entry, rsi: 0, rbx: 0 },
  });
  return machine;
}

/** Runs while it is not paused. */
class Runner {
  readonly machine: Machine;
  #running = false;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  pause(): void {
    this.#running = false;
    this.machine.stop({ kind: 'interrupted', reason: 'debugger' });
  }

  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#running) {
      await this.machine.run(this.machine.guestNs + NS_PER_SLICE);
      await new Promise(resume => {
        setImmediate(resume);
      });
    }
  }
}

function targetOf(runner: Runner): GdbTarget {
  return {
    view: runner.machine.debug,
    pause: () => runner.pause(),
    resume: () => void runner.run(),
    monitor: line => [`you said ${line}`],
    kill: () => runner.pause(),
  };
}

/** What gdb prints when it runs these commands on a machine with this program. */
export async function gdb(
  { architecture, program, cpu }: { architecture: Architecture; program: Uint8Array; cpu: string },
  ...commands: readonly string[]
): Promise<string> {
  const runner = new Runner(machineWith(architecture, program, cpu));
  using server = await GdbServer.listen(targetOf(runner), 0);
  runner.machine.onBreakpoint = index => {
    runner.pause();
    server.stopped(GDB_SIGNAL.TRAP, index);
  };
  runner.machine.debug.watchpoints.hit = (index, range) => server.watched(index, range);
  const name = architecture === 'aarch64' ? 'aarch64' : 'i386:x86-64';
  const all = ['set confirm off', `set architecture ${name}`, `target remote :${server.port}`, ...commands, 'kill'];
  const args = ['-nx', '-batch', ...all.flatMap(command => ['-ex', command])];
  const { stdout } = await promisify(execFile)('gdb-multiarch', args, { encoding: 'utf8', timeout: 20_000 });
  runner.pause();
  return stdout;
}
