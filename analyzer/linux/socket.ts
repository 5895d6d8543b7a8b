/** Sockets; `include/linux/net.h`, `include/net/sock.h`, `include/net/inet_sock.h`. */
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';

/** `AF_*`; `include/linux/socket.h`. */
const FAMILIES: Readonly<Record<number, string>> = {
  0: 'UNSPEC',
  1: 'UNIX',
  2: 'INET',
  10: 'INET6',
  16: 'NETLINK',
  17: 'PACKET',
  31: 'BLUETOOTH',
  38: 'ALG',
  40: 'VSOCK',
  44: 'XDP',
};
/** `SOCK_*`; `include/linux/net.h`. */
const TYPES: Readonly<Record<number, string>> = {
  1: 'STREAM',
  2: 'DGRAM',
  3: 'RAW',
  4: 'RDM',
  5: 'SEQPACKET',
  6: 'DCCP',
  10: 'PACKET',
};
const AF = { INET: 2, INET6: 10 } as const;

/** `struct socket` of an inode: `SOCKET_I`. */
export function socketOfInode(program: Program, inode: StructObject): StructObject {
  const alloc = program.object('socket_alloc', 0n);
  const address = inode.address - BigInt(alloc.offsetOf('vfs_inode')) + BigInt(alloc.offsetOf('socket'));
  return program.object('socket', address);
}

/** Name of a socket's protocol: `TCP`, `UDPv6`, `UNIX-STREAM`. */
export function socketProtocol(program: Program, inode: StructObject): string {
  const sock = socketOfInode(program, inode).follow('sk');
  const prot = sock?.follow('__sk_common.skc_prot');
  return prot?.string('name') ?? '';
}

/** What `net -s` shows of a socket. */
export interface SocketDescription {
  readonly socket: bigint;
  readonly sock: bigint;
  readonly family: string;
  readonly type: string;
  /** `address-port`, for internet sockets. */
  readonly source: string;
  readonly destination: string;
}

/** Describes a `struct socket`. */
export function describeSocket(program: Program, socket: StructObject): SocketDescription {
  const sock = socket.follow('sk');
  const family = sock?.num('__sk_common.skc_family') ?? 0;
  const base = {
    socket: socket.address,
    sock: sock?.address ?? 0n,
    family: FAMILIES[family] ?? String(family),
    type: TYPES[socket.num('type')] ?? String(socket.num('type')),
  };
  if (sock === undefined || (family !== AF.INET && family !== AF.INET6))
    return { ...base, source: '', destination: '' };
  return { ...base, ...endpoints(program, sock, family) };
}

function endpoints(program: Program, sock: StructObject, family: number): { source: string; destination: string } {
  const inet = new StructObject(program.memory, program.types.struct('inet_sock'), sock.address);
  const sourcePort = swap16(inet.num('inet_sport'));
  const common = sock.embedded('__sk_common');
  const destinationPort = swap16(common.num('skc_dport'));
  const address = (v4: string, v6: string): string =>
    family === AF.INET
      ? ipv4Text(common.addressOf(v4), program)
      : ipv6Plain(program.memory.readBytes(common.addressOf(v6), 16));
  return {
    source: `${address('skc_rcv_saddr', 'skc_v6_rcv_saddr')}-${sourcePort}`,
    destination: `${address('skc_daddr', 'skc_v6_daddr')}-${destinationPort}`,
  };
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}

/** Dotted text of the IPv4 address that stands in network order at an address. */
export function ipv4Text(address: bigint, program: Program): string {
  return program.memory.readBytes(address, 4).join('.');
}

function groups(bytes: Uint8Array): string[] {
  return Array.from({ length: 8 }, (_, index) =>
    (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
  );
}

/** All eight groups, as `net -s` prints them. */
export function ipv6Plain(bytes: Uint8Array): string {
  return groups(bytes).join(':');
}

/** RFC 5952: the longest run of zero groups as `::`. */
export function ipv6Text(bytes: Uint8Array): string {
  const text = groups(bytes).join(':');
  const runs = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].map(([run]) => run);
  const longest = runs.sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return text;
  return text.replace(longest, '::').replace(/:{3,}/, '::');
}
