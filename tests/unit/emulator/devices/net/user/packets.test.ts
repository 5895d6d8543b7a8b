import { describe, expect, test } from 'vitest';

import {
  arp,
  ARP,
  checksum,
  ipv4,
  PROTOCOL,
  readArp,
  readIpv4,
  readTcp,
  readUdp,
  TCP,
  tcpPacket,
  udpPacket,
} from '../../../../../../emulator/devices/net/user/packets.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const ENDS = { source: 0x0a00_020f, destination: 0x0a00_0202 };

describe('the Internet checksum', () => {
  test.each([
    // RFC 1071, section "Numerical Examples": the sum is ddf2.
    ['0001 f203 f4f5 f6f7', 0x220d],
    ['0001 f203 f4f5 f6', 0x2304],
    ['', 0xffff],
    ['ffff', 0],
  ])('of %j is %i', (bytes, expected) => {
    expect(checksum(hex(bytes))).toBe(expected);
  });

  test('is 0 over what holds its own checksum', () => {
    const packet = ipv4({ ...ENDS, protocol: PROTOCOL.ICMP, payload: hex('08 00') });
    expect(checksum(packet.subarray(0, 20))).toBe(0);
  });
});

describe('IPv4', () => {
  test('a packet is read as it was built', () => {
    const packet = { ...ENDS, protocol: PROTOCOL.UDP, payload: hex('01 02 03') };
    expect(readIpv4(ipv4(packet))).toEqual(packet);
  });

  test('what the card padded is cut off', () => {
    const packet = ipv4({ ...ENDS, protocol: PROTOCOL.UDP, payload: hex('01') });
    expect(readIpv4(Uint8Array.from([...packet, 0, 0, 0]))?.payload).toEqual(hex('01'));
  });

  test.each<[string, (packet: Uint8Array) => Uint8Array]>([
    ['too short', packet => packet.subarray(0, 19)],
    ['of version 6', packet => packet.with(0, 0x65)],
    ['with a header that is too short', packet => packet.with(0, 0x44)],
    ['longer than the frame', packet => packet.with(3, 0xff)],
    ['a fragment', packet => packet.with(6, 0x20)],
  ])('a packet %s is no packet', (_, damage) => {
    expect(readIpv4(damage(ipv4({ ...ENDS, protocol: PROTOCOL.TCP, payload: hex('00') })))).toBeUndefined();
  });
});

describe('UDP', () => {
  const DATAGRAM = { sourcePort: 68, destinationPort: 67, payload: hex('aa bb cc') };

  test('a datagram is read as it was built', () => {
    expect(readUdp(readIpv4(udpPacket(ENDS, DATAGRAM))!.payload)).toEqual(DATAGRAM);
  });

  test.each([
    ['00 44 00 43 00 0b', 'too short'],
    ['00 44 00 43 00 07 00 00', 'with a length below its header'],
    ['00 44 00 43 00 20 00 00 aa', 'longer than its packet'],
  ])('%j is none: it is %s', bytes => {
    expect(readUdp(hex(bytes))).toBeUndefined();
  });
});

describe('TCP', () => {
  const SEGMENT = {
    sourcePort: 22,
    destinationPort: 1024,
    sequence: 0xffff_fff0,
    acknowledgement: 0x8000_0001,
    flags: TCP.ACK | TCP.PSH,
    window: 512,
    payload: hex('68 69'),
  };

  test.each([
    ['with data', SEGMENT],
    ['with options', { ...SEGMENT, flags: TCP.SYN, mss: 1460, windowScale: 7 }],
  ])('a segment %s is read as it was built', (_, segment) => {
    expect(readTcp(readIpv4(tcpPacket(ENDS, segment))!.payload)).toEqual(segment);
  });

  // Linux's SYN: MSS 1460, SACK permitted, timestamps, window scale 7.
  test('options that mean nothing here are passed over', () => {
    const syn = hex(
      'c000 0016 00000001 00000000 a002 faf0 0000 0000 0204 05b4 0402 080a 0000 0001 0000 0000 0103 0307',
    );
    expect(readTcp(syn)).toMatchObject({ mss: 1460, windowScale: 7, flags: TCP.SYN });
  });

  test.each(['0101 0303', '0200', '02', '0205 0505'])('options that are cut off (%s) say nothing', options => {
    const bytes = hex(options);
    const padded = Uint8Array.from([...bytes, ...new Uint8Array(4 - bytes.length).fill(2)]);
    const syn = Uint8Array.from([...hex('c000 0016 00000001 00000000 6002 faf0 0000 0000'), ...padded]);
    expect(readTcp(syn)).toMatchObject({ mss: undefined, windowScale: undefined });
  });

  test('a scale that is too large is the largest one', () => {
    const syn = hex('c000 0016 00000001 00000000 6002 faf0 0000 0000 0303 ff00');
    expect(readTcp(syn)).toMatchObject({ windowScale: 14 });
  });

  test.each([
    'c000 0016',
    'c000 0016 00000001 00000000 4002 faf0 0000 0000',
    'c000 0016 00000001 00000000 f002 faf0 0000 0000',
  ])('%j is none', bytes => {
    expect(readTcp(hex(bytes))).toBeUndefined();
  });
});

describe('ARP', () => {
  const REQUEST = {
    operation: ARP.REQUEST,
    senderMac: Buffer.from('525400123456', 'hex'),
    senderIp: 0x0a00_020f,
    targetMac: Buffer.alloc(6),
    targetIp: 0x0a00_0202,
  };

  test('a message is read as it was built', () => {
    const message = readArp(arp(REQUEST))!;
    expect({
      ...message,
      senderMac: Buffer.from(message.senderMac),
      targetMac: Buffer.from(message.targetMac),
    }).toEqual(REQUEST);
  });

  test('one about another protocol is none', () => {
    expect(readArp(arp(REQUEST).with(2, 0x86))).toBeUndefined();
    expect(readArp(arp(REQUEST).subarray(0, 27))).toBeUndefined();
  });
});
