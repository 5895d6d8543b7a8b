/**
 * A machine's memory and registers as a dump: what QEMU's `dump-guest-memory` makes, without a guest tool.
 *
 * The machine arrives as an interface, so that this knows no emulator. It must not run while it is read.
 * Not modelled: QEMU's own notes (`QEMU` NT 0) with system registers.
 */
import { AARCH64_REGISTERS, NT, X86_64_REGISTERS, buildNote, buildPrstatus, parseNotes } from '../formats/elf-notes.ts';
import type { CpuRegisters } from '../formats/elf-notes.ts';
import { FaultError } from '../formats/errors.ts';
import type { MemorySource, PhysicalRange } from '../formats/memory-source.ts';
import type { Vmcoreinfo } from '../formats/vmcoreinfo.ts';
import { findVmcoreinfo, vmcoreinfoAt } from '../find-vmcoreinfo.ts';
import type { Architecture, Dump } from './dump-file.ts';

/** A machine that stands still. */
export interface MachineState {
  /** For messages. */
  readonly name: string;
  readonly architecture: Architecture;
  /** RAM by physical address, in order, at multiples of 4096. */
  readonly ram: readonly PhysicalRange[];
  /** Returns the bytes of RAM at a physical address; a view is as good as a copy. */
  readonly read: (paddr: number, length: number) => Uint8Array;
  /** Registers of each CPU, by the names of `AARCH64_REGISTERS` or `X86_64_REGISTERS`; `pid` is CPU number + 1, as QEMU has it. */
  readonly cpus: readonly CpuRegisters[];
  /** Where the guest said that its VMCOREINFO note is (fw_cfg `etc/vmcoreinfo`). */
  readonly vmcoreinfoNote?: { readonly paddr: number; readonly size: number } | undefined;
  /** Memory to leave out: the crash kernel's region. */
  readonly excluded?: readonly PhysicalRange[];
}

/** Presents a machine as a dump. */
export function machineDump(machine: MachineState): Dump {
  const memory = new MachineMemory(machine);
  const announced = machine.vmcoreinfoNote;
  const vmcoreinfo =
    announced === undefined || announced.size === 0
      ? findVmcoreinfo(memory, machine.architecture)
      : vmcoreinfoAt(memory, announced.paddr, announced.size);
  const noteBytes = machineNotes(machine, vmcoreinfo);
  return {
    path: machine.name,
    format: 'raw RAM',
    flattened: false,
    architecture: machine.architecture,
    memory,
    notes: parseNotes(noteBytes),
    noteBytes,
    elfCore: undefined,
    vmcoreinfo,
    dumpLevel: undefined,
    incomplete: false,
    diskDumps: [],
    warnings: vmcoreinfo === undefined ? ['no VMCOREINFO in the memory of the machine'] : [],
    [Symbol.dispose]: () => undefined,
  };
}

function machineNotes({ architecture, cpus }: MachineState, vmcoreinfo: Vmcoreinfo | undefined): Uint8Array {
  const names = architecture === 'aarch64' ? AARCH64_REGISTERS : X86_64_REGISTERS;
  const notes = cpus.map(cpu => buildNote({ name: 'CORE', type: NT.PRSTATUS, descriptor: buildPrstatus(cpu, names) }));
  if (vmcoreinfo !== undefined) {
    const descriptor = Buffer.from(vmcoreinfo.text, 'latin1');
    notes.push(buildNote({ name: 'VMCOREINFO', type: NT.VMCOREINFO, descriptor }));
  }
  return Buffer.concat(notes);
}

/** RAM of a machine, page by page. */
class MachineMemory implements MemorySource {
  readonly pageSize = 4096;
  readonly maxPfn: number;
  readonly #machine: MachineState;
  readonly #ranges: readonly PhysicalRange[];

  constructor(machine: MachineState) {
    this.#machine = machine;
    this.#ranges = subtract(machine.ram, machine.excluded ?? []);
    this.maxPfn = Math.ceil(Math.max(0, ...this.#ranges.map(({ end }) => end)) / this.pageSize);
  }

  hasPage(pfn: number): boolean {
    return this.#find(pfn) !== undefined;
  }

  readPage(pfn: number): Uint8Array {
    return this.readPages(pfn, 1);
  }

  readPages(pfn: number, count: number): Uint8Array {
    const range = this.#find(pfn);
    const paddr = pfn * this.pageSize;
    if (range === undefined) throw new FaultError(paddr, 'no memory of the machine');
    const pages = Math.min(count, Math.floor((range.end - paddr) / this.pageSize));
    return this.#machine.read(paddr, pages * this.pageSize);
  }

  /** The range that holds a whole page. */
  #find(pfn: number): PhysicalRange | undefined {
    const paddr = pfn * this.pageSize;
    return this.#ranges.find(({ start, end }) => paddr >= start && paddr + this.pageSize <= end);
  }
}

/** The parts of some ranges that lie in none of others. */
function subtract(ranges: readonly PhysicalRange[], holes: readonly PhysicalRange[]): PhysicalRange[] {
  let left = [...ranges];
  for (const hole of holes) {
    left = left.flatMap(range =>
      [
        { start: range.start, end: Math.min(range.end, hole.start) },
        { start: Math.max(range.start, hole.end), end: range.end },
      ].filter(({ start, end }) => start < end),
    );
  }
  return left;
}
