import { PassThrough } from 'node:stream';

import { describe, expect, test } from 'vitest';

import { escapeHelp, EscapeKeys } from '../../../../scripts/console/escape-keys.ts';
import { ConsoleExpect, ExpectTimeout } from '../../../../scripts/console/expect.ts';
import { InteractiveConsole, type InteractiveTarget } from '../../../../scripts/console/interactive.ts';
import { LineTimestamps } from '../../../../scripts/console/line-timestamps.ts';
import { LineEditor } from '../../../../scripts/console/line-editor.ts';
import { Screen } from '../../../../scripts/console/screen.ts';

function typed(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

const pieces = (keys: EscapeKeys, text: string) =>
  keys
    .push(typed(text))
    .map(piece => (piece.kind === 'bytes' ? Buffer.from(piece.bytes).toString('latin1') : `<${piece.request}>`));

describe('EscapeKeys', () => {
  test.each([
    ['ls\r', ['ls\r']],
    ['a\u0001xb', ['a', '<quit>', 'b']],
    ['\u0001c', ['<monitor>']],
    ['\u0001h', ['<help>']],
    ['a\u0001\u0001b', ['a\u0001b']],
    ['a\u0001zb', ['ab']],
    ['\u0001b\u0001s\u0001t\u0001?', ['<break>', '<save>', '<timestamps>', '<help>']],
    ['\u0003', ['\u0003']],
  ])('%j', (text, expected) => {
    expect(pieces(new EscapeKeys(), text)).toEqual(expected);
  });

  test('remembers Ctrl-a until the next key comes', () => {
    const keys = new EscapeKeys();
    expect(pieces(keys, 'a\u0001')).toEqual(['a']);
    expect(pieces(keys, 'x')).toEqual(['<quit>']);
  });
});

describe('LineEditor', () => {
  test('echoes, erases, and hands out lines at Enter', () => {
    let echo = '';
    const editor = new LineEditor(text => (echo += text));
    expect(editor.push(typed('infx\u007fo\rquit'))).toEqual(['info']);
    expect(echo).toBe('infx\b \bo\r\nquit');
    expect(editor.push(typed('\u0015stop\n'))).toEqual(['stop']);
  });

  test('completes words, and goes through the lines before', () => {
    let echo = '';
    const words = ['system_reset', 'system_powerdown', 'stop'];
    const editor = new LineEditor(
      text => (echo += text),
      line => words.filter(word => word.startsWith(line)),
    );
    expect(editor.push(typed('sy\tr\t\r'))).toEqual(['system_reset ']);
    expect(echo).toBe('system_reset \r\n');
    expect(editor.push(typed('x\t\r'))).toEqual(['x']);
    // Up, up, down; then an unknown key.
    expect(editor.push(typed('\u001b[A\u001b[A\u001b[B\u001b[3~y\r'))).toEqual(['xy']);
    expect(editor.push(typed('half\u0003\u001bOA\r'))).toEqual(['xy']);
  });

  test('does not erase what is not there', () => {
    let echo = '';
    expect(new LineEditor(text => (echo += text)).push(typed('\b\b\r'))).toEqual(['']);
    expect(echo).toBe('\r\n');
  });
});

function connect(withMonitor: boolean, mux = true) {
  const calls: string[] = [];
  const guest: string[] = [];
  const stdin = new PassThrough();
  let shown = '';
  const target = {
    paused: false,
    guestSeconds: 0,
    instructions: 0,
    type: (bytes: Uint8Array) => guest.push(Buffer.from(bytes).toString('latin1')),
    quit: () => calls.push('quit'),
    pause: () => calls.push('pause'),
  } as unknown as InteractiveTarget;
  const terminal = {
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: { write: (text: string | Uint8Array) => (shown += String(text)) },
  };
  const monitor = withMonitor ? 'beside-serial' : 'none';
  const console = new InteractiveConsole(target, { mux, monitor, escapeKey: 1 }, terminal);
  return { stdin, calls, guest, console, shown: () => shown };
}

describe('InteractiveConsole', () => {
  test('gives keys to the guest, and lines to the monitor after Ctrl-a c', async () => {
    const { stdin, calls, guest, shown, console } = connect(true);
    stdin.write('ls\r\u0001cstop\r\u0001cpwd\r');
    await new Promise(setImmediate);
    expect(guest).toEqual(['ls\r', 'pwd\r']);
    expect(calls).toEqual(['pause']);
    expect(shown()).toContain('(kdump-lab) stop\r\n');
    console[Symbol.dispose]();
  });

  test('has no monitor when there shall be none, and ends at Ctrl-a x', async () => {
    const { stdin, calls, guest, console } = connect(false);
    stdin.write('\u0001cls\u0001x');
    await new Promise(setImmediate);
    expect(guest).toEqual(['ls']);
    expect(calls).toEqual(['quit']);
    console[Symbol.dispose]();
  });
});

test("without escape keys every key is the guest's", async () => {
  const { stdin, calls, guest, console } = connect(false, false);
  stdin.write('\u0001xls\u0003');
  await new Promise(setImmediate);
  // Ctrl-c ends the machine on a terminal only.
  expect(guest).toEqual(['\u0001xls\u0003']);
  expect(calls).toEqual([]);
  console[Symbol.dispose]();
});

test('time stamps stand in front of lines while they are on', () => {
  let now = 5000;
  const stamps = new LineTimestamps(() => now);
  const shown = (text: string) => Buffer.from(stamps.apply(typed(text))).toString('latin1');
  expect(shown('login: ')).toBe('login: ');
  stamps.toggle();
  now += 1234;
  expect(shown('root\nPass')).toBe('root\n[00:00:01.234] Pass');
  now += 3_600_000;
  expect(shown('word:\n\n')).toBe('word:\n[01:00:01.234] \n');
  stamps.toggle();
  expect(shown('# ')).toBe('# ');
});

test('another escape key can be chosen', () => {
  expect(pieces(new EscapeKeys(0x14), 'a\u0001x\u0014x')).toEqual(['a\u0001x', '<quit>']);
  expect(escapeHelp(0x14)).toContain('C-t x    end the machine');
});

function guest() {
  const state = { seconds: 0, typed: '' };
  const console = new ConsoleExpect(
    () => state.seconds,
    bytes => (state.typed += Buffer.from(bytes).toString()),
  );
  return { state, console };
}

describe('ConsoleExpect', () => {
  test('finds what came before, in pieces, and later; each find after the last', async () => {
    const { console } = guest();
    console.push(typed('boot\nlog'));
    console.push(typed('in: '));
    expect((await console.waitFor(/login: $/)).text).toBe('boot\nlogin: ');
    const next = console.waitFor(/(\S+)# $/);
    console.push(typed('root\r\n/# '));
    expect((await next).match[1]).toBe('/');
  });

  test('sends text to the guest', () => {
    const { console, state } = guest();
    console.send('root\r');
    expect(state.typed).toBe('root\r');
  });

  test('gives up after guest time, and tells how the output ended', async () => {
    const { console, state } = guest();
    const wait = console.waitFor(/login:/, { guestSeconds: 10 });
    console.push(typed('Kernel panic'));
    state.seconds = 9;
    console.tick();
    state.seconds = 10;
    console.tick();
    await expect(wait).rejects.toThrow(ExpectTimeout);
    await expect(wait).rejects.toThrow(/login:.*10 guest seconds.*Kernel panic/);
  });

  test('gives up after wall time', async () => {
    await expect(guest().console.waitFor(/login:/, { wallMs: 10 })).rejects.toThrow(/within 10 ms/);
  });
});

describe('Screen', () => {
  test('shows what escape sequences leave to see', async () => {
    using screen = new Screen(20, 3);
    await screen.write('\u001b[2J\u001b[Hhello\r\n\u001b[1mbold\u001b[0m \u001b[31mred\u001b[0m\r\nold\rnew');
    expect(screen.lines()).toEqual(['hello', 'bold red', 'new']);
    expect(screen.cursor).toEqual({ column: 3, row: 2 });
  });

  test('keeps what scrolled out', async () => {
    using screen = new Screen(20, 2);
    await screen.write('1\r\n2\r\n3\r\n4');
    expect(screen.lines()).toEqual(['3', '4']);
    expect(screen.history()).toEqual(['1', '2', '3', '4']);
  });
});
