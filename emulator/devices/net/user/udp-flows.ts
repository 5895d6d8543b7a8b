/**
 * The guest's UDP, carried on by one socket of the host for each port of the guest.
 *
 * Source: RFC 768 "User Datagram Protocol". A socket that has been silent for a minute is closed.
 */
import { createSocket, type Socket } from 'node:dgram';

import { asBuffer } from '../../../../capture/formats/bytes.ts';
import type { HostEvents } from '../../../memory/device.ts';

/** An address with a port; the address is an unsigned 32-bit number. */
export interface UdpEnd {
  readonly address: number;
  readonly port: number;
}

/** Where a datagram of the guest goes on the host's side. */
export interface HostEnd {
  readonly address: string;
  readonly port: number;
}

const IDLE_MS = 60_000;
/** How long an answer is waited for. */
const ANSWER_MS = 2000;

interface Flow {
  readonly socket: Socket;
  /** The guest's name of whoever answers, by `address:port` of the host's side. */
  readonly names: Map<string, UdpEnd>;
  /** Host time until which an answer is expected. */
  answerUntil: number;
  timer: NodeJS.Timeout;
}

/** All of the guest's flows. */
export class UdpFlows implements Disposable {
  readonly #events: HostEvents;
  readonly #deliver: (from: UdpEnd, to: UdpEnd, payload: Uint8Array) => void;
  readonly #flows = new Map<string, Flow>();

  /** @param deliver takes an answer for the guest */
  constructor(events: HostEvents, deliver: (from: UdpEnd, to: UdpEnd, payload: Uint8Array) => void) {
    this.#events = events;
    this.#deliver = deliver;
  }

  /** Whether an answer may be on its way. */
  get expectsAnswer(): boolean {
    const now = performance.now();
    return this.#flows.values().some(({ answerUntil }) => answerUntil > now);
  }

  /** A datagram of the guest. @param named where the guest thinks that it goes */
  send(from: UdpEnd, named: UdpEnd, to: HostEnd, payload: Uint8Array): void {
    const key = `${from.address}:${from.port}`;
    const flow = this.#flows.get(key) ?? this.#open(key, from);
    flow.names.set(`${to.address}:${to.port}`, named);
    flow.answerUntil = performance.now() + ANSWER_MS;
    flow.timer.refresh();
    flow.socket.send(asBuffer(payload), to.port, to.address, () => {
      // A host that cannot be reached is silence, as on any network.
    });
  }

  [Symbol.dispose](): void {
    for (const key of this.#flows.keys()) this.#close(key);
  }

  #open(key: string, guest: UdpEnd): Flow {
    const socket = createSocket('udp4').unref();
    const timer = setTimeout(() => this.#close(key), IDLE_MS).unref();
    const flow: Flow = { socket, names: new Map(), answerUntil: 0, timer };
    socket.on('error', () => this.#close(key));
    socket.on('message', (payload, { address, port }) => {
      const from = flow.names.get(`${address}:${port}`);
      if (from === undefined) return;
      flow.answerUntil = 0;
      flow.timer.refresh();
      this.#events.post(() => this.#deliver(from, guest, payload));
    });
    this.#flows.set(key, flow);
    return flow;
  }

  #close(key: string): void {
    const flow = this.#flows.get(key);
    this.#flows.delete(key);
    clearTimeout(flow?.timer);
    flow?.socket.close();
  }
}
