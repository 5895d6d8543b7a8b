/** The debugger's side of gdb's remote protocol. Packets are those of "Debugging with GDB", section "Overview" of its protocol. */
import { expect, test } from 'vitest';

import { PacketReader, framePacket } from '../../../../analyzer/live/gdb-packets.ts';

test('frames a packet with its checksum', () => {
  expect(framePacket(Buffer.from('OK')).toString()).toBe('$OK#9a');
});

test('escapes what has a meaning of its own', () => {
  expect([...framePacket(Buffer.from('#$}*')).subarray(1, 9)]).toEqual([
    0x7d, 0x03, 0x7d, 0x04, 0x7d, 0x5d, 0x7d, 0x0a,
  ]);
});

test('joins what comes in pieces and leaves acknowledgements out', () => {
  const reader = new PacketReader();
  expect(reader.push(Buffer.from('+$O'))).toEqual([]);
  expect(reader.push(Buffer.from('K#9'))).toEqual([]);
  expect(reader.push(Buffer.from('a+$OK#9a')).map(String)).toEqual(['OK', 'OK']);
});

test('expands repetitions: "0* " stands for "0000"', () => {
  expect(new PacketReader().push(Buffer.from('$0* #7a')).map(String)).toEqual(['0000']);
});

test('undoes escapes', () => {
  expect(new PacketReader().push(framePacket(Buffer.from('a#b}'))).map(String)).toEqual(['a#b}']);
});

test('tells a damaged packet', () => {
  expect(new PacketReader().push(Buffer.from('$OK#00'))).toEqual([undefined]);
});
