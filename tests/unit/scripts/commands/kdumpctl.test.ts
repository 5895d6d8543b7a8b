import { describe, expect, test } from 'vitest';

import { recommendSize } from '../../../../scripts/commands/kdumpctl.ts';

const MIB = 2 ** 20;
const MEMORY = {
  reserved: 128 * MIB,
  total: 100 * MIB,
  leastAvailable: 80 * MIB,
  kernel: 26 * MIB,
  modules: 0,
  initramfs: 5 * MIB,
};

describe('recommendSize', () => {
  // 128 - 80 MiB were used; 16 more are kept in reserve; sizes are multiples of 16 MiB.
  test('is what the capture kernel used, and a reserve', () => {
    expect(recommendSize(MEMORY)).toBe(64 * MIB);
    expect(recommendSize({ ...MEMORY, leastAvailable: 79 * MIB })).toBe(80 * MIB);
  });

  test('needs a measurement', () => {
    expect(() => recommendSize({ ...MEMORY, leastAvailable: null })).toThrow('did not come so far');
    expect(() => recommendSize({ ...MEMORY, reserved: null })).toThrow('does not tell how much memory was reserved');
  });
});
