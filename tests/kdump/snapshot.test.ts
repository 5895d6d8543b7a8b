/** From a snapshot taken before the panic, crash and capture run again and again, each time as without one. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { type BoardChoice, createMachine, FileBackend, type Machine, OverlayBackend } from '../../emulator/index.ts';
import { type Architecture, readKernelImage } from '../../kernel-images/kernel-image.ts';
import { EPOCH_SECONDS } from '../../scripts/lab/emulated-machine.ts';
import { runFlow } from '../../scripts/lab/flow.ts';
import type { LabMachine, LabMachineConfig, LabStop } from '../../scripts/lab/lab-machine.ts';
import { prepareRun } from '../../scripts/lab/prepare.ts';
import { ARCHITECTURE_DEFAULTS, DEFAULT_SCENARIO } from '../../scripts/lab/scenario.ts';

const NS_PER_SECOND = 1e9;
const PANIC = 'sysrq: Trigger a crash';
/** Guest time between the snapshot and the panic. */
const BEFORE_NS = 1e6;

interface Outcome {
  readonly stop: unknown;
  readonly instructions: number;
  readonly guestNs: number;
  /** What the guest wrote after `PANIC`. */
  readonly console: string;
  readonly disk: string;
}

const BOARDS: Readonly<Record<Architecture, BoardChoice>> = {
  aarch64: { type: 'virt', gicVersion: 3, its: true, virtualization: false, seeds: false },
  x86_64: { type: 'q35' },
};

/** A machine with an overlay over its disk, and what became of it. */
class Trial {
  readonly machine: Machine;
  /** Guest time at which `PANIC` was on the console. */
  panicNs = 0;
  #console = '';
  readonly #disk: OverlayBackend;

  constructor(config: LabMachineConfig, disk: FileBackend, kernel: Awaited<ReturnType<typeof readKernelImage>>) {
    this.#disk = new OverlayBackend(disk);
    this.machine = createMachine({
      board: BOARDS[config.architecture],
      cpu: config.cpu,
      cpuCount: config.cpus,
      memoryBytes: config.memorySize,
      drives: [{ backend: this.#disk, bus: config.diskBus }],
      serialOutput: byte => this.#take(byte),
      epochSeconds: EPOCH_SECONDS,
    });
    const { bytes, memorySize } = kernel;
    const { initrd, commandLine } = config;
    this.machine.boot({ kernel: bytes, kernelMemorySize: memorySize, initrd, commandLine });
  }

  async finish(): Promise<Outcome> {
    const { machine } = this;
    const stop = await machine.run(120 * NS_PER_SECOND);
    const { instructions, guestNs } = machine;
    const console = this.#console.slice(this.#console.lastIndexOf(PANIC));
    return { stop, instructions, guestNs, console, disk: this.#diskHash() };
  }

  #take(byte: number): void {
    this.#console += String.fromCharCode(byte);
    if (byte === 0x0a && this.panicNs === 0 && this.#console.includes(PANIC)) this.panicNs = this.machine.guestNs;
  }

  #diskHash(): string {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(1 << 20);
    for (let offset = 0; offset < this.#disk.sizeBytes; offset += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, this.#disk.sizeBytes - offset));
      this.#disk.read(offset, part);
      hash.update(part);
    }
    return hash.digest('hex');
  }
}

/** Runs the flow without a snapshot, then twice from one. */
async function outcomes(architecture: Architecture): Promise<{ results: readonly Outcome[]; restoreMs: number }> {
  let restoreMs = 0;
  const results: Outcome[] = [];
  class Snapshots implements LabMachine {
    readonly name = 'snapshots';
    readonly #config: LabMachineConfig;
    constructor(config: LabMachineConfig) {
      this.#config = config;
    }
    async run(): Promise<LabStop> {
      const config = this.#config;
      const kernel = await readKernelImage(readFileSync(config.kernel), config.kernel);
      using disk = new FileBackend(config.disk, true);
      const plain = new Trial(config, disk, kernel);
      results.push(await plain.finish());
      const trial = new Trial(config, disk, kernel);
      await trial.machine.run(plain.panicNs - BEFORE_NS);
      const snapshot = trial.machine.takeSnapshot();
      results.push(await trial.finish());
      const before = performance.now();
      trial.machine.restoreSnapshot(snapshot);
      restoreMs = performance.now() - before;
      results.push(await trial.finish());
      return { kind: 'interrupted', reason: 'enough was seen' };
    }
    interrupt(): void {
      // The test ends by itself.
    }
    progress(): { guestSeconds: number; instructions: number } {
      return { guestSeconds: 0, instructions: 0 };
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  try {
    const prepared = await prepareRun({
      ...DEFAULT_SCENARIO,
      architecture,
      ...ARCHITECTURE_DEFAULTS[architecture],
      fast: true,
      cpus: 2,
    });
    await runFlow(prepared, folder, config => new Snapshots(config));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return { results, restoreMs };
}

test.each<Architecture>(['aarch64', 'x86_64'])(
  '%s with 2 CPUs: a run from a snapshot equals a run without',
  async architecture => {
    const { results, restoreMs } = await outcomes(architecture);
    const [plain, first, second] = results;
    expect(plain!.stop).toEqual({ kind: 'power-off' });
    expect(plain!.console).toContain('Kernel panic');
    expect(first).toEqual(plain);
    expect(second).toEqual(plain);
    // On an idle machine it is a few dozen.
    expect(restoreMs).toBeLessThan(1000);
  },
);
