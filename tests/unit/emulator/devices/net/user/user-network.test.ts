/** The network's own answers, and what a guest cannot do to it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

import { afterEach, describe, expect, test } from 'vitest';

import {
  arp,
  ARP,
  ethernet,
  ETHERTYPE,
  ipv4,
  PROTOCOL,
  readArp,
  readEthernet,
  readIpv4,
  readUdp,
  TCP,
  tcpPacket,
  udpPacket,
} from '../../../../../../emulator/devices/net/user/packets.ts';
import {
  parseIpv4,
  UserNetwork,
  userNetworkDefaults,
  type UserNetworkOptions,
} from '../../../../../../emulator/index.ts';
import { Random } from '../../../../../support/random.ts';

const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const ALL = new Uint8Array(6).fill(0xff);
const [GUEST, ROUTER, NAME_SERVER, NOBODY] = ['10.0.2.15', '10.0.2.2', '10.0.2.3', '10.0.2.77'].map(parseIpv4) as [
  number,
  number,
  number,
  number,
];

const open: Disposable[] = [];
afterEach(() => {
  for (const resource of open.splice(0)) resource[Symbol.dispose]();
});

function setup(options: Partial<UserNetworkOptions> = {}) {
  const network = new UserNetwork({ ...userNetworkDefaults(), ...options });
  open.push(network);
  const frames: Uint8Array[] = [];
  const expectations: (() => boolean)[] = [];
  network.attach(MAC, frame => frames.push(frame), {
    post: event => event(),
    expect: source => void expectations.push(source),
  });
  const sendIp = (packet: Uint8Array): void => network.send(ethernet(ALL, MAC, ETHERTYPE.IPV4, packet));
  return { network, frames, sendIp, isExpecting: () => expectations.some(source => source()) };
}

describe('ARP', () => {
  const request = (targetIp: number): Uint8Array =>
    ethernet(
      ALL,
      MAC,
      ETHERTYPE.ARP,
      arp({ operation: ARP.REQUEST, senderMac: MAC, senderIp: GUEST, targetMac: new Uint8Array(6), targetIp }),
    );

  test.each([
    ['the router', ROUTER, '52550a000202'],
    ['the name server', NAME_SERVER, '52550a000203'],
    ['an address that leads to the host', parseIpv4('10.0.2.100'), '52550a000264'],
  ])('%s has an address', (_, address, mac) => {
    const { network, frames } = setup({
      guestForwards: [{ from: { address: '10.0.2.100', port: 7 }, to: { address: '127.0.0.1', port: 7 } }],
    });
    network.send(request(address));
    const reply = readArp(readEthernet(frames[0]!)!.payload)!;
    expect([reply.operation, reply.senderIp, reply.targetIp]).toEqual([ARP.REPLY, address, GUEST]);
    expect(Buffer.from(reply.senderMac).toString('hex')).toBe(mac);
  });

  test.each([GUEST, NOBODY])('nobody else answers (%i)', address => {
    const { network, frames } = setup();
    network.send(request(address));
    expect(frames).toEqual([]);
  });
});

describe('UDP', () => {
  test('an answer is waited for, and comes from where the guest has sent to', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    open.push({ [Symbol.dispose]: () => void server.close() });
    await once(server, 'listening');
    server.on('message', (message, { port, address }) => server.send(`${message.toString()}!`, port, address));
    const { frames, sendIp, isExpecting } = setup();
    expect(isExpecting()).toBe(false);
    const { port } = server.address();
    const ends = { source: GUEST, destination: ROUTER };
    sendIp(udpPacket(ends, { sourcePort: 5000, destinationPort: port, payload: Buffer.from('hello') }));
    expect(isExpecting()).toBe(true);
    await expect.poll(() => frames.length).toBe(1);
    expect(isExpecting()).toBe(false);
    const packet = readIpv4(readEthernet(frames[0]!)!.payload)!;
    const { payload, ...datagram } = readUdp(packet.payload)!;
    expect([packet.source, packet.destination]).toEqual([ROUTER, GUEST]);
    expect(datagram).toEqual({ sourcePort: port, destinationPort: 5000 });
    expect(Buffer.from(payload).toString()).toBe('hello!');
  });

  test('nothing goes to port 0', () => {
    const { sendIp, isExpecting } = setup();
    const ends = { source: GUEST, destination: ROUTER };
    sendIp(udpPacket(ends, { sourcePort: 5000, destinationPort: 0, payload: Buffer.from('hello') }));
    expect(isExpecting()).toBe(false);
  });
});

test('damaged frames of a guest do no harm', () => {
  const { network, frames } = setup({ restricted: true });
  const ends = { source: GUEST, destination: ROUTER };
  const ports = { sourcePort: 1, destinationPort: 67 };
  const segment = { ...ports, sequence: 0, acknowledgement: 0, flags: TCP.SYN, window: 0, mss: 1460, windowScale: 7 };
  const sound = [
    tcpPacket(ends, { ...segment, payload: new Uint8Array(4) }),
    udpPacket(ends, { ...ports, payload: new Uint8Array(250).fill(1) }),
    ipv4({ ...ends, protocol: PROTOCOL.ICMP, payload: Uint8Array.of(8, 0, 0, 0, 0, 1, 0, 1, 42) }),
  ].map(packet => ethernet(ALL, MAC, ETHERTYPE.IPV4, packet));
  const random = new Random(20_261_121);
  for (let run = 0; run < 20_000; run++) {
    const frame = sound[run % sound.length]!.slice(0, 1 + random.below(330));
    for (let flips = random.below(6); flips > 0; flips--) frame[14 + random.below(frame.length)] = random.below(256);
    network.send(frame);
  }
  expect(frames.length).toBeGreaterThan(1000);
});
