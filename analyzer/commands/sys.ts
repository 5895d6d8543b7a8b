/** `sys`: what machine, what kernel, what state. */
import { onlineCpus } from '../linux/cpumask.ts';
import { presentMemory } from '../linux/mm.ts';
import { panicMessage } from '../linux/panic.ts';
import { dateText, durationText, uptimeSeconds, wallClockSeconds } from '../linux/timekeeping.ts';
import type { Program } from '../program.ts';
import { bytesText, lines } from '../text/layout.ts';
import type { Command } from './command.ts';

const LOAD_SHIFT = 11;
const FIXED_ONE = 1 << LOAD_SHIFT;

interface SysData {
  readonly tainted?: { readonly mask: string; readonly letters: string };
  readonly rows?: readonly (readonly [label: string, value: string])[];
}

/** `sys`. */
export const sys: Command<SysData> = {
  name: 'sys',
  summary: 'the system: kernel, machine, time, load, panic',
  synopsis: '[-t]',
  options: [{ flag: '-t', help: "the kernel's taint flags, as letters" }],
  description: 'Shows which dump and kernel are open, when and for how long the kernel ran, and why it stopped.',
  examples: [{ line: 'sys', why: 'the first thing to look at in a dump' }],
  run(session, args) {
    if (args.has('-t')) return { tainted: taint(session.program) };
    return { rows: systemRows(session) };
  },
  text({ rows, tainted }) {
    if (tainted !== undefined) return `TAINTED_MASK: ${tainted.mask}  ${tainted.letters}\n`;
    return lines((rows ?? []).map(([label, value]) => `${label.padStart(12)}: ${value}`));
  },
};

function systemRows(session: Parameters<typeof sys.run>[0]): (readonly [string, string])[] {
  const { program } = session;
  const uts = program
    .object('uts_namespace', program.symbols.find('init_uts_ns') ?? program.vmcoreinfo.symbol('init_uts_ns')!)
    .embedded('name');
  const seconds = wallClockSeconds(program);
  const panic = panicMessage(program);
  return [
    ['KERNEL', program.vmlinux?.source.name ?? `${uts.string('release')}  [symbols and types of the dump]`],
    ['DUMPFILE', `${program.dump.path}${dumpNote(program)}`],
    ['CPUS', cpusText(program)],
    ['DATE', seconds === undefined ? '(unknown)' : dateText(seconds)],
    ['UPTIME', durationText(uptimeSeconds(program))],
    ['LOAD AVERAGE', loadAverage(program)],
    ['TASKS', String(session.tasks.all.length)],
    ['NODENAME', uts.string('nodename')],
    ['RELEASE', uts.string('release')],
    ['VERSION', uts.string('version')],
    ['MACHINE', `${uts.string('machine')}  (${processorSpeed(program)} Mhz)`],
    ['MEMORY', bytesText(presentMemory(program))],
    ['PANIC', panic === undefined ? '""' : `"${panic}"`],
  ];
}

/** What a reader must know before trusting an absence. */
function dumpNote(program: Program): string {
  if (program.dump.incomplete) return '  [INCOMPLETE]';
  return (program.dump.dumpLevel ?? 0) === 0 ? '' : '  [PARTIAL DUMP]';
}

function cpusText(program: Program): string {
  const online = onlineCpus(program).length;
  const notes = program.crashRegisters.length;
  return notes > 0 && notes < online ? `${online} [OFFLINE: ${online - notes}]` : String(online);
}

/** `avenrun[]`: fixed point with 11 fractional bits. */
function loadAverage(program: Program): string {
  const table = program.symbols.find('avenrun');
  if (table === undefined) return '(unknown)';
  const rounding = FIXED_ONE / 200;
  const loads = [0, 8, 16].map(offset => Number(program.memory.readU64(table + BigInt(offset))) + rounding);
  const text = (load: number): string => {
    const fraction = Math.floor(((load % FIXED_ONE) * 100) / FIXED_ONE);
    return `${Math.floor(load / FIXED_ONE)}.${String(fraction).padStart(2, '0')}`;
  };
  return loads.map(text).join(', ');
}

/** MHz of x86's `cpu_khz`; arm64 kernels do not know. */
export function processorSpeed(program: Program): string {
  const address = program.architecture === 'x86_64' ? program.symbols.find('cpu_khz') : undefined;
  return address === undefined ? 'unknown' : String(Math.floor(program.memory.readU32(address) / 1000));
}

/** `taint_flags[]`'s letters in order of bits; `kernel/panic.c` (v6.12). */
const TAINT_LETTERS = 'PFSRMBUDAWCIOELKXTNJ';

function taint(program: Program): { mask: string; letters: string } {
  const address = program.symbols.find('tainted_mask');
  const mask = address === undefined ? 0n : program.memory.readU64(address);
  const letters = Array.from(TAINT_LETTERS, (letter, bit) => (((mask >> BigInt(bit)) & 1n) === 1n ? letter : '')).join(
    '',
  );
  return { mask: mask.toString(16), letters };
}
