/**
 * Network of user space: a router, a DHCP server and a name server, as with QEMU's `-netdev user`.
 *
 * The guest's connections are carried on by sockets of this process. No rights are needed, and nobody else can see the guest but by what
 * is forwarded.
 *
 * Source: `qemu-system-aarch64(1)`, `-netdev user`. Not modelled: IPv6, TFTP, SMB, echo requests (ping) to others than the router and
 * the name server, multicast.
 */
import { getServers } from 'node:dns';
import { connect, createServer, type Server, type Socket } from 'node:net';

import { UsageError } from '../../../../capture/formats/errors.ts';
import type { HostEvents } from '../../../memory/device.ts';
import type { NetworkBackend } from '../backend.ts';
import { formatIpv4, isInside, maskOf, type Subnet } from './addresses.ts';
import { answerDhcp, DHCP_PORT } from './dhcp.ts';
import {
  ARP,
  arp,
  checksum,
  ethernet,
  ETHERTYPE,
  ipv4,
  type Ipv4Packet,
  PROTOCOL,
  readArp,
  readEthernet,
  readIpv4,
  readTcp,
  readUdp,
  TCP,
  tcpPacket,
  type TcpSegment,
  udpPacket,
} from './packets.ts';
import { TcpFlow } from './tcp-flow.ts';
import { type HostEnd, UdpFlows } from './udp-flows.ts';

/** A port of the host that leads into the guest (`hostfwd=`), or one of the network that leads to the host (`guestfwd=`). */
export interface Forwarding {
  /** Where it is listened: on the host, or in the guest's network. */
  readonly from: HostEnd;
  /** Where it leads. An empty address is the guest's own. */
  readonly to: HostEnd;
}

/** Properties of `-netdev user`. Addresses are unsigned 32-bit numbers. */
export interface UserNetworkOptions {
  readonly subnet: Subnet;
  /** The router, which stands for the host. */
  readonly host: number;
  readonly nameServer: number;
  /** What the guest is given by DHCP. */
  readonly guest: number;
  readonly hostName: string | undefined;
  readonly domainName: string | undefined;
  /** Nothing leads out but what is forwarded. */
  readonly restricted: boolean;
  /** TCP only. */
  readonly hostForwards: readonly Forwarding[];
  readonly guestForwards: readonly Forwarding[];
}

const DEFAULT_BASE = 0x0a00_0200;

/** The network 10.0.2.0/24 as QEMU lays it out; with another one the same last bytes. */
export function userNetworkDefaults(subnet: Subnet = { base: DEFAULT_BASE, mask: maskOf(24) }): UserNetworkOptions {
  return {
    subnet,
    host: subnet.base + 2,
    nameServer: subnet.base + 3,
    guest: subnet.base + 15,
    hostName: undefined,
    domainName: undefined,
    restricted: false,
    hostForwards: [],
    guestForwards: [],
  };
}

const LOOPBACK = '127.0.0.1';
const DNS_PORT = 53;
/** Ports of the router for connections into the guest: RFC 6335, the dynamic ones. */
const FIRST_PORT = 49_152;
const BROADCAST = 0xffff_ffff;
/** Echo request and reply: RFC 792 "Internet Control Message Protocol". */
const ICMP = { ECHO_REPLY: 0, ECHO_REQUEST: 8 } as const;
const ICMP_HEADER = 8;

/** The network. It keeps the process alive only while it has connections or listens. */
export class UserNetwork implements NetworkBackend, Disposable {
  readonly description: string;
  readonly #options: UserNetworkOptions;
  #deliver: (frame: Uint8Array) => void = () => undefined;
  #events: HostEvents = { post: event => event(), expect: () => undefined };
  #udp: UdpFlows | undefined;
  readonly #flows = new Map<string, TcpFlow>();
  readonly #servers: Server[] = [];
  /** The card's, or another one that its driver has given it: as seen in its frames. */
  #guestMac: Uint8Array = new Uint8Array(6);
  #nextPort = FIRST_PORT;
  #frames = 0;

  /** @param name the network's `id` */
  constructor(options: UserNetworkOptions = userNetworkDefaults(), name = 'user') {
    this.#options = options;
    const { subnet, restricted } = options;
    this.description = `${name}: index=0,type=user,net=${formatIpv4(subnet.base)},restrict=${restricted ? 'on' : 'off'}`;
  }

  /** Listens where the host's ports lead into the guest. @throws UsageError when a port is taken */
  async listen(): Promise<void> {
    for (const forwarding of this.#options.hostForwards) {
      const { address, port } = forwarding.from;
      const server = createServer({ allowHalfOpen: true }, socket => this.#enter(socket, forwarding));
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once('error', cause =>
          reject(new UsageError(`hostfwd: cannot listen at ${address}:${port}: ${cause.message}`, { cause })),
        );
        server.listen(port, address, resolve);
      });
    }
  }

  attach(mac: Uint8Array, deliver: (frame: Uint8Array) => void, events: HostEvents): void {
    this.#guestMac = mac;
    this.#deliver = deliver;
    this.#events = events;
    this.#udp = new UdpFlows(events, (from, to, payload) =>
      this.#sendIp(
        udpPacket(
          { source: from.address, destination: to.address },
          { sourcePort: from.port, destinationPort: to.port, payload },
        ),
      ),
    );
    events.expect(() => this.#flows.size > 0 || this.#udp!.expectsAnswer);
  }

  /** Of the guest, so far. */
  get frames(): number {
    return this.#frames;
  }

  send(frame: Uint8Array): void {
    this.#frames++;
    const ethernetFrame = readEthernet(frame);
    if (ethernetFrame === undefined) return;
    this.#guestMac = ethernetFrame.source;
    if (ethernetFrame.type === ETHERTYPE.ARP) this.#answerArp(ethernetFrame.payload);
    const packet = ethernetFrame.type === ETHERTYPE.IPV4 ? readIpv4(ethernetFrame.payload) : undefined;
    if (packet !== undefined) this.#route(packet);
  }

  hangUp(): void {
    for (const flow of this.#flows.values()) flow.abort(false);
    this.#udp?.[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) server.close();
    this.hangUp();
  }

  /** The addresses that answer on the guest's own network. */
  #isHere(address: number): boolean {
    const { host, nameServer, guestForwards } = this.#options;
    return (
      address === host ||
      address === nameServer ||
      guestForwards.some(({ from }) => from.address === formatIpv4(address))
    );
  }

  #answerArp(bytes: Uint8Array): void {
    const request = readArp(bytes);
    if (request?.operation !== ARP.REQUEST || !this.#isHere(request.targetIp)) return;
    const reply = {
      operation: ARP.REPLY,
      senderMac: this.#macOf(request.targetIp),
      senderIp: request.targetIp,
      targetMac: request.senderMac,
      targetIp: request.senderIp,
    };
    this.#deliver(ethernet(request.senderMac, reply.senderMac, ETHERTYPE.ARP, arp(reply)));
  }

  /** As libslirp makes them: a fixed prefix and the IPv4 address. */
  #macOf(address: number): Uint8Array {
    return Uint8Array.of(0x52, 0x55, address >>> 24, (address >>> 16) & 0xff, (address >>> 8) & 0xff, address & 0xff);
  }

  /** All that comes from elsewhere comes by the router. */
  #sendIp(packet: Uint8Array): void {
    this.#deliver(ethernet(this.#guestMac, this.#macOf(this.#options.host), ETHERTYPE.IPV4, packet));
  }

  #route(packet: Ipv4Packet): void {
    switch (packet.protocol) {
      case PROTOCOL.TCP:
        return this.#routeTcp(packet);
      case PROTOCOL.UDP:
        return this.#routeUdp(packet);
      case PROTOCOL.ICMP:
        return this.#answerEcho(packet);
      default:
        return undefined;
    }
  }

  #answerEcho({ source, destination, payload }: Ipv4Packet): void {
    if (payload.length < ICMP_HEADER || payload[0] !== ICMP.ECHO_REQUEST || !this.#isHere(destination)) return;
    const reply = Uint8Array.from(payload);
    reply[0] = ICMP.ECHO_REPLY;
    new DataView(reply.buffer).setUint16(2, 0);
    new DataView(reply.buffer).setUint16(2, checksum(reply));
    this.#sendIp(ipv4({ source: destination, destination: source, protocol: PROTOCOL.ICMP, payload: reply }));
  }

  #routeUdp({ source, destination, payload: bytes }: Ipv4Packet): void {
    const datagram = readUdp(bytes);
    if (datagram === undefined || datagram.destinationPort === 0) return;
    const { sourcePort, destinationPort, payload } = datagram;
    if (destinationPort === DHCP_PORT.SERVER && (destination === BROADCAST || destination === this.#options.host))
      return this.#answerDhcp(payload);
    const to = this.#hostEnd(destination, destinationPort);
    if (to !== undefined)
      this.#udp!.send(
        { address: source, port: sourcePort },
        { address: destination, port: destinationPort },
        to,
        payload,
      );
  }

  #answerDhcp(request: Uint8Array): void {
    const { guest, subnet, host, nameServer, hostName, domainName, restricted } = this.#options;
    const payload = answerDhcp(request, {
      address: guest,
      mask: subnet.mask,
      router: host,
      nameServer: restricted ? undefined : nameServer,
      server: host,
      hostName,
      domainName,
    });
    if (payload === undefined) return;
    const ends = { source: host, destination: BROADCAST };
    this.#sendIp(udpPacket(ends, { sourcePort: DHCP_PORT.SERVER, destinationPort: DHCP_PORT.CLIENT, payload }));
  }

  /** Where an address of the guest's network is for the host; undefined for nowhere. */
  #hostEnd(address: number, port: number): HostEnd | undefined {
    const { host, nameServer, subnet, restricted, guestForwards } = this.#options;
    const text = formatIpv4(address);
    const forward = guestForwards.find(({ from }) => from.address === text && from.port === port);
    if (forward !== undefined) return forward.to;
    if (restricted) return undefined;
    if (address === host) return { address: LOOPBACK, port };
    if (address === nameServer) return port === DNS_PORT ? hostNameServer() : undefined;
    return isInside(address, subnet) || address === BROADCAST ? undefined : { address: text, port };
  }

  #routeTcp({ source, destination, payload }: Ipv4Packet): void {
    const segment = readTcp(payload);
    if (segment === undefined) return;
    const ends = { source: destination, destination: source };
    const key = flowKey(source, segment.sourcePort, destination, segment.destinationPort);
    const flow = this.#flows.get(key);
    if (flow !== undefined) return flow.receive(segment);
    const isRequest = (segment.flags & (TCP.SYN | TCP.ACK | TCP.RST)) === TCP.SYN;
    const to = isRequest ? this.#hostEnd(destination, segment.destinationPort) : undefined;
    if (to === undefined) return this.#refuse(ends, segment);
    const socket = connect({ host: to.address, port: to.port, allowHalfOpen: true, noDelay: true });
    this.#open(key, ends, segment.destinationPort, segment.sourcePort, socket, segment);
  }

  /** A connection from a port of the host into the guest. */
  #enter(socket: Socket, { to }: Forwarding): void {
    const { host, guest } = this.#options;
    const port = this.#nextPort++;
    if (this.#nextPort > 0xffff) this.#nextPort = FIRST_PORT;
    this.#events.post(() => {
      const ends = { source: host, destination: guest };
      this.#open(flowKey(guest, to.port, host, port), ends, port, to.port, socket, undefined);
    });
  }

  #open(
    key: string,
    ends: { readonly source: number; readonly destination: number },
    sourcePort: number,
    destinationPort: number,
    socket: Socket,
    request: TcpSegment | undefined,
  ): void {
    const link = {
      events: this.#events,
      closed: () => this.#flows.delete(key),
      send: (segment: Omit<TcpSegment, 'sourcePort' | 'destinationPort'>) =>
        this.#sendIp(tcpPacket(ends, { ...segment, sourcePort, destinationPort })),
    };
    this.#flows.set(key, new TcpFlow(link, socket, request));
  }

  /** There is no such connection, and none can be. */
  #refuse(ends: { readonly source: number; readonly destination: number }, segment: TcpSegment): void {
    if ((segment.flags & TCP.RST) !== 0) return;
    const isAnswer = (segment.flags & TCP.ACK) !== 0;
    const length = segment.payload.length + ((segment.flags & (TCP.SYN | TCP.FIN)) === 0 ? 0 : 1);
    this.#sendIp(
      tcpPacket(ends, {
        sourcePort: segment.destinationPort,
        destinationPort: segment.sourcePort,
        sequence: isAnswer ? segment.acknowledgement : 0,
        acknowledgement: isAnswer ? 0 : (segment.sequence + length) >>> 0,
        flags: isAnswer ? TCP.RST : TCP.RST | TCP.ACK,
        window: 0,
        payload: new Uint8Array(0),
      }),
    );
  }
}

function flowKey(guest: number, guestPort: number, other: number, otherPort: number): string {
  return `${guest}:${guestPort} ${other}:${otherPort}`;
}

/** The host's own name server. */
function hostNameServer(): HostEnd | undefined {
  const server = getServers().find(address => /^[\d.]+(:\d+)?$/.test(address));
  if (server === undefined) return undefined;
  const [address = '', port = String(DNS_PORT)] = server.split(':');
  return { address, port: Number(port) };
}
