/** Expected errors: kexec_load(2) "ERRORS", and the kernel's kernel/kexec.c and kernel/kexec_core.c (v6.12). */
import { describe, expect, test } from 'vitest';
import {
  applyKexecFileLoad,
  applyKexecLoad,
  checkKexecFileLoad,
  checkKexecLoad,
  type Errno,
  type HeldImages,
  type KexecFileLoadArguments,
  type KexecKernel,
  type KexecLoadArguments,
  type SegmentArgument,
} from '../../../kexec/syscalls.ts';

const KERNEL: KexecKernel = {
  architecture: 'aarch64',
  hasKexecLoad: true,
  hasKexecFileLoad: true,
  knownFlags: 0xf,
  knownFileFlags: 0x3f,
  mayBoot: true,
  loadDisabled: false,
  loadsLeft: { panic: undefined, reboot: undefined },
  busy: false,
  crashRegion: { start: 0x5360_0000, end: 0x5b60_0000 },
  totalRamPages: 0x1_f000,
};
const SEGMENT: SegmentArgument = { bufsz: 0x1000n, mem: 0x5360_0000n, memsz: 0x2000n };
const CALL: KexecLoadArguments = {
  entry: 0x5360_0000n,
  segments: [SEGMENT],
  nrSegments: 1,
  flags: 0xb7_0001n,
};

const segments = (...parts: readonly Partial<SegmentArgument>[]): Partial<KexecLoadArguments> => ({
  segments: parts.map(part => ({ ...SEGMENT, ...part })),
  nrSegments: parts.length,
});

describe('kexec_load', () => {
  test.each<
    [call: string, change: Partial<KexecLoadArguments>, kernel: Partial<KexecKernel>, expected: Errno | undefined]
  >([
    ['a sound image', {}, {}, undefined],
    ['the default architecture', { flags: 1n }, {}, undefined],
    ['no segments: unload', { segments: [], nrSegments: 0, entry: 0n }, {}, undefined],
    ['a kernel without it', {}, { hasKexecLoad: false }, 'ENOSYS'],
    ['without CAP_SYS_BOOT', {}, { mayBoot: false }, 'EPERM'],
    ['after kexec_load_disabled', {}, { loadDisabled: true }, 'EPERM'],
    ['after kexec_load_limit_panic', {}, { loadsLeft: { panic: 0, reboot: 1 } }, 'EPERM'],
    ['kexec_load_limit_reboot does not count panics', {}, { loadsLeft: { panic: 1, reboot: 0 } }, undefined],
    ['an unknown flag', { flags: 0xb7_0011n }, {}, 'EINVAL'],
    ['a flag of later kernels', { flags: 0xb7_0009n }, { knownFlags: 3 }, 'EINVAL'],
    ['bits above the architecture field', { flags: 0x1_00b7_0001n }, {}, 'EINVAL'],
    ['17 segments', { nrSegments: 17, segments: Array.from({ length: 17 }, () => SEGMENT) }, {}, 'EINVAL'],
    ['x86_64 on arm64', { flags: 0x3e_0001n }, {}, 'EINVAL'],
    ['arm64 on x86_64', {}, { architecture: 'x86_64' }, 'EINVAL'],
    ['an array that ends early', { nrSegments: 2 }, {}, 'EFAULT'],
    ['while another load is under way', {}, { busy: true }, 'EBUSY'],
    ['an entry below the region', { entry: 0x535f_ffffn }, {}, 'EADDRNOTAVAIL'],
    ['the last address of the region as entry', { entry: 0x5b5f_ffffn }, {}, undefined],
    ['an entry behind the region', { entry: 0x5b60_0000n }, {}, 'EADDRNOTAVAIL'],
    ['nothing reserved', {}, { crashRegion: undefined }, 'EADDRNOTAVAIL'],
    ['a segment that begins within a page', segments({ mem: 0x5360_0800n }), {}, 'EADDRNOTAVAIL'],
    ['a segment that ends within a page', segments({ memsz: 0x1800n }), {}, 'EADDRNOTAVAIL'],
    ['a segment that wraps around', segments({ mem: 0xffff_ffff_ffff_f000n }), {}, 'EADDRNOTAVAIL'],
    ['overlapping segments', segments({}, { mem: 0x5360_1000n }), {}, 'EINVAL'],
    ['segments that touch', segments({}, { mem: 0x5360_2000n }), {}, undefined],
    ['a buffer larger than its segment', segments({ bufsz: 0x2001n }), {}, 'EINVAL'],
    ['more than half of memory', segments({ memsz: 0xf80_1000n }), {}, 'EINVAL'],
    ['a segment below the region', segments({ mem: 0x535f_f000n }), {}, 'EADDRNOTAVAIL'],
    ['a segment that leaves the region', segments({ mem: 0x5b5f_f000n }), {}, 'EADDRNOTAVAIL'],
    ['a region that is full', segments({ memsz: 0x800_0000n }), {}, 'ENOMEM'],
    [
      'a region that is full, in two',
      segments({ memsz: 0x400_0000n }, { mem: 0x5760_0000n, memsz: 0x400_0000n }),
      {},
      'ENOMEM',
    ],
    ['a region with a page between', segments({}, { mem: 0x5360_3000n, memsz: 0x7ff_d000n }), {}, undefined],
    ['a region with a page behind', segments({ memsz: 0x7ff_f000n }), {}, undefined],
    ['anywhere for a reboot', { ...segments({ mem: 0x4000_0000n }), flags: 0xb7_0000n, entry: 0n }, {}, undefined],
  ])('%s', (_, change, kernel, expected) => {
    expect(checkKexecLoad({ ...CALL, ...change }, { ...KERNEL, ...kernel })?.errno).toBe(expected);
  });
});

describe('kexec_file_load', () => {
  const FILE_CALL: KexecFileLoadArguments = {
    kernel: 'image',
    initrd: 'file',
    commandLine: Buffer.from('quiet\0'),
    flags: 2n,
  };
  test.each<
    [call: string, change: Partial<KexecFileLoadArguments>, kernel: Partial<KexecKernel>, expected: Errno | undefined]
  >([
    ['a sound call', {}, {}, undefined],
    ['a kernel without it', {}, { hasKexecFileLoad: false }, 'ENOSYS'],
    ['without CAP_SYS_BOOT', {}, { mayBoot: false }, 'EPERM'],
    ['an unknown flag', { flags: 0x42n }, {}, 'EINVAL'],
    ['KEXEC_FILE_DEBUG before v6.8', { flags: 0xan }, { knownFileFlags: 7 }, 'EINVAL'],
    ['while another load is under way', {}, { busy: true }, 'EBUSY'],
    ['a closed kernel file', { kernel: undefined }, {}, 'EBADF'],
    ['a directory as kernel', { kernel: 'directory' }, {}, 'EINVAL'],
    ['an empty kernel', { kernel: 'empty' }, {}, 'EINVAL'],
    ['what is no Image, on arm64', { kernel: 'unknown' }, {}, 'EINVAL'],
    ['what is no bzImage, on x86_64', { kernel: 'unknown' }, { architecture: 'x86_64' }, 'ENOEXEC'],
    ['a closed initramfs', { initrd: undefined }, {}, 'EBADF'],
    ['no initramfs with NO_INITRAMFS', { initrd: undefined, flags: 6n }, {}, undefined],
    ['a command line without NUL', { commandLine: Buffer.from('quiet') }, {}, 'EINVAL'],
    ['no command line', { commandLine: undefined }, {}, undefined],
    ['unloading needs no files', { kernel: undefined, initrd: undefined, flags: 3n }, {}, undefined],
  ])('%s', (_, change, kernel, expected) => {
    expect(checkKexecFileLoad({ ...FILE_CALL, ...change }, { ...KERNEL, ...kernel })?.errno).toBe(expected);
  });
});

describe('what is loaded after a call', () => {
  const OLD = { crash: 'old crash', reboot: 'old reboot' };
  const FILE: KexecFileLoadArguments = { kernel: 'image', initrd: 'file', commandLine: undefined, flags: 2n };
  const REBOOT = { ...segments({ mem: 0x4000_0000n }), flags: 0xb7_0000n, entry: 0n };

  test.each<
    [
      what: string,
      change: Partial<KexecLoadArguments>,
      kernel: Partial<KexecKernel>,
      expected: Partial<HeldImages<string>>,
    ]
  >([
    ['a sound image for a crash', {}, {}, { crash: 'new' }],
    ['a sound image for a reboot', REBOOT, {}, { reboot: 'new' }],
    ['no segments', { segments: [], nrSegments: 0 }, {}, { crash: undefined }],
    ['no segments for a reboot', { segments: [], nrSegments: 0, flags: 0xb7_0000n }, {}, { reboot: undefined }],
    ['a call that may not load', {}, { mayBoot: false }, {}],
    ['a call that has to wait', {}, { busy: true }, {}],
    // do_kexec_load frees the old one first.
    ['a damaged image for a crash', segments({}, {}), {}, { crash: undefined }],
    ['a damaged image for a reboot', { ...REBOOT, ...segments({}, {}) }, {}, {}],
  ])('%s', (_, change, kernel, expected) => {
    const { held } = applyKexecLoad(OLD, { ...CALL, ...change }, { ...KERNEL, ...kernel }, 'new');
    expect(held).toEqual({ ...OLD, ...expected });
  });

  test.each<[what: string, change: Partial<KexecFileLoadArguments>, expected: Partial<HeldImages<string>>]>([
    ['files that load', {}, { crash: 'new' }],
    ['UNLOAD', { kernel: undefined, flags: 3n }, { crash: undefined }],
    ['UNLOAD for a reboot', { kernel: undefined, flags: 1n }, { reboot: undefined }],
    ['an unknown flag', { flags: 0x42n }, {}],
    ['no kernel', { kernel: undefined }, { crash: undefined }],
    ['no kernel for a reboot', { kernel: undefined, flags: 0n }, {}],
  ])('kexec_file_load, %s', (_, change, expected) => {
    const { held } = applyKexecFileLoad(OLD, { ...FILE, ...change }, KERNEL, 'new');
    expect(held).toEqual({ ...OLD, ...expected });
  });
});
