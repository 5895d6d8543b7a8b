/**
 * Snapshots of a running machine, to go back to within the process.
 *
 * Taking one copies registers and device states; RAM is copied page by page as it changes afterwards (`PageHistory`). Going
 * back copies those pages and keeps all translated code of the others. A machine has one snapshot at a time: taking another
 * one ends the life of the one before. Host files behind disks are not rolled back; overlays over them are.
 */
import { CPU_STATE_SIZE } from '../cpu/execute/cpu-state.ts';
import type { Machine, MachineState } from './machine.ts';

/** A part that gives its state as plain data and takes it back. */
export interface Savable {
  save(): unknown;
  restore(state: unknown): void;
}

/** What a snapshot is taken of. */
export interface SnapshotSubject {
  readonly machine: Machine;
  /** The architecture's side of each CPU, in the engine's order. */
  readonly cpus: readonly Savable[];
  /** Everything else, interrupt controllers last: those before drive lines into them when they are restored. */
  readonly parts: readonly Savable[];
}

/** A moment of a machine. */
export interface MachineSnapshot {
  readonly machine: MachineState;
  readonly cpus: readonly { readonly block: Uint8Array; readonly state: unknown }[];
  readonly parts: readonly unknown[];
  /** Names the RAM contents in the machine's history. */
  readonly memory: number;
}

/** Takes a snapshot of a machine that does not run. */
export function takeSnapshot({ machine, cpus, parts }: SnapshotSubject): MachineSnapshot {
  const { engine } = machine;
  const { memory } = engine;
  // Stores must come by the history again.
  for (const cpu of engine.cpus) cpu.flushTlb();
  return {
    machine: machine.save(),
    cpus: cpus.map((cpu, index) => {
      const { base } = engine.cpus[index]!;
      return { block: memory.bytes.slice(base, base + CPU_STATE_SIZE), state: cpu.save() };
    }),
    parts: parts.map(part => part.save()),
    memory: memory.history.begin(),
  };
}

/** Goes back to the machine's latest snapshot. The machine does not run. */
export function restoreSnapshot({ machine, cpus, parts }: SnapshotSubject, snapshot: MachineSnapshot): void {
  const { engine, clock } = machine;
  const { memory, code } = engine;
  memory.history.goBack(snapshot.memory, (address, size) => code.written(address, size));
  clock.clearAlarms();
  machine.restore(snapshot.machine);
  for (const [index, { block, state }] of snapshot.cpus.entries()) {
    memory.bytes.set(block, engine.cpus[index]!.base);
    cpus[index]!.restore(state);
  }
  for (const [index, part] of parts.entries()) part.restore(snapshot.parts[index]);
}
