/** `info scope FUNCTION`: its parameters and variables, and where they are kept; GDB manual "Tracepoints". */
import { UsageError } from '../../../capture/formats/errors.ts';
import { linkAddress } from '../../debug-info/debug-files.ts';
import { DW_TAG } from '../../debug-info/dwarf/constants.ts';
import type { DebugInfo } from '../../debug-info/dwarf/debug-info.ts';
import { nameOf, typed } from '../../debug-info/dwarf/debug-info.ts';
import type { Die } from '../../debug-info/dwarf/die.ts';
import { expressionText, plainPlace } from '../../debug-info/dwarf/expression-text.ts';
import { subprogramAt } from '../../debug-info/dwarf/functions.ts';
import { locationEntries } from '../../debug-info/dwarf/location-lists.ts';
import { sizeOf } from '../../types/types.ts';
import type { Session } from '../session.ts';

/** Runs `info scope`. @throws UsageError */
export function infoScope(session: Session, text: string): string {
  const { program } = session;
  const name = text.replace(/^\*/, '');
  const address = program.symbols.find(name) ?? (name.startsWith('0x') ? BigInt(name) : undefined);
  if (address === undefined) throw new UsageError(`No function "${text}" in this program.`);
  const info = program.debug.at(address);
  const die = info === undefined ? undefined : subprogramAt(info, linkAddress(info, address));
  if (info === undefined || die === undefined)
    throw new UsageError(`No symbol table is loaded for "${text}": it needs a vmlinux with debug information`);
  const lines = variablesOf(die).map(variable => variableText(session, info, variable));
  if (lines.length === 0) return `Symbol "${text}" has no locals.\n`;
  return `Scope for ${text}:\n${lines.join('')}`;
}

/** Parameters and variables of the function's own block: where gdb looks. */
function variablesOf(die: Die): Die[] {
  const wanted: readonly number[] = [DW_TAG.formal_parameter, DW_TAG.variable];
  return [...die.children()].filter(({ tag }) => wanted.includes(tag));
}

function variableText(session: Session, info: DebugInfo, die: Die): string {
  const { architecture } = session.program;
  const size = sizeOf(info.types.typeOf(typed(die)));
  const entries = locationEntries(die);
  const name = `Symbol ${nameOf(die)} is`;
  const tail = `, length ${size}.\n`;
  if (entries.length === 0) return `${name} optimized out.\n`;
  const [first] = entries;
  if (entries.length === 1 && first!.start === undefined) {
    const place = plainPlace(first!.expression, architecture, info.bias);
    return `${name} ${place ?? `a complex DWARF expression:\n${expressionText(first!.expression, architecture, info.bias)}`}${tail}`;
  }
  const ranges = entries.map(({ start, end, expression }) => {
    const place = plainPlace(expression, architecture, info.bias);
    const [from, to] = [start ?? 0n, end].map(at => `0x${BigInt.asUintN(64, at + info.bias).toString(16)}`);
    return `  Range ${from}-${to}: ${place ?? `a complex DWARF expression:\n${expressionText(expression, architecture, info.bias)}`}\n`;
  });
  return `${name} multi-location:\n${ranges.join('')}${tail}`;
}
