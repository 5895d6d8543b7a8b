/**
 * Symbols that the dump's kallsyms lacks, from other places of the dump: VMCOREINFO, exported symbols, BTF's per-cpu
 * section, and instructions that refer to a variable.
 */
import { FaultError, UnimplementedError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import { dataReferences } from './code-references.ts';
import { findExports } from './exports.ts';
import type { Kallsyms } from './kallsyms.ts';
import type { KernelSymbol } from './symbol-table.ts';

/** `__ksymtab` and its strings stand within this many bytes behind kallsyms. */
const EXPORTS_LENGTH = 2 * 2 ** 20;

/** Adds what can be found. Does nothing for a kernel with KALLSYMS_ALL, or with a vmlinux. */
export function recoverSymbols(program: Program, kallsyms: Kallsyms | undefined): void {
  const { symbols } = program;
  if (kallsyms === undefined || symbols.findInKernel('init_task') !== undefined) return;
  const exports = findExports(program.memory, kallsyms.location.tokenIndex, EXPORTS_LENGTH);
  const missing = exports.filter(({ name }) => kallsyms.indexOf(name) === -1);
  symbols.addExtra([...missing, ...vmcoreinfoSymbols(program), ...percpuSymbols(program, exports)]);
  symbols.recover = name => recoverVariable(program, name);
}

function symbol(name: string, address: bigint): KernelSymbol {
  return { name, address, type: 'd', module: undefined };
}

function vmcoreinfoSymbols(program: Program): KernelSymbol[] {
  const names = [...program.vmcoreinfo.text.matchAll(/^SYMBOL\((\w+)\)=([\da-f]+)$/gm)];
  return names
    .filter(([, name]) => program.symbols.findInKernel(name!) === undefined)
    .map(([, name, address]) => symbol(name!, BigInt(`0x${address!}`)));
}

/** Per-cpu variables: BTF has their offsets, one exported variable of the section has its address. */
function percpuSymbols(program: Program, exports: readonly KernelSymbol[]): KernelSymbol[] {
  const variables = program.percpuVariables;
  const anchor = exports.find(({ name }) => variables.has(name));
  if (anchor === undefined) return [];
  const start = anchor.address - BigInt(variables.get(anchor.name)!.offset);
  return [...variables.values()].map(({ name, offset }) => symbol(name, start + BigInt(offset)));
}

/** Checks what stands at a candidate address. */
type Check = (program: Program, address: bigint) => boolean;

/** Functions that use a variable, in order of preference, and the check of a candidate. */
interface ReferenceRule {
  readonly functions: readonly string[];
  readonly accepts: Check;
}

/** By the name of the variable. */
const RULES: Readonly<Record<string, ReferenceRule>> = {
  modules: {
    functions: ['print_modules', 'find_module_all', 'm_start'],
    accepts: (program, address) => isListOf(program, address, 'module', 'list', 'name'),
  },
  slab_caches: { functions: ['slab_start', 'slab_next', 'dump_unreclaimable_slab'], accepts: isListHead },
  vmap_area_root: {
    functions: [
      '__find_vmap_area',
      'find_vmap_area',
      '__insert_vmap_area',
      'find_vmap_lowest_match',
      'find_unlink_vmap_area',
    ],
    accepts: isVmapRoot,
  },
  irq_desc_tree: { functions: ['irq_to_desc', 'irq_lock_sparse', 'irq_get_next_irq'], accepts: isXarray },
  nr_irqs: {
    functions: ['irq_get_nr_irqs', 'show_interrupts', 'irq_get_next_irq', '__irq_alloc_descs'],
    accepts: isSmallCount,
  },
  chrdevs: { functions: ['chrdev_show', '__register_chrdev_region'], accepts: hasNamesOf('char_device_struct') },
  major_names: { functions: ['blkdev_show', '__register_blkdev'], accepts: hasNamesOf('blk_major_name') },
  cdev_map: { functions: ['cdev_add', 'chrdev_open', 'cdev_del'], accepts: pointsToTable('kobj_map') },
  block_class: {
    functions: [
      'printk_all_partitions',
      'disk_seqf_start',
      'class_dev_iter_init',
      'blk_lookup_devt',
      'part_devt',
      'device_add_disk',
    ],
    accepts: (program, address) => program.object('class', address).stringAt('name', 16) === 'block',
  },
  softirq_vec: { functions: ['open_softirq', 'handle_softirqs', '__do_softirq', '_stext'], accepts: isSoftirqVector },
  vm_committed_as: { functions: ['vm_memory_committed', '__vm_enough_memory'], accepts: isPercpuCounter },
  swap_info: {
    functions: ['si_swapinfo', 'swap_start', 'swp_swap_info', 'get_swap_device', '__do_sys_swapoff'],
    accepts: pointsToSwap,
  },
  hstates: { functions: ['size_to_hstate', 'hugetlb_report_meminfo', 'hugetlb_show_meminfo_node'], accepts: isHstate },
  hugetlb_max_hstate: {
    functions: ['size_to_hstate', 'hugetlb_report_meminfo', 'hugetlb_show_meminfo_node'],
    accepts: isSmallCount,
  },
};

/** Finds a variable that no table names. */
function recoverVariable(program: Program, name: string): bigint | undefined {
  if (name === 'init_mm') return initMm(program);
  if (name === 'linux_banner') return linuxBanner(program);
  const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
  return rule === undefined || program.architecture !== 'aarch64' ? undefined : applyRule(program, rule);
}

const INIT_MM_USERS = [
  'vunmap_range_noflush',
  'vmap_range_noflush',
  'apply_to_existing_page_range',
  'show_pte',
  '__apply_to_page_range',
];

/** `init_mm` is where a pointer to `swapper_pg_dir` stands at the place of `pgd`: by itself or through that member. */
function initMm(program: Program): bigint | undefined {
  const pgd = BigInt(program.types.offsetOf('mm_struct', 'pgd') ?? 0);
  const top = program.vmcoreinfo.symbol('swapper_pg_dir');
  const isTop: Check = (_program, address) => program.memory.readU64(address) === top;
  const through = applyRule(program, { functions: INIT_MM_USERS, accepts: isTop });
  if (through !== undefined) return through - pgd;
  return applyRule(program, {
    functions: INIT_MM_USERS,
    accepts: (_program, address) => isTop(program, address + pgd),
  });
}

/** `linux_banner` stands in the read-only data, before the tables of kallsyms that the last link step adds. */
function linuxBanner(program: Program): bigint | undefined {
  const offsets = program.vmcoreinfo.symbol('kallsyms_offsets');
  const SEARCHED = 4096n;
  if (offsets === undefined) return undefined;
  const bytes = program.memory.readAvailable(offsets - SEARCHED, Number(SEARCHED));
  const at = Buffer.from(bytes)
    .toString('latin1')
    .lastIndexOf(`Linux version ${program.vmcoreinfo.osRelease ?? ''}`);
  return at === -1 ? undefined : offsets - SEARCHED + BigInt(at);
}

function applyRule(program: Program, rule: ReferenceRule): bigint | undefined {
  for (const name of rule.functions) {
    const index = program.symbols.kernel.indexOf(name);
    if (index === -1) continue;
    const start = program.symbols.kernel.addressAt(index);
    const end = program.symbols.endOf(program.symbols.kernel.at(index)) ?? start + 1024n;
    const found = dataReferences(program.memory, start, end).find(address =>
      holds(() => rule.accepts(program, address)),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A candidate whose memory cannot be read, or of a kernel that lacks the structure, is none. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof FaultError || error instanceof UnimplementedError) return false;
    throw error;
  }
}

/** A list head, not empty, whose neighbours point back. */
function isListHead(program: Program, address: bigint): boolean {
  if ((address & 7n) !== 0n) return false;
  const next = program.memory.readU64(address);
  const prev = program.memory.readU64(address + 8n);
  return next !== address && program.memory.readU64(next + 8n) === address && program.memory.readU64(prev) === address;
}

/** A list head whose first entry is a structure with a readable name. */
function isListOf(program: Program, address: bigint, struct: string, member: string, name: string): boolean {
  if (!isListHead(program, address)) return false;
  const offset = BigInt(program.types.offsetOf(struct, member) ?? 0);
  const entry = program.object(struct, program.memory.readU64(address) - offset);
  return /^[\w.-]{1,64}$/.test(entry.string(name));
}

/** A root whose node has no parent and is in a `struct vmap_area` with a sane range and a `vm_struct` or none. */
function isVmapRoot(program: Program, address: bigint): boolean {
  const node = program.memory.readU64(address);
  if (node === 0n || (program.memory.readU64(node) & ~3n) !== 0n) return false;
  const area = program.object('vmap_area', node - BigInt(program.types.offsetOf('vmap_area', 'rb_node') ?? 0));
  const list = program.vmcoreinfo.symbol('vmap_area_list');
  const isBusy = list === undefined || isListLink(program, area.addressOf('list'));
  const vm = area.pointer('vm');
  return isBusy && area.pointer('va_start') < area.pointer('va_end') && (vm === 0n || vm > 0xffff_0000_0000_0000n);
}

function isListLink(program: Program, link: bigint): boolean {
  return program.memory.readU64(program.memory.readU64(link) + 8n) === link;
}

/** An XArray or radix tree whose head is a node with a shift below 64. */
function isXarray(program: Program, address: bigint): boolean {
  const type = program.types.findStruct('xarray') === undefined ? 'radix_tree_root' : 'xarray';
  const head = program.object(type, address).pointer(type === 'xarray' ? 'xa_head' : 'rnode');
  return (
    (head & 3n) === 2n && program.object('xa_node', head & ~3n).num('shift') % 6 === 0 && head > 0xffff_0000_0000_0000n
  );
}

/** An `int` between 1 and a million. */
function isSmallCount(program: Program, address: bigint): boolean {
  if ((address & 3n) !== 0n) return false;
  const value = program.memory.readI32(address);
  return value > 0 && value < 1_000_000;
}

/** An array of 255 pointers to structures with a `name`. */
function hasNamesOf(struct: string): Check {
  return (program, address) => {
    const pointers = Array.from({ length: 255 }, (_, index) =>
      program.memory.readU64(address + BigInt(8 * index)),
    ).filter(pointer => pointer !== 0n);
    return (
      pointers.length > 0 &&
      pointers.every(pointer => /^[\w/ .-]{1,64}$/.test(program.object(struct, pointer).string('name')))
    );
  };
}

/** A pointer to a structure whose first pointers are null or of the kernel. */
function pointsToTable(struct: string): Check {
  return (program, address) => {
    const table = program.memory.readU64(address);
    const { size } = program.types.struct(struct);
    if (table < 0xff00_0000_0000_0000n) return false;
    const first = Array.from({ length: Math.min(255, size >> 3) }, (_, index) =>
      program.memory.readU64(table + BigInt(8 * index)),
    );
    return (
      first.filter(pointer => pointer !== 0n).length > 100 &&
      first.every(pointer => pointer === 0n || pointer >= 0xff00_0000_0000_0000n)
    );
  };
}

const NR_SOFTIRQS = 10;

/** Ten pointers to kernel text. */
function isSoftirqVector(program: Program, address: bigint): boolean {
  const { kernelStart, kernelEnd } = program.symbols;
  return Array.from({ length: NR_SOFTIRQS }, (_, index) => program.memory.readU64(address + BigInt(8 * index))).every(
    action => action >= kernelStart && action < kernelEnd,
  );
}

/** A count below 2^40 pages and a pointer to per-cpu parts. */
function isPercpuCounter(program: Program, address: bigint): boolean {
  const counter = program.object('percpu_counter', address);
  const count = counter.num('count');
  return (address & 7n) === 0n && count > 0 && count < 2 ** 40 && counter.pointer('counters') > 0xffff_0000_0000_0000n;
}

function pointsToSwap(program: Program, address: bigint): boolean {
  const area = program.memory.readU64(address);
  if (area < 0xff00_0000_0000_0000n) return false;
  const swap = program.object('swap_info_struct', area);
  return swap.num('type') === 0 && swap.num('pages') > 0 && swap.pointer('swap_file') > 0xff00_0000_0000_0000n;
}

function isHstate(program: Program, address: bigint): boolean {
  return program.object('hstate', address).string('name').startsWith('hugepages-');
}
