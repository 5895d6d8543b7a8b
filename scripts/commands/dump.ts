/**
 * `kdump-lab dump`: dumps a machine that runs with a control socket, like `virsh dump --memory-only`. Works with QEMU's sockets, too.
 *
 * Source: virsh(1) "dump"; QEMU documentation, title "QEMU Machine Protocol Specification".
 */
import { createConnection, type Socket } from 'node:net';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { Command, Option } from 'commander';

import { UsageError } from '../../capture/formats/errors.ts';
import { JsonStream } from '../console/control/json-stream.ts';

/** Formats as virsh names them. */
const FORMATS = ['elf', 'kdump-zlib', 'kdump-lzo', 'kdump-snappy'] as const;
const POLL_MS = 200;

interface DumpOptions {
  readonly socket: string;
  readonly format: (typeof FORMATS)[number];
  readonly live?: boolean;
  readonly crash?: boolean;
  readonly reset?: boolean;
  readonly verbose?: boolean;
  readonly flattened?: boolean;
}

const DUMP_HELP = `
The machine stands while its memory is written, and goes on afterwards; a machine that was stopped stays so. FILE is written by the
machine's own process.

Examples:
  kdump-lab boot -M virt -m 512 -kernel Image -qmp unix:qmp.sock,server=on,wait=off ...
  kdump-lab dump --socket qmp.sock memory.elf
  kdump-lab dump --socket qmp.sock --format kdump-lzo --crash vmcore`;

/** The `dump` command. */
export function dumpCommand(): Command {
  return new Command('dump')
    .description('dump the memory of a machine that runs with -qmp, like virsh dump')
    .argument('<file>', 'where the dump goes')
    .requiredOption('--socket <path>', "the machine's QMP socket: a path, or HOST:PORT")
    .addOption(new Option('--format <format>', 'format of the dump').choices(FORMATS).default('elf'))
    .addOption(new Option('--live', 'let the machine go on afterwards (it does anyway)').conflicts(['crash', 'reset']))
    .addOption(new Option('--crash', 'end the machine afterwards').conflicts('reset'))
    .option('--reset', 'reset the machine afterwards')
    .option('--verbose', 'show progress')
    .option('--flattened', 'write kdump-compressed formats flattened, as QEMU does')
    .option('--memory-only', 'for virsh: only memory is ever dumped')
    .option('--bypass-cache', 'for virsh: without effect')
    .addHelpText('after', DUMP_HELP)
    .action(async (file: string, options: DumpOptions) => dumpOverSocket(resolve(file), options));
}

async function dumpOverSocket(path: string, options: DumpOptions): Promise<void> {
  if (!existsSync(dirname(path))) throw new UsageError(`${path}: there is no such folder`);
  using client = await QmpClient.connect(options.socket);
  const format = await chooseFormat(client, options);
  const finished = client.nextEvent('DUMP_COMPLETED');
  await client.ask('dump-guest-memory', { paging: false, protocol: `file:${path}`, detach: true, format });
  await waitForEnd(client, finished, options.verbose === true);
  process.stderr.write(`kdump-lab: the machine is dumped to ${path}\n`);
  if (options.crash === true) await client.ask('quit');
  if (options.reset === true) await client.ask('system_reset');
}

/** Formats that can be read without rearranging come first, where the machine has them. */
async function chooseFormat(client: QmpClient, { format, flattened }: DumpOptions): Promise<string> {
  const { formats } = (await client.ask('query-dump-guest-memory-capability')) as { formats: readonly string[] };
  const raw = format.replace('kdump-', 'kdump-raw-');
  if (flattened !== true && formats.includes(raw)) return raw;
  if (formats.includes(format)) return format;
  throw new UsageError(`--format ${format}: the machine has ${formats.join(', ')}`);
}

interface DumpStatus {
  readonly status: 'none' | 'active' | 'completed' | 'failed';
  readonly completed: number;
  readonly total: number;
}

async function waitForEnd(client: QmpClient, finished: Promise<QmpMessage>, verbose: boolean): Promise<void> {
  let asked = Promise.resolve();
  const progress = verbose ? setInterval(() => (asked = showProgress(client)), POLL_MS) : undefined;
  try {
    const { result, error } = (await finished).data as { result: DumpStatus; error?: string };
    clearInterval(progress);
    await asked;
    if (result.status !== 'completed')
      throw new UsageError(`the dump failed${error === undefined ? '' : `: ${error}`}`);
  } finally {
    clearInterval(progress);
    if (verbose) process.stderr.write('\n');
  }
}

async function showProgress(client: QmpClient): Promise<void> {
  const { completed, total } = (await client.ask('query-dump')) as DumpStatus;
  process.stderr.write(`\rDump: [${total === 0 ? 0 : Math.floor((100 * completed) / total)} %]`);
}

/** A message of a machine: greeting, answer or event. */
interface QmpMessage {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly data?: unknown;
}

/** A client of QMP that asks one thing after the other. */
export class QmpClient implements Disposable {
  readonly #socket: Socket;
  readonly #stream = new JsonStream();
  readonly #waiting: {
    readonly wants: (message: QmpMessage) => boolean;
    readonly give: (message: QmpMessage) => void;
  }[] = [];
  #failure: Error | undefined;
  #fail: (error: Error) => void = () => undefined;

  /** @throws UsageError when nobody answers, or not with QMP */
  static async connect(address: string): Promise<QmpClient> {
    const [, host, port] = /^([^/]+):(\d+)$/.exec(address) ?? [];
    const socket = createConnection(port === undefined ? { path: address } : { host: host!, port: Number(port) });
    const client = new QmpClient(socket, address);
    await client.#next(message => 'QMP' in message);
    await client.ask('qmp_capabilities');
    return client;
  }

  private constructor(socket: Socket, address: string) {
    this.#socket = socket;
    const fail = (reason: string): void => {
      this.#failure ??= new UsageError(`${address}: ${reason}`);
      this.#fail(this.#failure);
    };
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      for (const message of this.#stream.push(text)) {
        if (message instanceof Error) fail('this is not QMP: give the socket of -qmp');
        else this.#take(message);
      }
    });
    socket.on('error', error => fail(error.message));
    socket.on('close', () => fail('the machine has closed the connection'));
  }

  [Symbol.dispose](): void {
    this.#socket.removeAllListeners('close');
    this.#socket.end();
  }

  /** @returns what the machine returns @throws UsageError when it says that it cannot */
  async ask(execute: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    const answer = this.#next(message => 'return' in message || 'error' in message);
    this.#socket.write(`${JSON.stringify({ execute, ...(args && { arguments: args }) })}\r\n`);
    const { return: result, error } = await answer;
    if (error !== undefined) throw new UsageError(error.desc);
    return result;
  }

  nextEvent(name: string): Promise<QmpMessage> {
    return this.#next(({ event }) => event === name);
  }

  #take(message: QmpMessage): void {
    const index = this.#waiting.findIndex(({ wants }) => wants(message));
    if (index !== -1) this.#waiting.splice(index, 1)[0]!.give(message);
  }

  #next(wants: (message: QmpMessage) => boolean): Promise<QmpMessage> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const failed = this.#fail;
    const found = new Promise<QmpMessage>((give, reject) => {
      this.#waiting.push({ wants, give });
      this.#fail = error => {
        reject(error);
        failed(error);
      };
    });
    // A wait that was given up must not end the program.
    found.catch(() => undefined);
    return found;
  }
}
