/**
 * The monitor: looks at a machine and controls it, with the names of QEMU's monitor commands.
 *
 * Source: QEMU documentation, title "QEMU Monitor".
 * Not modelled: commands about graphics, networks, migration, block jobs and hot plug.
 */
import { isDumpProblem, parseDumpArguments } from './guest-dump.ts';
import { examinePhysical, examineVirtual, print } from './monitor/examine.ts';
import { info, TOPICS } from './monitor/info.ts';
import { checkKexec } from './monitor/kexec.ts';
import type { MonitorAnswer, MonitorState, MonitorTarget } from './monitor/target.ts';

export type { MonitorAnswer, MonitorTarget } from './monitor/target.ts';

export const PROMPT = '(kdump-lab) ';

/** A line, taken apart. */
interface Call {
  readonly target: MonitorTarget;
  readonly state: MonitorState;
  readonly args: readonly string[];
  /** What stands behind the slash. */
  readonly format: string;
}

interface MonitorCommand {
  readonly synopsis: string;
  readonly help: string;
  run(call: Call): MonitorAnswer;
}

const COMMANDS: Readonly<Record<string, MonitorCommand>> = {
  help: { synopsis: 'help [COMMAND]', help: 'list the commands', run: ({ args }) => listCommands(args[0]) },
  info: {
    synopsis: 'info TOPIC',
    help: `show something of the machine: ${Object.keys(TOPICS).join(', ')}`,
    run: ({ target, state, args }) => info(target, state, args),
  },
  x: {
    synopsis: 'x/FMT ADDRESS',
    help: 'memory at a virtual address (FMT: count, x|d|u|o|c|i, b|h|w|g)',
    run: ({ target, args, format, state }) => examineVirtual(target, args.join(' '), format, state),
  },
  xp: {
    synopsis: 'xp/FMT ADDRESS',
    help: 'memory at a physical address',
    run: ({ target, args, format, state }) => examinePhysical(target, args.join(' '), format, state),
  },
  print: {
    synopsis: 'print/FMT EXPRESSION',
    help: 'a number, an expression of numbers and $registers',
    run: ({ target, args, format, state }) => print(target, args.join(' '), format, state),
  },
  gva2gpa: { synopsis: 'gva2gpa ADDRESS', help: 'physical address behind a virtual one', run: translate },
  cpu: { synopsis: 'cpu N', help: 'choose the CPU that info registers, x and $registers are about', run: chooseCpu },
  stop: { synopsis: 'stop', help: 'pause the machine', run: act(target => target.pause()) },
  cont: { synopsis: 'cont', help: 'go on', run: ({ target }) => resume(target) },
  system_reset: { synopsis: 'system_reset', help: 'reset the machine', run: act(target => target.reset()) },
  system_powerdown: {
    synopsis: 'system_powerdown',
    help: 'press the power key',
    run: act(target => target.powerDown()),
  },
  savevm: { synopsis: 'savevm [NAME]', help: 'take a snapshot in memory; there is one at a time', run: saveSnapshot },
  loadvm: { synopsis: 'loadvm NAME', help: 'go back to the snapshot', run: loadSnapshot },
  delvm: { synopsis: 'delvm NAME', help: 'forget the snapshot', run: deleteSnapshot },
  'dump-guest-memory': {
    synopsis: 'dump-guest-memory [-p] [-d] [-z|-l|-s] [-R] FILE [BEGIN LENGTH]',
    help: 'write the memory to a file: ELF, or kdump-compressed with zlib, lzo, snappy (-R: not flattened; -d: do not wait; -p: map)',
    run: ({ target, args }) => dumpMemory(target, args),
  },
  kexec: {
    synopsis: 'kexec check',
    help: 'what the guest has loaded for its crash, and what is wrong with it (info kexec)',
    run: ({ target, args }) => (args.join(' ') === 'check' ? checkKexec(target) : ['usage: kexec check']),
  },
  quit: { synopsis: 'quit', help: 'end the machine', run: act(target => target.quit()) },
};

const ALIASES: Readonly<Record<string, string>> = { c: 'cont', q: 'quit', s: 'stop', p: 'print', '?': 'help' };

/** QEMU's commands that there is nothing for. */
const REFUSED: Readonly<Record<string, string>> = {
  sendkey: 'there is no keyboard: type into the console (C-a c)',
  screendump: 'there are no graphics',
  device_add: 'devices cannot be plugged while the machine is on',
  device_del: 'devices cannot be plugged while the machine is on',
  migrate: 'machines do not move; savevm takes a snapshot in memory',
};

function act(action: (target: MonitorTarget) => void): MonitorCommand['run'] {
  return ({ target }) => {
    action(target);
    return [];
  };
}

function listCommands(name: string | undefined): string[] {
  const chosen = name === undefined ? Object.values(COMMANDS) : [COMMANDS[ALIASES[name] ?? name]];
  return chosen.map(command =>
    command === undefined ? `unknown command: ${name}` : `${command.synopsis} -- ${command.help}`,
  );
}

const STATES = new WeakMap<MonitorTarget, MonitorState>();

function stateOf(target: MonitorTarget): MonitorState {
  let state = STATES.get(target);
  if (state === undefined) STATES.set(target, (state = { cpu: 0, letter: 'x', size: 4 }));
  return state;
}

/** Runs one line. What the user gets wrong is an answer, not an error. @returns lines to show */
export function runMonitorCommand(target: MonitorTarget, line: string): MonitorAnswer {
  try {
    return runCommand(target, line);
  } catch (error) {
    if (isDumpProblem(error)) return [`Error: ${error.message}`];
    throw error;
  }
}

function runCommand(target: MonitorTarget, line: string): MonitorAnswer {
  const [word = '', ...args] = line.trim().split(/\s+/);
  if (word === '') return [];
  const [name = '', format = ''] = word.split('/', 2);
  const known = ALIASES[name] ?? name;
  if (Object.hasOwn(REFUSED, known)) return [`${known}: ${REFUSED[known]!}`];
  if (!Object.hasOwn(COMMANDS, known)) return [`unknown command: '${name}'`];
  return COMMANDS[known]!.run({ target, state: stateOf(target), args, format });
}

/** The names of commands and topics that a line may go on with, for completion. */
export function completeMonitorLine(line: string): string[] {
  const topic = /^info\s+(\S*)$/.exec(line);
  if (topic !== null) return Object.keys(TOPICS).filter(name => name.startsWith(topic[1]!));
  return /\s/.test(line) ? [] : Object.keys(COMMANDS).filter(name => name.startsWith(line));
}

function resume(target: MonitorTarget): string[] {
  if (target.dumper.isActive) return ['Error: There is a dump in process, please wait.'];
  return target.resume() ? [] : ['Error: Resetting the Virtual Machine is required'];
}

function chooseCpu({ target, state, args }: Call): string[] {
  const cpu = Number(args[0]);
  if (args[0] === undefined || !Number.isInteger(cpu) || cpu < 0 || cpu >= target.machine.cpuCount)
    return ['invalid CPU index'];
  state.cpu = cpu;
  return [];
}

function translate({ target, state, args }: Call): string[] {
  const text = args[0] ?? '';
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) return [`gva2gpa ${text}: not an address`];
  const paddr = target.machine.debug.translate(state.cpu, BigInt.asUintN(64, BigInt(text)));
  return [paddr === undefined ? 'Unmapped' : `gpa: 0x${paddr.toString(16)}`];
}

const DEFAULT_SNAPSHOT = 'snapshot';

function saveSnapshot({ target, args }: Call): string[] {
  target.saveSnapshot(args[0] ?? DEFAULT_SNAPSHOT);
  return target.disks
    .filter(({ option }) => !option.readOnly && !option.snapshot)
    .map(({ option }) => `Warning: ${option.id} will not go back with the machine: start with -snapshot for that`);
}

function loadSnapshot({ target, args }: Call): string[] {
  const name = args[0] ?? DEFAULT_SNAPSHOT;
  return target.loadSnapshot(name) ? [] : [`Error: Snapshot '${name}' does not exist`];
}

function deleteSnapshot({ target, args }: Call): string[] {
  const name = args[0] ?? DEFAULT_SNAPSHOT;
  if (target.snapshot?.name !== name) return [`Error: Snapshot '${name}' does not exist`];
  target.forgetSnapshot();
  return [];
}

/** The machine stands until the dump is written; with -d the monitor does not wait for it. */
async function dumpMemory(target: MonitorTarget, args: readonly string[]): Promise<string[]> {
  try {
    const request = parseDumpArguments(args);
    const dump = target.dumper.dump(request);
    // What goes wrong later is in `info dump`.
    if (request.detach) return await Promise.race([dump.then(asWarnings), Promise.resolve([])]);
    return asWarnings(await dump);
  } catch (error) {
    if (isDumpProblem(error)) return [`Error: ${error.message}`];
    throw error;
  }
}

function asWarnings(warnings: readonly string[]): string[] {
  return warnings.map(warning => `Warning: ${warning}`);
}
