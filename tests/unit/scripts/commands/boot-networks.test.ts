import { describe, expect, test } from 'vitest';

import { UsageError } from '../../../../capture/formats/errors.ts';
import { parseIpv4, userNetworkDefaults } from '../../../../emulator/index.ts';
import { parseBootOptions } from '../../../../scripts/commands/boot-options.ts';

const USER = userNetworkDefaults();
const CARD = { type: 'virtio-net-pci', network: 'n0', mac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56) };

const parse = (...args: string[]): unknown => {
  const { networks, cards } = parseBootOptions(['-kernel', 'Image', ...args]);
  return { networks, cards };
};

test('there is no network unless one is asked for', () => {
  expect(parse()).toEqual({ networks: [], cards: [] });
  expect(parse('-nic', 'none')).toEqual({ networks: [], cards: [] });
});

describe('a network and its card', () => {
  test('are told apart by -netdev and -device', () => {
    expect(parse('-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0')).toEqual({
      networks: [{ id: 'n0', user: USER }],
      cards: [CARD],
    });
  });

  test('come in one by -nic', () => {
    expect(parse('-nic', 'user,id=n0,model=virtio-net-pci,mac=52:54:00:12:34:56,hostname=lab')).toEqual({
      networks: [{ id: 'n0', user: { ...USER, hostName: 'lab' } }],
      cards: [CARD],
    });
  });

  test('meet by -net user and -net nic', () => {
    expect(parse('-net', 'nic,model=virtio', '-net', 'user')).toMatchObject({
      networks: [{ id: 'hub0' }],
      cards: [{ type: 'virtio-net', network: 'hub0' }],
    });
  });

  test('are numbered when there are several', () => {
    expect(parse('-nic', 'user', '-nic', 'user')).toMatchObject({
      networks: [{ id: 'nic0' }, { id: 'nic1' }],
      cards: [{ mac: CARD.mac }, { mac: Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x57) }],
    });
  });

  test('need not be together', () => {
    expect(parse('-device', 'virtio-net-device')).toEqual({
      networks: [],
      cards: [{ ...CARD, type: 'virtio-net-device', network: undefined }],
    });
  });
});

test('what goes over a network is written to a file', () => {
  const network = ['-netdev', 'user,id=n0'];
  const { captures } = parseBootOptions([
    '-kernel',
    'Image',
    ...network,
    '-object',
    'filter-dump,id=f,netdev=n0,file=n0.pcap,maxlen=128',
  ]);
  expect(captures).toEqual([{ network: 'n0', file: 'n0.pcap', maxLength: 128 }]);
});

describe('-netdev user', () => {
  test.each([
    ['net=192.168.7.0/24', { subnet: { base: 0xc0a8_0700, mask: 0xffff_ff00 }, host: 0xc0a8_0702, guest: 0xc0a8_070f }],
    ['net=10.0.0.0,host=10.0.0.1', { subnet: { base: 0x0a00_0000, mask: 0xff00_0000 }, host: 0x0a00_0001 }],
    ['net=172.16.0.0/255.255.0.0', { subnet: { base: 0xac10_0000, mask: 0xffff_0000 } }],
    ['dns=10.0.2.4,dhcpstart=10.0.2.9', { nameServer: parseIpv4('10.0.2.4'), guest: parseIpv4('10.0.2.9') }],
    ['restrict=on,ipv6=off', { restricted: true }],
    [
      'hostfwd=tcp::2222-:22,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80',
      {
        hostForwards: [
          { from: { address: '0.0.0.0', port: 2222 }, to: { address: '', port: 22 } },
          { from: { address: '127.0.0.1', port: 8080 }, to: { address: '10.0.2.15', port: 80 } },
        ],
      },
    ],
    [
      'guestfwd=tcp:10.0.2.100:22-tcp:127.0.0.1:2222',
      { guestForwards: [{ from: { address: '10.0.2.100', port: 22 }, to: { address: '127.0.0.1', port: 2222 } }] },
    ],
  ])('%s', (properties, expected) => {
    expect(parse('-netdev', `user,id=n0,${properties}`)).toMatchObject({ networks: [{ id: 'n0', user: expected }] });
  });
});

test.each<[args: string[], message: RegExp]>([
  [['-netdev', 'tap,id=n0'], /-netdev tap: only user is possible/],
  [['-nic', 'bridge'], /-nic bridge: only user is possible/],
  [['-netdev', 'user'], /id= is missing/],
  [['-netdev', 'user,id=n0,smb=folder'], /unknown property smb/],
  [['-netdev', 'user,id=n0,net=10.0.2.0/33'], /a network has 1 to 30 bits/],
  [['-netdev', 'user,id=n0,host=10.0.2'], /10\.0\.2: not an IPv4 address/],
  [['-netdev', 'user,id=n0,hostfwd=udp::53-:53'], /only tcp is possible/],
  [['-netdev', 'user,id=n0,hostfwd=tcp::0-:22'], /ports are 1 to 65535/],
  [['-netdev', 'user,id=n0,hostfwd=2222'], /must be tcp:\[ADDRESS\]:PORT-\[GUEST\]:PORT/],
  [['-netdev', 'user,id=n0,guestfwd=tcp:10.0.2.100:1-cmd:cat'], /must be tcp:ADDRESS:PORT-tcp:HOST:PORT/],
  [['-netdev', 'user,id=n0,ipv4=off'], /there is no IPv6/],
  [['-netdev', 'user,id=n0', '-netdev', 'user,id=n0'], /id=n0 is given twice/],
  [['-device', 'virtio-net-pci,netdev=n1'], /there is no such -netdev/],
  [['-object', 'filter-dump,id=f,netdev=n0,file=x'], /netdev=n0: there is no such -netdev/],
  [['-object', 'filter-dump,id=f,file=x'], /netdev= is missing/],
  [['-object', 'filter-dump,id=f,netdev=n0'], /file= is missing/],
  [['-object', 'filter-dump,id=f,netdev=n0,file=x,maxlen=0'], /maxlen=0: must be a number of bytes/],
  [['-nic', 'user,model=e1000'], /model=e1000: there are virtio, /],
  [['-nic', 'user,mac=53:54:00:12:34:56'], /a group address/],
  [
    ['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0', '-device', 'virtio-net-pci,netdev=n0'],
    /the network has a card already/,
  ],
])('%j is refused by name', (args, message) => {
  expect(() => parse(...args)).toThrow(UsageError);
  expect(() => parse(...args)).toThrow(message);
});
