/** `vm`: memory of processes. */
import type { Walk } from '../../capture/addrxlat/page-walk.ts';
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import { taskMemory } from '../linux/mm.ts';
import type { TaskMemory } from '../linux/mm.ts';
import type { Task } from '../linux/sched.ts';
import { swapEntry } from '../linux/swap.ts';
import { walkUser } from '../linux/user-memory.ts';
import { vmFlagNames } from '../linux/vm-flags.ts';
import { vmas } from '../linux/vma.ts';
import type { Vma } from '../linux/vma.ts';
import type { Program } from '../program.ts';
import { printValue } from '../types/print-value.ts';
import type { StructObject } from '../types/object.ts';
import { center, hex, hex16, lines } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { parseHex } from './numbers.ts';
import { taskHeader, forTasks } from './select-tasks.ts';
import type { Session } from './session.ts';

/** Where a user page is. */
export interface UserPage {
  readonly vaddr: bigint;
  /** Physical address, when it is in memory. */
  readonly paddr: number | undefined;
  readonly swap: { readonly name: string; readonly offset: bigint } | undefined;
  readonly file: { readonly path: string; readonly offset: bigint } | undefined;
}

interface Area {
  readonly vma: Vma;
  /** With -p, -P and references to addresses. */
  readonly pages: readonly UserPage[] | undefined;
}

interface Process {
  readonly task: bigint;
  readonly pid: number;
  readonly header: string;
  readonly mm: bigint;
  readonly pgd: bigint;
  readonly memory: TaskMemory;
  readonly areas: readonly Area[];
}

interface VmData {
  readonly view: 'areas' | 'structs' | 'mm' | 'one area' | 'reference';
  readonly processes: readonly Process[];
  readonly radix: 10 | 16;
  readonly flags?: { readonly value: bigint; readonly names: readonly string[] };
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
    { flag: '-M', takes: 'mm', help: 'the mm_struct of a task that has lost its own while exiting' },
    { flag: '-v', help: 'the vm_area_structs' },
    { flag: '-R', takes: 'reference', help: 'only what this file, mapping, user or physical address is of' },
    { flag: '-f', takes: 'vm_flags', help: 'names of the bits of a flags word' },
    { flag: '-x', help: 'integers in hexadecimal' },
    { flag: '-d', help: 'integers in decimal' },
  ],
  description: 'Shows mm_struct, top table, resident and total size, and each mapping with its flags and file.',
  examples: [
    { line: 'vm 140', why: 'the mappings of a process' },
    { line: 'foreach vm -R libc.so', why: 'who maps a file' },
    { line: 'vm -p 140', why: 'where its pages are' },
  ],
  run(session, args) {
    if (['-p', '-P', '-v', '-m', '-R', '-f'].filter(flag => args.has(flag)).length > 1)
      throw new SynopsisError('-p, -P, -v, -m, -R and -f are mutually exclusive');
    const radix = args.has('-x') ? 16 : args.has('-d') ? 10 : session.settings.radix;
    if (args.has('-f')) {
      const value = parseHex(args.value('-f')!);
      return { view: 'areas', processes: [], radix, flags: { value, names: vmFlagNames(value) } };
    }
    if (args.has('-M')) givenMm(session.program, args.value('-M')!);
    const view = viewOf(args);
    return forTasks(
      session,
      args.positionals,
      task => processOf(session, task, args),
      processes => ({ view, radix, processes: view === 'reference' ? processes.filter(hasAreas) : processes }),
    );
  },
  text(data, session) {
    const { flags } = data;
    if (flags !== undefined) return `${hex(flags.value)}: (${flags.names.join('|')})\n`;
    return data.processes.map(process => processText(session, data, process)).join('\n');
  },
};

function viewOf(args: Arguments): VmData['view'] {
  if (args.has('-v')) return 'structs';
  if (args.has('-m')) return 'mm';
  if (args.has('-P')) return 'one area';
  return args.has('-R') ? 'reference' : 'areas';
}

function hasAreas({ areas }: Process): boolean {
  return areas.length > 0;
}

function processOf(session: Session, task: Task, args: Arguments): Process {
  const { program } = session;
  const mm = task.mm ?? (args.has('-M') ? givenMm(program, args.value('-M')!) : undefined);
  return {
    task: task.address,
    pid: task.pid,
    header: taskHeader(task),
    mm: task.mm?.address ?? 0n,
    pgd: task.mm?.pointer('pgd') ?? 0n,
    memory: taskMemory(session.tasks, task),
    areas: mm === undefined ? [] : chosenAreas(program, mm, args),
  };
}

/** @throws UsageError when nothing like an mm_struct is there */
function givenMm(program: Program, word: string): StructObject {
  const mm = program.object('mm_struct', parseHex(word));
  const { size } = mm.type;
  if (program.memory.readAvailable(mm.address, size).length < size)
    throw new UsageError(`invalid mm_struct address: ${word}`);
  return mm;
}

function chosenAreas(program: Program, mm: StructObject, args: Arguments): Area[] {
  const all = [...vmas(program, mm)];
  const only = args.value('-P');
  if (only !== undefined) {
    const vma = all.find(({ struct }) => struct.address === parseHex(only));
    return vma === undefined ? [] : [{ vma, pages: userPages(program, mm, vma) }];
  }
  const reference = args.value('-R');
  if (reference !== undefined) return all.flatMap(vma => referredArea(program, mm, vma, reference));
  return all.map(vma => ({ vma, pages: args.has('-p') ? userPages(program, mm, vma) : undefined }));
}

/** The area when it, its file, or pages of it are meant. */
function referredArea(program: Program, mm: StructObject, vma: Vma, reference: string): Area[] {
  if (!/^(?:0x)?[\da-f]+$/i.test(reference)) return vma.path.includes(reference) ? [{ vma, pages: undefined }] : [];
  const address = parseHex(reference);
  if (vma.struct.address === address) return [{ vma, pages: undefined }];
  const page = address & ~BigInt(program.space.pageSize - 1);
  const pages = userPages(program, mm, vma).filter(
    ({ vaddr, paddr }) => vaddr === page || (paddr !== undefined && BigInt(paddr) === page),
  );
  return pages.length === 0 ? [] : [{ vma, pages }];
}

const MAX_PAGES = 1_000_000;

function userPages(program: Program, mm: StructObject, vma: Vma): UserPage[] {
  const step = BigInt(program.space.pageSize);
  const pages: UserPage[] = [];
  for (let vaddr = vma.start; vaddr < vma.end && pages.length < MAX_PAGES; vaddr += step)
    pages.push(userPage(program, vma, vaddr, walkIfReadable(program, mm, vaddr)));
  return pages;
}

/** A table that the dump lacks leaves its pages unmapped. */
function walkIfReadable(program: Program, mm: StructObject, vaddr: bigint): Walk | undefined {
  try {
    return walkUser(program, mm, vaddr);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}

/** What a walk of the tables says about a page of a mapping. */
export function userPage(program: Program, vma: Vma, vaddr: bigint, walk: Walk | undefined): UserPage {
  if (walk?.paddr !== undefined) return { vaddr, paddr: walk.paddr, swap: undefined, file: undefined };
  const leaf = walk?.steps.at(-1);
  if (leaf !== undefined && leaf.level === 'PTE' && leaf.entry !== 0n) {
    const { area, offset } = swapEntry(program, leaf.entry);
    return { vaddr, paddr: undefined, swap: { name: area?.name ?? '(unknown area)', offset }, file: undefined };
  }
  const offset = vaddr - vma.start + vma.struct.pointer('vm_pgoff') * BigInt(program.space.pageSize);
  return {
    vaddr,
    paddr: undefined,
    swap: undefined,
    file: vma.file === undefined ? undefined : { path: vma.path, offset },
  };
}

/** Width of the first column of user addresses. */
export const USER_WIDTH = 10;

/** Where a page is, for the column `PHYSICAL`. */
export function placeText({ paddr, swap, file }: UserPage): string {
  if (paddr !== undefined) return hex(paddr).padStart(8);
  if (swap !== undefined) return `SWAP: ${swap.name}  OFFSET: ${swap.offset}`;
  return file === undefined ? '(not mapped)' : `FILE: ${file.path}  OFFSET: ${hex(file.offset)}`;
}

/** Head of the mappings' columns. */
export function vmaHeader(): string {
  return '      VMA           START       END     FLAGS FILE\n';
}

/** One mapping. */
export function vmaLine({ struct, start, end, flags, path }: Vma): string {
  return `${hex16(struct.address)} ${hex(start).padStart(10)} ${hex(end).padStart(10)} ${hex(flags).padStart(6)} ${path}\n`;
}

function processText(session: Session, data: VmData, process: Process): string {
  const { header, mm, areas } = process;
  if (data.view === 'structs')
    return `${header}\n${areas.map(({ vma }) => structText(session, vma.struct, data.radix)).join('')}`;
  if (data.view === 'mm')
    return mm === 0n
      ? `${header}\n`
      : `${header}\n${structText(session, session.program.object('mm_struct', mm), data.radix)}`;
  if (data.view === 'one area')
    return `${header}\n${areas.length === 0 ? '(not found)\n' : areas.map(areaText).join('')}`;
  const withPages = areas.some(({ pages }) => pages !== undefined);
  const heading = withPages || (mm === 0n && areas.length === 0) ? '' : vmaHeader();
  const end = data.view === 'reference' ? '\n' : '';
  return `${header}\n${summaryText(process)}${heading}${areas.map(area => (withPages ? areaText(area) : vmaLine(area.vma))).join('')}${end}`;
}

function summaryText({ mm, pgd, memory }: Process): string {
  const columns = [
    center(mm === 0n ? '0' : hex(mm), 16),
    center(mm === 0n ? '0' : hex(pgd), 16),
    center(`${mm === 0n ? 0 : memory.residentKiB}k`, 6),
    center(`${mm === 0n ? 0 : memory.virtualKiB}k`, 8),
  ];
  return `       MM               PGD          RSS    TOTAL_VM\n${columns.join('  ')}\n`;
}

/** A mapping and its pages under their own heads. */
function areaText({ vma, pages }: Area): string {
  const rows = (pages ?? []).map(page => `${hex(page.vaddr).padEnd(USER_WIDTH)}  ${placeText(page)}`);
  return `${vmaHeader()}${vmaLine(vma)}${pages === undefined ? '' : `${'VIRTUAL'.padEnd(USER_WIDTH)}  PHYSICAL\n`}${lines(rows)}`;
}

function structText(session: Session, object: StructObject, radix: 10 | 16): string {
  const { type, address } = object;
  const text = printValue(type, session.program.memory.readBytes(address, type.size), 0, {
    ...session.printContext(radix),
    base: address,
  });
  return `struct ${type.name} ${text}\n`;
}
