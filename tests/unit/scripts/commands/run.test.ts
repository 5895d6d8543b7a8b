import { describe, expect, test } from 'vitest';

import { runCommand, withTwoDashes } from '../../../../scripts/commands/run.ts';

describe('withTwoDashes', () => {
  test.each([
    ['-qmp unix:q,server=on,wait=off', '--qmp unix:q,server=on,wait=off'],
    ['-monitor none -smp 2 -machine q35 -cpu max', '--monitor none --smp 2 --machine q35 --cpu max'],
    ['--qmp tcp::4444,server,nowait', '--qmp tcp::4444,server,nowait'],
    ['--kexec -p -h -V', '--kexec -p -h -V'],
  ])('reads %j as %j', (args, expected) => {
    expect(withTwoDashes(args.split(' '))).toEqual(expected.split(' '));
  });
});

describe('--qmp and --monitor', () => {
  const parse = (...args: string[]) => {
    const command = runCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    command.parseOptions(args);
    return command.opts();
  };

  test('may be given several times', () => {
    const { qmp, monitor } = parse('--qmp', 'unix:a,server,nowait', '--qmp', 'tcp:host:1,server', '--monitor', 'none');
    expect(qmp).toEqual([
      { mode: 'control', address: { kind: 'unix', path: 'a' }, wait: false },
      { mode: 'control', address: { kind: 'tcp', host: 'host', port: 1 }, wait: true },
    ]);
    expect(monitor).toEqual([]);
  });

  test.each([
    ['stdio', 'must be unix:PATH'],
    ['unix:a', 'only a server is possible'],
    ['unix:a,server,speed=9', 'unknown property speed'],
  ])('refuse %s', (value, message) => {
    expect(() => parse('--qmp', value)).toThrow(message);
  });
});
