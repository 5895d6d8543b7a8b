/**
 * Reading and building what goes over the wire.
 *
 * Sources: RFC 791 "Internet Protocol", RFC 768 "User Datagram Protocol", RFC 9293 "Transmission Control Protocol", RFC 1071 "Computing the
 * Internet Checksum", RFC 826 "An Ethernet Address Resolution Protocol". Not modelled: IPv6, fragments, IP options in what is sent.
 */

/** EtherType. */
export const ETHERTYPE = { IPV4: 0x0800, ARP: 0x0806 } as const;
/** Protocol numbers of IP. */
export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17 } as const;

const ETHERNET_HEADER = 14;
const IP_HEADER = 20;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
const TIME_TO_LIVE = 64;
/** "Don't fragment"; without it a packet may be a piece of another. */
const FRAGMENT_MASK = 0x3fff;

/** An Ethernet frame taken apart. */
export interface EthernetFrame {
  readonly source: Uint8Array;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** An IPv4 packet taken apart. */
export interface Ipv4Packet {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** A UDP datagram taken apart. */
export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** Flags of a TCP segment. */
export const TCP = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

/** A TCP segment taken apart; sequence numbers are unsigned 32-bit numbers. */
export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  /** As it is in the header: not scaled. */
  readonly window: number;
  /** Maximum segment size and window scale, of segments with SYN. */
  readonly mss?: number | undefined;
  readonly windowScale?: number | undefined;
  readonly payload: Uint8Array;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @returns undefined for what is too short */
export function readEthernet(frame: Uint8Array): EthernetFrame | undefined {
  if (frame.length < ETHERNET_HEADER) return undefined;
  return { source: frame.slice(6, 12), type: view(frame).getUint16(12), payload: frame.subarray(ETHERNET_HEADER) };
}

/** @returns undefined for what is no whole IPv4 packet; checksums are not looked at, because nothing on this wire damages packets */
export function readIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < IP_HEADER || bytes[0]! >> 4 !== 4) return undefined;
  const data = view(bytes);
  const headerLength = (bytes[0]! & 15) * 4;
  // The card leaves the length of what it would cut at 0 when it does not fit.
  const total = data.getUint16(2) || bytes.length;
  const isFragment = (data.getUint16(6) & FRAGMENT_MASK) !== 0;
  if (headerLength < IP_HEADER || total < headerLength || total > bytes.length || isFragment) return undefined;
  return {
    protocol: bytes[9]!,
    source: data.getUint32(12),
    destination: data.getUint32(16),
    payload: bytes.subarray(headerLength, total),
  };
}

/** @returns undefined for what is too short */
export function readUdp(bytes: Uint8Array): UdpDatagram | undefined {
  if (bytes.length < UDP_HEADER) return undefined;
  const data = view(bytes);
  const length = data.getUint16(4);
  if (length < UDP_HEADER || length > bytes.length) return undefined;
  return {
    sourcePort: data.getUint16(0),
    destinationPort: data.getUint16(2),
    payload: bytes.subarray(UDP_HEADER, length),
  };
}

/** @returns undefined for what is too short */
export function readTcp(bytes: Uint8Array): TcpSegment | undefined {
  if (bytes.length < TCP_HEADER) return undefined;
  const data = view(bytes);
  const headerLength = (bytes[12]! >> 4) * 4;
  if (headerLength < TCP_HEADER || headerLength > bytes.length) return undefined;
  const flags = bytes[13]!;
  return {
    sourcePort: data.getUint16(0),
    destinationPort: data.getUint16(2),
    sequence: data.getUint32(4),
    acknowledgement: data.getUint32(8),
    flags,
    window: data.getUint16(14),
    ...((flags & TCP.SYN) !== 0 && readTcpOptions(bytes.subarray(TCP_HEADER, headerLength))),
    payload: bytes.subarray(headerLength),
  };
}

/** Kinds of TCP options. */
const OPTION = { END: 0, NOP: 1, MSS: 2, WINDOW_SCALE: 3 } as const;
/** RFC 7323 "TCP Extensions for High Performance": larger shifts are taken as this one. */
const GREATEST_SCALE = 14;

function readTcpOptions(bytes: Uint8Array): Pick<TcpSegment, 'mss' | 'windowScale'> {
  let mss: number | undefined;
  let windowScale: number | undefined;
  for (let at = 0; at < bytes.length && bytes[at] !== OPTION.END;) {
    if (bytes[at] === OPTION.NOP) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > bytes.length) break;
    if (bytes[at] === OPTION.MSS && length === 4) mss = view(bytes).getUint16(at + 2);
    if (bytes[at] === OPTION.WINDOW_SCALE && length === 3) windowScale = Math.min(bytes[at + 2]!, GREATEST_SCALE);
    at += length;
  }
  return { mss, windowScale };
}

/** An Ethernet frame. */
export function ethernet(destination: Uint8Array, source: Uint8Array, type: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + payload.length);
  frame.set(destination, 0);
  frame.set(source, 6);
  view(frame).setUint16(12, type);
  frame.set(payload, ETHERNET_HEADER);
  return frame;
}

/** An IPv4 packet. */
export function ipv4({ source, destination, protocol, payload }: Ipv4Packet): Uint8Array {
  const packet = new Uint8Array(IP_HEADER + payload.length);
  const data = view(packet);
  packet[0] = 0x45;
  data.setUint16(2, packet.length);
  packet[8] = TIME_TO_LIVE;
  packet[9] = protocol;
  data.setUint32(12, source);
  data.setUint32(16, destination);
  data.setUint16(10, checksum(packet.subarray(0, IP_HEADER)));
  packet.set(payload, IP_HEADER);
  return packet;
}

/** Who talks to whom: what the checksums of UDP and TCP cover beside their own bytes. */
export type Ends = Pick<Ipv4Packet, 'source' | 'destination'>;

/** A UDP datagram in its packet. */
export function udpPacket(ends: Ends, { sourcePort, destinationPort, payload }: UdpDatagram): Uint8Array {
  const datagram = new Uint8Array(UDP_HEADER + payload.length);
  const data = view(datagram);
  data.setUint16(0, sourcePort);
  data.setUint16(2, destinationPort);
  data.setUint16(4, datagram.length);
  datagram.set(payload, UDP_HEADER);
  // 0 would mean that there is no checksum.
  data.setUint16(6, checksum(datagram, pseudoHeader(ends, PROTOCOL.UDP, datagram.length)) || 0xffff);
  return ipv4({ ...ends, protocol: PROTOCOL.UDP, payload: datagram });
}

/** A TCP segment in its packet. */
export function tcpPacket(ends: Ends, segment: TcpSegment): Uint8Array {
  const options = tcpOptions(segment);
  const headerLength = TCP_HEADER + options.length;
  const bytes = new Uint8Array(headerLength + segment.payload.length);
  const data = view(bytes);
  data.setUint16(0, segment.sourcePort);
  data.setUint16(2, segment.destinationPort);
  data.setUint32(4, segment.sequence);
  data.setUint32(8, segment.acknowledgement);
  bytes[12] = headerLength << 2;
  bytes[13] = segment.flags;
  data.setUint16(14, segment.window);
  bytes.set(options, TCP_HEADER);
  bytes.set(segment.payload, headerLength);
  data.setUint16(16, checksum(bytes, pseudoHeader(ends, PROTOCOL.TCP, bytes.length)));
  return ipv4({ ...ends, protocol: PROTOCOL.TCP, payload: bytes });
}

function tcpOptions({ mss, windowScale }: TcpSegment): readonly number[] {
  return [
    ...(mss === undefined ? [] : [OPTION.MSS, 4, mss >> 8, mss & 0xff]),
    ...(windowScale === undefined ? [] : [OPTION.NOP, OPTION.WINDOW_SCALE, 3, windowScale]),
  ];
}

function pseudoHeader({ source, destination }: Ends, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
}

/** The Internet checksum. @param start a sum of 16-bit words to begin with */
export function checksum(bytes: Uint8Array, start = 0): number {
  const data = view(bytes);
  const even = bytes.length & ~1;
  let sum = start;
  for (let at = 0; at < even; at += 2) sum += data.getUint16(at);
  if (even !== bytes.length) sum += bytes[even]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

/** ARP for IPv4 on Ethernet. */
export interface ArpMessage {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: number;
  readonly targetMac: Uint8Array;
  readonly targetIp: number;
}

/** Operations of ARP. */
export const ARP = { REQUEST: 1, REPLY: 2 } as const;
const ARP_BYTES = 28;
/** Hardware type Ethernet, protocol IPv4, lengths of their addresses. */
const ARP_TYPES = [0, 1, 8, 0, 6, 4];

/** @returns undefined for what is not about IPv4 on Ethernet */
export function readArp(bytes: Uint8Array): ArpMessage | undefined {
  if (bytes.length < ARP_BYTES || ARP_TYPES.some((byte, at) => bytes[at] !== byte)) return undefined;
  const data = view(bytes);
  return {
    operation: data.getUint16(6),
    senderMac: bytes.slice(8, 14),
    senderIp: data.getUint32(14),
    targetMac: bytes.slice(18, 24),
    targetIp: data.getUint32(24),
  };
}

/** The bytes of an ARP message. */
export function arp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpMessage): Uint8Array {
  const bytes = new Uint8Array(ARP_BYTES);
  const data = view(bytes);
  bytes.set(ARP_TYPES);
  data.setUint16(6, operation);
  bytes.set(senderMac, 8);
  data.setUint32(14, senderIp);
  bytes.set(targetMac, 18);
  data.setUint32(24, targetIp);
  return bytes;
}
