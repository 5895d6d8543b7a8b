/** A guest on a network of user space that sends the segments it is told to, and keeps those that it gets. */
import { setTimeout as sleep } from 'node:timers/promises';

import {
  ethernet,
  ETHERTYPE,
  readEthernet,
  readIpv4,
  readTcp,
  TCP,
  tcpPacket,
  type TcpSegment,
} from '../../emulator/devices/net/user/packets.ts';
import type { UserNetwork } from '../../emulator/index.ts';

const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const ROUTER_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const [GUEST, ROUTER] = [0x0a00_020f, 0x0a00_0202];

/** Where the guest's sequence numbers begin: they wrap soon. */
export const GUEST_SEQUENCE = 0xffff_fffe;

/** One connection of the guest, from its port 40000. */
export class TcpGuest {
  /** Segments that came and were not taken yet. */
  readonly received: TcpSegment[] = [];
  readonly #network: UserNetwork;
  readonly #port: number;

  constructor(network: UserNetwork, port: number) {
    this.#network = network;
    this.#port = port;
    network.attach(MAC, frame => this.#receive(frame), { post: event => event(), expect: () => undefined });
  }

  send(segment: Partial<TcpSegment>): void {
    const whole = {
      sourcePort: 40_000,
      destinationPort: this.#port,
      sequence: GUEST_SEQUENCE,
      acknowledgement: 0,
      flags: TCP.ACK,
      window: 0xffff,
      payload: new Uint8Array(0),
      ...segment,
    };
    const packet = tcpPacket({ source: GUEST, destination: ROUTER }, whole);
    this.#network.send(ethernet(ROUTER_MAC, MAC, ETHERTYPE.IPV4, packet));
  }

  /** The next segment that comes. */
  async take(): Promise<TcpSegment> {
    for (let waited = 0; waited < 5000; waited += 5) {
      const segment = this.received.shift();
      if (segment !== undefined) return segment;
      await sleep(5);
    }
    throw new Error('nothing came within 5 s');
  }

  /** Opens the connection. @returns sequence number of the first byte that the host will send */
  async open(options: Partial<TcpSegment> = {}): Promise<number> {
    this.send({ flags: TCP.SYN, ...options });
    const { sequence } = await this.take();
    const acknowledgement = (sequence + 1) >>> 0;
    this.send({ sequence: (GUEST_SEQUENCE + 1) >>> 0, acknowledgement });
    return acknowledgement;
  }

  #receive(frame: Uint8Array): void {
    const segment = readTcp(readIpv4(readEthernet(frame)!.payload)!.payload);
    if (segment !== undefined) this.received.push(segment);
  }
}
