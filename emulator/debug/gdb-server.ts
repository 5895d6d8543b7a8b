/** gdb's remote protocol on a TCP port: one debugger at a time; while it is there it decides whether the machine runs. */
import { createServer, type Server, type Socket } from 'node:net';

import { UsageError } from '../../capture/formats/errors.ts';
import type { WatchedRange } from '../cpu/execute/watchpoints.ts';
import { framePacket, GdbPacketReader, type GdbInput } from './gdb-packets.ts';
import { GdbStub, type GdbTarget } from './gdb-stub.ts';

/** Waits for debuggers until it is disposed of. */
export class GdbServer implements Disposable {
  readonly #target: GdbTarget;
  readonly #server: Server;
  #session: GdbSession | undefined;

  /** @throws UsageError when the port is taken */
  static async listen(target: GdbTarget, port: number): Promise<GdbServer> {
    const gdb = new GdbServer(target);
    await new Promise<void>((resolve, reject) => {
      gdb.#server.once('error', cause => {
        reject(new UsageError(`the gdb server cannot have port ${port}: ${cause.message}`, { cause }));
      });
      gdb.#server.listen(port, '127.0.0.1', resolve);
    });
    return gdb;
  }

  private constructor(target: GdbTarget) {
    this.#target = target;
    this.#server = createServer(socket => this.#accept(socket));
  }

  /** TCP port. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The machine has stopped by itself. */
  stopped(signal: number, cpu: number): void {
    this.#session?.stub.stopped(signal, cpu);
  }

  /** A CPU is about to access watched bytes. */
  watched(cpu: number, range: WatchedRange): void {
    this.#session?.stub.watched(cpu, range);
  }

  /** The machine is gone. */
  exited(status: number): void {
    this.#session?.stub.exited(status);
  }

  [Symbol.dispose](): void {
    this.#session?.socket.end();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    if (this.#session !== undefined) {
      socket.destroy();
      return;
    }
    const session = new GdbSession(this.#target, socket);
    this.#session = session;
    this.#target.pause();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#session = undefined;
      session.stub.close();
      this.#target.resume();
    });
  }
}

/** One connection. */
class GdbSession {
  readonly socket: Socket;
  readonly stub: GdbStub;
  readonly #reader = new GdbPacketReader();
  #last: Uint8Array = new Uint8Array(0);

  constructor(target: GdbTarget, socket: Socket) {
    this.socket = socket;
    this.stub = new GdbStub(target, text => this.#send(text));
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      for (const input of this.#reader.push(bytes)) this.#handle(input);
    });
  }

  #handle(input: GdbInput): void {
    switch (input.kind) {
      case 'packet':
        if (!this.stub.trustsTransport) this.socket.write('+');
        this.stub.handle(input.data);
        break;
      case 'damaged':
        if (!this.stub.trustsTransport) this.socket.write('-');
        break;
      case 'resend':
        this.socket.write(this.#last);
        break;
      default:
        this.stub.interrupt();
    }
  }

  #send(text: string): void {
    this.#last = framePacket(Buffer.from(text, 'latin1'));
    this.socket.write(this.#last);
  }
}
