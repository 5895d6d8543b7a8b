/**
 * A machine's memory and registers as a dump: what QEMU's `dump-guest-memory` makes, without a guest tool.
 *
 * The machine arrives as an interface, so that this knows no emulator. It must not run while it is read.
 * Not modelled: notes of floating-point and vector registers.
 */
import { AARCH64_REGISTERS, NT, X86_64_REGISTERS, buildNote, buildPrstatus, parseNotes } from '../formats/elf-notes.ts';
import type { CpuRegisters, ElfNote } from '../formats/elf-notes.ts';
import { FaultError, FormatError } from '../formats/errors.ts';
import type { MemorySource, PhysicalRange } from '../formats/memory-source.ts';
import type { Vmcoreinfo } from '../formats/vmcoreinfo.ts';
import { findVmcoreinfo, vmcoreinfoAt } from '../find-vmcoreinfo.ts';
import type { Architecture, Dump } from './dump-file.ts';

/** Registers of a CPU. */
export interface MachineCpu extends CpuRegisters {
  /** Further notes about it. */
  readonly notes?: readonly ElfNote[];
}

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
  readonly cpus: readonly MachineCpu[];
  /** Where the guest said that its VMCOREINFO note is (fw_cfg `etc/vmcoreinfo`). */
  readonly vmcoreinfoNote?: { readonly paddr: number; readonly size: number } | undefined;
  /** Memory to leave out: the crash kernel's region. */
  readonly excluded?: readonly PhysicalRange[];
}

/** Presents a machine as a dump. */
export function machineDump(machine: MachineState): Dump {
  const memory = new MachineMemory(machine);
  const warnings: string[] = [];
  const vmcoreinfo = announcedVmcoreinfo(machine, memory, warnings) ?? findVmcoreinfo(memory, machine.architecture);
  if (vmcoreinfo === undefined) warnings.push('no VMCOREINFO in the memory of the machine');
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
    warnings,
    [Symbol.dispose]: () => undefined,
  };
}

/** What the guest said by fw_cfg. A guest may say anything: what is wrong is a warning, and memory is searched. */
function announcedVmcoreinfo(
  { vmcoreinfoNote: note }: MachineState,
  memory: MemorySource,
  warnings: string[],
): Vmcoreinfo | undefined {
  if (note === undefined || note.size === 0) return undefined;
  try {
    return vmcoreinfoAt(memory, note.paddr, note.size);
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof FaultError)) throw error;
    warnings.push(`the VMCOREINFO that the guest announced cannot be used: ${error.message}`);
    return undefined;
  }
}

function machineNotes({ architecture, cpus }: MachineState, vmcoreinfo: Vmcoreinfo | undefined): Uint8Array {
  const names = architecture === 'aarch64' ? AARCH64_REGISTERS : X86_64_REGISTERS;
  const notes = cpus.map(cpu => buildNote({ name: 'CORE', type: NT.PRSTATUS, descriptor: buildPrstatus(cpu, names) }));
  notes.push(...cpus.flatMap(cpu => cpu.notes ?? []).map(buildNote));
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
