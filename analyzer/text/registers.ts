/** Saved registers as crash lays them out. */
import type { Program } from '../program.ts';
import type { SavedRegisters } from '../unwind/frames.ts';
import { hex16 } from './layout.ts';

/** A `struct pt_regs`, with the symbol of the exception's address when the kernel was interrupted. */
export function registersText(program: Program, regs: SavedRegisters): string {
  return program.architecture === 'aarch64' ? aarch64Text(program, regs) : x86Text(program, regs);
}

/** The same below a line that says where it is and whose it was. */
export function exceptionFrameText(program: Program, frame: SavedRegisters): string {
  const indent = program.architecture === 'aarch64' ? '' : '  ';
  const mode = frame.user ? 'USER' : 'KERNEL';
  return `${indent}${mode}-MODE EXCEPTION FRAME AT: ${frame.address.toString(16)}\n${registersText(program, frame)}`;
}

function aarch64Text(program: Program, { values, user, inNote, running }: SavedRegisters): string {
  const reg = (name: string): string => hex16(values.get(name) ?? 0n);
  const short = (name: string): string => (values.get(name) ?? 0n).toString(16);
  const named = (label: string, name: string): string => `${label.padStart(7)}: ${reg(name)}`;
  const out: string[] = [];
  if (user) {
    out.push(`${named('PC', 'pc')}   LR: ${reg('x30')}   SP: ${reg('sp')}`);
  } else {
    const where = (name: string): string =>
      `  [${program.symbols.format(values.get(name) ?? 0n) ?? 'unknown or invalid address'}]`;
    out.push(`${named('PC', 'pc')}${where('pc')}`, `${named('LR', 'x30')}${where('x30')}`);
    out.push(`${named('SP', 'sp')}  PSTATE: ${short('pstate').padStart(8, '0')}`);
  }
  const numbers = Array.from({ length: 30 }, (_, index) => 29 - index);
  for (let at = 0; at < numbers.length; at += 3) {
    const row = numbers
      .slice(at, at + 3)
      .map((n, column) => `${`X${n}`.padStart(column === 0 ? 7 : 3)}: ${reg(`x${n}`)}`);
    out.push(row.join('  '));
  }
  const call = inNote ? '  ' : `    ORIG_X0: ${reg('orig_x0')}  SYSCALLNO: ${short('syscallno')}`;
  if (user) out.push(`${call}  PSTATE: ${short('pstate').padStart(8, '0')}`);
  if (running) out.push(' #0 [user space]');
  return `${out.join('\n')}\n`;
}

const X86_ROWS: readonly (readonly string[])[] = [
  ['ip:RIP', 'sp:RSP', 'flags:RFLAGS'],
  ['ax:RAX', 'bx:RBX', 'cx:RCX'],
  ['dx:RDX', 'si:RSI', 'di:RDI'],
  ['bp:RBP', 'r8:R8', 'r9:R9'],
  ['r10:R10', 'r11:R11', 'r12:R12'],
  ['r13:R13', 'r14:R14', 'r15:R15'],
];

function x86Text(program: Program, { values, user, inNote }: SavedRegisters): string {
  const out: string[] = [];
  const ip = values.get('ip') ?? 0n;
  const place = user ? 'user space' : (program.symbols.format(ip) ?? 'unknown or invalid address');
  if (!user || inNote) out.push(`    [exception RIP: ${place}]`);
  for (const row of X86_ROWS) {
    const cells = row.map(cell => {
      const [name, label] = cell.split(':') as [string, string];
      const value = values.get(name) ?? 0n;
      return `${label.padStart(3)}: ${name === 'flags' ? value.toString(16).padStart(8, '0') : hex16(value)}`;
    });
    out.push(`    ${cells.join('  ')}`);
  }
  const segment = (name: string): string => (values.get(name) ?? 0n).toString(16).padStart(4, '0');
  const call = inNote ? '' : `ORIG_RAX: ${hex16(values.get('orig_ax') ?? 0n)}  `;
  out.push(`    ${call}CS: ${segment('cs')}  SS: ${segment('ss')}`);
  return `${out.join('\n')}\n`;
}
