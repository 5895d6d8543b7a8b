import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { UsageError } from '../../../../capture/formats/errors.ts';
import type { NetworkBackend } from '../../../../emulator/index.ts';
import { PacketCapture } from '../../../../scripts/console/packet-capture.ts';

const MAC = new Uint8Array(6);
const EVENTS = { post: (event: () => void) => event(), expect: () => undefined };

test('frames of both directions are in the file, with guest time, and cut where asked', () => {
  const folder = mkdtempSync(join(tmpdir(), 'packets-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'n0.pcap');
  const sent: Uint8Array[] = [];
  const received: Uint8Array[] = [];
  let deliver: (frame: Uint8Array) => void = () => undefined;
  const network: NetworkBackend = {
    description: 'n0',
    attach: (_, take) => (deliver = take),
    send: frame => void sent.push(frame),
    hangUp: () => undefined,
  };
  {
    using capture = new PacketCapture(network, { network: 'n0', file, maxLength: 4 }, () => 1_767_225_600.25);
    capture.attach(MAC, frame => void received.push(frame), EVENTS);
    capture.send(Uint8Array.of(1, 2, 3));
    deliver(Uint8Array.of(4, 5, 6, 7, 8));
  }
  expect([sent, received]).toEqual([[Uint8Array.of(1, 2, 3)], [Uint8Array.of(4, 5, 6, 7, 8)]]);
  // pcap-savefile(5): magic, version 2.4, two zeros, the greatest length, Ethernet; seconds, microseconds, kept, length.
  expect(readFileSync(file).toString('hex')).toBe(
    'd4c3b2a1020004000000000000000000' +
      '0400000001000000' +
      '00b9556990d003000300000003000000010203' +
      '00b9556990d00300040000000500000004050607',
  );
});

test('a file that cannot be written is said', () => {
  const network = {} as NetworkBackend;
  const option = { network: 'n0', file: '/no/such/folder/x', maxLength: 1 };
  expect(() => new PacketCapture(network, option, () => 0)).toThrow(UsageError);
});
