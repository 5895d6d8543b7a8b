/**
 * The keys that the console keeps for itself, as in QEMU: Ctrl-a and one more.
 *
 * Source: `qemu-system-aarch64(1)` "Keys in the character backend multiplexer".
 */

/** What the user wants of the console rather than of the guest. */
export type ConsoleRequest = 'quit' | 'monitor' | 'help';

/** A piece of what was typed: bytes for whoever has the keyboard, or a request. */
export type TypedPiece =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'request'; readonly request: ConsoleRequest };

const CTRL_A = 0x01;
const REQUESTS: Readonly<Record<string, ConsoleRequest>> = { x: 'quit', c: 'monitor', h: 'help', '?': 'help' };

/** Shown for Ctrl-a h. */
export const ESCAPE_HELP = `
C-a h    print this help
C-a x    end the machine
C-a c    switch between console and monitor
C-a C-a  send C-a
`;

/** Takes typed bytes apart; a Ctrl-a may come in one piece and its second key in the next. */
export class EscapeKeys {
  #escaped = false;

  push(typed: Uint8Array): TypedPiece[] {
    const pieces: TypedPiece[] = [];
    let plain: number[] = [];
    const flush = () => {
      if (plain.length > 0) pieces.push({ kind: 'bytes', bytes: Uint8Array.from(plain) });
      plain = [];
    };
    for (const byte of typed) {
      if (!this.#escaped) {
        if (byte === CTRL_A) this.#escaped = true;
        else plain.push(byte);
        continue;
      }
      this.#escaped = false;
      const request = REQUESTS[String.fromCharCode(byte)];
      if (byte === CTRL_A) plain.push(byte);
      if (request === undefined) continue;
      flush();
      pieces.push({ kind: 'request', request });
    }
    flush();
    return pieces;
  }
}
