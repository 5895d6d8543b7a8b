/** gdb's commands that are understood, by every spelling that people type. */

/** Canonical name by spelling. */
export const GDB_VERBS: Readonly<Record<string, string>> = {
  p: 'print',
  print: 'print',
  inspect: 'print',
  call: 'print',
  output: 'output',
  printf: 'printf',
  echo: 'echo',
  ptype: 'ptype',
  whatis: 'whatis',
  x: 'x',
  info: 'info',
  i: 'info',
  inf: 'info',
  list: 'list',
  l: 'list',
  set: 'set',
  show: 'show',
  disassemble: 'disassemble',
  bt: 'backtrace',
  backtrace: 'backtrace',
  where: 'backtrace',
};

/** Tells whether a word of a command line is one of gdb's commands, with or without a format: `x/4gx`, `ptype`. */
export function isGdbVerb(word: string): boolean {
  return Object.hasOwn(GDB_VERBS, word.split('/')[0] ?? '');
}
