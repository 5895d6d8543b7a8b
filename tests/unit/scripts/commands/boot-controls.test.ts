import { describe, expect, test } from 'vitest';

import { parseBootOptions } from '../../../../scripts/commands/boot-options.ts';

// The forms are those of qemu-system-x86_64(1) "Character device options" and "Debug/Expert options".
describe('control sockets', () => {
  test.each([
    [
      ['-qmp', 'unix:/tmp/q,server=on,wait=off'],
      { mode: 'control', address: { kind: 'unix', path: '/tmp/q' }, wait: false },
    ],
    [['-qmp', 'unix:/tmp/q,server,nowait'], { mode: 'control', wait: false }],
    [['-qmp', 'unix:/tmp/q,server'], { wait: true }],
    [['-qmp', 'tcp:localhost:4444,server=on,wait=off'], { address: { kind: 'tcp', host: 'localhost', port: 4444 } }],
    [['-qmp', 'tcp::4444,server=on'], { address: { kind: 'tcp', host: '127.0.0.1', port: 4444 } }],
    [['-monitor', 'unix:/tmp/m,server,nowait'], { mode: 'readline', address: { kind: 'unix', path: '/tmp/m' } }],
    [
      ['-mon', 'chardev=c,mode=control', '-chardev', 'socket,id=c,path=/tmp/c,server=on,wait=off'],
      { mode: 'control', address: { kind: 'unix', path: '/tmp/c' }, wait: false },
    ],
    [
      ['-chardev', 'socket,id=c,host=localhost,port=5555,server=on', '-mon', 'c'],
      { mode: 'readline', address: { kind: 'tcp', host: 'localhost', port: 5555 }, wait: true },
    ],
  ])('%j', (args, expected) => {
    expect(parseBootOptions(['-kernel', 'x', ...args]).controls).toMatchObject([expected]);
  });

  test.each([
    [['-qmp', 'unix:/tmp/q'], /only a server is possible/],
    [['-qmp', 'stdio'], /unix:PATH and tcp:HOST:PORT are possible/],
    [['-qmp', 'unix:,server=on'], /unix:PATH and tcp:HOST:PORT are possible/],
    [['-qmp', 'tcp:x:99999,server=on'], /unix:PATH and tcp:HOST:PORT are possible/],
    [['-chardev', 'socket,id=c,server=on'], /path= or port= is missing/],
  ])('%j is refused', (args, message) => {
    expect(() => parseBootOptions(['-kernel', 'x', ...args])).toThrow(message);
  });
});
