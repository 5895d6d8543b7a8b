/** The network of user space, seen by Linux's own drivers and busybox's programs. */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import { describe, expect, onTestFinished, test } from 'vitest';

import {
  parseMac,
  UserNetwork,
  userNetworkDefaults,
  type UserNetworkOptions,
  type VirtioBus,
} from '../../emulator/index.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { freePort } from '../support/dump-servers.ts';
import { guestWithScript, runGuest } from '../support/guest-boot.ts';

const MAC = '52:54:00:12:34:56';
/** What udhcpc calls with what it was told. */
const BOUND = '[ "$1" != bound ] || echo "lease $ip $subnet $router $dns $hostname"';
const STATIC = 'ifconfig eth0 10.0.2.15; route add default gw 10.0.2.2';

/** Runs a script on a machine with a network card. */
async function runOnNetwork(
  script: string,
  options: Partial<UserNetworkOptions> = {},
  { architecture = 'aarch64', bus = 'pci' }: { readonly architecture?: Architecture; readonly bus?: VirtioBus } = {},
): Promise<string> {
  using network = new UserNetwork({ ...userNetworkDefaults(), ...options });
  await network.listen();
  const boot = await guestWithScript(script, [bus === 'mmio' ? 'virtio_mmio' : 'virtio_pci', 'virtio_net'], {
    architecture,
    flavour: 'cloud',
  });
  const { stop, console } = await runGuest(boot, {
    ...(bus === 'mmio' && architecture === 'x86_64' && { board: { type: 'microvm' } }),
    devices: [{ type: 'net', bus, mac: parseMac(MAC), network }],
  });
  expect(stop).toEqual({ kind: 'power-off' });
  return console;
}

/** A TCP server on the host that ends with the test. @returns its port */
async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, onConnection).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

describe.each([
  ['aarch64', 'pci'],
  ['aarch64', 'mmio'],
  ['x86_64', 'pci'],
  ['x86_64', 'mmio'],
] as const)('%s, virtio on %s', (architecture, bus) => {
  test('the guest gets an address and reaches the router', async () => {
    const script = [
      'cat /sys/class/net/eth0/address /sys/class/net/eth0/operstate',
      `printf '%s\\n' '#!/bin/sh' '${BOUND}' > /bound; chmod 755 /bound`,
      'ifconfig eth0 up; udhcpc -i eth0 -q -n -s /bound',
      'ifconfig eth0 10.0.2.15; ping -c 2 10.0.2.2',
    ].join('\n');
    const console = await runOnNetwork(script, { hostName: 'guest' }, { architecture, bus });
    expect(console).toContain(MAC);
    expect(console).toContain('lease 10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3 guest');
    expect(console).toContain('2 packets transmitted, 2 packets received, 0% packet loss');
  });
});

test('what the guest sends by TCP comes to the host, byte by byte', async () => {
  const hash = createHash('sha256');
  let length = 0;
  const ended = Promise.withResolvers<void>();
  const port = await serve(socket => {
    socket.on('data', data => {
      hash.update(data);
      length += data.length;
    });
    socket.on('end', () => {
      socket.end('thank you\n');
      ended.resolve();
    });
  });
  const size = 16 * 2 ** 20;
  const script = `${STATIC}; dd if=/dev/urandom of=/file bs=64k count=256 2>/dev/null; sha256sum /file; nc 10.0.2.2 ${port} < /file`;
  const console = await runOnNetwork(script);
  await ended.promise;
  expect(length).toBe(size);
  expect(console).toContain(hash.digest('hex'));
  expect(console).toContain('thank you');
});

test('what the host sends by TCP comes to the guest, byte by byte', async () => {
  const bytes = Buffer.alloc(5_000_000, 'kdump ');
  const port = await serve(socket => void socket.end(bytes));
  const console = await runOnNetwork(`${STATIC}; nc 10.0.2.2 ${port} < /dev/null | sha256sum`);
  expect(console).toContain(createHash('sha256').update(bytes).digest('hex'));
});

test('a port where nobody listens refuses the guest', async () => {
  const console = await runOnNetwork(`${STATIC}; nc 10.0.2.2 1 < /dev/null`);
  expect(console).toContain('Connection refused');
});

test('UDP goes to the host and back', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  onTestFinished(() => void socket.close());
  await once(socket, 'listening');
  socket.on('message', (query, { port, address }) => socket.send(answerTo(query), port, address));
  const script = `${STATIC}; nslookup -port=${socket.address().port} -type=a guest.example 10.0.2.2`;
  expect(await runOnNetwork(script)).toMatch(/Name:\s+guest\.example\nAddress: 192\.0\.2\.7/);
});

/** A name server's answer: the question with one address behind it (RFC 1035, "Messages"). */
function answerTo(query: Buffer): Buffer {
  const header = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])]);
  const address = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
  return Buffer.concat([header, query.subarray(12), address]);
}

test('a port of the host leads into the guest, and an address of the network to the host', async () => {
  const hostPort = await serve(socket => void socket.end('from outside\n'));
  const free = await freePort();
  const answer = Promise.withResolvers<string>();
  const caller = await serve(socket => {
    socket.destroy();
    const inward = connect(free, '127.0.0.1', () => inward.end('to the guest\n'));
    let text = '';
    inward.on('data', data => (text += data.toString()));
    inward.on('end', () => answer.resolve(text));
  });
  const script = [
    STATIC,
    'nc 10.0.2.100 7 < /dev/null',
    `(sleep 1; nc 10.0.2.2 ${caller} < /dev/null) &`,
    'echo greetings | nc -l -p 80 -w 10',
  ].join('\n');
  const console = await runOnNetwork(script, {
    hostForwards: [{ from: { address: '127.0.0.1', port: free }, to: { address: '', port: 80 } }],
    guestForwards: [{ from: { address: '10.0.2.100', port: 7 }, to: { address: '127.0.0.1', port: hostPort } }],
  });
  expect(console).toContain('from outside');
  expect(console).toContain('to the guest');
  expect(await answer.promise).toBe('greetings\n');
});

test('a restricted network leads nowhere', async () => {
  const port = await serve(socket => void socket.end('reached'));
  const console = await runOnNetwork(`${STATIC}; nc 10.0.2.2 ${port} < /dev/null`, { restricted: true });
  expect(console).toContain('Connection refused');
  expect(console).not.toContain('reached');
});
