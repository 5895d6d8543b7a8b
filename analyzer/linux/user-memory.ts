/** A process's user memory through its own page tables. */
import { Aarch64PageTables } from '../../capture/addrxlat/aarch64.ts';
import type { PageTableReader, Walk } from '../../capture/addrxlat/page-walk.ts';
import { MemoryReader } from '../memory-reader.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';

/** Physical address of a process's top table. */
export function pgdPaddr(program: Program, mm: StructObject): number | undefined {
  return program.space.translate(mm.pointer('pgd'));
}

const userTables = new WeakMap<Program, PageTableReader>();

/** The tables of user space: on arm64 the same geometry as the kernel's. */
export function userPageTables(program: Program): PageTableReader {
  let tables = userTables.get(program);
  if (tables === undefined) {
    tables =
      program.aarch64 === undefined
        ? program.space.tables
        : new Aarch64PageTables(program.dump.memory, program.aarch64.tables.geometry);
    userTables.set(program, tables);
  }
  return tables;
}

/** Walks the tables of a process. @throws FaultError when a table cannot be read */
export function walkUser(program: Program, mm: StructObject, vaddr: bigint): Walk | undefined {
  const root = pgdPaddr(program, mm);
  return root === undefined ? undefined : userPageTables(program).walk(root, vaddr);
}

/** A reader of a process's memory. */
export function userReader(program: Program, mm: StructObject): MemoryReader {
  return new MemoryReader(program.dump.memory, vaddr => walkUser(program, mm, vaddr)?.paddr);
}
