/** `vtop` and `pte`: how an address is mapped. */
import type { Walk } from '../../capture/addrxlat/page-walk.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { pageOf } from '../linux/page.ts';
import { userPageTables, pgdPaddr } from '../linux/user-memory.ts';
import { findVma } from '../linux/vma.ts';
import type { Vma } from '../linux/vma.ts';
import { pageLine } from '../text/page-line.ts';
import { center, hex, hex16 } from '../text/layout.ts';
import type { Arguments, Command } from './command.ts';
import { parseAddress, parseHex } from './numbers.ts';
import { pteFlags } from './pte-flags.ts';
import { taskHeader, tasksOf } from './select-tasks.ts';
import type { Session } from './session.ts';
import { vmaLine, vmaHeader } from './vm.ts';

interface Translation {
  readonly vaddr: bigint;
  readonly walk: Walk | undefined;
  readonly root: bigint;
  readonly header: string | undefined;
  readonly vma: Vma | undefined;
}

interface VtopData {
  readonly translations: readonly Translation[];
}

/** `vtop`. */
export const vtop: Command<VtopData> = {
  name: 'vtop',
  summary: 'virtual to physical address, with the tables on the way',
  synopsis: '[-c [pid | task]] [-u|-k] address...',
  options: [
    { flag: '-c', takes: 'task', help: "through this task's tables" },
    { flag: '-u', help: 'a user address' },
    { flag: '-k', help: 'a kernel address' },
  ],
  description:
    'Walks the page tables of the kernel, or of the current task for user addresses, and shows each entry, the flags of\nthe last one and the page structure behind it.',
  examples: [{ line: 'vtop -c 140 400000', why: "a process's text" }],
  run(session, args) {
    if (args.positionals.length === 0) throw new UsageError('no address given');
    return { translations: args.positionals.map(word => translate(session, parseAddress(session, word), args)) };
  },
  text: (data, session) => data.translations.map(translation => translationText(session, translation)).join('\n'),
};

const FIRST_KERNEL_ADDRESS = 0xff00_0000_0000_0000n;

function translate(session: Session, vaddr: bigint, args: Arguments): Translation {
  const { program } = session;
  const isUser = args.has('-u') || (!args.has('-k') && vaddr < FIRST_KERNEL_ADDRESS);
  if (!isUser) {
    const root = topTable(session);
    return {
      vaddr,
      walk: program.space.tables.walk(program.space.root, vaddr),
      root,
      header: undefined,
      vma: undefined,
    };
  }
  const [task] = args.has('-c') ? tasksOf(session, [args.value('-c')!]) : [session.current];
  const mm = task!.mm;
  if (mm === undefined) throw new UsageError(`task ${task!.pid} has no user memory`);
  const root = pgdPaddr(program, mm);
  const walk = root === undefined ? undefined : userPageTables(program).walk(root, vaddr);
  return { vaddr, walk, root: mm.pointer('pgd'), header: taskHeader(task!), vma: findVma(program, mm, vaddr) };
}

/** Virtual address of the kernel's top table. */
function topTable(session: Session): bigint {
  const { program } = session;
  const names =
    program.architecture === 'aarch64' ? ['swapper_pg_dir'] : ['init_top_pgt', 'init_level4_pgt', 'swapper_pg_dir'];
  return (
    names
      .map(name => program.symbols.find(name) ?? program.vmcoreinfo.symbol(name))
      .find(address => address !== undefined) ?? 0n
  );
}

function translationText(session: Session, { vaddr, walk, root, header, vma }: Translation): string {
  const { program } = session;
  const head = header === undefined ? '' : `${header}\n`;
  const top = `${head}VIRTUAL           PHYSICAL\n`;
  const direct = header === undefined ? program.space.translate(vaddr) : walk?.paddr;
  const paddr = walk?.paddr ?? direct;
  const shown = paddr === undefined ? '(not mapped)' : hex(paddr);
  const address = header === undefined ? hex16(vaddr) : hex(vaddr).padEnd(16);
  const out = [`${top}${address}  ${shown}\n\n`];
  if (walk !== undefined) out.push(walkText(session, walk, root, header !== undefined));
  if (vma !== undefined) out.push(`\n${vmaHeader()}${vmaLine(vma, false)}`);
  const page = paddr === undefined ? undefined : pageOf(program, Math.floor(paddr / program.space.pageSize));
  if (page !== undefined) out.push(`\n${pageLine(program, page)}`);
  return out.join('');
}

function walkText(session: Session, walk: Walk, root: bigint, isUser: boolean): string {
  return session.program.architecture === 'aarch64'
    ? aarch64Walk(session, walk, root)
    : x86Walk(session, walk, root, isUser);
}

function sizeText(bytes: number): string {
  if (bytes >= 2 ** 30) return `${bytes / 2 ** 30}GB`;
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20}MB` : `${bytes / 1024}KB`;
}

function aarch64Walk(session: Session, walk: Walk, root: bigint): string {
  const { space } = session.program;
  const out = [`PAGE DIRECTORY: ${hex(root)}\n`];
  for (const [index, step] of walk.steps.entries()) {
    const offset = BigInt(step.entryPaddr - space.root);
    const vaddr =
      index === 0
        ? root + (offset >= 0n && offset < 0x1_0000n ? offset : BigInt(step.entryPaddr % space.pageSize))
        : space.directMap(step.entryPaddr);
    out.push(`${step.level.padStart(6)}: ${hex(vaddr)} => ${hex(step.entry)}\n`);
  }
  return out.join('') + leafText(session, walk);
}

function x86Walk(session: Session, walk: Walk, root: bigint, isUser: boolean): string {
  const out = [isUser ? `   PML: ` : `PGD DIRECTORY: ${hex(root)}\n`];
  for (const [index, step] of walk.steps.entries()) {
    if (index === 0)
      out.push(
        isUser
          ? `${hex(session.program.space.directMap(step.entryPaddr))} => ${hex(step.entry)}\n`
          : `PAGE DIRECTORY: ${hex(step.entry)}\n`,
      );
    else out.push(`${step.level.padStart(6)}: ${hex(step.entryPaddr)} => ${hex(step.entry)}\n`);
  }
  return out.join('') + leafText(session, walk);
}

function leafText(session: Session, walk: Walk): string {
  const leaf = walk.steps.at(-1);
  if (leaf === undefined || walk.paddr === undefined) return '';
  const base = Math.floor(walk.paddr / walk.mappedSize) * walk.mappedSize;
  const size = walk.mappedSize === session.program.space.pageSize ? '' : `  (${sizeText(walk.mappedSize)})`;
  return `  PAGE: ${hex(base)}${size}\n\n${pteText(session, leaf.entry, base)}`;
}

function pteText(session: Session, entry: bigint, paddr: number): string {
  const flags = pteFlags(session.program.architecture, entry);
  const entryText = hex(entry);
  const physical = hex(paddr);
  const width = Math.max(entryText.length, 3);
  const second = Math.max(physical.length, 8);
  return `${center('PTE', width)}  ${center('PHYSICAL', second)}  FLAGS\n${entryText}  ${physical.padStart(second)}  (${flags.join('|')})\n`;
}

interface PteData {
  readonly entries: readonly {
    readonly entry: bigint;
    readonly paddr: number | undefined;
    readonly swap: string | undefined;
  }[];
}

/** `pte`. */
export const pte: Command<PteData> = {
  name: 'pte',
  summary: 'the fields of a page-table entry',
  synopsis: 'contents...',
  options: [],
  description:
    'Splits an entry into its physical address and flags; an entry that is not present is shown as swap entry.',
  examples: [{ line: 'pte e80000438e0f07', why: 'what an entry means' }],
  run(session, args) {
    if (args.positionals.length === 0) throw new UsageError('no entry given');
    return { entries: args.positionals.map(word => decodePte(session, parseHex(word))) };
  },
  text: (data, session) =>
    data.entries
      .map(({ entry, paddr, swap }) =>
        paddr === undefined
          ? `  PTE      SWAP  OFFSET\n${hex(entry)}  ${swap ?? '(not mapped)'}\n`
          : pteText(session, entry, paddr),
      )
      .join('\n'),
};

const PTE_PRESENT = 1n;

function decodePte(session: Session, entry: bigint): PteData['entries'][number] {
  if ((entry & PTE_PRESENT) === 0n) return { entry, paddr: undefined, swap: undefined };
  const pageMask = BigInt(session.program.space.pageSize - 1);
  const paddr = Number(entry & ((1n << 48n) - 1n) & ~pageMask);
  return { entry, paddr, swap: undefined };
}
