/** `ptype` and `whatis`: types; GDB manual "Symbols". */
import { UsageError } from '../../../capture/formats/errors.ts';
import { typeName, unrolled } from '../../types/declare.ts';
import { parseType } from '../../types/expression.ts';
import { layoutText } from '../../types/layout-text.ts';
import { stripTypedefs } from '../../types/types.ts';
import type { CType } from '../../types/types.ts';
import { evaluateExpression } from '../expressions.ts';
import type { Session } from '../session.ts';

/** `ptype[/o] type-or-expression`: typedefs resolved, structures written out. */
export function ptype(session: Session, letters: string, text: string): string {
  const type = typeOf(session, text);
  const bare = stripTypedefs(type);
  if (letters.includes('o') && (bare.kind === 'struct' || bare.kind === 'union')) return layoutText(bare);
  return `type = ${unrolled(type)}\n`;
}

/** `whatis type-or-expression`: the name of a type; of a typedef, what it stands for. */
export function whatis(session: Session, text: string): string {
  const named = parseType(text, session.program.types);
  if (named?.kind === 'typedef') return `type = ${typeName(named.target)}\n`;
  return `type = ${typeName(named ?? evaluateExpression(session, text).type)}\n`;
}

function typeOf(session: Session, text: string): CType {
  if (text === '') throw new UsageError('The history is empty.');
  return parseType(text, session.program.types) ?? evaluateExpression(session, text).type;
}
