import { describe, expect, test } from 'vitest';

import { answerDhcp, type DhcpLease } from '../../../../../../emulator/devices/net/user/dhcp.ts';

const LEASE: DhcpLease = {
  address: 0x0a00_020f,
  mask: 0xffff_ff00,
  router: 0x0a00_0202,
  nameServer: 0x0a00_0203,
  server: 0x0a00_0202,
  hostName: 'lab',
  domainName: undefined,
};
const [DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK] = [1, 2, 3, 4, 5, 6];
const MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/** RFC 2131, figure "Format of a DHCP message". */
function message(...options: readonly (readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(300);
  bytes.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  bytes.set(MAC, 28);
  bytes.set([99, 130, 83, 99, 0, ...options.flat(), 255], 236);
  return bytes;
}

function optionsOf(reply: Uint8Array): Record<number, number[]> {
  expect([...reply.subarray(236, 240)]).toEqual([99, 130, 83, 99]);
  const found: Record<number, number[]> = {};
  for (let at = 240; reply[at] !== 255; at += 2 + reply[at + 1]!)
    found[reply[at]!] = [...reply.subarray(at + 2, at + 2 + reply[at + 1]!)];
  return found;
}

test('an offer has all that the guest needs', () => {
  const reply = answerDhcp(message([53, 1, DISCOVER]), LEASE)!;
  expect([...reply.subarray(0, 8)]).toEqual([2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  expect([...reply.subarray(16, 24)]).toEqual([10, 0, 2, 15, 10, 0, 2, 2]);
  expect([...reply.subarray(28, 34)]).toEqual(MAC);
  expect(reply.length).toBeGreaterThanOrEqual(300);
  expect(optionsOf(reply)).toEqual({
    53: [OFFER],
    54: [10, 0, 2, 2],
    1: [255, 255, 255, 0],
    3: [10, 0, 2, 2],
    6: [10, 0, 2, 3],
    51: [0, 1, 0x51, 0x80],
    12: [...Buffer.from('lab')],
  });
});

describe('a request', () => {
  test.each<[string, number[][], number]>([
    ['for the address', [[50, 4, 10, 0, 2, 15]], ACK],
    [
      'for the address, of this server',
      [
        [54, 4, 10, 0, 2, 2],
        [50, 4, 10, 0, 2, 15],
      ],
      ACK,
    ],
    ['for another address', [[50, 4, 10, 0, 2, 99]], NAK],
  ])('%s', (_, options, answer) => {
    const reply = answerDhcp(message([53, 1, REQUEST], ...options), LEASE)!;
    expect(optionsOf(reply)[53]).toEqual([answer]);
    expect([...reply.subarray(16, 20)]).toEqual(answer === ACK ? [10, 0, 2, 15] : [0, 0, 0, 0]);
  });

  test('by a client that renews names the address elsewhere', () => {
    const renewal = message([53, 1, REQUEST]);
    renewal.set([10, 0, 2, 15], 12);
    expect(optionsOf(answerDhcp(renewal, LEASE)!)[53]).toEqual([ACK]);
  });
});

test('a client of plain BOOTP gets the address without options', () => {
  const request = message().fill(0, 236);
  const reply = answerDhcp(request, LEASE)!;
  expect([...reply.subarray(16, 20)]).toEqual([10, 0, 2, 15]);
  expect(optionsOf(reply)).toEqual({});
});

test.each<[string, Uint8Array]>([
  ['a message that is too short', new Uint8Array(200)],
  ['an answer', message([53, 1, DISCOVER]).with(0, 2)],
  ['a request for what another server offered', message([53, 1, REQUEST], [54, 4, 10, 0, 2, 9])],
  ['a message of another kind', message([53, 1, DECLINE])],
])('%s is not answered', (_, request) => {
  expect(answerDhcp(request, LEASE)).toBeUndefined();
});
