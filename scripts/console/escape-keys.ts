/**
 * The keys that the console keeps for itself, as in QEMU: Ctrl-a and one more.
 *
 * Source: `qemu-system-aarch64(1)` "Keys in the character backend multiplexer".
 */

/** What the user wants of the console rather than of the guest. */
export type ConsoleRequest = 'quit' | 'monitor' | 'help' | 'save' | 'break' | 'timestamps';

/** A piece of what was typed: bytes for whoever has the keyboard, or a request. */
export type TypedPiece =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'request'; readonly request: ConsoleRequest };

const CTRL_A = 0x01;
const REQUESTS: Readonly<Record<string, ConsoleRequest>> = {
  x: 'quit',
  c: 'monitor',
  h: 'help',
  '?': 'help',
  s: 'save',
  b: 'break',
  t: 'timestamps',
};

/** Name of the escape key: `C-a`. */
function keyName(code: number): string {
  return code < 0x20 ? `C-${String.fromCharCode(code + 0x60)}` : String.fromCharCode(code);
}

/** Shown for the escape key and h. */
export function escapeHelp(escapeKey = CTRL_A): string {
  const key = keyName(escapeKey);
  const rows = [
    ['h', 'print this help'],
    ['x', 'end the machine'],
    ['s', 'save disk data back to file (it always is)'],
    ['t', 'time stamps in front of lines, on or off'],
    ['b', 'send break (the magic SysRq key: C-a b, then its letter)'],
    ['c', 'switch between console and monitor'],
    [key, `send ${key}`],
  ] as const;
  return ['', ...rows.map(([second, what]) => `${key} ${second.padEnd(key.length)}  ${what}`), ''].join('\n');
}

/** Takes typed bytes apart; an escape key may come in one piece and its second key in the next. */
export class EscapeKeys {
  readonly #escapeKey: number;
  #escaped = false;

  /** @param escapeKey code of the key */
  constructor(escapeKey = CTRL_A) {
    this.#escapeKey = escapeKey;
  }

  push(typed: Uint8Array): TypedPiece[] {
    const pieces: TypedPiece[] = [];
    let plain: number[] = [];
    const flush = () => {
      if (plain.length > 0) pieces.push({ kind: 'bytes', bytes: Uint8Array.from(plain) });
      plain = [];
    };
    for (const byte of typed) {
      if (!this.#escaped) {
        if (byte === this.#escapeKey) this.#escaped = true;
        else plain.push(byte);
        continue;
      }
      this.#escaped = false;
      const request = REQUESTS[String.fromCharCode(byte)];
      if (byte === this.#escapeKey) plain.push(byte);
      else if (request !== undefined) {
        flush();
        pieces.push({ kind: 'request', request });
      }
    }
    flush();
    return pieces;
  }
}
