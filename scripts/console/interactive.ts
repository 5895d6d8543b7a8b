/** A machine's console on the terminal: raw mode, escape keys, and the monitor beside the guest. */
import { EscapeKeys, ESCAPE_HELP, type TypedPiece } from './escape-keys.ts';
import { LineEditor } from './line-editor.ts';
import { PROMPT, runMonitorCommand, type MonitorTarget } from './monitor.ts';

/** A machine that somebody sits at. */
export interface InteractiveTarget extends MonitorTarget {
  /** Characters for the guest's serial port. */
  type(bytes: Uint8Array): void;
}

/** Where characters come from and go to; `process` has both. */
export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: { write(chunk: string | Uint8Array): unknown };
}

/** Connects a terminal to a machine until it is disposed. */
export class InteractiveConsole implements Disposable {
  readonly #target: InteractiveTarget;
  readonly #terminal: Terminal;
  readonly #keys = new EscapeKeys();
  readonly #editor: LineEditor;
  readonly #withMonitor: boolean;
  readonly #onData = (bytes: Buffer) => this.#take(bytes);
  #inMonitor = false;

  /** @param withMonitor whether Ctrl-a c leads to the monitor */
  constructor(target: InteractiveTarget, withMonitor: boolean, terminal: Terminal = process) {
    this.#target = target;
    this.#terminal = terminal;
    this.#withMonitor = withMonitor;
    this.#editor = new LineEditor(text => terminal.stdout.write(text));
    // In raw mode Ctrl-c is a character for the guest; Ctrl-a x ends the machine.
    if (terminal.stdin.isTTY) terminal.stdin.setRawMode(true);
    terminal.stdin.on('data', this.#onData);
    terminal.stdin.resume();
  }

  [Symbol.dispose](): void {
    const { stdin } = this.#terminal;
    stdin.off('data', this.#onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }

  #take(bytes: Uint8Array): void {
    for (const piece of this.#keys.push(bytes)) this.#handle(piece);
  }

  #handle(piece: TypedPiece): void {
    if (piece.kind === 'request') {
      if (piece.request === 'quit') this.#target.quit();
      else if (piece.request === 'help') this.#print(ESCAPE_HELP.split('\n'));
      else if (this.#withMonitor) this.#switch();
    } else if (this.#inMonitor) {
      for (const line of this.#editor.push(piece.bytes)) this.#run(line);
    } else {
      this.#target.type(piece.bytes);
    }
  }

  #switch(): void {
    this.#inMonitor = !this.#inMonitor;
    this.#terminal.stdout.write(
      this.#inMonitor ? `\r\nkdump-lab monitor - type 'help' for the commands\r\n${PROMPT}` : '\r\n',
    );
  }

  #run(line: string): void {
    const answer = runMonitorCommand(this.#target, line);
    if (answer instanceof Promise) void answer.then(lines => this.#answer(lines));
    else this.#answer(answer);
  }

  #answer(lines: readonly string[]): void {
    this.#print(lines);
    this.#terminal.stdout.write(PROMPT);
  }

  #print(lines: readonly string[]): void {
    for (const line of lines) this.#terminal.stdout.write(`${line}\r\n`);
  }
}
