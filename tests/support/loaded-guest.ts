/** A guest whose kexec has just loaded a capture kernel: stopped before its panic, to look at. */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { join } from 'node:path';

import type { Program } from '../../analyzer/program.ts';
import { chooseLoadAddresses, createMachine, FileBackend } from '../../emulator/index.ts';
import type { LoadedImage } from '../../kexec/recognise.ts';
import type { RunningSystem } from '../../kexec/running-system.ts';
import { describeLiveKernel, loadedImageOf, openLiveKernel } from '../../scripts/lab/live-kernel.ts';
import type { PreparedRun } from '../../scripts/lab/prepare.ts';
import { machineStateOf, watchPc, watchVirt, type WatchedBoard } from '../../scripts/lab/watched-board.ts';

/** The guest, and what it has loaded. */
export interface LoadedGuest {
  readonly board: WatchedBoard;
  /** Without carriage returns. */
  readonly console: string;
  readonly program: Program;
  readonly system: RunningSystem;
  readonly image: LoadedImage;
  readonly read: (paddr: number, size: number) => Uint8Array;
}

/** The guest's init says so when it is about to panic. */
const LOADED = 'kdump-lab: phase=panic';
const LONGEST_NS = 120e9;

/**
 * Boots until the capture kernel is loaded.
 * @param folder for a disk that nobody writes to
 * @throws Error when the guest does not come that far
 */
export async function loadInGuest(prepared: PreparedRun, folder: string): Promise<LoadedGuest> {
  const path = join(folder, 'empty.img');
  const file = openSync(path, 'w');
  ftruncateSync(file, 2 ** 20);
  closeSync(file);
  using disk = new FileBackend(path, false);
  let console = '';
  const board: WatchedBoard = createBoard(prepared, disk, byte => {
    console += String.fromCharCode(byte);
    if (byte === 10 && console.includes(LOADED)) board.machine.stop({ kind: 'interrupted', reason: 'loaded' });
  });
  const stop = await board.machine.run(LONGEST_NS);
  if (stop.kind !== 'interrupted') throw new Error(`the guest did not load: ${JSON.stringify(stop)}\n${console}`);
  const state = machineStateOf(board);
  const program = openLiveKernel(state)!;
  const { dtb } = chooseLoadAddresses(prepared.scenario.memorySize, 0, prepared.initramfs.production.length);
  const tree = board.architecture === 'aarch64' ? deviceTree(state.read, dtb) : undefined;
  const image = loadedImageOf(program);
  if (image === undefined) throw new Error(`nothing is loaded\n${console}`);
  return {
    board,
    console: console.replaceAll('\r', ''),
    program,
    system: describeLiveKernel(program, state, tree),
    image,
    read: state.read,
  };
}

function deviceTree(read: LoadedGuest['read'], paddr: number): Uint8Array {
  return read(paddr, Buffer.from(read(paddr, 8)).readUInt32BE(4)).slice();
}

function createBoard(prepared: PreparedRun, disk: FileBackend, serialOutput: (byte: number) => void): WatchedBoard {
  const { scenario, image, initramfs, productionCommandLine, seeds } = prepared;
  const isPc = scenario.architecture === 'x86_64';
  const machine = createMachine({
    board: isPc ? { type: 'q35' } : { type: 'virt', gicVersion: 3, its: true, virtualization: false, seeds },
    cpu: scenario.cpu,
    cpuCount: scenario.cpus,
    memoryBytes: scenario.memorySize,
    drives: [{ backend: disk, bus: isPc ? 'pci' : 'mmio' }],
    serialOutput,
    epochSeconds: 0,
  });
  machine.boot({
    kernel: image.bytes,
    kernelMemorySize: image.memorySize,
    initrd: initramfs.production,
    commandLine: productionCommandLine,
  });
  return machine.architecture === 'x86_64' ? watchPc(machine.board) : watchVirt(machine.board, 1);
}
