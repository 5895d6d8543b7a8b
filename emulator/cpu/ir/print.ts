/** Prints blocks of IR for tests, traces and people. One line a value; constants stand where they are used. */
import type { Block, Immediate, MemoryAccess, Terminal, Value } from './block.ts';
import type { HelperDeclaration } from './helper-declaration.ts';
import type { StateField } from './state-field.ts';

/** The block as text, with a heading per guest instruction: its byte offset in the page. */
export function printBlock(block: Block): string {
  const lines: string[] = [];
  let instruction = -1;
  for (const value of block.values) {
    while (instruction < value.instruction) lines.push(`${offsetText(block.instructions[++instruction]!)}:`);
    lines.push(`  ${printValue(value)}`);
  }
  lines.push(printTerminal(block.terminal));
  return lines.join('\n');
}

/** One value: `%3 = i64.add %1 0x10`. */
export function printValue(value: Value): string {
  const parts = [value.op.name, immediateText(value), ...value.args.map(operandText)].filter(part => part !== '');
  return value.type === 'none' ? parts.join(' ') : `%${value.position} = ${parts.join(' ')}`;
}

function printTerminal(terminal: Terminal): string {
  switch (terminal.kind) {
    case 'jump':
      return `jump ${offsetText(terminal.target)}`;
    case 'branch': {
      const { condition, taken, notTaken } = terminal;
      return `branch ${operandText(condition)} ${offsetText(taken)} ${offsetText(notTaken)}`;
    }
    case 'indirect':
      return `indirect ${operandText(terminal.target)}`;
    case 'resume':
    default:
      return 'resume';
  }
}

function operandText(value: Value): string {
  if (value.position >= 0) return `%${value.position}`;
  return numberText(value.immediate);
}

function immediateText({ op, immediate }: Value): string {
  switch (op.immediate) {
    case 'none':
      return '';
    case 'field':
      return (immediate as StateField).name;
    case 'helper':
      return (immediate as HelperDeclaration).name;
    case 'access':
      return accessText(immediate as MemoryAccess);
    default:
      return numberText(immediate);
  }
}

function accessText({ size, regime, alignment, forWrite }: MemoryAccess): string {
  const attributes = [
    alignment > 1 ? `aligned ${alignment}` : '',
    regime === 'unprivileged' ? regime : '',
    forWrite ? 'for-write' : '',
  ];
  return [`${8 * size}`, ...attributes.filter(text => text !== '')].join(' ');
}

function numberText(immediate: Immediate): string {
  if (immediate instanceof Uint8Array) return `[${immediate.join(' ')}]`;
  const value = typeof immediate === 'bigint' ? BigInt.asIntN(64, immediate) : BigInt(immediate as number);
  return value > -10n && value < 10n
    ? `${value}`
    : value < 0n
      ? `-0x${(-value).toString(16)}`
      : `0x${value.toString(16)}`;
}

function offsetText(offset: number): string {
  return offset < 0 ? `page-0x${(-offset).toString(16)}` : `page+0x${offset.toString(16)}`;
}
