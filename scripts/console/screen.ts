/** What a person would see of a guest's console: bytes go through a terminal emulator (xterm.js without a window). */
import xterm from '@xterm/headless';

/** A text screen. */
export class Screen implements Disposable {
  readonly #terminal: xterm.Terminal;

  constructor(columns = 80, rows = 25) {
    this.#terminal = new xterm.Terminal({ cols: columns, rows, scrollback: 10_000, allowProposedApi: true });
  }

  /** Takes bytes; settles when the screen shows them. */
  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise(resolve => this.#terminal.write(bytes, resolve));
  }

  /** The visible lines, without spaces at their ends. */
  lines(): string[] {
    const { active } = this.#terminal.buffer;
    return Array.from({ length: this.#terminal.rows }, (_, row) => this.#line(active.baseY + row));
  }

  /** All lines, scrolled-out ones first, without the empty ones at the end. */
  history(): string[] {
    const { active } = this.#terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, row) => this.#line(row));
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  /** Where the cursor is, from 0. */
  get cursor(): { readonly column: number; readonly row: number } {
    const { active } = this.#terminal.buffer;
    return { column: active.cursorX, row: active.cursorY };
  }

  [Symbol.dispose](): void {
    this.#terminal.dispose();
  }

  #line(row: number): string {
    return this.#terminal.buffer.active.getLine(row)?.translateToString(true) ?? '';
  }
}
