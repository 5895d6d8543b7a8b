/** Networks and the cards that are plugged into them: `-netdev`, `-nic`, `-net`, `-device virtio-net-…`. */
import { UsageError } from '../../../capture/formats/errors.ts';
import {
  type Forwarding,
  parseIpv4,
  parseMac,
  parseSubnet,
  userNetworkDefaults,
  type UserNetworkOptions,
} from '../../../emulator/index.ts';
import { isOn, requireKnown, splitParts, splitProperties, type TypeWithProperties } from './properties.ts';

/** A `-netdev`. */
export interface NetworkOption {
  readonly id: string;
  readonly user: UserNetworkOptions;
}

/** A card, as `-device` has it. */
export interface CardOption {
  readonly type: string;
  /** The `id` of its network; undefined: it is plugged into none. */
  readonly network: string | undefined;
  readonly mac: Uint8Array;
}

const USER_PROPERTIES = new Set([
  'id',
  'ipv4',
  'ipv6',
  'net',
  'host',
  'dns',
  'dhcpstart',
  'hostname',
  'domainname',
  'restrict',
  'hostfwd',
  'guestfwd',
]);
/** Properties of the card, which QEMU's `-nic` takes with those of the network. */
const CARD_PROPERTIES = new Set(['model', 'mac', 'macaddr', 'addr', 'name', 'vectors']);
const ONE_KIND = 'only user is possible: a network of other kinds needs rights on the host';

/** Reads `-netdev user,…`. @throws UsageError */
export function parseNetwork(value: string, option = '-netdev'): NetworkOption {
  const { forwards, rest } = takeForwards(value);
  const { type, properties } = splitProperties(rest, 'type');
  if (type !== 'user') throw new UsageError(`${option} ${type}: ${ONE_KIND}`);
  requireKnown(`${option} user`, properties, USER_PROPERTIES);
  const { id } = properties;
  if (id === undefined) throw new UsageError(`${option} ${value}: id= is missing`);
  try {
    return { id, user: userNetwork(properties, forwards) };
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new UsageError(`${option} ${value}: ${cause.message}`, { cause });
  }
}

interface Forwards {
  readonly hostfwd: readonly string[];
  readonly guestfwd: readonly string[];
}

/** These two may be given several times. */
function takeForwards(value: string): { readonly forwards: Forwards; readonly rest: string } {
  const parts = splitParts(value);
  const valuesOf = (name: string): string[] =>
    parts.filter(part => part.startsWith(`${name}=`)).map(part => part.slice(name.length + 1));
  const rest = parts.filter(part => !/^(host|guest)fwd=/.test(part)).join(',');
  return { forwards: { hostfwd: valuesOf('hostfwd'), guestfwd: valuesOf('guestfwd') }, rest };
}

function userNetwork(properties: TypeWithProperties['properties'], forwards: Forwards): UserNetworkOptions {
  const { net, host, dns, dhcpstart, hostname, domainname, restrict } = properties;
  if (!isOn(properties['ipv4'] ?? 'on', 'ipv4')) throw new UsageError('ipv4=off: there is no IPv6');
  const defaults = userNetworkDefaults(net === undefined ? undefined : parseSubnet(net));
  return {
    ...defaults,
    ...(host !== undefined && { host: parseIpv4(host) }),
    ...(dns !== undefined && { nameServer: parseIpv4(dns) }),
    ...(dhcpstart !== undefined && { guest: parseIpv4(dhcpstart) }),
    hostName: hostname,
    domainName: domainname,
    restricted: isOn(restrict, 'restrict'),
    hostForwards: forwards.hostfwd.map(parseHostForward),
    guestForwards: forwards.guestfwd.map(parseGuestForward),
  };
}

/** `[tcp]:[hostaddr]:hostport-[guestaddr]:guestport` */
function parseHostForward(text: string): Forwarding {
  const [, protocol, address, port, guest, guestPort] = /^(\w*):([^:]*):(\d+)-([^:]*):(\d+)$/.exec(text) ?? [];
  requireTcp('hostfwd', text, protocol, 'tcp:[ADDRESS]:PORT-[GUEST]:PORT');
  if (address !== '' && address !== undefined) parseIpv4(address);
  if (guest !== '' && guest !== undefined) parseIpv4(guest);
  return {
    from: { address: address === '' ? '0.0.0.0' : address!, port: parsePort(text, port) },
    to: { address: guest!, port: parsePort(text, guestPort) },
  };
}

/** `[tcp]:server:port-tcp:host:port` */
function parseGuestForward(text: string): Forwarding {
  const [, protocol, address, port, target, targetPort] = /^(\w*):([^:]*):(\d+)-tcp:([^:]*):(\d+)$/.exec(text) ?? [];
  requireTcp('guestfwd', text, protocol, 'tcp:ADDRESS:PORT-tcp:HOST:PORT');
  parseIpv4(address!);
  return {
    from: { address: address!, port: parsePort(text, port) },
    to: { address: target === '' ? '127.0.0.1' : target!, port: parsePort(text, targetPort) },
  };
}

function requireTcp(name: string, text: string, protocol: string | undefined, form: string): void {
  if (protocol === undefined) throw new UsageError(`${name}=${text}: must be ${form}`);
  if (protocol !== 'tcp' && protocol !== '') throw new UsageError(`${name}=${text}: only tcp is possible`);
}

function parsePort(text: string, digits: string | undefined): number {
  const port = Number(digits);
  if (port < 1 || port > 0xffff) throw new UsageError(`${text}: ports are 1 to 65535`);
  return port;
}

/** QEMU's names of a virtio card for `model=`. */
const MODELS: Readonly<Record<string, string>> = {
  virtio: 'virtio-net',
  'virtio-net': 'virtio-net',
  'virtio-net-pci': 'virtio-net-pci',
  'virtio-net-device': 'virtio-net-device',
};

function isOfCard(part: string): boolean {
  return CARD_PROPERTIES.has(part.split('=', 1)[0]!);
}

/**
 * Reads `-nic user,…`: a network and a card in one.
 * @param index how many cards there are already
 * @throws UsageError
 */
export function parseNic(
  value: string,
  index: number,
): { readonly network: NetworkOption; readonly card: TypeWithProperties } {
  const { netdev, properties } = splitNic(value, index);
  const network = parseNetwork(netdev, '-nic');
  const { model = 'virtio', mac, macaddr } = properties;
  return { network, card: card('-nic', model, network.id, mac ?? macaddr) };
}

/** The value of `-netdev` in one of `-nic`, and what is about the card. */
export function splitNic(
  value: string,
  index: number,
): { readonly netdev: string; readonly properties: TypeWithProperties['properties'] } {
  const parts = splitParts(value);
  const rest = parts.filter(part => !isOfCard(part));
  const id = rest.some(part => part.startsWith('id=')) ? [] : [`id=nic${index}`];
  const { properties } = splitProperties(['nic', ...parts.filter(isOfCard)].join(','), 'type');
  return { netdev: [...rest, ...id].join(','), properties };
}

/** The card of `-net nic,…`, which is plugged into the network of `-net user`. @throws UsageError */
export function parseNetNic(value: string, network: string): TypeWithProperties {
  const { properties } = splitProperties(value, 'type');
  requireKnown('-net nic', properties, new Set([...CARD_PROPERTIES, 'netdev']));
  const { model = 'virtio', mac, macaddr, netdev } = properties;
  return card('-net nic', model, netdev ?? network, mac ?? macaddr);
}

function card(option: string, model: string, netdev: string, mac: string | undefined): TypeWithProperties {
  const type = MODELS[model];
  if (type === undefined) throw new UsageError(`${option} model=${model}: there are ${Object.keys(MODELS).join(', ')}`);
  return { type, properties: { netdev, ...(mac !== undefined && { mac }) } };
}

/** Whether a device is a network card. */
export function isCard({ type }: TypeWithProperties): boolean {
  return type.startsWith('virtio-net');
}

/** The last byte of the first card's address, as QEMU numbers them. */
const FIRST_MAC = 0x56;

/**
 * Plugs cards into networks.
 * @throws UsageError when a network is missing or has two cards
 */
export function plugCards(cards: readonly TypeWithProperties[], networks: readonly NetworkOption[]): CardOption[] {
  const twice = networks.find(({ id }, index) => networks.findIndex(other => other.id === id) < index);
  if (twice !== undefined) throw new UsageError(`-netdev id=${twice.id} is given twice`);
  const plugged = cards.map(({ type, properties: { netdev, mac } }, index) => {
    const address = mac ?? `52:54:00:12:34:${(FIRST_MAC + index).toString(16)}`;
    return { type, network: netdev, mac: parseMac(address) };
  });
  for (const [index, { type, network }] of plugged.entries()) {
    if (network === undefined) continue;
    const what = `-device ${type},netdev=${network}`;
    if (!networks.some(({ id }) => id === network)) throw new UsageError(`${what}: there is no such -netdev`);
    if (plugged.findIndex(other => other.network === network) < index)
      throw new UsageError(`${what}: the network has a card already`);
  }
  return plugged;
}

/** A file of all that goes over a network: `-object filter-dump`. */
export interface CaptureOption {
  /** The `id` of the network. */
  readonly network: string;
  readonly file: string;
  /** Bytes of a frame that are kept at most. */
  readonly maxLength: number;
}

const CAPTURE_PROPERTIES = new Set(['id', 'netdev', 'file', 'maxlen', 'queue', 'status']);
const MAX_FRAME = 65_536;

/** Whether a value of `-object` is about packets. */
export function isCapture(value: string): boolean {
  return /^(qom-type=)?filter-dump(,|$)/.test(value);
}

/** Reads `-object filter-dump,id=ID,netdev=ID,file=FILE`. @throws UsageError */
export function parseCapture(value: string): CaptureOption {
  const { properties } = splitProperties(value, 'qom-type');
  requireKnown('-object filter-dump', properties, CAPTURE_PROPERTIES);
  const { netdev, file, maxlen = String(MAX_FRAME), queue = 'all' } = properties;
  if (netdev === undefined) throw new UsageError(`-object ${value}: netdev= is missing`);
  if (file === undefined) throw new UsageError(`-object ${value}: file= is missing`);
  if (queue !== 'all') throw new UsageError(`-object filter-dump,queue=${queue}: only all is possible`);
  const maxLength = Number(maxlen);
  if (!Number.isInteger(maxLength) || maxLength < 1)
    throw new UsageError(`-object filter-dump,maxlen=${maxlen}: must be a number of bytes`);
  return { network: netdev, file, maxLength };
}

/** @throws UsageError when one is about no network */
export function checkCaptures(
  captures: readonly CaptureOption[],
  networks: readonly NetworkOption[],
): readonly CaptureOption[] {
  const lost = captures.find(({ network }) => !networks.some(({ id }) => id === network));
  if (lost !== undefined) throw new UsageError(`-object filter-dump,netdev=${lost.network}: there is no such -netdev`);
  return captures;
}
