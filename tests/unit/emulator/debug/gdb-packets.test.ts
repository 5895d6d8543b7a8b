import { describe, expect, test } from 'vitest';

import { framePacket, GdbPacketReader } from '../../../../emulator/debug/gdb-packets.ts';

describe('packets', () => {
  // "Debugging with GDB" "Overview": the checksum is the sum of all characters modulo 256.
  test('are framed with their checksum', () => {
    expect(framePacket(Buffer.from('OK')).toString()).toBe('$OK#9a');
  });

  test('escape the characters that frame them', () => {
    expect(framePacket(Buffer.from('a#b')).subarray(0, 5)).toEqual(Buffer.from('$a}\u0003b'));
  });

  test('are read whatever pieces they come in, with acknowledgements and interrupts between them', () => {
    const reader = new GdbPacketReader();
    expect(reader.push(Buffer.from('+$qC'))).toEqual([]);
    expect(reader.push(Buffer.from('#b4\u0003-'))).toEqual([
      { kind: 'packet', data: Buffer.from('qC') },
      { kind: 'interrupt' },
      { kind: 'resend' },
    ]);
  });

  test('with a wrong checksum are damaged', () => {
    expect(new GdbPacketReader().push(Buffer.from('$qC#b5'))).toEqual([{ kind: 'damaged' }]);
  });
});
