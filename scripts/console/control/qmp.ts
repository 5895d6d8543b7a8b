/**
 * QMP: the machine protocol of QEMU's monitor, JSON objects on a socket.
 *
 * Source: QEMU documentation, titles "QEMU Machine Protocol Specification", "QEMU QMP Reference Manual". Commands that there is
 * something for are modelled; `query-commands` lists them.
 * Not modelled: out-of-band execution, file descriptors, commands about graphics, networks, block jobs, migration and hot plug.
 */
import packageJson from '../../../package.json' with { type: 'json' };
import { FormatError, UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { checkDumpRequest, DUMP_FORMATS, isDumpProblem, parseDumpFormat, type DumpRequest } from '../guest-dump.ts';
import type { MachineEvent, MachineEvents } from '../machine-events.ts';
import { runMonitorCommand } from '../monitor.ts';
import type { MonitorTarget } from '../monitor/target.ts';
import { JsonStream } from './json-stream.ts';

/** A machine that tells what happens to it. */
export interface QmpTarget extends MonitorTarget {
  readonly events: MachineEvents;
}

type Arguments = Readonly<Record<string, unknown>>;
type Answer = object | string;

type PlainType = 'boolean' | 'string' | 'integer';
type ArgumentType = PlainType | `${PlainType}?`;

interface Command {
  /** Types of the arguments by name; those with a question mark may be missing. */
  readonly arguments: Readonly<Record<string, ArgumentType>>;
  run(target: QmpTarget, args: Arguments): Answer | Promise<Answer>;
}

/** The QEMU that our command set is like. */
const VERSION = { qemu: { micro: 0, minor: 2, major: 7 }, package: `kdump-lab ${packageJson.version}` };
const NOTHING = {};

const COMMANDS: Readonly<Record<string, Command>> = {
  'query-version': { arguments: {}, run: () => VERSION },
  'query-commands': { arguments: {}, run: () => [...Object.keys(COMMANDS), CAPABILITIES].map(name => ({ name })) },
  'query-status': {
    arguments: {},
    run: target => ({ running: !target.paused, singlestep: false, status: statusOf(target) }),
  },
  'query-name': { arguments: {}, run: () => NOTHING },
  'query-kvm': { arguments: {}, run: () => ({ enabled: false, present: false }) },
  'query-cpus-fast': { arguments: {}, run: listCpus },
  'query-dump': { arguments: {}, run: target => dumpResult(target) },
  'query-dump-guest-memory-capability': { arguments: {}, run: () => ({ formats: Object.keys(DUMP_FORMATS) }) },
  stop: act(target => target.pause()),
  cont: { arguments: {}, run: resume },
  quit: act(target => target.quit()),
  system_reset: act(target => target.reset()),
  system_powerdown: act(target => target.powerDown()),
  'dump-guest-memory': {
    arguments: {
      paging: 'boolean',
      protocol: 'string',
      detach: 'boolean?',
      begin: 'integer?',
      length: 'integer?',
      format: 'string?',
    },
    run: dumpMemory,
  },
  'human-monitor-command': { arguments: { 'command-line': 'string', 'cpu-index': 'integer?' }, run: runForPeople },
};
const CAPABILITIES = 'qmp_capabilities';

function act(action: (target: QmpTarget) => void): Command {
  return {
    arguments: {},
    run: target => {
      action(target);
      return NOTHING;
    },
  };
}

/** QEMU's word for a machine that stands because it is dumped. */
function statusOf({ dumper, state }: QmpTarget): string {
  return dumper.isActive ? 'save-vm' : state;
}

function listCpus({ machine }: QmpTarget): Answer {
  return Array.from({ length: machine.cpuCount }, (_, index) => ({
    'cpu-index': index,
    'qom-path': `/machine/unattached/device[${index}]`,
    'thread-id': process.pid,
    target: machine.architecture,
  }));
}

function resume(target: QmpTarget): Answer {
  if (target.dumper.isActive) throw new UsageError('There is a dump in process, please wait.');
  if (!target.resume()) throw new UsageError('Resetting the Virtual Machine is required');
  return NOTHING;
}

function dumpResult({ dumper }: QmpTarget): Answer {
  const { status, completed, total } = dumper.progress;
  return { status, completed, total };
}

async function dumpMemory(target: QmpTarget, args: Arguments): Promise<Answer> {
  const request = checkDumpRequest(readDumpRequest(args));
  if (target.dumper.isActive) throw new UsageError('There is a dump in process, please wait.');
  const dump = target.dumper.dump(request);
  const finished = dump.then(
    () => target.events.emit('DUMP_COMPLETED', { result: dumpResult(target) }),
    (error: unknown) => {
      if (!isDumpProblem(error)) throw error;
      target.events.emit('DUMP_COMPLETED', { result: dumpResult(target), error: error.message });
    },
  );
  if (args['detach'] === true) return NOTHING;
  await finished;
  await dump;
  return NOTHING;
}

/** Types are checked already. */
interface DumpArguments {
  readonly paging: boolean;
  readonly protocol: string;
  readonly begin?: number;
  readonly length?: number;
  readonly format?: string;
}

function readDumpRequest(args: Arguments): DumpRequest {
  const { paging, protocol, begin, length, format = 'elf' } = args as unknown as DumpArguments;
  if (!protocol.startsWith('file:')) throw new UnimplementedError(`protocol ${protocol}: only file:PATH is possible`);
  if ((begin === undefined) !== (length === undefined))
    throw new UsageError(`Parameter '${begin === undefined ? 'begin' : 'length'}' is missing`);
  return {
    path: protocol.slice('file:'.length),
    paging,
    format: parseDumpFormat(format),
    range: begin === undefined || length === undefined ? undefined : { start: begin, end: begin + length },
  };
}

async function runForPeople(target: QmpTarget, args: Arguments): Promise<Answer> {
  const lines = await runMonitorCommand(target, args['command-line'] as string);
  return lines.map(line => `${line}\r\n`).join('');
}

/** One client. */
export class QmpConnection implements Disposable {
  readonly #target: QmpTarget;
  readonly #send: (text: string) => void;
  readonly #input = new JsonStream();
  readonly #listener: Disposable;
  /** Commands wait for the one before. */
  #queue: Promise<void> = Promise.resolve();
  #isReady = false;

  /** @param send takes what goes to the client */
  constructor(target: QmpTarget, send: (text: string) => void) {
    this.#target = target;
    this.#send = send;
    this.#listener = target.events.listen(event => this.#tell(event));
    this.#write({ QMP: { version: VERSION, capabilities: [] } });
  }

  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
  }

  /** Takes text of the client. */
  push(text: string): void {
    for (const request of this.#input.push(text)) this.#queue = this.#queue.then(() => this.#handle(request));
  }

  #write(object: unknown): void {
    this.#send(`${JSON.stringify(object)}\r\n`);
  }

  #tell({ event, data }: MachineEvent): void {
    if (!this.#isReady) return;
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
    this.#write({ timestamp, event, ...(data && { data }) });
  }

  async #handle(request: Arguments | FormatError): Promise<void> {
    const id = request instanceof FormatError || request['id'] === undefined ? {} : { id: request['id'] };
    try {
      if (request instanceof FormatError) throw request;
      this.#write({ return: await this.#execute(request), ...id });
    } catch (error) {
      if (!isDumpProblem(error)) throw error;
      const kind = error instanceof UnknownCommandError ? 'CommandNotFound' : 'GenericError';
      this.#write({ error: { class: kind, desc: error.message }, ...id });
    }
  }

  #execute(request: Arguments): Answer | Promise<Answer> {
    const { execute, arguments: args = {}, ...others } = request;
    if (typeof execute !== 'string') throw new UsageError("QMP input lacks member 'execute'");
    const extra = Object.keys(others).find(name => name !== 'id');
    if (extra !== undefined) throw new UsageError(`QMP input member '${extra}' is unexpected`);
    if (typeof args !== 'object' || args === null)
      throw new UsageError("QMP input member 'arguments' must be an object");
    if (!this.#isReady) return this.#negotiate(execute);
    const command = Object.hasOwn(COMMANDS, execute) ? COMMANDS[execute]! : unknownCommand(execute);
    checkArguments(command, args as Arguments);
    return command.run(this.#target, args as Arguments);
  }

  #negotiate(execute: string): Answer {
    if (execute !== CAPABILITIES)
      throw new UnknownCommandError(`Expecting capabilities negotiation with '${CAPABILITIES}'`);
    this.#isReady = true;
    return NOTHING;
  }
}

/** A command that there is not, or not now. */
class UnknownCommandError extends UsageError {}

function unknownCommand(name: string): never {
  throw new UnknownCommandError(
    name === CAPABILITIES
      ? 'Capabilities negotiation is already complete, command ignored'
      : `The command ${name} has not been found`,
  );
}

function checkArguments({ arguments: known }: Command, args: Arguments): void {
  for (const [name, type] of Object.entries(known)) {
    const value = args[name];
    const wanted = type.replace('?', '');
    if (value === undefined && wanted === type) throw new UsageError(`Parameter '${name}' is missing`);
    const isRight =
      wanted === 'integer' ? Number.isSafeInteger(value) && (value as number) >= 0 : typeof value === wanted;
    if (value !== undefined && !isRight)
      throw new UsageError(`Invalid parameter type for '${name}', expected: ${wanted}`);
  }
  const extra = Object.keys(args).find(name => !Object.hasOwn(known, name));
  if (extra !== undefined) throw new UsageError(`Parameter '${extra}' is unexpected`);
}
