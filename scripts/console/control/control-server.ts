/** Sockets of a machine: QMP for programs, the monitor for people. Several clients may be there at a time. */
import { rmSync, statSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

import { UsageError } from '../../../capture/formats/errors.ts';
import type { ControlOption, SocketAddress } from '../../commands/boot/controls.ts';
import { LineEditor } from '../line-editor.ts';
import { PROMPT, runMonitorCommand } from '../monitor.ts';
import { QmpConnection, type QmpTarget } from './qmp.ts';

/** Listens until it is disposed of. */
export class ControlServer implements Disposable {
  readonly #target: QmpTarget;
  readonly #servers: { readonly server: Server; readonly address: SocketAddress }[] = [];
  readonly #sockets = new Set<Socket>();

  /**
   * Opens all sockets and waits for the clients that options want to wait for.
   * @param givenUp ends the waiting, too
   * @throws UsageError when a socket cannot be opened
   */
  static async open(
    target: QmpTarget,
    options: readonly ControlOption[],
    givenUp?: Promise<void>,
  ): Promise<ControlServer> {
    const control = new ControlServer(target);
    try {
      for (const option of options) await control.#listen(option, givenUp);
    } catch (error) {
      control[Symbol.dispose]();
      throw error;
    }
    return control;
  }

  private constructor(target: QmpTarget) {
    this.#target = target;
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.end();
    for (const { server, address } of this.#servers) {
      server.close();
      if (address.kind === 'unix') rmSync(address.path, { force: true });
    }
  }

  async #listen({ mode, address, wait }: ControlOption, givenUp?: Promise<void>): Promise<void> {
    if (address.kind === 'unix') removeOldSocket(address.path);
    const connected = Promise.withResolvers<void>();
    const server = createServer(socket => {
      this.#accept(socket, mode);
      connected.resolve();
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', cause => reject(new UsageError(`${nameOf(address)}: ${cause.message}`, { cause })));
      if (address.kind === 'unix') server.listen(address.path, resolve);
      else server.listen(address.port, address.host, resolve);
    });
    this.#servers.push({ server, address });
    if (!wait) return;
    process.stderr.write(`kdump-lab: waiting for somebody to connect to ${nameOf(address)}\n`);
    await Promise.race([connected.promise, ...(givenUp === undefined ? [] : [givenUp])]);
  }

  #accept(socket: Socket, mode: ControlOption['mode']): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    const connection =
      mode === 'control'
        ? new QmpConnection(this.#target, text => socket.write(text))
        : new MonitorConnection(this.#target, socket);
    socket.on('data', (bytes: Buffer) => connection.push(bytes.toString('latin1')));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      connection[Symbol.dispose]();
    });
  }
}

/** The monitor on a socket. */
class MonitorConnection implements Disposable {
  readonly #target: QmpTarget;
  readonly #socket: Socket;
  readonly #editor: LineEditor;
  #queue: Promise<void> = Promise.resolve();

  constructor(target: QmpTarget, socket: Socket) {
    this.#target = target;
    this.#socket = socket;
    this.#editor = new LineEditor(text => socket.write(text));
    socket.write(`kdump-lab monitor - type 'help' for the commands\r\n${PROMPT}`);
  }

  push(text: string): void {
    for (const line of this.#editor.push(Buffer.from(text, 'latin1')))
      this.#queue = this.#queue.then(() => this.#run(line));
  }

  async #run(line: string): Promise<void> {
    const lines = await runMonitorCommand(this.#target, line);
    this.#socket.write(`${lines.map(answer => `${answer}\r\n`).join('')}${PROMPT}`);
  }

  [Symbol.dispose](): void {
    // Nothing is kept.
  }
}

/** What an earlier machine left behind; other files are not touched. */
function removeOldSocket(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
}

function nameOf(address: SocketAddress): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
}
