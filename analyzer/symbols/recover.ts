/**
 * Symbols that the dump's kallsyms lacks, from other places of the dump: VMCOREINFO, exported symbols, BTF's per-cpu
 * section, and instructions that refer to a variable.
 */
import { FaultError } from '../../capture/formats/errors.ts';
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
  symbols.addExtra(referencedSymbols(program));
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

/** A variable, the functions that use it, and a check of what stands at a candidate address. */
interface ReferenceRule {
  readonly name: string;
  readonly functions: readonly string[];
  readonly accepts: (program: Program, address: bigint) => boolean;
}

const RULES: readonly ReferenceRule[] = [
  {
    name: 'modules',
    functions: ['print_modules', 'find_module_all', 'm_start'],
    accepts: (program, address) => isListOf(program, address, 'module', 'list', 'name'),
  },
  {
    name: 'slab_caches',
    functions: ['slab_start', 'slab_next', 'kmem_cache_init', 'dump_unreclaimable_slab'],
    accepts: (program, address) => isList(program, address),
  },
];

function referencedSymbols(program: Program): KernelSymbol[] {
  if (program.architecture !== 'aarch64') return [];
  return RULES.flatMap(rule => {
    const address = applyRule(program, rule);
    return address === undefined ? [] : [symbol(rule.name, address)];
  });
}

function applyRule(program: Program, rule: ReferenceRule): bigint | undefined {
  for (const name of rule.functions) {
    const index = program.symbols.kernel.indexOf(name);
    if (index === -1) continue;
    const start = program.symbols.kernel.addressAt(index);
    const end = program.symbols.endOf(program.symbols.kernel.at(index)) ?? start + 1024n;
    const found = dataReferences(program.memory, start, end).find(address =>
      readable(() => rule.accepts(program, address)),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function readable(check: () => boolean): boolean {
  try {
    return check();
  } catch (error) {
    if (error instanceof FaultError) return false;
    throw error;
  }
}

/** A list head whose neighbours point back. */
function isList(program: Program, address: bigint): boolean {
  if ((address & 7n) !== 0n) return false;
  const next = program.memory.readU64(address);
  const prev = program.memory.readU64(address + 8n);
  return next !== address && program.memory.readU64(next + 8n) === address && program.memory.readU64(prev) === address;
}

/** A list head whose first entry is a structure with a readable name. */
function isListOf(program: Program, address: bigint, struct: string, member: string, name: string): boolean {
  if (!isList(program, address)) return false;
  const offset = BigInt(program.types.offsetOf(struct, member) ?? 0);
  const entry = program.object(struct, program.memory.readU64(address) - offset);
  return /^[\w.-]{1,64}$/.test(entry.string(name));
}
