/** BPF byte code as text; bytes and text are of the example in crash's `help bpf`, further ones of the kernel's documentation. */
import { describe, expect, test } from 'vitest';

import { bpfLines } from '../../../../analyzer/text/bpf-instructions.ts';

const NAMES = {
  immediate: (value: bigint): string => (value === 0xffff_9db2_6196_7a00n ? 'map[id:13]' : `0x${value.toString(16)}`),
  call: (immediate: number): string => (immediate === 73_760 ? 'bpf_map_lookup_elem' : 'unknown'),
};

function textOf(hexadecimal: string): string[] {
  return bpfLines(Buffer.from(hexadecimal.replaceAll(' ', ''), 'hex'), NAMES).map(({ text }) => text);
}

describe('instructions', () => {
  test.each([
    ['bf 16 00 00 00 00 00 00', '(bf) r6 = r1'],
    ['69 67 c0 00 00 00 00 00', '(69) r7 = *(u16 *)(r6 +192)'],
    ['b4 08 00 00 00 00 00 00', '(b4) (u32) r8 = (u32) 0'],
    ['55 07 0e 00 08 00 00 00', '(55) if r7 != 0x8 goto pc+14'],
    ['bf a3 00 00 00 00 00 00', '(bf) r3 = r10'],
    ['07 03 00 00 fc ff ff ff', '(07) r3 += -4'],
    ['62 02 00 00 20 00 00 00', '(62) *(u32 *)(r2 +0) = 32'],
    ['85 00 00 00 20 20 01 00', '(85) call bpf_map_lookup_elem#73760'],
    ['55 07 0e 00 86 dd 00 00', '(55) if r7 != 0xdd86 goto pc+14'],
    ['44 08 00 00 02 00 00 00', '(44) (u32) r8 |= (u32) 2'],
    ['b7 00 00 00 01 00 00 00', '(b7) r0 = 1'],
    ['95 00 00 00 00 00 00 00', '(95) exit'],
    // instruction-set.rst "Conditional byte swap", "Jump instructions", "Atomic operations", "Sign-extension load operations"
    ['dc 01 00 00 10 00 00 00', '(dc) r1 = be16 r1'],
    ['d4 01 00 00 20 00 00 00', '(d4) r1 = le32 r1'],
    ['d7 01 00 00 40 00 00 00', '(d7) r1 = bswap64 r1'],
    ['05 00 fe ff 00 00 00 00', '(05) goto pc-2'],
    ['85 10 00 00 05 00 00 00', '(85) call pc+5'],
    ['1e 21 03 00 00 00 00 00', '(1e) if w1 == w2 goto pc+3'],
    ['db 21 f8 ff 00 00 00 00', '(db) lock *(u64 *)(r1 -8) += r2'],
    ['db 21 f8 ff e1 00 00 00', '(db) r2 = xchg(*(u64 *)(r1 -8), r2)'],
    ['81 21 04 00 00 00 00 00', '(81) r1 = *(s32 *)(r2 +4)'],
    ['20 00 00 00 0c 00 00 00', '(20) r0 = *(u32 *)skb[12]'],
  ])('%s is %s', (hexadecimal, text) => {
    expect(textOf(hexadecimal)).toEqual([text]);
  });

  test('a 64-bit immediate takes two slots and may be a map', () => {
    const lines = bpfLines(Buffer.from('18010000007a966100000000b29dffff9500000000000000', 'hex'), NAMES);
    expect(lines.map(({ index, text }) => [index, text])).toEqual([
      [0, '(18) r1 = map[id:13]'],
      [2, '(95) exit'],
    ]);
  });

  test('a program that is cut short ends with what is there', () => {
    expect(textOf('bf 16 00 00 00 00 00 00 18 01 00')).toEqual(['(bf) r6 = r1']);
  });
});
