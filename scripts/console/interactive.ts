/** A machine's console on the terminal: raw mode, escape keys, and the monitor beside the guest. */
import type { MonitorPlace } from '../commands/boot-options.ts';
import { type ConsoleRequest, EscapeKeys, escapeHelp, type TypedPiece } from './escape-keys.ts';
import { LineEditor } from './line-editor.ts';
import { completeMonitorLine, PROMPT, runMonitorCommand, type MonitorTarget } from './monitor.ts';

/** A machine that somebody sits at. */
export interface InteractiveTarget extends MonitorTarget {
  /** Characters for the guest's serial port. */
  type(bytes: Uint8Array): void;
  /** A break on the serial port. */
  sendBreak(): void;
}

/** Where characters come from and go to; `process` has both. */
export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: { write(chunk: string | Uint8Array): unknown };
}

/** Who has the keyboard. */
export interface KeyboardOptions {
  /** The escape key begins a command of the console; without, Ctrl-c ends the machine. */
  readonly mux: boolean;
  readonly monitor: MonitorPlace;
  /** Code of the escape key. */
  readonly escapeKey: number;
  /** Turns time stamps in front of the guest's lines on or off. */
  readonly toggleTimestamps?: () => void;
}

const CTRL_A = 1;
const CTRL_C = 3;

/** Connects a terminal to a machine until it is disposed. */
export class InteractiveConsole implements Disposable {
  readonly #target: InteractiveTarget;
  readonly #terminal: Terminal;
  readonly #options: KeyboardOptions;
  readonly #keys: EscapeKeys;
  readonly #editor: LineEditor;
  readonly #onData = (bytes: Buffer) => this.#take(bytes);
  readonly #onContinue = () => this.#enterRawMode();
  #inMonitor: boolean;
  /** While a command takes its time: the lines behind it. */
  #waiting: string[] | undefined;

  constructor(
    target: InteractiveTarget,
    options: KeyboardOptions = { mux: true, monitor: 'beside-serial', escapeKey: CTRL_A },
    terminal: Terminal = process,
  ) {
    this.#target = target;
    this.#terminal = terminal;
    this.#options = options;
    this.#keys = new EscapeKeys(options.escapeKey);
    this.#editor = new LineEditor(text => terminal.stdout.write(text), completeMonitorLine);
    this.#inMonitor = options.monitor === 'terminal';
    this.#enterRawMode();
    terminal.stdin.on('data', this.#onData);
    terminal.stdin.resume();
    // Whoever stopped the program has had the terminal meanwhile.
    process.on('SIGCONT', this.#onContinue);
    if (this.#inMonitor) this.#greet();
  }

  [Symbol.dispose](): void {
    const { stdin } = this.#terminal;
    process.off('SIGCONT', this.#onContinue);
    stdin.off('data', this.#onData);
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.pause();
  }

  /** In raw mode Ctrl-c is a character. Node puts the terminal back when the program ends by itself. */
  #enterRawMode(): void {
    if (this.#terminal.stdin.isTTY) this.#terminal.stdin.setRawMode(true);
  }

  #take(bytes: Uint8Array): void {
    if (this.#options.mux) {
      for (const piece of this.#keys.push(bytes)) this.#handle(piece);
    } else if (this.#terminal.stdin.isTTY && bytes.includes(CTRL_C)) {
      this.#target.quit();
    } else {
      this.#handle({ kind: 'bytes', bytes });
    }
  }

  #handle(piece: TypedPiece): void {
    if (piece.kind === 'request') this.#obey(piece.request);
    else if (!this.#inMonitor) this.#target.type(piece.bytes);
    else for (const line of this.#editor.push(piece.bytes)) this.#enqueue(line);
  }

  #obey(request: ConsoleRequest): void {
    switch (request) {
      case 'quit':
        this.#target.quit();
        break;
      case 'help':
        this.#print(escapeHelp(this.#options.escapeKey).split('\n'));
        break;
      case 'break':
        this.#target.sendBreak();
        break;
      case 'save':
        // All disks are written at once.
        break;
      case 'timestamps':
        this.#options.toggleTimestamps?.();
        break;
      default:
        if (this.#options.monitor !== 'none') this.#switch();
    }
  }

  #switch(): void {
    this.#inMonitor = !this.#inMonitor;
    if (this.#inMonitor) this.#greet();
    else this.#terminal.stdout.write('\r\n');
  }

  #greet(): void {
    this.#terminal.stdout.write(`\r\nkdump-lab monitor - type 'help' for the commands\r\n${PROMPT}`);
  }

  /** Lines that are typed while a command takes its time wait for it. */
  #enqueue(line: string): void {
    if (this.#waiting === undefined) this.#run(line);
    else this.#waiting.push(line);
  }

  #run(line: string): void {
    const answer = runMonitorCommand(this.#target, line);
    if (!(answer instanceof Promise)) return this.#answer(answer);
    const waiting: string[] = (this.#waiting = []);
    void answer.then(lines => {
      this.#waiting = undefined;
      this.#answer(lines);
      for (const next of waiting) this.#enqueue(next);
    });
  }

  #answer(lines: readonly string[]): void {
    this.#print(lines);
    this.#terminal.stdout.write(PROMPT);
  }

  #print(lines: readonly string[]): void {
    for (const line of lines) this.#terminal.stdout.write(`${line}\r\n`);
  }
}
