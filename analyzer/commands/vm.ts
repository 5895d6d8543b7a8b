/** `vm`: memory of processes. */
import { UsageError } from '../../capture/formats/errors.ts';
import { taskMemory } from '../linux/mm.ts';
import type { TaskMemory } from '../linux/mm.ts';
import { vmas } from '../linux/vma.ts';
import type { Vma } from '../linux/vma.ts';
import { walkUser } from '../linux/user-memory.ts';
import { vmFlagNames } from '../linux/vm-flags.ts';
import { printValue } from '../types/print-value.ts';
import type { StructObject } from '../types/object.ts';
import { center, hex, hex16 } from '../text/layout.ts';
import type { Arguments, Command } from './command.ts';
import { parseHex } from './numbers.ts';
import { taskHeader, tasksOf } from './select-tasks.ts';
import type { Session } from './session.ts';

interface Process {
  readonly header: string;
  readonly mm: StructObject | undefined;
  readonly pgd: bigint;
  readonly memory: TaskMemory;
  readonly areas: readonly Vma[];
}

interface VmData {
  readonly view: 'areas' | 'summary' | 'structs' | 'mm' | 'pages' | 'reference';
  readonly processes: readonly Process[];
  readonly radix: 10 | 16;
  readonly flags?: readonly string[];
  /** Lines of `-p`, by process. */
  readonly pages?: readonly string[];
}

/** `vm`. */
export const vm: Command<VmData> = {
  name: 'vm',
  summary: "a process's mappings",
  synopsis: '[-p | -P vma | -M mm | -v | -m | -x | -d | [-R reference] [pid | task]]... [-f vm_flags]',
  options: [
    { flag: '-p', help: 'where each page is: physical address, swap, file' },
    { flag: '-P', takes: 'vma', help: 'as -p for one mapping' },
    { flag: '-m', help: 'the mm_struct' },
    { flag: '-M', takes: 'mm', help: 'use this mm_struct' },
    { flag: '-v', help: 'the vm_area_structs' },
    { flag: '-R', takes: 'reference', help: 'only mappings with this address or file' },
    { flag: '-f', takes: 'vm_flags', help: 'names of the bits of a flags word' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Shows mm_struct, top table, resident and total size, and each mapping with its flags and file.',
  examples: [{ line: 'vm 140', why: 'the mappings of a process' }],
  run(session, args) {
    const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
    if (args.has('-f')) return { view: 'areas', processes: [], radix, flags: vmFlagNames(parseHex(args.value('-f')!)) };
    const view = args.has('-v')
      ? 'structs'
      : args.has('-m')
        ? 'mm'
        : args.has('-p') || args.has('-P')
          ? 'pages'
          : 'areas';
    const processes = tasksOf(session, args.positionals).map(task => processOf(session, task, args));
    return {
      view,
      processes,
      radix,
      ...(view === 'pages' ? { pages: processes.map(process => pagesText(session, process)) } : {}),
    };
  },
  text(data, session) {
    if (data.flags !== undefined) return `(${data.flags.join('|')})\n`;
    return data.processes.map((process, index) => processText(session, data, process, index)).join('\n');
  },
};

function processOf(session: Session, task: ReturnType<typeof tasksOf>[number], args: Arguments): Process {
  const { program } = session;
  const mm = args.has('-M') ? program.object('mm_struct', parseHex(args.value('-M')!)) : task.mm;
  const all = mm === undefined ? [] : [...vmas(program, mm)];
  const only = args.value('-P');
  const reference = args.value('-R');
  const areas = all
    .filter(area => only === undefined || area.struct.address === parseHex(only))
    .filter(
      area =>
        reference === undefined ||
        area.path.includes(reference) ||
        (/^(?:0x)?[\da-f]+$/i.test(reference) && parseHex(reference) >= area.start && parseHex(reference) < area.end),
    );
  if (only !== undefined && areas.length === 0) throw new UsageError(`${only} is no mapping of this task`);
  return {
    header: taskHeader(task),
    mm,
    pgd: mm?.pointer('pgd') ?? 0n,
    memory: taskMemory(session.tasks, task),
    areas,
  };
}

/** Head of the mappings' columns. */
export function vmaHeader(): string {
  return `${center('VMA', 16)} ${center('START', 10)} ${center('END', 10)} FLAGS FILE\n`;
}

/** One mapping. @param wide pad addresses for 48-bit ones */
export function vmaLine({ struct, start, end, flags, path }: Vma, wide: boolean): string {
  const width = wide ? 12 : 10;
  return `${hex16(struct.address)} ${hex(start).padStart(width)} ${hex(end).padStart(width)} ${hex(flags).padStart(wide ? 6 : 5)} ${path}\n`;
}

function processText(session: Session, data: VmData, process: Process, index: number): string {
  const { header, mm, memory, areas } = process;
  if (data.view === 'structs')
    return `${header}\n${areas.map(area => structText(session, area.struct, data.radix)).join('')}`;
  if (mm === undefined)
    return `${header}\n${summaryHeader()}${'0'.padEnd(16)}  ${'0'.padEnd(16)}  ${'0k'.padStart(4)}  ${'0k'.padStart(8)}\n`;
  if (data.view === 'mm') return `${header}\n${structText(session, mm, data.radix)}`;
  const summary = `${summaryHeader()}${hex(mm.address)}  ${hex(process.pgd)}  ${`${memory.residentKiB}k`.padEnd(8)} ${memory.virtualKiB}k\n`;
  if (data.view === 'pages') return `${header}\n${summary}${data.pages?.[index] ?? ''}`;
  return `${header}\n${summary}${areasHeader()}${areas.map(areaText).join('')}`;
}

function summaryHeader(): string {
  return `       MM               PGD          RSS    TOTAL_VM\n`;
}

function areasHeader(): string {
  return `      VMA           START       END     FLAGS FILE\n`;
}

function areaText({ struct, start, end, flags, path }: Vma): string {
  return `${hex(struct.address)} ${hex(start).padStart(10)} ${hex(end).padStart(10)} ${hex(flags).padStart(6)} ${path}\n`;
}

function structText(session: Session, object: StructObject, radix: 10 | 16): string {
  const { type, address } = object;
  const text = printValue(type, session.program.memory.readBytes(address, type.size), 0, {
    ...session.printContext(radix),
    base: address,
  });
  return `struct ${type.name} ${text}\n`;
}

const MAX_PAGES = 1_000_000;

function pagesText(session: Session, { mm, areas }: Process): string {
  if (mm === undefined) return '';
  const { program } = session;
  const step = BigInt(program.space.pageSize);
  let budget = MAX_PAGES;
  return areas
    .map(area => {
      const rows: string[] = [];
      for (let vaddr = area.start; vaddr < area.end && budget-- > 0; vaddr += step) {
        const walk = walkUser(program, mm, vaddr);
        const leaf = walk?.steps.at(-1);
        const missing =
          area.path === ''
            ? '(not mapped)'
            : `FILE: ${area.path}  OFFSET: ${hex(vaddr - area.start + area.struct.pointer('vm_pgoff') * step)}`;
        const swapped =
          leaf !== undefined && leaf.entry !== 0n && leaf.level === 'PTE' ? `SWAP: entry ${hex(leaf.entry)}` : missing;
        rows.push(`${hex(vaddr).padEnd(16)}  ${walk?.paddr === undefined ? swapped : hex(walk.paddr)}\n`);
      }
      return `${areasHeader()}${areaText(area)}VIRTUAL           PHYSICAL\n${rows.join('')}\n`;
    })
    .join('');
}
