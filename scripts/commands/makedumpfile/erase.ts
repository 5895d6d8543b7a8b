/**
 * Carries out a filter configuration on a dump: which bytes of physical memory it erases.
 *
 * Source: makedumpfile.conf(5). Symbols and types come from the vmlinux and from the dump itself.
 */
import { cString } from '../../../capture/formats/bytes.ts';
import { FaultError, UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import type { ErasedRange } from '../../../capture/page-eraser.ts';
import { findVariable } from '../../../analyzer/commands/expressions.ts';
import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { dereference, member } from '../../../analyzer/types/operators.ts';
import { sizeOf, stripTypedefs } from '../../../analyzer/types/types.ts';
import { bitsOf, numberOf } from '../../../analyzer/types/value.ts';
import type { Value } from '../../../analyzer/types/value.ts';
import type { EraseCommand, EraseLoop, EraseSection } from './erase-config.ts';

/** What a configuration comes to. */
export interface Erasure {
  readonly ranges: readonly ErasedRange[];
  /** makedumpfile's record of it, for the dump. */
  readonly info: Uint8Array;
  readonly warnings: readonly string[];
}

/** Text that a `char *` may point to. */
const MAX_STRING = 1024;
/** Bounds on what a damaged dump can ask for. */
const MAX_ELEMENTS = 1_000_000;
const MAX_SIZE = 2 ** 30;
const PAGE_SIZE = 4096;
const POINTER_SIZE = 8;

/**
 * Finds the bytes that a configuration erases.
 * @throws UsageError, FormatError when the dump cannot be opened with the vmlinux
 */
export function resolveErasure(sections: readonly EraseSection[], dump: readonly string[], vmlinux: string): Erasure {
  using program = new Program({ dump, vmlinux });
  const eraser = new Resolver(new Session(program));
  for (const section of sections) eraser.run(section);
  return eraser.result();
}

/** Variables of loops, by name. */
type Scope = ReadonlyMap<string, Value>;

class Resolver {
  readonly #session: Session;
  readonly #ranges: ErasedRange[] = [];
  readonly #lines: string[] = [];
  readonly #warnings: string[] = [];

  constructor(session: Session) {
    this.#session = session;
  }

  result(): Erasure {
    const info = Buffer.from(this.#lines.map(line => `${line}\n`).join(''), 'latin1');
    return { ranges: this.#ranges, info, warnings: this.#warnings };
  }

  run({ module, commands }: EraseSection): void {
    const { modules } = this.#session.program.symbols;
    if (module !== 'vmlinux' && !modules.some(({ name }) => name === module)) {
      this.#warnings.push(`module ${module} is not loaded: its section is skipped`);
      return;
    }
    for (const command of commands) {
      if (command.kind === 'erase') this.#erase(command, new Map());
      else this.#loop(command);
    }
  }

  #loop(loop: EraseLoop): void {
    this.#reporting(loop.line, () => {
      for (const element of this.#elements(loop))
        for (const command of loop.body) this.#erase(command, new Map([[loop.id, element]]));
    });
  }

  #erase({ path, size, line }: EraseCommand, scope: Scope): void {
    this.#reporting(line, () => {
      const value = this.#value(path, scope);
      if (size.kind === 'nullify') {
        if (stripTypedefs(value.type).kind !== 'pointer') throw new UsageError(`${path} is no pointer`);
        this.#add(value.address!, POINTER_SIZE, true);
        this.#lines.push(`erase ${path} nullify`);
        return;
      }
      const place = this.#target(value);
      const bytes =
        size.kind === 'bytes'
          ? size.size
          : size.kind === 'expression'
            ? Number(numberOf(this.#session.program.memory, this.#value(size.path, scope)))
            : place.size;
      if (bytes <= 0 || bytes > MAX_SIZE) throw new UsageError(`${path}: ${bytes} bytes cannot be erased`);
      this.#add(place.address, bytes, false);
      this.#lines.push(`erase ${path} size ${bytes}`);
    });
  }

  /** A command that cannot be carried out is skipped, as makedumpfile does; the user is told. */
  #reporting(line: number, run: () => void): void {
    try {
      run();
    } catch (error) {
      const isExpected = [UsageError, FaultError, UnimplementedError].some(kind => error instanceof kind);
      if (!isExpected) throw error;
      this.#warnings.push(`line ${line}: ${(error as Error).message}`);
    }
  }

  /** `symbol.member.member`; a dot also follows pointers. */
  #value(path: string, scope: Scope): Value {
    const [name = '', ...members] = path.split('.');
    let value = scope.get(name) ?? findVariable(this.#session, name);
    if (value === undefined) throw new UsageError(`there is no symbol ${name}`);
    for (const part of members) value = member(this.#session.program.memory, this.#object(value), part);
    return value;
  }

  #object(value: Value): Value {
    return stripTypedefs(value.type).kind === 'pointer' ? dereference(this.#session.program.memory, value) : value;
  }

  /** What is erased without an explicit size: text, the structure pointed to, or the object itself. */
  #target(value: Value): { address: bigint; size: number } {
    const { memory } = this.#session.program;
    const bare = stripTypedefs(value.type);
    if (bare.kind !== 'pointer') return { address: value.address!, size: sizeOf(value.type) };
    const address = bitsOf(memory, value);
    const target = stripTypedefs(bare.target);
    if (target.kind === 'int' && target.size === 1)
      return { address, size: cString(memory.readAvailable(address, MAX_STRING)).length };
    return { address, size: target.kind === 'void' ? 0 : sizeOf(target) };
  }

  #elements(loop: EraseLoop): Value[] {
    const head = this.#value(loop.list, new Map());
    if (loop.within !== undefined) return this.#listElements(head, loop.within);
    if (loop.via !== undefined) return this.#chain(this.#object(head), loop.via);
    const bare = stripTypedefs(head.type);
    if (bare.kind !== 'array') throw new UsageError(`${loop.list} is no array`);
    const size = BigInt(sizeOf(bare.element));
    return Array.from({ length: Math.min(bare.length ?? 0, MAX_ELEMENTS) }, (_, index) => ({
      type: bare.element,
      address: head.address! + size * BigInt(index),
    }));
  }

  /** Elements that lead to each other by a member, up to NULL or back to the first. */
  #chain(first: Value, via: string): Value[] {
    const elements: Value[] = [];
    const seen = new Set<bigint>();
    for (let element = first; element.address !== 0n && !seen.has(element.address!);) {
      elements.push(element);
      seen.add(element.address!);
      element = this.#object(
        via
          .split('.')
          .reduce((value, part) => member(this.#session.program.memory, this.#object(value), part), element),
      );
      if (elements.length > MAX_ELEMENTS) break;
    }
    return elements;
  }

  /** Structures around the list_heads of a list; the head itself, of type list_head or a pointer to one, ends it. */
  #listElements(start: Value, within: { readonly struct: string; readonly member: string }): Value[] {
    const { memory, types } = this.#session.program;
    const type = types.struct(within.struct);
    const place = type.place(within.member);
    if (place === undefined) throw new UsageError(`struct ${within.struct} has no member ${within.member}`);
    const isPointer = stripTypedefs(start.type).kind === 'pointer';
    // `head.next` lies at the head itself.
    const head = start.address!;
    const elements: Value[] = [];
    const seen = new Set<bigint>([head, 0n]);
    for (let entry = isPointer ? bitsOf(memory, start) : memory.readU64(head); !seen.has(entry);) {
      seen.add(entry);
      elements.push({ type, address: BigInt.asUintN(64, entry - BigInt(place.offset)) });
      if (elements.length > MAX_ELEMENTS) break;
      entry = memory.readU64(entry);
    }
    return elements;
  }

  /** Adds virtual memory, page by page. */
  #add(vaddr: bigint, size: number, nullify: boolean): void {
    const { space } = this.#session.program;
    for (let done = 0; done < size;) {
      const at = BigInt.asUintN(64, vaddr + BigInt(done));
      const count = Math.min(size - done, PAGE_SIZE - Number(at & 0xfffn));
      const paddr = space.translate(at);
      if (paddr === undefined) throw new FaultError(at, 'not mapped');
      this.#ranges.push({ paddr, size: count, nullify });
      done += count;
    }
  }
}
