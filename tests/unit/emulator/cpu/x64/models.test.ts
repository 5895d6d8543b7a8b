/** `-cpu` as QEMU takes it. Source: QEMU "System Emulation User's Guide", `-cpu`. */
import { describe, expect, test } from 'vitest';
import { type X64FeatureName } from '../../../../../emulator/cpu/x64/features.ts';
import { x64Model } from '../../../../../emulator/cpu/x64/models.ts';

describe('features of a model', () => {
  test.each<[text: string, on: readonly X64FeatureName[], off: readonly X64FeatureName[]]>([
    ['max', ['la57', 'pku', 'avx2'], []],
    ['max,la57=off', ['pku'], ['la57']],
    ['max,-la57,-pku', ['avx2'], ['la57', 'pku']],
    ['qemu64,+x2apic,+tsc-deadline', ['x2apic', 'tsc_deadline_timer'], ['avx']],
    ['qemu64,x2apic', ['x2apic'], []],
    ['qemu64,x2apic=on,-nx', ['x2apic'], ['nx']],
    ['Nehalem,sse4.2=off,-sse4_1', ['ssse3'], ['sse4_1', 'sse4_2']],
    ['Haswell,-xsave', ['aes'], ['xsave', 'avx', 'avx2', 'fma', 'f16c', 'xsaveopt']],
    ['Haswell,-avx', ['xsave', 'bmi1'], ['avx', 'avx2', 'fma']],
    ['qemu64,+avx2', ['xsave', 'avx', 'avx2'], ['fma']],
    ['max,-svm', ['avx2'], ['svm']],
  ])('%s', (text, on, off) => {
    const { features } = x64Model(text);
    expect(on.filter(feature => !features.has(feature))).toEqual([]);
    expect(off.filter(feature => features.has(feature))).toEqual([]);
  });

  test('leave the model as it is for others', () => {
    x64Model('max,-la57');
    expect(x64Model('max').features.has('la57')).toBe(true);
  });

  test.each([
    ['Nehalem', 0xb],
    ['Nehalem,+xsave', 0xd],
  ])('the highest leaf of %s is %i', (text, leaf) => {
    expect(x64Model(text).maxLeaf).toBe(leaf);
  });

  test('a vendor is taken', () => {
    expect(x64Model('max,vendor=GenuineIntel').vendor).toBe('GenuineIntel');
  });
});

test.each([
  ['pentium9', /no CPU model pentium9: there are qemu64/],
  ['max,+warp', /-cpu max,\+warp: no feature warp/],
  ['max,la57=maybe', /la57 is on or off/],
  ['max,', /no feature/],
  ['max,-lm', /no kernel starts without lm/],
  ['max,+svm', /svm \(-cpu max,\+svm\)/],
  ['max,vendor=Cyrix', /the vendor is AuthenticAMD or GenuineIntel/],
])('%s is refused', (text, message) => {
  expect(() => x64Model(text)).toThrow(message);
});
