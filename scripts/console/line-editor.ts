/** The least of line editing, for the monitor while the terminal is in raw mode: backspace, Ctrl-u, Tab, Up and Down, Enter. */

const BACKSPACE = new Set([0x08, 0x7f]);
const CTRL_C = 0x03;
const CTRL_U = 0x15;
const TAB = 0x09;
const ESCAPE = 0x1b;
const ENTER = new Set([0x0a, 0x0d]);
const LONGEST_LINE = 1000;
const LONGEST_HISTORY = 100;
/** What a terminal sends for Up and Down, behind the escape. */
const ARROWS: Readonly<Record<string, -1 | 1>> = { '[A': -1, OA: -1, '[B': 1, OB: 1 };

/** Ways in which a line can go on. */
export type Complete = (line: string) => readonly string[];

/** Collects lines and echoes what is typed. */
export class LineEditor {
  readonly #echo: (text: string) => void;
  readonly #complete: Complete;
  readonly #history: string[] = [];
  #line = '';
  /** Place in the history: its length is the line that is being typed. */
  #place = 0;
  /** An escape sequence that has begun, without the escape. */
  #sequence: string | undefined;

  /** @param complete gives the last word of a line in its possible forms */
  constructor(echo: (text: string) => void, complete: Complete = () => []) {
    this.#echo = echo;
    this.#complete = complete;
  }

  /** @returns the lines that were finished */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    for (const byte of bytes) {
      if (this.#sequence !== undefined) this.#takeSequence(String.fromCharCode(byte));
      else if (ENTER.has(byte)) lines.push(this.#finish());
      else this.#edit(byte);
    }
    return lines;
  }

  #finish(): string {
    const line = this.#line;
    this.#echo('\r\n');
    if (line.trim() !== '' && line !== this.#history.at(-1)) this.#history.push(line);
    if (this.#history.length > LONGEST_HISTORY) this.#history.shift();
    this.#line = '';
    this.#place = this.#history.length;
    return line;
  }

  #edit(byte: number): void {
    if (BACKSPACE.has(byte)) {
      if (this.#line !== '') this.#echo('\b \b');
      this.#line = this.#line.slice(0, -1);
    } else if (byte === CTRL_U || byte === CTRL_C) this.#replace('');
    else if (byte === TAB) this.#completeLine();
    else if (byte === ESCAPE) this.#sequence = '';
    else if (byte >= 0x20 && byte < 0x7f && this.#line.length < LONGEST_LINE) this.#append(String.fromCharCode(byte));
  }

  #append(text: string): void {
    this.#line += text;
    this.#echo(text);
  }

  #replace(line: string): void {
    this.#echo('\b \b'.repeat(this.#line.length));
    this.#line = '';
    this.#append(line);
  }

  /** Sequences have a bracket or an O, and end with a letter. */
  #takeSequence(character: string): void {
    const sequence = `${this.#sequence!}${character}`;
    if (sequence === '[' || sequence === 'O' || /^\[[\d;]+$/.test(sequence)) {
      this.#sequence = sequence;
      return;
    }
    this.#sequence = undefined;
    const step = ARROWS[sequence];
    const place = this.#place + (step ?? 0);
    if (step === undefined || place < 0 || place > this.#history.length) return;
    this.#place = place;
    this.#replace(this.#history[place] ?? '');
  }

  #completeLine(): void {
    const word = /\S*$/.exec(this.#line)![0];
    const found = this.#complete(this.#line);
    const common = commonBeginning(found);
    if (common.length > word.length) this.#append(common.slice(word.length));
    if (found.length === 1) this.#append(' ');
  }
}

function commonBeginning(words: readonly string[]): string {
  return words.reduce((common, word) => {
    let length = 0;
    while (length < common.length && common[length] === word[length]) length++;
    return common.slice(0, length);
  }, words[0] ?? '');
}
