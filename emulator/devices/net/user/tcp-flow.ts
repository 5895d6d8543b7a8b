/**
 * One TCP connection of the guest, ended here and carried on by a socket of the host.
 *
 * Source: RFC 9293 "Transmission Control Protocol", RFC 7323 "TCP Extensions for High Performance" (window scale). The wire between guest and
 * here loses nothing, so only what the guest itself drops is sent again: there is no congestion control, and no reassembly of what
 * comes out of order.
 */
import type { Socket } from 'node:net';

import { asBuffer } from '../../../../capture/formats/bytes.ts';
import type { HostEvents } from '../../../memory/device.ts';
import { TCP, type TcpSegment } from './packets.ts';

/** Payload of a segment to the guest, if it takes as much: Ethernet's 1,500 bytes less both headers. */
const SEGMENT_BYTES = 1460;
/** What a peer takes that names no size. */
const DEFAULT_SEGMENT_BYTES = 536;
/** What waits for the host at most before the guest has to wait. */
const RECEIVE_ROOM = 1024 * 1024;
/** So that the room above can be said in 16 bits. */
const WINDOW_SCALE = 5;
/** What waits for the guest at most before the host has to wait. */
const SEND_ROOM = 256 * 1024;
/** Host milliseconds without an acknowledgement, after which all is sent again. */
const RESEND_MS = 1000;
const DUPLICATES_TO_RESEND = 3;
/** Where sequence numbers begin. */
const FIRST_SEQUENCE = 0x1000_0000;

/** How far a flow is. `accepting`: the host connects, for the guest; `answering`: the guest is to take up what was agreed to. */
type State = 'accepting' | 'answering' | 'calling' | 'open' | 'gone';

/** What a flow needs of the network. */
export interface TcpLink {
  /** Sends a segment to the guest; the network knows the ends. */
  send(segment: Omit<TcpSegment, 'sourcePort' | 'destinationPort'>): void;
  /** The flow is over. */
  closed(): void;
  readonly events: HostEvents;
}

const NOTHING = new Uint8Array(0);

/** A connection. Sequence numbers are unsigned 32-bit numbers that wrap. */
export class TcpFlow {
  readonly #link: TcpLink;
  readonly #socket: Socket;
  #state: State;
  /** The next byte that is expected of the guest. */
  #expected = 0;
  /** The first byte that the guest has not acknowledged, and the next one to send. */
  #unacknowledged = FIRST_SEQUENCE;
  #next = FIRST_SEQUENCE;
  /** From the first byte that is not acknowledged on. */
  #outgoing: Buffer = Buffer.alloc(0);
  #segmentBytes = DEFAULT_SEGMENT_BYTES;
  #guestWindow = 0;
  #guestScale = 0;
  /** How this side's windows are scaled: not at all unless both do it. */
  #scale = 0;
  /** Window at the last segment, in bytes. */
  #offered = 0;
  #duplicates = 0;
  #guestEnded = false;
  #hostEnded = false;
  #finSent = false;
  /** The guest has acknowledged the FIN. */
  #finTaken = false;
  #resend: NodeJS.Timeout | undefined;

  /**
   * @param socket of the host: connecting, for a connection that the guest opens; connected, for one into the guest
   * @param request the guest's SYN; undefined for a connection into the guest
   */
  constructor(link: TcpLink, socket: Socket, request: TcpSegment | undefined) {
    this.#link = link;
    this.#socket = socket;
    this.#state = request === undefined ? 'calling' : 'accepting';
    if (request === undefined) this.#call();
    else this.#learn(request);
    this.#listen(socket);
  }

  /** A segment of the guest. */
  receive(segment: TcpSegment): void {
    const { flags } = segment;
    if ((flags & TCP.RST) !== 0) return this.abort(false);
    if (this.#state === 'calling') return this.#beAnswered(segment);
    if ((flags & TCP.SYN) !== 0) {
      if (this.#state === 'answering') this.#answer();
      return undefined;
    }
    if (this.#state === 'accepting' || (flags & TCP.ACK) === 0) return undefined;
    this.#takeAcknowledgement(segment);
    this.#takePayload(segment);
    this.#send();
    this.#endIfDone();
    return undefined;
  }

  /** Ends the connection at once. @param tell whether to tell the guest */
  abort(tell: boolean): void {
    if (this.#state === 'gone') return;
    if (tell) this.#sendSegment(this.#state === 'calling' ? TCP.RST : TCP.RST | TCP.ACK);
    this.#finish();
    this.#socket.resetAndDestroy();
  }

  #listen(socket: Socket): void {
    const { events } = this.#link;
    const alive = (event: () => void) => (): void => events.post(() => this.#state !== 'gone' && event());
    socket.on(
      'connect',
      alive(() => this.#answer()),
    );
    socket.on('data', (data: Buffer) => alive(() => this.#queue(data))());
    socket.on(
      'end',
      alive(() => this.#endOfHost()),
    );
    socket.on(
      'drain',
      alive(() => this.#reopenWindow()),
    );
    // A port where nobody listens, a peer that went away.
    socket.on(
      'error',
      alive(() => this.abort(true)),
    );
  }

  /** The host has connected: the guest's request is agreed to. */
  #answer(): void {
    this.#state = 'answering';
    this.#next = FIRST_SEQUENCE;
    this.#sendSegment(TCP.SYN | TCP.ACK);
    this.#next = FIRST_SEQUENCE + 1;
  }

  #call(): void {
    this.#sendSegment(TCP.SYN);
    this.#next = FIRST_SEQUENCE + 1;
    this.#armResend();
  }

  #beAnswered(segment: TcpSegment): void {
    const agrees = (segment.flags & (TCP.SYN | TCP.ACK)) === (TCP.SYN | TCP.ACK);
    if (!agrees || segment.acknowledgement !== this.#next) return;
    this.#learn(segment);
    this.#unacknowledged = this.#next;
    this.#state = 'open';
    this.#sendSegment(TCP.ACK);
    this.#send();
  }

  /** What the guest's SYN says. */
  #learn({ sequence, mss, window, windowScale }: TcpSegment): void {
    this.#expected = (sequence + 1) >>> 0;
    this.#segmentBytes = Math.max(1, Math.min(mss ?? DEFAULT_SEGMENT_BYTES, SEGMENT_BYTES));
    this.#guestWindow = window;
    this.#guestScale = windowScale ?? 0;
    this.#scale = windowScale === undefined ? 0 : WINDOW_SCALE;
  }

  #takeAcknowledgement({ acknowledgement, window, payload, flags }: TcpSegment): void {
    const newWindow = window * 2 ** this.#guestScale;
    const taken = distance(this.#unacknowledged, acknowledgement);
    const isDuplicate =
      taken === 0 && payload.length === 0 && newWindow === this.#guestWindow && (flags & TCP.FIN) === 0;
    this.#guestWindow = newWindow;
    if (taken > 0 && taken <= distance(this.#unacknowledged, this.#furthest)) this.#drop(acknowledgement, taken);
    else if (isDuplicate && this.#next !== this.#unacknowledged && ++this.#duplicates === DUPLICATES_TO_RESEND)
      this.#goBack();
  }

  /** The end of all that was ever sent, also when it is sent again. */
  get #furthest(): number {
    const syn = this.#state === 'answering' ? 1 : 0;
    return (this.#unacknowledged + syn + this.#outgoing.length + (this.#finSent ? 1 : 0)) >>> 0;
  }

  #drop(acknowledgement: number, taken: number): void {
    this.#duplicates = 0;
    const syn = this.#state === 'answering' ? 1 : 0;
    if (this.#state === 'answering') this.#state = 'open';
    this.#finTaken = taken - syn > this.#outgoing.length;
    this.#outgoing = this.#outgoing.subarray(taken - syn);
    this.#unacknowledged = acknowledgement;
    if (distance(this.#next, acknowledgement) > 0) this.#next = acknowledgement;
    clearTimeout(this.#resend);
    this.#resend = undefined;
    if (this.#outgoing.length < SEND_ROOM && this.#socket.isPaused()) this.#socket.resume();
  }

  #takePayload({ sequence, payload, flags }: TcpSegment): void {
    const skipped = distance(sequence, this.#expected);
    const isEmpty = payload.length === 0 && (flags & TCP.FIN) === 0;
    // A keep-alive has no payload and a byte that is known.
    if (isEmpty && skipped === 0) return;
    if (skipped < 0 || skipped > payload.length || this.#guestEnded) return this.#sendSegment(TCP.ACK);
    const fresh = payload.subarray(skipped);
    if (fresh.length > 0) this.#socket.write(asBuffer(fresh));
    this.#expected = (this.#expected + fresh.length) >>> 0;
    if ((flags & TCP.FIN) !== 0) {
      this.#expected = (this.#expected + 1) >>> 0;
      this.#guestEnded = true;
      this.#socket.end();
    }
    this.#sendSegment(TCP.ACK);
  }

  #queue(data: Buffer): void {
    this.#outgoing = Buffer.concat([this.#outgoing, data]);
    if (this.#outgoing.length >= SEND_ROOM) this.#socket.pause();
    this.#send();
  }

  #endOfHost(): void {
    this.#hostEnded = true;
    this.#send();
    this.#endIfDone();
  }

  #reopenWindow(): void {
    if (this.#state === 'open' && this.#offered < RECEIVE_ROOM / 2) this.#sendSegment(TCP.ACK);
  }

  /** Sends what the guest has room for. */
  #send(): void {
    if (this.#state !== 'open') return;
    for (;;) {
      const sent = distance(this.#unacknowledged, this.#next);
      const room = Math.min(this.#segmentBytes, this.#guestWindow - sent);
      const payload = this.#outgoing.subarray(sent, sent + Math.max(0, room));
      if (payload.length === 0) break;
      this.#sendSegment(TCP.ACK | TCP.PSH, payload);
      this.#next = (this.#next + payload.length) >>> 0;
    }
    const isAllSent = distance(this.#unacknowledged, this.#next) === this.#outgoing.length;
    if (this.#hostEnded && isAllSent && !this.#finTaken) {
      this.#sendSegment(TCP.ACK | TCP.FIN);
      this.#finSent = true;
      this.#next = (this.#next + 1) >>> 0;
    }
    if (this.#next !== this.#unacknowledged) this.#armResend();
  }

  #armResend(): void {
    this.#resend ??= setTimeout(() => {
      this.#link.events.post(() => {
        this.#resend = undefined;
        if (this.#state === 'calling') this.#call();
        else if (this.#state === 'open' && this.#next !== this.#unacknowledged) this.#goBack();
      });
    }, RESEND_MS).unref();
  }

  #goBack(): void {
    this.#duplicates = 0;
    this.#next = this.#unacknowledged;
    this.#send();
  }

  #endIfDone(): void {
    if (this.#guestEnded && this.#finTaken) this.#finish();
  }

  #finish(): void {
    this.#state = 'gone';
    clearTimeout(this.#resend);
    this.#link.closed();
  }

  #sendSegment(flags: number, payload: Uint8Array = NOTHING): void {
    const isSyn = (flags & TCP.SYN) !== 0;
    const room = Math.max(0, RECEIVE_ROOM - this.#socket.writableLength);
    // Windows of segments with SYN are never scaled.
    const window = Math.min(0xffff, isSyn ? room : room >> this.#scale);
    this.#offered = isSyn ? window : window << this.#scale;
    const announcesScale = isSyn && (this.#state === 'calling' || this.#scale > 0);
    if (this.#state === 'calling') this.#scale = WINDOW_SCALE;
    this.#link.send({
      sequence: this.#next,
      acknowledgement: (flags & TCP.ACK) === 0 ? 0 : this.#expected,
      flags,
      window,
      ...(isSyn && { mss: SEGMENT_BYTES }),
      ...(announcesScale && { windowScale: WINDOW_SCALE }),
      payload,
    });
  }
}

/** How far `to` is behind `from` in the sequence; negative when it is before. */
function distance(from: number, to: number): number {
  return (to - from) | 0;
}
