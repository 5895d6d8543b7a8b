/** Programs on a terminal: that of script(1). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

import { expect } from 'vitest';

/** Tells whether there is a terminal to be had. */
export const hasScript = spawnSync('script', ['--version']).status === 0;

/** For a boot on a busy host. */
const LONGEST_WAIT_MS = 120_000;

/** A program on a terminal, and somebody who reads and types. */
export class TerminalSession {
  readonly #child: ChildProcess;
  readonly closed: Promise<number | null>;
  /** What the terminal has shown, without carriage returns. */
  text = '';
  #seen = 0;

  /**
   * @param command for a shell; what the terminal is like before and after it is shown, too
   * @param cwd where it runs
   * @param env what its environment has besides ours
   */
  constructor(command: string, cwd: string, env: Readonly<Record<string, string>> = {}) {
    // A shell that catches Ctrl-C lives on to say the status, whichever shell it is; programs under it get the default.
    const measured = `trap : INT; stty -g | sed s/^/before:/; ${command}; echo status:$?; stty -g | sed s/^/after:/`;
    this.#child = spawn('script', ['-qefc', measured, '/dev/null'], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.on('data', (bytes: Buffer) => (this.text += bytes.toString('latin1').replaceAll('\r', '')));
    this.closed = new Promise(resolve => {
      this.#child.on('close', resolve);
    });
  }

  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Waits for a text behind what was waited for before. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    const end = performance.now() + LONGEST_WAIT_MS;
    for (;;) {
      const match = pattern.exec(this.text.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      const why = this.#child.exitCode !== null ? 'it ended' : performance.now() > end ? 'time passed' : undefined;
      if (why !== undefined) throw new Error(`${why} without ${String(pattern)}: ${JSON.stringify(this.text)}`);
      await new Promise(resolve => {
        setTimeout(resolve, 20);
      });
    }
  }

  /** Ends it, whatever it does. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Exit status of the command, once it has ended and the terminal is as it was. */
  async status(): Promise<number> {
    await this.closed;
    const before = /before:(\S+)/.exec(this.text)?.[1];
    expect(before).toMatch(/^[0-9a-f:]+$/);
    expect(/after:(\S+)/.exec(this.text)?.[1]).toBe(before);
    return Number(/status:(\d+)/.exec(this.text)?.[1]);
  }
}
