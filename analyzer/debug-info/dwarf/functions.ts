/** Functions, what was inlined into them, and their variables; DWARF 5 section 3.3 "Subroutine and Entry Point Entries". */
import { DW_AT, DW_TAG } from './constants.ts';
import type { DebugInfo } from './debug-info.ts';
import { nameOf, origin } from './debug-info.ts';
import type { Die } from './die.ts';

/** A function that control is in: the one compiled, or one inlined into it. */
export interface FunctionScope {
  readonly name: string;
  /** The subprogram, or the inlined subroutine. */
  readonly die: Die;
  readonly inlined: boolean;
  /** Of an inlined one: where it was called in the function around it. */
  readonly callFile: string | undefined;
  readonly callLine: number | undefined;
  /** Blocks of the function that hold the address, outermost first; the function's own entry among them. */
  readonly blocks: readonly Die[];
}

const MAX_DEPTH = 64;

/** Functions at a link-time address, the compiled one first, the innermost inlined one last. @throws FormatError */
export function functionsAt(info: DebugInfo, address: bigint): FunctionScope[] {
  const subprogram = subprogramAt(info, address);
  if (subprogram === undefined) return [];
  const scopes: FunctionScope[] = [];
  let die: Die | undefined = subprogram;
  let blocks: Die[] = [];
  for (let depth = 0; die !== undefined && depth < MAX_DEPTH; depth++) {
    if (die.tag !== DW_TAG.lexical_block) {
      blocks = [];
      scopes.push(scopeOf(info, die, blocks));
    }
    blocks.push(die);
    die = innerAt(die, address);
  }
  return scopes;
}

/** The compiled function that holds a link-time address. @throws FormatError */
export function subprogramAt(info: DebugInfo, address: bigint): Die | undefined {
  const offset = info.units.unitAt(address);
  if (offset === undefined) return undefined;
  for (const die of info.units.unit(offset).root?.children() ?? []) {
    if (die.tag === DW_TAG.subprogram && die.covers(address)) return die;
  }
  return undefined;
}

function innerAt(die: Die, address: bigint): Die | undefined {
  for (const child of die.children()) {
    const isScope = child.tag === DW_TAG.lexical_block || child.tag === DW_TAG.inlined_subroutine;
    if (isScope && child.covers(address)) return child;
  }
  return undefined;
}

function scopeOf(info: DebugInfo, die: Die, blocks: readonly Die[]): FunctionScope {
  const file = die.number(DW_AT.call_file);
  return {
    name: functionName(die),
    die,
    inlined: die.tag === DW_TAG.inlined_subroutine,
    callFile: file === undefined ? undefined : info.lines.table(die.unit.offset)?.shortName(file),
    callLine: die.number(DW_AT.call_line),
    blocks,
  };
}

function functionName(die: Die): string {
  let at: Die | undefined = die;
  for (let depth = 0; at !== undefined && depth < MAX_DEPTH; depth++) {
    const name = nameOf(at);
    if (name !== '') return name;
    at = origin(at);
  }
  return '';
}

/** Parameters of a function, in order. */
export function parametersOf(scope: FunctionScope): Die[] {
  return [...scope.die.children()].filter(({ tag }) => tag === DW_TAG.formal_parameter);
}

/** Variables of a function's blocks that hold the address, innermost block first. */
export function localsOf(scope: FunctionScope): Die[] {
  return scope.blocks.toReversed().flatMap(block => [...block.children()].filter(({ tag }) => tag === DW_TAG.variable));
}

/** The description of the call that returns to a link-time address. */
export function callSite(scopes: readonly FunctionScope[], returnAddress: bigint): Die | undefined {
  const [outer] = scopes;
  return outer === undefined ? undefined : findCallSite(outer.die, returnAddress, 0);
}

function findCallSite(die: Die, returnAddress: bigint, depth: number): Die | undefined {
  if (depth > MAX_DEPTH) return undefined;
  for (const child of die.children()) {
    if (child.tag === DW_TAG.call_site || child.tag === DW_TAG.GNU_call_site) {
      const address = child.address(DW_AT.call_return_pc) ?? child.address(DW_AT.low_pc);
      if (address === returnAddress) return child;
    } else if (child.tag === DW_TAG.lexical_block || child.tag === DW_TAG.inlined_subroutine) {
      const found = findCallSite(child, returnAddress, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What a call site calls: a function by name, or an address by an expression. */
export function callTarget(site: Die): { readonly name: string | undefined; readonly address: Uint8Array | undefined } {
  const callee = site.reference(DW_AT.call_origin) ?? site.reference(DW_AT.abstract_origin);
  return {
    name: callee === undefined ? undefined : functionName(callee),
    address: site.block(DW_AT.call_target) ?? site.block(DW_AT.GNU_call_site_target),
  };
}

/** The expression of what a call passed in a register, named by the expression of its place. */
export function callValue(site: Die, place: Uint8Array): Uint8Array | undefined {
  for (const child of site.children()) {
    if (child.tag !== DW_TAG.call_site_parameter && child.tag !== DW_TAG.GNU_call_site_parameter) continue;
    const location = child.block(DW_AT.location);
    if (location !== undefined && Buffer.compare(location, place) === 0)
      return child.block(DW_AT.call_value) ?? child.block(DW_AT.GNU_call_site_value);
  }
  return undefined;
}
