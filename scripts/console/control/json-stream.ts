/** Cuts a stream of JSON objects into objects: QMP's clients need not end them with a newline. */
import { FormatError } from '../../../capture/formats/errors.ts';

/** What a client may send in one object. */
const LONGEST = 1 << 20;

/** Collects text until an object is whole. */
export class JsonStream {
  #text = '';

  /** @returns the objects that are whole, each parsed, or the error of one that is none */
  push(text: string): (Readonly<Record<string, unknown>> | FormatError)[] {
    this.#text += text;
    const found: (Readonly<Record<string, unknown>> | FormatError)[] = [];
    for (let end = endOfObject(this.#text); end !== undefined; end = endOfObject(this.#text)) {
      const piece = this.#text.slice(0, end).trim();
      this.#text = this.#text.slice(end);
      if (piece !== '') found.push(parse(piece));
    }
    if (this.#text.length > LONGEST) {
      this.#text = '';
      found.push(new FormatError('JSON parse error, the object is too large'));
    }
    return found;
  }
}

/** Strings, of which the last may not be whole yet, and what is between them. */
const TOKENS = /"(?:\\.|[^"\\])*(?:"|$)|[{}[\]\n]/g;

/** Where the first object ends; text outside of objects ends with its line. */
function endOfObject(text: string): number | undefined {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    const isEnd = token === '\n' ? depth === 0 : !token.startsWith('"') && depth <= 0;
    if (isEnd) return index + 1;
  }
  return undefined;
}

function parse(text: string): Readonly<Record<string, unknown>> | FormatError {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    return new FormatError('QMP input must be a JSON object');
  } catch (error) {
    if (error instanceof SyntaxError) return new FormatError(`JSON parse error, ${error.message}`);
    throw error;
  }
}
