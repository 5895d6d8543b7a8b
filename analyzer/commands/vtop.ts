/** `vtop` and `pte`: how an address is mapped. */
import type { Walk } from '../../capture/addrxlat/page-walk.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { pageOf } from '../linux/page.ts';
import { swapEntry } from '../linux/swap.ts';
import { userPageTables, pgdPaddr } from '../linux/user-memory.ts';
import { findVma } from '../linux/vma.ts';
import type { Vma } from '../linux/vma.ts';
import { pageHeader, pageLine } from '../text/page-line.ts';
import { center, centerRight, hex, hex16 } from '../text/layout.ts';
import { inTurn, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { FIRST_KERNEL_ADDRESS, invalidInput, parseAddress, parseHex } from './numbers.ts';
import { pteFlags } from './pte-flags.ts';
import { tasksOfWord } from './select-tasks.ts';
import type { Session } from './session.ts';
import { USER_WIDTH, placeText, userPage, vmaHeader, vmaLine } from './vm.ts';

interface Translation {
  readonly vaddr: bigint;
  readonly walk: Walk | undefined;
  readonly root: bigint;
  readonly isUser: boolean;
  /** The mapping that a user address lies in. */
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
    if (args.positionals.length === 0) throw new SynopsisError('no address given');
    if (args.has('-u') && args.has('-k')) throw new UsageError('-u and -k options are mutually exclusive');
    return inTurn(
      args.positionals,
      word => translate(session, parseAddress(session, word, invalidInput), args),
      translations => ({ translations }),
    );
  },
  text: (data, session) =>
    data.translations.map((translation, index) => translationText(session, translation, index === 0)).join('\n'),
};

function translate(session: Session, vaddr: bigint, args: Arguments): Translation {
  const { program } = session;
  if (!args.has('-u') && !args.has('-k') && isNonCanonical(vaddr))
    throw new UsageError(`ambiguous address: ${hex(vaddr)}  (requires -u or -k)`);
  const isUser = args.has('-u') || (!args.has('-k') && vaddr < FIRST_KERNEL_ADDRESS);
  if (isUser === isOfKernel(vaddr) && !isNonCanonical(vaddr))
    return { vaddr, walk: undefined, root: 0n, isUser, vma: undefined };
  if (!isUser) {
    const root = topTable(session);
    return {
      vaddr,
      walk: program.space.tables.walk(program.space.root, vaddr),
      root,
      isUser: false,
      vma: undefined,
    };
  }
  const [task] = args.has('-c') ? tasksOfWord(session, args.value('-c')!) : [session.current];
  const mm = task!.mm;
  if (mm === undefined) return { vaddr, walk: undefined, root: 0n, isUser: true, vma: undefined };
  const root = pgdPaddr(program, mm);
  const walk = root === undefined ? undefined : userPageTables(program).walk(root, vaddr);
  return { vaddr, walk, root: mm.pointer('pgd'), isUser: true, vma: findVma(program, mm, vaddr) };
}

function isOfKernel(vaddr: bigint): boolean {
  return vaddr >= FIRST_KERNEL_ADDRESS;
}

/** Of neither half of the address space; 57 bits are the most that any kernel has. */
function isNonCanonical(vaddr: bigint): boolean {
  return vaddr >= 1n << 56n && vaddr < FIRST_KERNEL_ADDRESS;
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

/** Where the kernel has an address that its tables do not map: the kernel image and the direct map of some dumps. */
function alternative({ program }: Session, { isUser, vaddr }: Translation): number | undefined {
  return isUser || !isOfKernel(vaddr) ? undefined : program.space.translate(vaddr);
}

/** @param withHead a page line gets its head: the first of a command's */
function translationText(session: Session, translation: Translation, withHead: boolean): string {
  const { walk, root, isUser, vma } = translation;
  const { program } = session;
  const paddr = walk?.paddr ?? alternative(session, translation);
  const known = !isUser || paddr !== undefined || vma !== undefined;
  const page = paddr === undefined ? undefined : pageOf(program, Math.floor(paddr / program.space.pageSize));
  return [
    resultText(translation, paddr),
    walk !== undefined && known ? walkText(session, walk, root, isUser) : '',
    vma === undefined ? '' : areaText(session, vma, translation, paddr === undefined),
    page === undefined ? '' : `\n${withHead ? pageHeader(program) : ''}${pageLine(program, page)}`,
  ].join('');
}

function areaText(session: Session, vma: Vma, translation: Translation, isMissing: boolean): string {
  return `\n${vmaHeader()}${vmaLine(vma)}${isMissing ? fileText(session, vma, translation) : ''}`;
}

function resultText(translation: Translation, paddr: number | undefined): string {
  const { vaddr, isUser } = translation;
  const width = isUser ? USER_WIDTH : 16;
  const place = paddr === undefined ? missingText(translation) : hex(paddr);
  const address = isUser ? hex(vaddr) : isOfKernel(vaddr) ? hex16(vaddr) : hex(vaddr).padEnd(8);
  const addressWidth = isUser || isOfKernel(vaddr) ? width : 8;
  return `${'VIRTUAL'.padEnd(width)}  ${'PHYSICAL'.padEnd(16)}\n${address.padEnd(addressWidth)}  ${place.padEnd(16)}\n\n`;
}

function missingText({ isUser, vaddr, vma }: Translation): string {
  if (!isUser && !isOfKernel(vaddr)) return '(not a kernel virtual address)';
  return isUser && vma === undefined ? '(not accessible)' : '(not mapped)';
}

/** Where the contents of a page of a mapping are that is not in memory: swap or a file. */
function fileText(session: Session, vma: Vma, { vaddr, walk }: Translation): string {
  const page = userPage(session.program, vma, vaddr - (vaddr % BigInt(session.program.space.pageSize)), walk);
  return page.swap === undefined && page.file === undefined ? '' : `\n${placeText(page)}\n`;
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

/** Kernel addresses show the top entry without its place; user addresses the place of each. */
function x86Walk(session: Session, walk: Walk, root: bigint, isUser: boolean): string {
  const out = isUser ? [] : [`PGD DIRECTORY: ${hex(root)}\n`];
  for (const [index, step] of walk.steps.entries()) {
    if (index === 0 && !isUser) out.push(`PAGE DIRECTORY: ${hex(step.entry)}\n`);
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

/** @param paddr undefined for an empty entry */
function pteText(session: Session, entry: bigint, paddr: number | undefined): string {
  const flags = paddr === undefined ? ['no mapping'] : pteFlags(session.program.architecture, entry);
  const entryText = hex(entry);
  const physical = hex(paddr ?? 0);
  const width = Math.max(entryText.length, 3);
  const second = Math.max(physical.length, 8);
  return `${center('PTE', width)}  ${center('PHYSICAL', second)}  FLAGS\n${centerRight(entryText, width)}  ${centerRight(physical, second)}  (${flags.join('|')})\n`;
}

function swapText(entry: bigint, { name, offset }: NonNullable<PteData['entries'][number]['swap']>): string {
  const [entryText, offsetText] = [hex(entry), String(offset)];
  const widths = [Math.max(entryText.length, 3), Math.max(name.length, 4), Math.max(offsetText.length, 6)] as const;
  const heads = ['PTE', 'SWAP', 'OFFSET'].map((head, index) => center(head, widths[index]!));
  const cells = [centerRight(entryText, widths[0]), center(name, widths[1]), center(offsetText, widths[2])];
  return `${heads.join('  ')}\n${cells.join('  ')}\n`;
}

interface PteData {
  readonly entries: readonly {
    readonly entry: bigint;
    /** Undefined when the entry is not present. */
    readonly paddr: number | undefined;
    readonly flags: readonly string[];
    readonly swap: { readonly name: string; readonly offset: bigint } | undefined;
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
    if (args.positionals.length === 0) throw new SynopsisError('no entry given');
    return inTurn(
      args.positionals,
      word => decodePte(session, parseHex(word)),
      entries => ({ entries }),
    );
  },
  text: (data, session) =>
    data.entries
      .map(({ entry, paddr, swap }) => (swap === undefined ? pteText(session, entry, paddr) : swapText(entry, swap)))
      .join(''),
};

const PTE_PRESENT = 1n;

function decodePte(session: Session, entry: bigint): PteData['entries'][number] {
  const { architecture, space } = session.program;
  if ((entry & PTE_PRESENT) === 0n) {
    if (entry === 0n) return { entry, paddr: undefined, flags: [], swap: undefined };
    const { area, offset } = swapEntry(session.program, entry);
    return { entry, paddr: undefined, flags: [], swap: { name: area?.name ?? '(unknown area)', offset } };
  }
  const addressBits = architecture === 'aarch64' ? 48n : 52n;
  const paddr = Number(entry & ((1n << addressBits) - 1n) & ~BigInt(space.pageSize - 1));
  return { entry, paddr, flags: pteFlags(architecture, entry), swap: undefined };
}
