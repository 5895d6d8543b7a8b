/** Completion at the prompt: commands, options, symbols, types, members, tasks' commands, settings, files. */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { variableType } from '../commands/expressions.ts';
import { COMMANDS, extensionNames, loadCommand } from '../commands/registry.ts';
import { SETTING_NAMES } from '../commands/settings.ts';
import type { Session } from '../commands/session.ts';
import { StructType, stripTypedefs } from '../types/types.ts';
import type { CType } from '../types/types.ts';

const MAX_CANDIDATES = 200;
/** Fewer characters match most of the symbols. */
const SHORTEST_WORD = 2;
/** Commands whose arguments are names of structures. */
const TYPE_COMMANDS = new Set(['struct', 'union', 'whatis', '*', 'ptype', 'list', 'tree']);

/** Candidates for the last word, and that word. */
export async function complete(session: Session, line: string): Promise<[string[], string]> {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  const before = line.slice(0, line.length - word.length);
  if (/[<>]\s*$/.test(before)) return [files(word), word];
  // Behind a bar stands a command of the shell.
  if (before.includes('|')) return [[], word];
  const [name = '', ...earlier] = before.trim().split(/\s+/);
  if (name === '') return [startingWith(commandNames(session), word), word];
  const command = session.aliases.get(name)?.command.split(' ')[0] ?? name;
  return [await argumentCandidates(session, command, earlier, word), word];
}

function startingWith(names: Iterable<string>, word: string): string[] {
  return [...new Set(names)].filter(name => name.startsWith(word)).slice(0, MAX_CANDIDATES);
}

function commandNames(session: Session): string[] {
  return [...Object.keys(COMMANDS), ...session.aliases.keys(), ...extensionNames()];
}

type Candidates = (session: Session, earlier: readonly string[], word: string) => string[] | Promise<string[]>;

/** Commands whose arguments are neither symbols nor types. */
const SPECIAL: Readonly<Record<string, Candidates>> = {
  help: (session, _earlier, word) => startingWith(commandNames(session), word),
  repeat: (session, _earlier, word) => startingWith(commandNames(session), word),
  set: (_session, earlier, word) => (earlier.length === 0 ? startingWith(SETTING_NAMES, word) : []),
  extend: (_session, _earlier, word) => files(word),
  foreach: foreachCandidates,
};

async function argumentCandidates(
  session: Session,
  command: string,
  earlier: readonly string[],
  word: string,
): Promise<string[]> {
  const special = Object.hasOwn(SPECIAL, command) ? SPECIAL[command] : undefined;
  if (special !== undefined) return special(session, earlier, word);
  if (word.startsWith('-')) {
    const flags = ((await loadCommand(command))?.options ?? []).map(({ flag }) => flag);
    return startingWith(flags, word);
  }
  return memberCandidates(session, command, earlier, word) ?? nameCandidates(session, command, earlier, word);
}

function nameCandidates(session: Session, command: string, earlier: readonly string[], word: string): string[] {
  if (word.length < SHORTEST_WORD) return [];
  const wantsType = TYPE_COMMANDS.has(command) || earlier.at(-1) === 'struct';
  if (!wantsType) return symbolNames(session, word);
  // Behind the structure stands the address of one, which may be a symbol.
  return [...typeNames(session, word), ...(earlier.length > 0 ? symbolNames(session, word) : [])];
}

async function foreachCandidates(session: Session, earlier: readonly string[], word: string): Promise<string[]> {
  const { RUNNABLE_NAMES, SELECTOR_NAMES } = await import('../commands/foreach.ts');
  const command = earlier.find(name => RUNNABLE_NAMES.includes(name));
  if (command !== undefined) return argumentCandidates(session, command, [], word);
  const names = session.tasks.all.map(({ comm }) => comm).filter(name => /^\S+$/.test(name));
  return startingWith([...RUNNABLE_NAMES, ...SELECTOR_NAMES, ...names], word);
}

/** What the members of a word are of: `struct.member`, `variable.member`, `((struct name *)address)->member`. */
function rootOf(
  session: Session,
  command: string,
  earlier: readonly string[],
  word: string,
): { readonly root: string; readonly start: CType | undefined } {
  const { types } = session.program;
  const [, cast] = /\((?:struct|union)\s+(\w+)\s*\*\s*\)[^()]*\)->/.exec(`${earlier.join(' ')} ${word}`) ?? [];
  if (cast !== undefined)
    return { root: /^[^.>]*->/.exec(word)?.[0].slice(0, -2) ?? '', start: types.findStruct(cast) };
  const [root] = /[A-Za-z_]\w*/.exec(word) ?? [''];
  const tagged = TYPE_COMMANDS.has(command) ? types.findStruct(root) : undefined;
  return { root, start: tagged ?? variableType(session, root) };
}

/** Members behind the last dot or arrow of a structure or a variable; undefined when the word names none. */
function memberCandidates(
  session: Session,
  command: string,
  earlier: readonly string[],
  word: string,
): string[] | undefined {
  const match = /^(.*?(?:\.|->))([\w,.]*)$/.exec(word);
  if (match === null) return undefined;
  const { root, start } = rootOf(session, command, earlier, word);
  // The path up to the last separator leads to the structure whose members are wanted.
  const path = /^([\s\S]*(?:\.|->|,))(\w*)$/.exec(word);
  if (start === undefined || path === null) return undefined;
  const inner = path[1]!.endsWith(',') ? word.slice(0, word.indexOf('.') + 1) : path[1]!;
  const steps = inner
    .slice(inner.indexOf(root) + root.length)
    .split(/\.|->/)
    .filter(step => step !== '');
  const struct = steps.reduce<StructType | undefined>(
    (type, step) => structBehind(type?.members.find(({ name }) => name === step)?.type),
    structBehind(start),
  );
  return struct === undefined
    ? undefined
    : startingWith(
        memberNames(struct).map(name => path[1]! + name),
        word,
      );
}

/** The structure that a type is, or points to. */
function structBehind(type: CType | undefined): StructType | undefined {
  const bare = type === undefined ? undefined : stripTypedefs(type);
  if (bare instanceof StructType) return bare;
  return bare?.kind === 'pointer' ? structBehind(bare.target) : undefined;
}

/** Members, those of anonymous structures among them. */
function memberNames(struct: StructType, depth = 0): string[] {
  return struct.members.flatMap(({ name, type }) => {
    if (name !== '' || depth > 8) return [name];
    const inner = stripTypedefs(type);
    return inner instanceof StructType ? memberNames(inner, depth + 1) : [];
  });
}

function typeNames(session: Session, word: string): string[] {
  const found = new Set<string>();
  for (const source of session.program.types.all) {
    for (const kind of ['struct', 'union'] as const) {
      for (const name of source.names(kind)) {
        if (name.startsWith(word)) found.add(name);
        if (found.size >= MAX_CANDIDATES) return [...found];
      }
    }
  }
  return [...found];
}

function symbolNames(session: Session, word: string): string[] {
  const { kernel, extra } = session.program.symbols;
  const found = new Set<string>();
  for (const table of [extra, kernel]) {
    for (let index = 0; index < table.count && found.size < MAX_CANDIDATES; index++) {
      const { name } = table.at(index);
      if (name.startsWith(word)) found.add(name);
    }
  }
  return [...found];
}

/** Files of the host whose path begins so; folders end in a slash. */
function files(word: string): string[] {
  const folder = word.endsWith('/') ? word : dirname(word);
  const start = word.endsWith('/') || word === '' ? '' : basename(word);
  try {
    return readdirSync(folder)
      .filter(name => name.startsWith(start))
      .map(name => (word.includes('/') ? join(folder, name) : name))
      .map(path => (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? `${path}/` : path))
      .slice(0, MAX_CANDIDATES);
  } catch (error) {
    // No such folder, or none that may be read: nothing to complete.
    if (error instanceof Error && 'code' in error) return [];
    throw error;
  }
}
