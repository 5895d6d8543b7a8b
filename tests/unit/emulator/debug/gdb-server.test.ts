/** gdb itself on a machine without a kernel: registers, memory, steps and breakpoints. */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import { Aarch64DebugView } from '../../../../emulator/debug/gdb-aarch64.ts';
import { GdbServer } from '../../../../emulator/debug/gdb-server.ts';
import { GDB_SIGNAL, type GdbTarget } from '../../../../emulator/debug/gdb-stub.ts';
import { VirtBoard } from '../../../../emulator/machine/virt-aarch64/board.ts';

const ENTRY = 0x4000_0000;
/** mov x0, #0; loop: add x0, x0, #1; b loop */
const PROGRAM = Uint32Array.of(0xd280_0000, 0x9100_0400, 0x17ff_ffff);
const NS_PER_SLICE = 10_000;

const hasGdb = spawnSync('gdb-multiarch', ['--version']).status === 0;

/** A machine that a debugger starts and stops. */
class DebuggedBoard {
  readonly board = new VirtBoard({
    cpu: 'cortex-a57',
    cpuCount: 2,
    memoryBytes: 2 ** 20,
    gicVersion: 3,
    its: false,
    virtualization: false,
    seeds: false,
    drives: [],
    consoleOutput: () => undefined,
    epochSeconds: 0,
  });
  readonly view = new Aarch64DebugView(this.board.cpus, this.board.machine.engine);
  #running = false;

  constructor() {
    const bytes = new Uint8Array(PROGRAM.buffer);
    this.board.load({
      segments: [{ name: 'program', paddr: ENTRY, bytes, memorySize: bytes.length }],
      entry: { architecture: 'aarch64', pc: ENTRY, x: [0n, 0n, 0n, 0n], exceptionLevel: 1 },
    });
  }

  target(): GdbTarget {
    const { view } = this;
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
      pause: () => this.pause(),
      resume: () => void this.#run(),
      step: cpu => view.step(cpu),
      monitor: line => [`you said ${line}`],
      kill: () => this.pause(),
    };
  }

  pause(): void {
    this.#running = false;
    this.board.machine.stop({ kind: 'interrupted', reason: 'debugger' });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const { machine } = this.board;
    while (this.#running) {
      await machine.run(machine.guestNs + NS_PER_SLICE);
      await new Promise(resume => {
        setImmediate(resume);
      });
    }
  }
}

async function gdb(...commands: string[]): Promise<string> {
  const debugged = new DebuggedBoard();
  using server = await GdbServer.listen(debugged.target(), 0);
  debugged.board.machine.engine.code.breakpoints.hit = cpu => {
    debugged.pause();
    server.stopped(GDB_SIGNAL.TRAP, cpu);
  };
  const all = ['set confirm off', 'set architecture aarch64', `target remote :${server.port}`, ...commands, 'kill'];
  const args = ['-nx', '-batch', ...all.flatMap(command => ['-ex', command])];
  const { stdout } = await promisify(execFile)('gdb-multiarch', args, { encoding: 'utf8' });
  debugged.pause();
  return stdout;
}

test.skipIf(!hasGdb)('gdb steps, and sees what instructions do', async () => {
  const output = await gdb('stepi', 'stepi', 'print $x0', 'print/x $pc', 'info threads', 'monitor hello');
  expect(output).toContain('$1 = 1\n');
  expect(output).toContain('$2 = 0x40000008\n');
  expect(output).toMatch(/CPU#0 EL1 \[running\]/);
  expect(output).toMatch(/CPU#1 EL\d \[off\]/);
});

test.skipIf(!hasGdb)('a breakpoint in a hot loop stops each time round', async () => {
  const output = await gdb('break *0x40000004', ...Array.from({ length: 80 }, () => 'continue'), 'print $x0');
  expect(output).toContain('$1 = 79\n');
});

test.skipIf(!hasGdb)('gdb writes registers, vectors and code', async () => {
  // mov x1, #7 over the loop's first instruction
  const output = await gdb(
    'set $x5 = 0x1234',
    'print/x $x5',
    'set $v3.s.u[1] = 7',
    'print/x $v3.q.u',
    'set {int}0x40000004 = 0xd28000e1',
    'stepi',
    'stepi',
    'print $x1',
  );
  expect(output).toContain('$1 = 0x1234\n');
  expect(output).toContain('$2 = {0x700000000}\n');
  expect(output).toContain('$3 = 7\n');
});
