import { describe, expect, test } from 'vitest';

import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';
import { makedumpfile } from '../../../scripts/commands/makedumpfile.ts';
import { parseOptions, parseSize } from '../../../scripts/commands/makedumpfile/options.ts';

const parse = (line: string) => parseOptions(line.split(' ').filter(Boolean));

describe('parseOptions', () => {
  test.each([
    ['-c -d 31 core dump', { mode: 'create', compressor: 'zlib', levels: [31], inputs: ['core'], outputs: ['dump'] }],
    ['-ld31 core dump', { compressor: 'lzo', levels: [31] }],
    ['core dump -z', { compressor: 'zstd' }],
    ['-c -p core dump', { compressor: 'snappy' }],
    ['-d 11,31 -L 1G core dump', { levels: [11, 31], sizeLimit: 2 ** 30 }],
    ['-E core dump', { elf: true, compressor: undefined }],
    ['-F core', { flatten: true, outputs: [] }],
    ['-R dump', { mode: 'rearrange', inputs: [], outputs: ['dump'] }],
    ['--split core a b', { split: true, outputs: ['a', 'b'] }],
    ['--split --splitblock-size 1024 core a b', { splitBlockSize: 2 ** 20 }],
    ['--reassemble a b dump', { mode: 'reassemble', inputs: ['a', 'b'], outputs: ['dump'] }],
    ['--num-threads 4 core dump', { threads: 4 }],
    ['--dump-dmesg core log', { mode: 'dmesg', outputs: ['log'] }],
    ['--mem-usage core', { mode: 'mem-usage', inputs: ['core'] }],
    ['-g info -x vmlinux', { mode: 'generate', vmcoreinfoFile: 'info', vmlinux: 'vmlinux' }],
    ['--vtop ffffffff81000000 core dump', { vtop: 0xffff_ffff_8100_0000n }],
    ['--vtop 0xffff888000000000 core dump', { vtop: 0xffff_8880_0000_0000n }],
    ['--message-level 31 core dump', { messageLevel: 31 }],
    ['--show-stats core dump', { messageLevel: 23 }],
    ['-D core dump', { messageLevel: 15 }],
    ['-b 4 --cyclic-buffer 1024 --work-dir /tmp --non-mmap core dump', { mode: 'create' }],
  ])('reads %s', (line, expected) => {
    expect(parse(line)).toMatchObject(expected);
  });

  test.each([
    '',
    'core',
    'core dump more',
    '-E -c core dump',
    '-d 32 core dump',
    '-d -1 core dump',
    '-d x core dump',
    '-i info -x vmlinux core dump',
    '-F --split core a b',
    '--split core a',
    '--split -E core a b',
    '--num-threads 2 --split core a b',
    '--num-threads 2 -E core dump',
    '--partial-dmesg core dump',
    '--dry-run --dump-dmesg core log',
    '--dry-run --reassemble a b c',
    '--dry-run -g info -x vmlinux',
    '-g info',
    '-g info -x vmlinux core',
    '-R -c dump',
    '-R',
    '--config erase.conf core dump',
    '--message-level 32 core dump',
    '-L 0 core dump',
    '-L 12Q core dump',
    '--no-such-option core dump',
    '--zlib core dump',
  ])('refuses %j', line => {
    expect(() => parse(line)).toThrow(UsageError);
  });

  test('takes -e with --work-dir', () => {
    expect(parse('-e -d 31 --work-dir /tmp core dump').excludeUnusedVm).toBe(true);
    expect(() => parse('-e -d 31 core dump')).toThrow('-e requires --work-dir');
  });

  test.each(['-X core dump', '--xen-syms xen core dump', '--diskset=a dump', '--eppic m core dump'])(
    'says that %j is missing',
    line => {
      expect(() => parse(line)).toThrow(UnimplementedError);
    },
  );
});

test.each([
  ['1k', 1024],
  ['0x10', 16],
  ['3M', 3 * 2 ** 20],
  ['1T', 2 ** 40],
])('reads the size %s', (text, size) => {
  expect(parseSize(text)).toBe(size);
});

describe('makedumpfile', () => {
  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    let [out, err] = ['', ''];
    const terminal = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
    return { code: await makedumpfile(args, terminal), out, err };
  }

  test('says nothing with --check-params when all is well', async () => {
    expect(await run('--check-params', '-c', '-d', '31', 'core', 'dump')).toEqual({ code: 0, out: '', err: '' });
  });

  test('ends with 1 and a pointer to the help when options are wrong', async () => {
    const { code, out } = await run('-E', '-c', 'core', 'dump');
    expect(code).toBe(1);
    expect(out).toContain("Commandline parameter is invalid.\nTry `makedumpfile --help' for more information.\n");
    expect(out).toContain('makedumpfile Failed.');
  });

  test('ends with 1 when there is no dump', async () => {
    const { code, err, out } = await run('-c', '/nonexistent/core', '/nonexistent/dump');
    expect({ code, err }).toEqual({ code: 1, err: '/nonexistent/core: no such file\n' });
    expect(out).toContain('makedumpfile Failed.');
  });

  test('refuses to write over a file without -f', async () => {
    const { code, err } = await run('-c', '/nonexistent/core', import.meta.filename);
    expect(code).toBe(1);
    expect(err).toContain('File exists');
  });
});
