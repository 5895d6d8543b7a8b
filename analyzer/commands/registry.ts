/** All commands by name; each file is loaded when one of its commands is first used. */
import type { Command } from './command.ts';

type Loader = () => Promise<Command>;

/** In the order of the alphabet, as `help` lists them. */
export const COMMANDS: Readonly<Record<string, Loader>> = {
  '*': async () => (await import('./struct.ts')).star,
  alias: async () => (await import('./shell-commands.ts')).alias,
  ascii: async () => (await import('./convert.ts')).ascii,
  bt: async () => (await import('./bt.ts')).bt,
  btop: async () => (await import('./convert.ts')).btop,
  bpf: async () => {
    const [{ bpf }, { prepareDisassembler }] = await Promise.all([import('./bpf.ts'), import('../disassembler.ts')]);
    await prepareDisassembler();
    return bpf;
  },
  dev: async () => (await import('./dev.ts')).dev,
  dis: async () => {
    const [{ dis }, { prepareDisassembler }] = await Promise.all([import('./dis.ts'), import('../disassembler.ts')]);
    await prepareDisassembler();
    return dis;
  },
  doctor: async () => (await import('./doctor.ts')).doctor,
  eval: async () => (await import('./convert.ts')).evalCommand,
  exit: async () => (await import('./shell-commands.ts')).exit,
  extend: async () => (await import('./shell-commands.ts')).extend,
  files: async () => (await import('./files.ts')).files,
  foreach: async () => (await import('./foreach.ts')).foreach,
  fuser: async () => (await import('./files.ts')).fuser,
  gdb: async () => {
    const [{ gdb }, { prepareDisassembler }] = await Promise.all([
      import('./gdb/gdb.ts'),
      import('../disassembler.ts'),
    ]);
    await prepareDisassembler();
    return gdb;
  },
  help: async () => (await import('./help.ts')).help,
  ipcs: async () => (await import('./ipcs.ts')).ipcs,
  irq: async () => (await import('./irq.ts')).irq,
  kmem: async () => (await import('./kmem.ts')).kmem,
  list: async () => (await import('./list.ts')).list,
  log: async () => (await import('./log.ts')).log,
  mach: async () => (await import('./mach.ts')).mach,
  mod: async () => (await import('./mod.ts')).mod,
  mount: async () => (await import('./mount.ts')).mount,
  net: async () => (await import('./net.ts')).net,
  p: async () => (await import('./p.ts')).p,
  ps: async () => (await import('./ps.ts')).ps,
  pte: async () => (await import('./vtop.ts')).pte,
  ptob: async () => (await import('./convert.ts')).ptob,
  ptov: async () => (await import('./convert.ts')).ptov,
  q: async () => (await import('./shell-commands.ts')).exit,
  rd: async () => (await import('./rd.ts')).rd,
  report: async () => {
    const [{ report }, { prepareDisassembler }] = await Promise.all([
      import('./report.ts'),
      import('../disassembler.ts'),
    ]);
    await prepareDisassembler();
    return report;
  },
  repeat: async () => (await import('./shell-commands.ts')).repeat,
  runq: async () => (await import('./runq.ts')).runq,
  rustfilt: async () => (await import('./convert.ts')).rustfilt,
  sbitmapq: async () => (await import('./sbitmapq.ts')).sbitmapq,
  search: async () => (await import('./search.ts')).search,
  set: async () => (await import('./set.ts')).set,
  sig: async () => (await import('./sig.ts')).sig,
  struct: async () => (await import('./struct.ts')).struct,
  swap: async () => (await import('./swap.ts')).swap,
  sym: async () => (await import('./sym.ts')).sym,
  sys: async () => (await import('./sys.ts')).sys,
  task: async () => (await import('./task.ts')).task,
  timer: async () => (await import('./timer.ts')).timer,
  tree: async () => (await import('./tree.ts')).tree,
  union: async () => (await import('./struct.ts')).union,
  vm: async () => (await import('./vm.ts')).vm,
  vtop: async () => (await import('./vtop.ts')).vtop,
  waitq: async () => (await import('./waitq.ts')).waitq,
  whatis: async () => (await import('./whatis.ts')).whatis,
  wr: async () => (await import('./wr.ts')).wr,
};

const extensions = new Map<string, Command>();

/** Adds a command that a module loaded with `extend` brings. */
export function registerCommand(command: Command): void {
  extensions.set(command.name, command);
}

/** Removes such a command. Returns whether it was there. */
export function unregisterCommand(name: string): boolean {
  return extensions.delete(name);
}

/** Names of the commands that `extend` brought. */
export function extensionNames(): string[] {
  return [...extensions.keys()];
}

/** Loads a command, or returns undefined for an unknown name. */
export async function loadCommand(name: string): Promise<Command | undefined> {
  return extensions.get(name) ?? (Object.hasOwn(COMMANDS, name) ? COMMANDS[name]!() : undefined);
}
