/**
 * Our load plan against the guest's: real kexec-tools load a capture kernel in a real production kernel; for the same kernel, initrd,
 * command line and memory map ours must give the same segments, byte by byte but for the purgatory, whose code is our own.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FileBackend } from '../../emulator/devices/block/file-backend.ts';
import { VirtBoard } from '../../emulator/machine/virt-aarch64/board.ts';
import { chooseLoadAddresses } from '../../emulator/machine/virt-aarch64/layout.ts';
import { loadOfDebugLog, systemOfDebugLog } from '../../kexec/debug-log.ts';
import { planKexecLoad } from '../../kexec/load-plan-aarch64.ts';
import { NO_LIMITS } from '../../kexec/load-plan.ts';
import { PURGATORY_SIZE } from '../../kexec/purgatory.ts';
import { prepareRun, type PreparedRun } from '../../scripts/lab/prepare.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../scripts/lab/scenario.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-kexec-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A guest whose kexec has just loaded. */
interface LoadedGuest {
  readonly console: string;
  readonly read: (paddr: number, size: number) => Uint8Array;
  readonly deviceTree: Uint8Array;
}

async function loadInGuest(prepared: PreparedRun): Promise<LoadedGuest> {
  const { scenario } = prepared;
  const path = join(folder, 'disk.img');
  const file = openSync(path, 'w');
  ftruncateSync(file, 2 ** 20);
  closeSync(file);
  using disk = new FileBackend(path, false);
  let console = '';
  const board: VirtBoard = new VirtBoard({
    cpu: scenario.cpu,
    cpuCount: scenario.cpus,
    memoryBytes: scenario.memorySize,
    gicVersion: 3,
    its: true,
    virtualization: false,
    drives: [{ backend: disk, bus: 'mmio' }],
    consoleOutput: byte => {
      console += String.fromCharCode(byte);
      const isLoaded = byte === 10 && console.includes('kdump-lab: phase=panic');
      if (isLoaded) board.machine.stop({ kind: 'interrupted', reason: 'loaded' });
    },
    epochSeconds: 0,
    seeds: prepared.seeds,
  });
  board.loadLinux({
    kernel: prepared.image.bytes,
    kernelMemorySize: prepared.image.memorySize,
    initrd: prepared.initramfs.production,
    commandLine: prepared.productionCommandLine,
  });
  expect(await board.machine.run(60e9)).toEqual({ kind: 'interrupted', reason: 'loaded' });
  const read = (paddr: number, size: number) => board.memory.ramSlice(paddr, size);
  const { dtb } = chooseLoadAddresses(scenario.memorySize, 0, prepared.initramfs.production.length);
  const size = Buffer.from(read(dtb, 8)).readUInt32BE(4);
  return { console: console.replaceAll('\r', ''), read, deviceTree: read(dtb, size).slice() };
}

describe.each<[name: string, scenario: Partial<Scenario>]>([
  ['Debian 12, 1 CPU', {}],
  ['Debian 13, 2 CPUs, 192 MiB reserved', { suite: 'trixie', cpus: 2, crashkernel: '192M' }],
])('%s', (_, scenario) => {
  test('our segments are those of the guest', async () => {
    const prepared = await prepareRun({ ...DEFAULT_SCENARIO, fast: true, kexecOptions: '-p -c -i -d', ...scenario });
    const guest = await loadInGuest(prepared);
    const logged = loadOfDebugLog(guest.console);
    const plan = planKexecLoad(systemOfDebugLog(guest.console, guest.deviceTree), {
      kernel: prepared.image.bytes,
      initrd: prepared.initramfs.capture,
      commandLine: prepared.captureCommandLine,
      onPanic: true,
      noChecks: true,
      memory: NO_LIMITS,
      entry: undefined,
      dtb: undefined,
      kaslrSeed: undefined,
      rngSeed: undefined,
    });
    expect(plan.flags).toBe(logged.flags);
    expect(plan.segments.map(({ mem }) => mem)).toEqual(logged.segments.map(({ mem }) => mem));
    for (const [i, { name, bytes, memsz }] of plan.segments.entries()) {
      const theirs = logged.segments[i]!;
      if (name === 'purgatory') {
        expect(bytes).toHaveLength(PURGATORY_SIZE);
        continue;
      }
      expect([name, bytes.length, memsz]).toEqual([name, theirs.bufsz, theirs.memsz]);
      const loaded = Buffer.from(guest.read(theirs.mem, theirs.memsz));
      expect(loaded.equals(Buffer.concat([bytes, Buffer.alloc(memsz - bytes.length)])), name).toBe(true);
    }
  });
});
