/** Network devices and neighbours; `include/linux/netdevice.h`, `include/net/neighbour.h`. */
import { mapPresent, untilGap } from '../gaps.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { listForEachEntry } from './list.ts';
import { ipv4Text, ipv6Text } from './socket.ts';

const MAX_DEVICES = 100_000;
const MAX_ADDRESSES = 10_000;
const MAX_NEIGHBOURS = 1_000_000;

/** A network device with its addresses. */
export interface NetDevice {
  readonly struct: StructObject;
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Devices of a network namespace: `for_each_netdev`. */
export function netDevices(program: Program, namespace: StructObject): NetDevice[] {
  const devices = listForEachEntry(
    program,
    namespace.addressOf('dev_base_head'),
    'net_device',
    'dev_list',
    MAX_DEVICES,
  );
  return mapPresent(program, 'network devices', devices, struct => ({
    struct,
    name: struct.string('name'),
    addresses: [
      ...untilGap(program, 'IPv4 addresses', ipv4Addresses(program, struct)),
      ...untilGap(program, 'IPv6 addresses', ipv6Addresses(program, struct)),
    ],
  }));
}

function* ipv4Addresses(program: Program, device: StructObject): Generator<string> {
  let address = device.follow('ip_ptr')?.follow('ifa_list');
  for (let count = 0; address !== undefined && count < MAX_ADDRESSES; count++) {
    yield ipv4Text(address.addressOf('ifa_address'), program);
    address = address.follow('ifa_next');
  }
}

function* ipv6Addresses(program: Program, device: StructObject): Generator<string> {
  const inet6 = device.has('ip6_ptr') ? device.follow('ip6_ptr') : undefined;
  if (inet6 === undefined) return;
  for (const address of listForEachEntry(
    program,
    inet6.addressOf('addr_list'),
    'inet6_ifaddr',
    'if_list',
    MAX_ADDRESSES,
  )) {
    yield ipv6Text(program.memory.readBytes(address.addressOf('addr'), 16));
  }
}

/** An entry of a neighbour table. */
export interface Neighbour {
  readonly address: bigint;
  readonly ip: string;
  readonly hardwareType: string;
  readonly hardwareAddress: string;
  readonly device: string;
  readonly state: string;
}

/** `NUD_*`; `include/uapi/linux/neighbour.h`. */
const STATES: readonly (readonly [number, string])[] = [
  [0x01, 'INCOMPLETE'],
  [0x02, 'REACHABLE'],
  [0x04, 'STALE'],
  [0x08, 'DELAY'],
  [0x10, 'PROBE'],
  [0x20, 'FAILED'],
  [0x40, 'NOARP'],
  [0x80, 'PERMANENT'],
];
/** `ARPHRD_*`; `include/uapi/linux/if_arp.h`. */
const HARDWARE: Readonly<Record<number, string>> = {
  0: 'NETROM',
  1: 'ETHER',
  512: 'PPP',
  768: 'TUNNEL',
  801: 'IEEE80211',
};

/** Entries of the ARP table; one that comes again ends its bucket. */
export function arpEntries(program: Program): Neighbour[] {
  const table = program.findGlobal('neigh_table', 'arp_tbl');
  const hash = table?.follow('nht');
  if (hash === undefined) return [];
  const buckets = 2 ** Math.min(20, hash.num('hash_shift'));
  const seen = new Set<bigint>();
  const found: Neighbour[] = [];
  for (let bucket = 0; bucket < buckets && seen.size < MAX_NEIGHBOURS; bucket++) {
    const entries = untilGap(program, 'neighbours', chainOf(program, hash, bucket, seen));
    found.push(...mapPresent(program, 'neighbours', entries, entry => describe(program, entry)));
  }
  return found;
}

function* chainOf(program: Program, hash: StructObject, bucket: number, seen: Set<bigint>): Generator<StructObject> {
  let at = firstOf(program, hash, bucket);
  while (at !== undefined && !seen.has(at.address) && seen.size < MAX_NEIGHBOURS) {
    seen.add(at.address);
    yield at;
    at = nextOf(program, at);
  }
}

/** A pointer chain until 6.12; `hlist_head`s since 6.13 (commit 41b3caa7c076 "neighbour: Add hlist_node to struct neighbour"). */
function firstOf(program: Program, hash: StructObject, bucket: number): StructObject | undefined {
  const isList = hash.has('hash_heads');
  const pointer = program.memory.readU64(hash.pointer(isList ? 'hash_heads' : 'hash_buckets') + BigInt(8 * bucket));
  if (pointer === 0n) return undefined;
  const offset = isList ? BigInt(program.object('neighbour', 0n).offsetOf('hash')) : 0n;
  return program.object('neighbour', pointer - offset);
}

function nextOf(program: Program, neighbour: StructObject): StructObject | undefined {
  if (neighbour.has('next')) return neighbour.follow('next');
  const pointer = neighbour.pointer('hash.next');
  return pointer === 0n ? undefined : program.object('neighbour', pointer - BigInt(neighbour.offsetOf('hash')));
}

function describe(program: Program, neighbour: StructObject): Neighbour {
  const device = neighbour.follow('dev');
  const type = device?.num('type') ?? 0;
  const state = neighbour.num('nud_state');
  const hardware = program.memory.readBytes(neighbour.addressOf('ha'), 6);
  return {
    address: neighbour.address,
    ip: ipv4Text(neighbour.addressOf('primary_key'), program),
    hardwareType: HARDWARE[type] ?? 'UNKNOWN',
    hardwareAddress: [...hardware].map(byte => byte.toString(16).padStart(2, '0')).join(type === 1 ? ':' : ' '),
    device: device?.string('name') ?? '',
    state:
      STATES.filter(([bit]) => (state & bit) !== 0)
        .map(([, name]) => name)
        .join('|') || 'NONE',
  };
}
