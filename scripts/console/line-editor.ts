/** The least of line editing, for the monitor while the terminal is in raw mode: characters, backspace, Ctrl-u, Enter. */

const BACKSPACE = new Set([0x08, 0x7f]);
const CTRL_U = 0x15;
const ENTER = new Set([0x0a, 0x0d]);
const LONGEST_LINE = 1000;

/** Collects lines and echoes what is typed. */
export class LineEditor {
  #line = '';
  readonly #echo: (text: string) => void;

  constructor(echo: (text: string) => void) {
    this.#echo = echo;
  }

  /** @returns the lines that were finished */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    for (const byte of bytes) {
      if (ENTER.has(byte)) {
        this.#echo('\r\n');
        lines.push(this.#line);
        this.#line = '';
      } else this.#edit(byte);
    }
    return lines;
  }

  #edit(byte: number): void {
    if (BACKSPACE.has(byte)) {
      if (this.#line !== '') this.#echo('\b \b');
      this.#line = this.#line.slice(0, -1);
    } else if (byte === CTRL_U) {
      this.#echo('\b \b'.repeat(this.#line.length));
      this.#line = '';
    } else if (byte >= 0x20 && byte < 0x7f && this.#line.length < LONGEST_LINE) {
      const character = String.fromCharCode(byte);
      this.#line += character;
      this.#echo(character);
    }
  }
}
