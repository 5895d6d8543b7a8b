/** `mach`: the machine. */
import { readIfPresent } from '../gaps.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { possibleCpus, onlineCpus } from '../linux/cpumask.ts';
import { presentMemory } from '../linux/mm.ts';
import { hz } from '../linux/timekeeping.ts';
import { printValue } from '../types/print-value.ts';
import { bytesText, hex, hex16 } from '../text/layout.ts';
import { EXCEPTION_STACKS, cpuStacks, threadSize } from '../unwind/stacks.ts';
import { type Command, SynopsisError } from './command.ts';
import type { Session } from './session.ts';
import { processorSpeed } from './sys.ts';

interface MachData {
  readonly rows?: readonly (readonly [label: string, value: string])[];
  /** With -m. */
  readonly memoryMap?: readonly MemoryRange[];
  /** With -c: of each CPU. */
  readonly cpus?: readonly { readonly cpu: number; readonly text: string }[];
}

/** `mach`. */
export const mach: Command<MachData> = {
  name: 'mach',
  summary: 'the machine: memory layout, stacks, CPUs',
  synopsis: '[-m | -c [-xd]]',
  options: [
    { flag: '-m', help: "the firmware's memory map (x86_64)" },
    { flag: '-c', help: 'cpuinfo of each CPU (x86_64)' },
    { flag: '-o', help: 'not on these architectures' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Shows sizes, bases of the kernel address space, and where the stacks of each CPU lie.',
  examples: [{ line: 'mach', why: 'is this an address of vmalloc?' }],
  run(session, args) {
    const isX86 = session.program.architecture === 'x86_64';
    if (isX86 && args.has('-o')) throw new SynopsisError("invalid option -- 'o'");
    const foreign = isX86 ? undefined : ['-m', '-c', '-o'].find(flag => args.has(flag));
    if (foreign !== undefined)
      throw new UsageError(`${foreign} option not supported or applicable on this architecture or kernel`);
    if (args.has('-m')) return { memoryMap: e820(session) };
    if (args.has('-c')) return { cpus: cpuinfo(session, args.has('-x') ? 16 : 10) };
    return { rows: session.program.architecture === 'aarch64' ? aarch64Rows(session) : x86Rows(session) };
  },
  text({ rows = [], memoryMap, cpus }) {
    if (memoryMap !== undefined) return memoryMapText(memoryMap);
    if (cpus !== undefined) return cpus.map(({ cpu, text }) => `CPU ${cpu}:\nstruct cpuinfo_x86 ${text}\n`).join('\n');
    const width = rows.reduce((longest, [label]) => Math.max(longest, label.length), 0);
    return rows.map(([label, value]) => `${label.padStart(width)}:${value === '' ? '' : ` ${value}`}\n`).join('');
  },
};

type Row = readonly [label: string, value: string];

function commonRows(session: Session): Row[] {
  const { program } = session;
  return [
    ['MACHINE TYPE', program.architecture],
    ['MEMORY SIZE', bytesText(presentMemory(program))],
    ['CPUS', String(onlineCpus(program).length)],
  ];
}

function aarch64Rows(session: Session): Row[] {
  const { program } = session;
  const number = (name: string): string => hex(program.vmcoreinfo.number(name) ?? 0n);
  const cpus = possibleCpus(program);
  const stack = (cpu: number, name: string): Row => [
    `CPU ${cpu}`,
    hex(cpuStacks(program, cpu).find(range => range.name === name)?.start ?? 0n),
  ];
  return [
    ...commonRows(session),
    ['HZ', String(hz(program))],
    ['PAGE SIZE', String(program.space.pageSize)],
    ['KERNEL VIRTUAL BASE', hex(program.space.pageOffset)],
    ['KERNEL MODULES BASE', number('MODULES_VADDR')],
    ['KERNEL VMALLOC BASE', number('VMALLOC_START')],
    ['KERNEL VMEMMAP BASE', number('VMEMMAP_START')],
    ['KERNEL STACK SIZE', String(threadSize(program))],
    ['IRQ STACK SIZE', String(threadSize(program))],
    ['IRQ STACKS', ''],
    ...cpus.map(cpu => stack(cpu, 'IRQ stack')),
    ['OVERFLOW STACK SIZE', '4096'],
    ['OVERFLOW STACKS', ''],
    ...cpus.map(cpu => stack(cpu, 'OVERFLOW stack')),
  ];
}

const START_KERNEL_MAP = 'ffffffff80000000';

function x86Rows(session: Session): Row[] {
  const { program } = session;
  const variable = (name: string, fallback: bigint): string => {
    const address = program.symbols.find(name);
    return hex(address === undefined ? fallback : program.memory.readU64(address));
  };
  const cpus = possibleCpus(program);
  const irq = (cpu: number): Row => [
    `CPU ${cpu}`,
    hex(cpuStacks(program, cpu).find(({ name }) => name === 'IRQ stack')?.start ?? 0n),
  ];
  return [
    ...commonRows(session),
    ['PROCESSOR SPEED', `${processorSpeed(program)} Mhz`],
    ['HZ', String(hz(program))],
    ['PAGE SIZE', String(program.space.pageSize)],
    ['KERNEL VIRTUAL BASE', hex(program.space.pageOffset)],
    ['KERNEL VMALLOC BASE', variable('vmalloc_base', 0xffff_c900_0000_0000n)],
    ['KERNEL VMEMMAP BASE', variable('vmemmap_base', 0xffff_ea00_0000_0000n)],
    ['KERNEL START MAP', START_KERNEL_MAP],
    ['KERNEL MODULES BASE', 'ffffffffc0000000'],
    ['KERNEL STACK SIZE', String(threadSize(program))],
    ['IRQ STACK SIZE', '16384'],
    ['IRQ STACKS', ''],
    ...cpus.map(irq),
    ...EXCEPTION_STACKS.flatMap(([, name]) => exceptionRows(session, name, cpus)),
  ];
}

function exceptionRows(session: Session, name: string, cpus: readonly number[]): Row[] {
  const ranges = cpus.map(cpu =>
    cpuStacks(session.program, cpu).find(range => range.name === `${name} exception stack`),
  );
  const first = ranges.find(range => range !== undefined);
  if (first === undefined) return [];
  const readable = (start: bigint): string =>
    readIfPresent(() => session.program.memory.translate(start)) === undefined ? ' [unavailable]' : '';
  return [
    [`${name} STACK SIZE`, String(first.end - first.start)],
    [`${name} STACKS`, ''],
    ...ranges.map((range, cpu): Row => [
      `CPU ${cpu}`,
      range === undefined ? '(unknown)' : `${hex(range.start)}${readable(range.start)}`,
    ]),
  ];
}

/** `enum e820_type`; `arch/x86/include/asm/e820/types.h`. */
const E820_TYPES: Readonly<Record<number, string>> = {
  1: 'E820_RAM',
  2: 'E820_RESERVED',
  3: 'E820_ACPI',
  4: 'E820_NVS',
  5: 'E820_UNUSABLE',
  7: 'E820_PMEM',
  12: 'E820_PRAM',
  128: 'E820_RESERVED_KERN',
};
const MAX_E820_ENTRIES = 4096;

/** A range of the firmware's memory map. */
interface MemoryRange {
  readonly start: bigint;
  readonly end: bigint;
  readonly type: string;
}

function e820(session: Session): MemoryRange[] {
  const { program } = session;
  const table = program.object('e820_table', program.memory.readU64(program.symbols.need('e820_table')));
  const count = Math.min(MAX_E820_ENTRIES, table.num('nr_entries'));
  return Array.from({ length: count }, (_, index) => {
    const entry = table.embedded(`entries[${index}]`);
    const start = entry.pointer('addr');
    const type = entry.num('type');
    return { start, end: start + entry.pointer('size'), type: E820_TYPES[type] ?? `type ${type}` };
  });
}

function memoryMapText(ranges: readonly MemoryRange[]): string {
  const rows = ranges.map(({ start, end, type }) => `${hex16(start)} - ${hex16(end)}  ${type}\n`);
  return `      PHYSICAL ADDRESS RANGE         TYPE\n${rows.join('')}`;
}

function cpuinfo(session: Session, radix: 10 | 16): NonNullable<MachData['cpus']> {
  const { program } = session;
  const type = program.types.struct('cpuinfo_x86');
  return onlineCpus(program).map(cpu => {
    const address = program.percpuAddress('cpu_info', cpu) ?? program.symbols.need('boot_cpu_data');
    const text = printValue(type, program.memory.readBytes(address, type.size), 0, {
      ...session.printContext(radix),
      base: address,
    });
    return { cpu, text };
  });
}
