/**
 * A DHCP server for one guest, which always gets the same address.
 *
 * Sources: RFC 2131 "Dynamic Host Configuration Protocol", RFC 2132 "DHCP Options and BOOTP Vendor Extensions".
 */

/** Ports of server and client. */
export const DHCP_PORT = { SERVER: 67, CLIENT: 68 } as const;

/** What the guest is told. Addresses are unsigned 32-bit numbers. */
export interface DhcpLease {
  readonly address: number;
  readonly mask: number;
  readonly router: number;
  /** Undefined: the guest is told of none. */
  readonly nameServer: number | undefined;
  readonly server: number;
  readonly hostName: string | undefined;
  readonly domainName: string | undefined;
}

const MESSAGE = { DISCOVER: 1, OFFER: 2, REQUEST: 3, ACK: 5, NAK: 6 } as const;
const OPTION = {
  PAD: 0,
  SUBNET_MASK: 1,
  ROUTER: 3,
  NAME_SERVER: 6,
  HOST_NAME: 12,
  DOMAIN_NAME: 15,
  REQUESTED_ADDRESS: 50,
  LEASE_TIME: 51,
  MESSAGE_TYPE: 53,
  SERVER: 54,
  END: 255,
} as const;

const BOOTREQUEST = 1;
const BOOTREPLY = 2;
/** op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file. */
const FIXED_BYTES = 236;
const YIADDR = 16;
const SIADDR = 20;
const CIADDR = 12;
const CHADDR = 28;
const MAGIC = [99, 130, 83, 99];
/** BOOTP clients expect so many bytes at least. */
const LEAST_BYTES = 300;
const LEASE_SECONDS = 86_400;

/** @returns the answer to a message of a client; undefined when there is none to give */
export function answerDhcp(request: Uint8Array, lease: DhcpLease): Uint8Array | undefined {
  if (request.length < FIXED_BYTES || request[0] !== BOOTREQUEST) return undefined;
  const options = readOptions(request);
  const type = options.get(OPTION.MESSAGE_TYPE)?.[0];
  // Plain BOOTP has no type; whoever asks for another server's offer is not answered.
  if (type === undefined) return reply(request, lease, lease.address, []);
  const chosen = options.get(OPTION.SERVER);
  if (chosen !== undefined && number(chosen) !== lease.server) return undefined;
  if (type === MESSAGE.DISCOVER) return reply(request, lease, lease.address, leaseOptions(MESSAGE.OFFER, lease));
  if (type !== MESSAGE.REQUEST) return undefined;
  const wanted = number(options.get(OPTION.REQUESTED_ADDRESS) ?? request.subarray(CIADDR, CIADDR + 4));
  if (wanted !== lease.address) return reply(request, lease, 0, naming(MESSAGE.NAK, lease));
  return reply(request, lease, lease.address, leaseOptions(MESSAGE.ACK, lease));
}

function readOptions(message: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  if (MAGIC.some((byte, at) => message[FIXED_BYTES + at] !== byte)) return options;
  for (let at = FIXED_BYTES + MAGIC.length; at < message.length && message[at] !== OPTION.END;) {
    if (message[at] === OPTION.PAD) {
      at++;
      continue;
    }
    const length = message[at + 1] ?? 0;
    options.set(message[at]!, message.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function number(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

function address(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function option(code: number, value: readonly number[]): readonly number[] {
  return [code, value.length, ...value];
}

function naming(type: number, { server }: DhcpLease): readonly number[] {
  return [...option(OPTION.MESSAGE_TYPE, [type]), ...option(OPTION.SERVER, address(server))];
}

function leaseOptions(type: number, lease: DhcpLease): readonly number[] {
  const { mask, router, nameServer, hostName, domainName } = lease;
  return [
    ...naming(type, lease),
    ...option(OPTION.SUBNET_MASK, address(mask)),
    ...option(OPTION.ROUTER, address(router)),
    ...(nameServer === undefined ? [] : option(OPTION.NAME_SERVER, address(nameServer))),
    ...option(OPTION.LEASE_TIME, address(LEASE_SECONDS)),
    ...(hostName === undefined ? [] : option(OPTION.HOST_NAME, [...Buffer.from(hostName)])),
    ...(domainName === undefined ? [] : option(OPTION.DOMAIN_NAME, [...Buffer.from(domainName)])),
  ];
}

function reply(request: Uint8Array, { server }: DhcpLease, given: number, options: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.max(LEAST_BYTES, FIXED_BYTES + MAGIC.length + options.length + 1));
  bytes.set(request.subarray(0, CIADDR));
  bytes[0] = BOOTREPLY;
  bytes.set(address(given), YIADDR);
  bytes.set(address(server), SIADDR);
  bytes.set(request.subarray(CHADDR, CHADDR + 16), CHADDR);
  bytes.set([...MAGIC, ...options, OPTION.END], FIXED_BYTES);
  return bytes;
}
