/** `sys`: what machine, what kernel, what state. */
import { DUMP_DH } from '../../capture/formats/diskdump.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { onlineCpus, onlineMask, presentCpus } from '../linux/cpumask.ts';
import { readOr } from '../gaps.ts';
import { dmiFields } from '../linux/dmi.ts';
import type { DmiField } from '../linux/dmi.ts';
import { kernelConfig } from '../linux/ikconfig.ts';
import { presentMemory } from '../linux/mm.ts';
import { panicLine } from '../linux/panic.ts';
import { systemCalls } from '../linux/system-calls.ts';
import type { SystemCall } from '../linux/system-calls.ts';
import { dateText, durationText, uptimeSeconds, wallClockSeconds } from '../linux/timekeeping.ts';
import type { Program } from '../program.ts';
import { bytesText, lines } from '../text/layout.ts';
import { SynopsisError } from './command.ts';
import type { Command } from './command.ts';
import type { Session } from './session.ts';

const LOAD_SHIFT = 11;
const FIXED_ONE = 1 << LOAD_SHIFT;

interface SysData {
  readonly calls?: readonly (SystemCall & { readonly source: string | undefined })[];
  readonly dmi?: readonly DmiField[];
  readonly config?: string;
  readonly tainted?: { readonly mask: string; readonly letters: string };
  readonly rows?: readonly (readonly [label: string, value: string])[];
}

/** `sys`. */
export const sys: Command<SysData> = {
  name: 'sys',
  summary: 'the system: kernel, machine, time, load, panic',
  synopsis: '[-c [name|number]] [-t] [-i] [config]',
  options: [
    { flag: '-c', help: 'the table of system calls: all, those with a name, or one by number' },
    { flag: '-i', help: "the firmware's description of the machine (DMI)" },
    { flag: '-t', help: "the kernel's taint flags, as letters" },
  ],
  description: `Shows which dump and kernel are open, when and for how long the kernel ran, and why it stopped.
\`sys config\` prints the configuration of a kernel that carries it (CONFIG_IKCONFIG).`,
  examples: [
    { line: 'sys', why: 'the first thing to look at in a dump' },
    { line: 'sys -c select', why: 'system calls with "select" in their names' },
    { line: 'sys config | grep KEXEC', why: 'what the kernel was built with' },
  ],
  run(session, args) {
    const { program } = session;
    const [word] = args.positionals;
    if (args.has('-t')) return { tainted: taint(program) };
    if (args.has('-c'))
      return {
        calls: (word === undefined ? [undefined] : args.positionals).flatMap(name => chosenCalls(session, name)),
      };
    if (args.has('-i')) return { dmi: machineFields(program) };
    if (word === 'config') return { config: configText(program) };
    if (word !== undefined) throw new SynopsisError(`unknown argument: ${word}`);
    return { rows: systemRows(session) };
  },
  text({ rows, tainted, calls, dmi, config }) {
    if (tainted !== undefined) return `TAINTED_MASK: ${tainted.mask}  ${tainted.letters}\n`;
    if (calls !== undefined) return callsText(calls);
    if (dmi !== undefined) return lines(dmi.map(({ name, value }) => `${name.padStart(25)}: ${value}`));
    return config ?? lines((rows ?? []).map(([label, value]) => `${label.padStart(12)}: ${value}`));
  },
};

function chosenCalls(session: Session, word: string | undefined): NonNullable<SysData['calls']> {
  const all = systemCalls(session.program);
  const number = word !== undefined && /^(?:0x[\da-f]+|\d+)$/i.test(word) ? Number(word) : undefined;
  const chosen = all.filter(call => (number === undefined ? call.name.includes(word ?? '') : call.number === number));
  if (chosen.length === 0) throw new UsageError(`no such system call: ${word}`);
  const folder = treeOf(session);
  return chosen.map(call => ({ ...call, source: sourceInTree(session, call.address, folder) }));
}

/** Where a function begins; the no-operations that arm64 puts in front for ftrace may be of no line, or of the function before. */
function functionLine(session: Session, address: bigint): string | undefined {
  const PATCHABLE = 8n;
  const line = session.sourceLine(address);
  const isOwn = line !== undefined && line !== session.sourceLine(address - 4n);
  return isOwn || session.program.architecture === 'x86_64' ? line : session.sourceLine(address + PATCHABLE);
}

/** The folder that the kernel was built in, which `schedule` betrays; '' when nothing does. Its first lines may be of a header. */
function treeOf(session: Session): string {
  const start = session.program.symbols.find('schedule') ?? 0n;
  const FIRST_BYTES = Array.from({ length: 64 }, (_, offset) => BigInt(offset));
  const line = FIRST_BYTES.map(offset => session.sourceLine(start + offset)).find(text => text?.includes(SCHEDULER));
  return line?.slice(0, line.indexOf(SCHEDULER)) ?? '';
}

const SCHEDULER = '/kernel/sched/';

/** `../fs/read_write.c: 621`: without the folder that the kernel was built in. */
function sourceInTree(session: Session, address: bigint, folder: string): string | undefined {
  const line = functionLine(session, address);
  return folder !== '' && line?.startsWith(`${folder}/`) === true ? `..${line.slice(folder.length)}` : line;
}

function callsText(calls: NonNullable<SysData['calls']>): string {
  const rows = calls.map(({ number, name, source }) =>
    `${String(number).padStart(3)}  ${name.padEnd(26)} ${source ?? ''}`.trimEnd(),
  );
  return lines(['NUM  SYSTEM CALL                FILE AND LINE NUMBER', ...rows]);
}

function machineFields(program: Program): readonly DmiField[] {
  const fields = dmiFields(program);
  if (fields === undefined) throw new UsageError('dmi_ident does not exist in this kernel');
  return fields;
}

function configText(program: Program): string {
  const text = kernelConfig(program);
  if (text === undefined) throw new UsageError('kernel_config_data does not exist in this kernel');
  return text;
}

function systemRows(session: Session): (readonly [string, string])[] {
  const { program } = session;
  const uts = program
    .object('uts_namespace', program.symbols.find('init_uts_ns') ?? program.vmcoreinfo.symbol('init_uts_ns')!)
    .embedded('name');
  const rows: readonly (readonly [label: string, read: () => string])[] = [
    ['KERNEL', () => `${kernelName(program, uts.string('release'))}${kernelNote(program)}`],
    dumpRow(program),
    ['CPUS', () => cpusText(program)],
    ['DATE', () => wallClockText(program)],
    ['UPTIME', () => durationText(uptimeSeconds(program))],
    ['LOAD AVERAGE', () => loadAverage(program)],
    ['TASKS', () => String(session.tasks.withLost.length)],
    ['NODENAME', () => uts.string('nodename')],
    ['RELEASE', () => uts.string('release')],
    ['VERSION', () => uts.string('version')],
    ['MACHINE', () => `${uts.string('machine')}  (${processorSpeed(program)} Mhz)`],
    ['MEMORY', () => bytesText(presentMemory(program))],
    ['PANIC', () => panicText(program)],
  ];
  return rows.map(([label, read]) => [label, readOr(read, ({ message }) => `(${message})`)]);
}

function wallClockText(program: Program): string {
  const seconds = wallClockSeconds(program);
  return seconds === undefined ? '(unknown)' : dateText(seconds);
}

function panicText(program: Program): string {
  const panic = panicLine(program) ?? '';
  return `"${panic}"${panic.includes('Oops: ') ? ' (check log for details)' : ''}`;
}

function kernelName({ vmlinux }: Program, release: string): string {
  return vmlinux?.source.name ?? `${release}  [symbols and types of the dump]`;
}

/** Livepatches, and any reason to trust the kernel less. */
function kernelNote(program: Program): string {
  const { mask, letters } = taint(program);
  return (letters.includes('K') ? '  [LIVEPATCH]' : '') + (mask === '0' ? '' : '  [TAINTED]');
}

/** A dump, or the parts of a split one below each other; what a reader must know before trusting an absence. */
function dumpRow({ dump }: Program): readonly [label: string, read: () => string] {
  const level = dump.dumpLevel ?? 0;
  const noteOf = (incomplete: boolean, status = 0): string =>
    (level === 0 ? '' : ' [PARTIAL DUMP]') +
    (incomplete ? ' [INCOMPLETE]' : '') +
    ((status & DUMP_DH.EXCLUDED_VMEMMAP) === 0 ? '' : ' [EXCLUDED VMEMMAP]');
  if (dump.diskDumps.length > 1) {
    const parts = dump.diskDumps.map(
      ({ source, header, incomplete }) => `${source.name}${noteOf(incomplete, header.status)}`,
    );
    return ['DUMPFILES', () => parts.join(`\n${' '.repeat(14)}`)];
  }
  const note = noteOf(dump.incomplete, dump.diskDumps[0]?.header.status);
  return ['DUMPFILE', () => `${dump.path}${note === '' ? '' : ` ${note}`}`];
}

/** The CPUs that are there, and how many of them are not online: never, or since the kernel stopped them. */
function cpusText(program: Program): string {
  const ran = onlineCpus(program).length;
  const notes = program.crashRegisters.length;
  const cpus = Math.max(ran, presentCpus(program).length);
  const online = onlineMask(program)?.length ?? ran;
  const offline = cpus - (notes > 0 ? Math.min(online, notes) : online);
  return offline > 0 ? `${cpus} [OFFLINE: ${offline}]` : String(cpus);
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
