/** All commands by name; each is loaded when it is first used. */
import type { Command } from './command.ts';

type Loader = () => Promise<Command>;

/** In the order of `help`. */
export const COMMANDS: Readonly<Record<string, Loader>> = {
  bt: async () => (await import('./bt.ts')).bt,
  log: async () => (await import('./log.ts')).log,
  ps: async () => (await import('./ps.ts')).ps,
  rd: async () => (await import('./rd.ts')).rd,
  struct: async () => (await import('./struct.ts')).struct,
  sym: async () => (await import('./sym.ts')).sym,
  sys: async () => (await import('./sys.ts')).sys,
  union: async () => (await import('./struct.ts')).union,
};

/** Loads a command, or returns undefined for an unknown name. */
export async function loadCommand(name: string): Promise<Command | undefined> {
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name]!() : undefined;
}
