/**
 * The syntax of makedumpfile.conf(5): sections of modules, erase commands, loops.
 */
import { FormatError } from '../../../capture/formats/errors.ts';

/** How much an erase command erases. */
export type EraseSize =
  /** The object, or what a pointer points to, by its type. */
  | { readonly kind: 'by type' }
  | { readonly kind: 'bytes'; readonly size: number }
  /** The value of an expression. */
  | { readonly kind: 'expression'; readonly path: string }
  /** The pointer itself becomes NULL. */
  | { readonly kind: 'nullify' };

/** `erase SYMBOL[.member…] [size …|nullify]`. */
export interface EraseCommand {
  readonly kind: 'erase';
  readonly path: string;
  readonly size: EraseSize;
  readonly line: number;
}

/** `for ID in LIST … endfor`. */
export interface EraseLoop {
  readonly kind: 'for';
  readonly id: string;
  readonly list: string;
  /** Member that leads to the next element. */
  readonly via: string | undefined;
  /** The list's head is a list_head; elements are of a structure that contains one. */
  readonly within: { readonly struct: string; readonly member: string } | undefined;
  readonly body: readonly EraseCommand[];
  readonly line: number;
}

/** The commands for one module. */
export interface EraseSection {
  /** `vmlinux` for the kernel itself. */
  readonly module: string;
  readonly commands: readonly (EraseCommand | EraseLoop)[];
}

const PATH = String.raw`[A-Za-z_]\w*(?:\.\w+)*`;
const ERASE = new RegExp(String.raw`^erase\s+(${PATH})(?:\s+(?:(nullify)|size\s+(?:(\d+)([kKmM])?|(${PATH}))))?$`);
const LOOP = new RegExp(
  String.raw`^for\s+(\w+)\s+in\s+(${PATH})(?:\s+via\s+(\w+(?:\.\w+)*)|\s+within\s+(\w+):(\w+(?:\.\w+)*))?$`,
);
const SECTION = /^\[(\S+)\]$/;

/**
 * Reads a filter configuration.
 * @throws FormatError with the line that is wrong
 */
export function parseEraseConfig(text: string, file: string): EraseSection[] {
  const sections: { module: string; commands: (EraseCommand | EraseLoop)[] }[] = [{ module: 'vmlinux', commands: [] }];
  let loop: (EraseLoop & { readonly body: EraseCommand[] }) | undefined;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1;
    const content = raw.replace(/#.*$/, '').trim();
    const section = SECTION.exec(content);
    if (content === '') continue;
    if (section !== null && loop === undefined) sections.push({ module: section[1]!, commands: [] });
    else if (content === 'endfor' && loop !== undefined) loop = undefined;
    else if (LOOP.test(content) && loop === undefined) {
      loop = parseLoop(content, line);
      sections.at(-1)!.commands.push(loop);
    } else (loop?.body ?? sections.at(-1)!.commands).push(parseErase(content, line, file));
  }
  if (loop !== undefined) throw new FormatError(`line ${loop.line}: for without endfor`, { file });
  return sections.filter(({ commands }) => commands.length > 0);
}

function parseLoop(content: string, line: number): EraseLoop & { readonly body: EraseCommand[] } {
  const [, id, list, via, struct, member] = LOOP.exec(content)!;
  const within = struct === undefined ? undefined : { struct, member: member! };
  return { kind: 'for', id: id!, list: list!, via, within, body: [], line };
}

function parseErase(content: string, line: number, file: string): EraseCommand {
  const match = ERASE.exec(content);
  if (match === null) {
    throw new FormatError(`line ${line}: not a filter command`, {
      file,
      expected: 'erase, for, endfor or [module]',
      found: content,
    });
  }
  const [, path, nullify, bytes, suffix, expression] = match;
  return { kind: 'erase', path: path!, size: sizeOf(nullify, bytes, suffix, expression), line };
}

function sizeOf(nullify?: string, bytes?: string, suffix?: string, expression?: string): EraseSize {
  if (nullify !== undefined) return { kind: 'nullify' };
  if (expression !== undefined) return { kind: 'expression', path: expression };
  if (bytes === undefined) return { kind: 'by type' };
  const unit = suffix === undefined ? 1 : suffix.toLowerCase() === 'k' ? 1024 : 1024 ** 2;
  return { kind: 'bytes', size: Number(bytes) * unit };
}
