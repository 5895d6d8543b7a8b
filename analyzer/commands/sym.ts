/** `sym`: symbols by name and by address. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { KernelSymbol, SymbolTable } from '../symbols/symbol-table.ts';
import { lastAtOrBelow } from '../symbols/symbol-table.ts';
import { byPlace, stripClone } from '../symbols/symbol-set.ts';
import { hex16 } from '../text/layout.ts';
import { BareError, inTurn, SynopsisError } from './command.ts';
import type { Arguments, Command } from './command.ts';
import { FIRST_KERNEL_ADDRESS, parseAddress } from './numbers.ts';
import type { Session } from './session.ts';

interface SymbolLine {
  readonly symbol: KernelSymbol;
  readonly offset: number;
  readonly address: bigint;
  /** `file: line`, with a vmlinux. */
  readonly source: string | undefined;
}

interface SymData {
  readonly lines: readonly SymbolLine[];
  /** With `-m` and `-M`: module names and bounds around their symbols. */
  readonly modules?: readonly ModuleListing[];
}

interface ModuleListing {
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly symbols: readonly KernelSymbol[];
}

/** `sym`. */
export const sym: Command<SymData> = {
  name: 'sym',
  summary: 'symbols by name or address',
  synopsis: '[-l] | [-M] | [-m module] | [-p|-n] | [-q string] | [symbol | vaddr]...',
  options: [
    { flag: '-l', help: 'all symbols' },
    { flag: '-M', help: 'the symbols of all modules' },
    { flag: '-m', takes: 'module', help: 'the symbols of a module' },
    { flag: '-p', help: 'the one before, too' },
    { flag: '-n', help: 'the one behind, too' },
    { flag: '-q', takes: 'string', help: 'symbols that contain a text' },
  ],
  description: 'Translates symbols to addresses and addresses to symbols.',
  examples: [
    { line: 'sym schedule', why: 'where it is' },
    { line: 'sym ffff800008a35f28', why: 'what is there' },
    { line: 'sym -q kmem_cache', why: 'everything with that in its name' },
  ],
  run(session, args) {
    const all = listing(session, args);
    if (all !== undefined) return all;
    if (args.positionals.length === 0) throw new SynopsisError('no symbol or address given');
    return inTurn(
      args.positionals,
      word => lookUp(session, word, args),
      found => ({ lines: found.flat() }),
    );
  },
  text(data) {
    const modules = (data.modules ?? []).map(moduleText).join('');
    return data.lines.map(lineText).join('') + modules;
  },
};

function listing(session: Session, args: Arguments): SymData | undefined {
  const { symbols } = session.program;
  if (args.has('-M') || args.has('-m')) return { lines: [], modules: moduleListings(session, args.value('-m')) };
  if (args.has('-l'))
    return {
      lines: [...symbolsOf(symbols.kernel)]
        .filter(({ type, address }) => !/a/i.test(type) || address >= FIRST_KERNEL_ADDRESS)
        .sort(byPlace)
        .map(plain),
      modules: moduleListings(session, undefined),
    };
  const part = args.value('-q');
  if (part === undefined) return undefined;
  const found = symbols.matching(matcher(part)).map(plain);
  if (found.length === 0) throw new BareError('(none found)');
  return { lines: found };
}

/** `^text`: names that begin so; otherwise names that contain it. */
function matcher(part: string): (name: string) => boolean {
  const start = part.startsWith('^') ? part.slice(1) : undefined;
  return name => (start === undefined ? name.includes(part) : name.startsWith(start));
}

function* symbolsOf(table: SymbolTable): Generator<KernelSymbol> {
  for (let index = 0; index < table.count; index++) yield table.at(index);
}

function moduleListings(session: Session, only: string | undefined): ModuleListing[] {
  const modules = session.program.symbols.modules.filter(({ name }) => only === undefined || name === only);
  if (only !== undefined && modules.length === 0) throw new UsageError(`module ${only} is not loaded`);
  return modules
    .map(module => {
      const { name, ranges } = module;
      const start = ranges.reduce((low, range) => (range.start < low ? range.start : low), ranges[0]?.start ?? 0n);
      const end = ranges.reduce((high, range) => (range.end > high ? range.end : high), 0n);
      return { name, start, end, symbols: [...symbolsOf(session.program.symbols.tableOf(module))] };
    })
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

function lookUp(session: Session, word: string, args: Arguments): SymbolLine[] {
  const { symbols } = session.program;
  const address = parseAddress(session, word);
  const place = symbols.lookup(address);
  const exact = place === undefined ? symbols.findAll(word)[0] : undefined;
  if (place === undefined && exact === undefined) throw new UsageError(`invalid address: ${word}`);
  const named = /^[a-z_.$]/i.test(word) ? symbols.findAll(word).find(symbol => symbol.address === address) : undefined;
  const found = named ?? place?.symbol ?? exact!;
  const line = { symbol: found, offset: place?.offset ?? 0, address, source: session.sourceLine(address) };
  const before = args.has('-p') ? neighbour(session, found, -1) : undefined;
  const behind = args.has('-n') ? neighbour(session, found, 1) : undefined;
  return [before, line, behind].filter(entry => entry !== undefined);
}

/** The symbol next to one in its table, at another address. */
function neighbour(session: Session, symbol: KernelSymbol, direction: 1 | -1): SymbolLine | undefined {
  const { symbols } = session.program;
  const module = symbols.modules.find(({ name }) => name === symbol.module);
  const table = module === undefined ? symbols.kernel : symbols.tableOf(module);
  const at = direction === 1 ? lastAtOrBelow(table, symbol.address) + 1 : lastAtOrBelow(table, symbol.address - 1n);
  if (at < 0 || at >= table.count) return undefined;
  const found = table.at(at);
  return { symbol: found, offset: 0, address: found.address, source: session.sourceLine(found.address) };
}

function lineText({ symbol, offset, address, source }: SymbolLine): string {
  const name = stripClone(symbol.name);
  const place = offset === 0 ? name : `${name}+${offset}`;
  const module = symbol.module === undefined ? '' : `[${symbol.module}] `;
  return `${address.toString(16)} (${symbol.type}) ${place} ${module}${source ?? ''}\n`;
}

function moduleText({ name, start, end, symbols }: ModuleListing): string {
  const body = symbols.map(symbol => `${hex16(symbol.address)} (${symbol.type}) ${stripClone(symbol.name)}\n`).join('');
  return `${hex16(start)} MODULE START: ${name}\n${body}${hex16(end)} MODULE END: ${name}\n`;
}

/** A symbol as a line of a listing, without its source. */
function plain(symbol: KernelSymbol): SymbolLine {
  return { symbol, offset: 0, address: symbol.address, source: undefined };
}
