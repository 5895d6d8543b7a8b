/** `kdump-lab crash` as people use it: at a terminal, which is that of script(1). */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, describe, expect, test } from 'vitest';

import { findDumpFolder } from '../support/crash-reference.ts';
import { hasScript, TerminalSession } from '../support/terminal-session.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/kdump-lab', import.meta.url));
const folder = findDumpFolder('x86_64-6.1');
const home = mkdtempSync(join(tmpdir(), 'kdump-lab-crash-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const UP = '\u001b[A';
const TAB = '\t';
const PROMPT = /crash> /;

let session: TerminalSession | undefined;
afterEach(() => session?.kill());

/** Opens the dump with a home of its own, on 24 lines of 80 columns. */
function open(options: string): TerminalSession {
  const command = `stty rows 24 cols 80; ${PROGRAM} crash ${options} ${join(folder!, 'vmcore')}`;
  const env = { HOME: home, TERM: 'xterm', KDUMP_LAB_CACHE: process.env['KDUMP_LAB_CACHE'] ?? tmpdir(), LESS: '' };
  session = new TerminalSession(command, home, env);
  return session;
}

describe.skipIf(!hasScript || folder === undefined)('crash at a terminal (needs script(1) and x86_64-6.1)', () => {
  test.each([
    ['commands', `sbitm${TAB}`, /sbitmapq/],
    ['symbols', `sym jiffies_6${TAB}`, /sym jiffies_64/],
    ['types', `struct task_stru${TAB}`, /struct task_struct/],
    ['members', `struct task_struct.sched_inf${TAB}`, /task_struct\.sched_info/],
    ['members of a variable', `p init_task.sched_inf${TAB}`, /init_task\.sched_info/],
    ['settings', `set conso${TAB}`, /set console/],
  ])('Tab completes %s', async (_what, typed, shown) => {
    const terminal = open('-s');
    await terminal.waitFor(PROMPT);
    terminal.type(typed);
    await terminal.waitFor(shown);
    terminal.type(`${CTRL_C}${CTRL_D}`);
    expect(await terminal.status()).toBe(0);
  });

  test('a second Tab lists what there is', async () => {
    const terminal = open('-s');
    await terminal.waitFor(PROMPT);
    for (const key of ['ps -', TAB, TAB]) {
      terminal.type(key);
      // keys that come together are pasted text
      await delay(500);
    }
    await terminal.waitFor(/-k[^]*-u[^]*-G/);
    terminal.type(`${CTRL_C}${CTRL_D}`);
    expect(await terminal.status()).toBe(0);
  });

  test('history is kept, from session to session', async () => {
    const first = open('-s');
    await first.waitFor(PROMPT);
    first.type('p 11*11\r');
    await first.waitFor(/= 121\n/);
    first.type('p 12*12\r');
    await first.waitFor(/= 144\n/);
    first.type(`${UP}${UP}\r`);
    await first.waitFor(/= 121\n/);
    first.type('quit\r');
    expect(await first.status()).toBe(0);

    const second = open('-s');
    await second.waitFor(PROMPT);
    second.type(`${UP}${UP}${UP}\r`);
    await second.waitFor(/= 144\n/);
    second.type('q\r');
    expect(await second.status()).toBe(0);
    expect(readFileSync(join(home, '.kcrash_history'), 'utf8')).toContain('p 12*12\n');
  });

  const hasLess = spawnSync('less', ['--version']).error === undefined;

  test.skipIf(!hasLess)('what is longer than the screen is scrolled, what is shorter is not', async () => {
    const terminal = open('-s');
    await terminal.waitFor(PROMPT);
    terminal.type('log\r');
    await terminal.waitFor(/Linux version[^]*\n:/);
    expect(terminal.text).not.toContain('Kernel panic - not syncing');
    terminal.type('q');
    await terminal.waitFor(PROMPT);
    terminal.type('p 13*13\r');
    await terminal.waitFor(/= 169\n[^]*crash> /);
    terminal.type('set scroll off\rlog\r');
    await terminal.waitFor(/Kernel panic - not syncing[^]*crash> /);
    terminal.type('q\r');
    expect(await terminal.status()).toBe(0);
  });

  test('Ctrl-C gives up the line, a repetition, and a command that takes long', async () => {
    const terminal = open('-s');
    await terminal.waitFor(PROMPT);
    terminal.type(`nonsense${CTRL_C}`);
    await terminal.waitFor(/\^C\n[^]*crash> /);
    terminal.type('repeat -1 p 14*14\r');
    await terminal.waitFor(/= 196\n[^]*= 196\n/);
    terminal.type(CTRL_C);
    await terminal.waitFor(PROMPT);
    terminal.type('repeat search -k ffff8f3f011fe000\r');
    await terminal.waitFor(/ffff8f3f011fe000\n/);
    await delay(1000);
    terminal.type(CTRL_C);
    await terminal.waitFor(/search: interrupted[^]*crash> /);
    terminal.type('p 15*15\r');
    await terminal.waitFor(/= 225\n/);
    terminal.type('q\r');
    expect(await terminal.status()).toBe(0);
    expect(terminal.text).not.toContain('command not found');
  });

  test('with -c Ctrl-C ends a repetition, and the next command follows', async () => {
    const terminal = open("-c 'repeat -1 p 16*16; p 17*17'");
    await terminal.waitFor(/= 256\n[^]*= 256\n/);
    terminal.type(CTRL_C);
    await terminal.waitFor(/= 289\n/);
    expect(await terminal.status()).toBe(0);
  });

  test('pipes and files are those of the host', async () => {
    const terminal = open('-s');
    await terminal.waitFor(PROMPT);
    terminal.type('ps | grep -c swapper\r');
    await terminal.waitFor(/\n\d+\n[^]*crash> /);
    terminal.type('sys > sys.txt\r');
    await terminal.waitFor(PROMPT);
    terminal.type('!echo host $((6*7))\r');
    await terminal.waitFor(/\nhost 42\n[^]*crash> /);
    terminal.type('q\r');
    expect(await terminal.status()).toBe(0);
    expect(readFileSync(join(home, 'sys.txt'), 'utf8')).toMatch(/^ +RELEASE: 6\.1\./m);
  });
});
