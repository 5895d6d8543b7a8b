/** `info functions`, `info variables`, `info types` with a regular expression: all units are read; GDB manual "Symbols". */
import { UsageError } from '../../../capture/formats/errors.ts';
import { DW_AT, DW_TAG } from '../../debug-info/dwarf/constants.ts';
import type { DebugInfo } from '../../debug-info/dwarf/debug-info.ts';
import { nameOf, origin, typed } from '../../debug-info/dwarf/debug-info.ts';
import type { Die } from '../../debug-info/dwarf/die.ts';
import { declare } from '../../types/declare.ts';
import { stripTypedefs } from '../../types/types.ts';
import type { KernelSymbol, SymbolTable } from '../../symbols/symbol-table.ts';
import type { Session } from '../session.ts';

interface Found {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly text: string;
}

/** `info functions [REGEXP]`. */
export function infoFunctions(session: Session, text: string): string {
  const pattern = patternOf(text);
  const found = search(session, pattern, [DW_TAG.subprogram], (info, die) => {
    if (!die.has(DW_AT.low_pc) && !die.has(DW_AT.ranges)) return undefined;
    return `${storage(die)}${declare(info.types.function(complete(die)), nameOf(die))};`;
  });
  return report('functions', text, found) + undescribed(session, pattern, found, /[tTwW]/);
}

/** `info variables [REGEXP]`. */
export function infoVariables(session: Session, text: string): string {
  const pattern = patternOf(text);
  const found = search(session, pattern, [DW_TAG.variable], (info, die) =>
    die.has(DW_AT.location) ? `${storage(die)}${declare(info.types.typeOf(typed(die)), nameOf(die))};` : undefined,
  );
  return report('variables', text, found) + undescribed(session, pattern, found, /[^tTwWaU]/);
}

const TYPE_TAGS = [DW_TAG.structure_type, DW_TAG.union_type, DW_TAG.enumeration_type, DW_TAG.typedef];
const TAG_WORDS: Readonly<{ [tag: number]: string }> = {
  [DW_TAG.structure_type]: 'struct ',
  [DW_TAG.union_type]: 'union ',
  [DW_TAG.enumeration_type]: 'enum ',
};

/** `info types [REGEXP]`. */
export function infoTypes(session: Session, text: string): string {
  const found = search(session, patternOf(text), TYPE_TAGS, (info, die) => {
    if (die.flag(DW_AT.declaration)) return undefined;
    if (die.tag !== DW_TAG.typedef) return `${TAG_WORDS[die.tag] ?? ''}${die.name};`;
    return `typedef ${declare(stripTypedefs(info.types.typeOf(die)), die.name)};`;
  });
  return report('types', text, found);
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text.replace(/^-\w+\s+/, ''));
  } catch (error) {
    throw new UsageError(`Invalid regexp: ${text}`, { cause: error });
  }
}

/** `static ` for what only its own file knows. */
function storage(die: Die): string {
  return die.flag(DW_AT.external) || origin(die)?.flag(DW_AT.external) === true ? '' : 'static ';
}

/** The entry with the parameters: the definition, or the abstract instance of a clone. */
function complete(die: Die): Die {
  return die.has(DW_AT.abstract_origin) ? (origin(die) ?? die) : die;
}

/** Entries at the top of all units that match; each place in the source once. */
function search(
  session: Session,
  pattern: RegExp,
  tags: readonly number[],
  describe: (info: DebugInfo, die: Die) => string | undefined,
): Found[] {
  const { debug } = session.program;
  const infos = [
    ...(debug.kernel === undefined ? [] : [debug.kernel]),
    ...[...debug.modules.values()].map(m => m.info),
  ];
  const found = new Map<string, Found>();
  for (const info of infos) {
    for (const { offset } of info.units.headers) {
      for (const die of info.units.unit(offset).root?.children() ?? []) {
        if (!tags.includes(die.tag)) continue;
        const name = nameOf(die);
        if (name === '' || !pattern.test(name)) continue;
        const text = describe(info, die);
        if (text !== undefined) add(found, info, die, name, text);
      }
    }
  }
  return [...found.values()];
}

function add(found: Map<string, Found>, info: DebugInfo, die: Die, name: string, text: string): void {
  const holder = die.has(DW_AT.decl_file) ? die : (origin(die) ?? die);
  const number = holder.number(DW_AT.decl_file);
  const file = number === undefined ? '' : (info.lines.table(die.unit.offset)?.shortName(number) ?? '');
  const line = die.number(DW_AT.decl_line) ?? holder.number(DW_AT.decl_line) ?? 0;
  found.set(`${file}:${line}:${name}`, { file, line, name, text });
}

function report(kind: string, text: string, found: readonly Found[]): string {
  const head = text === '' ? `All defined ${kind}:` : `All ${kind} matching regular expression "${text}":`;
  const files = [...new Set(found.map(({ file }) => file))].sort();
  const blocks = files.map(file => {
    const entries = found.filter(entry => entry.file === file).sort(byName);
    return `\nFile ${file}:\n${entries.map(({ line, text: line2 }) => `${line}:\t${line2}\n`).join('')}`;
  });
  return `${head}\n${blocks.join('')}`;
}

function byName(a: Found, b: Found): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.line - b.line;
}

/** Symbols that match and that nothing describes. */
function undescribed(session: Session, pattern: RegExp, found: readonly Found[], letters: RegExp): string {
  const known = new Set(found.map(({ name }) => name));
  const { symbols } = session.program;
  // Second names of what is described, such as the linker script's.
  const places = new Set(found.map(({ name }) => symbols.find(name)));
  const tables: SymbolTable[] = [
    symbols.kernel,
    symbols.extra,
    ...symbols.modules.map(module => symbols.tableOf(module)),
  ];
  const rest: KernelSymbol[] = [];
  for (const table of tables) {
    for (let index = 0; index < table.count; index++) {
      const symbol = table.at(index);
      if (
        letters.test(symbol.type) &&
        pattern.test(symbol.name) &&
        !known.has(symbol.name) &&
        !places.has(symbol.address)
      )
        rest.push(symbol);
    }
  }
  if (rest.length === 0) return '';
  const lines = rest.map(({ address, name }) => `0x${address.toString(16).padStart(16, '0')}  ${name}\n`);
  return `\nNon-debugging symbols:\n${lines.join('')}`;
}
