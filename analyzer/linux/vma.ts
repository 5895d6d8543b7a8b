/** Mappings of a process; `include/linux/mm_types.h` `struct vm_area_struct`. */
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { dentryPath } from './path.ts';
import { mapleForEach } from './maple-tree.ts';

const MAX_VMAS = 1_000_000;

/** One mapping. */
export interface Vma {
  readonly struct: StructObject;
  readonly start: bigint;
  readonly end: bigint;
  readonly flags: bigint;
  readonly file: StructObject | undefined;
  /** Path of the file; empty for an anonymous mapping. */
  readonly path: string;
}

/** Mappings in order of address: from the maple tree since 6.1 (commit d4af56c5c7c6), before it the list `mm->mmap`. */
export function* vmas(program: Program, mm: StructObject): Generator<Vma> {
  if (mm.has('mm_mt')) {
    let count = 0;
    for (const { pointer } of mapleForEach(program, mm.embedded('mm_mt'))) {
      if (count++ >= MAX_VMAS) return;
      yield vmaAt(program, program.object('vm_area_struct', pointer));
    }
    return;
  }
  const seen = new Set<bigint>();
  for (
    let at = mm.follow('mmap');
    at !== undefined && !seen.has(at.address) && seen.size < MAX_VMAS;
    at = at.follow('vm_next')
  ) {
    seen.add(at.address);
    yield vmaAt(program, at);
  }
}

function vmaAt(program: Program, struct: StructObject): Vma {
  const file = struct.follow('vm_file');
  return {
    struct,
    start: struct.pointer('vm_start'),
    end: struct.pointer('vm_end'),
    flags: struct.pointer('vm_flags'),
    file,
    path: file === undefined ? '' : dentryPath(program, file.follow('f_path.dentry'), file.follow('f_path.mnt')),
  };
}

/** The mapping that holds an address. */
export function findVma(program: Program, mm: StructObject, vaddr: bigint): Vma | undefined {
  for (const vma of vmas(program, mm)) if (vaddr >= vma.start && vaddr < vma.end) return vma;
  return undefined;
}
