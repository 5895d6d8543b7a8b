/** Boards as the dump writers and the analyzer take them: RAM, registers of each CPU, where the guest's VMCOREINFO is. */
import type { CpuRegisters } from '../../capture/formats/elf-notes.ts';
import type { PhysicalRange } from '../../capture/formats/memory-source.ts';
import { QEMU_SEGMENTS, qemuNote, type QemuSegment } from '../../capture/formats/qemu-note.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';
import {
  type A64Cpu,
  type BoardMachine,
  type GuestMemory,
  SEGMENT,
  type VmcoreinfoLocation,
  type X64Cpu,
} from '../../emulator/index.ts';
import { a64Registers, SEGMENT_REGISTERS, x64Registers } from './cpu-registers.ts';

/** A machine that stands still. */
export function machineState(machine: BoardMachine): MachineState {
  const { memory, vmcoreinfo } = machine.board;
  const common = { ...memoryOf(memory), ...noteOf(vmcoreinfo) };
  return machine.architecture === 'aarch64'
    ? { ...common, architecture: 'aarch64', cpus: machine.board.cpus.map(a64State) }
    : { ...common, architecture: 'x86_64', cpus: machine.board.cpus.map(x64State) };
}

function memoryOf(memory: GuestMemory): Pick<MachineState, 'name' | 'ram' | 'read'> {
  return {
    name: 'the machine',
    ram: memory.ranges.map(({ start, size }): PhysicalRange => ({ start, end: start + size })),
    read: (paddr, length) => memory.ramSlice(paddr, length),
  };
}

/** The guest's format 1 is an ELF note; another kind of guest has nothing for us. */
function noteOf(location: VmcoreinfoLocation | undefined): Pick<MachineState, 'vmcoreinfoNote'> {
  const GUEST_FORMAT_ELF = 1;
  if (location === undefined || location.guestFormat !== GUEST_FORMAT_ELF || location.size === 0) return {};
  return { vmcoreinfoNote: { paddr: location.paddr, size: location.size } };
}

/** QEMU numbers threads from 1. */
function a64State(cpu: A64Cpu, index: number): CpuRegisters {
  return { pid: index + 1, registers: a64Registers(cpu) };
}

/** Segments in the order of `QEMU_SEGMENTS`, without the two tables. */
const SEGMENTS = [...SEGMENT_REGISTERS, ['ldt', SEGMENT.LDTR], ['tr', SEGMENT.TR]] as const;

function x64State(cpu: X64Cpu, index: number): MachineState['cpus'][number] {
  const { state, registers } = cpu;
  const values = x64Registers(cpu);
  const segments = Object.fromEntries([
    ...SEGMENTS.map(([name, number]): [string, QemuSegment] => {
      const { selector, base, limit, attributes } = state.segment(number);
      return [name, { selector, base, limit, flags: attributes }];
    }),
    ['gdt', { selector: 0, flags: 0, ...registers.gdtr }] as [string, QemuSegment],
    ['idt', { selector: 0, flags: 0, ...registers.idtr }] as [string, QemuSegment],
  ]) as Record<(typeof QEMU_SEGMENTS)[number], QemuSegment>;
  const { cr0, cr2, cr3, cr4, kernelGsBase } = registers;
  const controlRegisters = [BigInt(cr0 >>> 0), 0n, cr2, BigInt(cr3), BigInt(cr4 >>> 0)];
  return {
    pid: index + 1,
    registers: values,
    notes: [qemuNote(values, { segments, controlRegisters, kernelGsBase })],
  };
}
