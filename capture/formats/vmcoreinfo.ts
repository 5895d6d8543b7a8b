/**
 * VMCOREINFO: the text in which a kernel tells dump tools about itself.
 *
 * Source: `Documentation/admin-guide/kdump/vmcoreinfo.rst` (Linux v6.12); `kernel/vmcore_info.c` for the line formats.
 */
import { asBuffer } from './bytes.ts';

const LINE = /^(?:(SYMBOL|SIZE|OFFSET|LENGTH|NUMBER)\(([^)]+)\)|([^=]+))=(.*)$/;

/** The parsed text. Every accessor returns undefined for a line that is not there. */
export class Vmcoreinfo {
  /** The text as it stands in the dump. */
  readonly text: string;
  readonly #values = new Map<string, string>();

  constructor(text: string) {
    this.text = text;
    for (const line of text.split('\n')) {
      const match = LINE.exec(line);
      if (match === null) continue;
      const [, kind, name, key, value] = match;
      this.#values.set(kind === undefined ? key! : `${kind}(${name})`, value!);
    }
  }

  static fromBytes(bytes: Uint8Array): Vmcoreinfo {
    const end = bytes.indexOf(0);
    return new Vmcoreinfo(asBuffer(end === -1 ? bytes : bytes.subarray(0, end)).toString('latin1'));
  }

  /** A plain `KEY=value` line: OSRELEASE, BUILD-ID, PAGESIZE, KERNELOFFSET, CRASHTIME. */
  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  /** Virtual address of a kernel symbol, relocated. */
  symbol(name: string): bigint | undefined {
    return hexadecimal(this.#values.get(`SYMBOL(${name})`));
  }

  /** Size of a type in bytes. */
  sizeOf(type: string): number | undefined {
    return decimal(this.#values.get(`SIZE(${type})`));
  }

  /** Byte offset of a member, named `struct.member`. */
  offsetOf(member: string): number | undefined {
    return decimal(this.#values.get(`OFFSET(${member})`));
  }

  /** Number of elements of an array. */
  lengthOf(name: string): number | undefined {
    return decimal(this.#values.get(`LENGTH(${name})`));
  }

  /** A constant or variable; negative ones are normalised to 64 bits. */
  number(name: string): bigint | undefined {
    const text = this.#values.get(`NUMBER(${name})`);
    return text === undefined || !/^-?(?:0x[\da-f]+|\d+)$/i.test(text) ? undefined : parseSigned(text);
  }

  /** KERNELOFFSET: by how much KASLR moved the kernel image. */
  get kernelOffset(): bigint | undefined {
    return hexadecimal(this.#values.get('KERNELOFFSET'));
  }

  /** PAGESIZE in bytes. */
  get pageSize(): number | undefined {
    return decimal(this.#values.get('PAGESIZE'));
  }

  get buildId(): string | undefined {
    return this.#values.get('BUILD-ID');
  }

  get osRelease(): string | undefined {
    return this.#values.get('OSRELEASE');
  }

  /** CRASHTIME in seconds since 1970. */
  get crashTime(): number | undefined {
    return decimal(this.#values.get('CRASHTIME'));
  }
}

function hexadecimal(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[\da-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : undefined;
}

function decimal(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d{1,15}$/.test(text)) return undefined;
  return Number(text);
}

function parseSigned(text: string): bigint {
  return BigInt.asUintN(64, text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text));
}
