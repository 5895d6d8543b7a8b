import { describe, expect, test } from 'vitest';

import { BTF_HEADER, BTF_KIND, BTF_MAGIC, Btf } from '../../../../analyzer/debug-info/btf.ts';
import { definitionText } from '../../../../analyzer/types/declare.ts';
import { StructType } from '../../../../analyzer/types/types.ts';
import { FormatError } from '../../../../capture/formats/errors.ts';

/** Writes BTF by Documentation/bpf/btf.rst: type records of 32-bit words, names as offsets of strings. */
class BtfWriter {
  readonly #words: number[] = [];
  #strings = '\0';
  readonly #firstString: number;

  constructor(firstString = 0) {
    this.#firstString = firstString;
  }

  name(text: string): number {
    const at = this.#firstString + this.#strings.length;
    this.#strings += `${text}\0`;
    return at;
  }

  type(name: number, kind: number, vlen: number, sizeOrType: number, ...rest: number[]): this {
    this.#words.push(name, (kind << 24) | vlen, sizeOrType, ...rest);
    return this;
  }

  build(): Uint8Array {
    const types = new Uint8Array(Uint32Array.from(this.#words).buffer);
    const strings = Buffer.from(this.#strings, 'latin1');
    const header = BTF_HEADER.build({
      magic: BTF_MAGIC,
      version: 1,
      hdr_len: 24,
      type_len: types.length,
      str_off: types.length,
      str_len: strings.length,
    });
    return Buffer.concat([header, types, strings]);
  }
}

const FLAG = 0x80;

function sample(): { blob: Uint8Array; strings: number } {
  const w = new BtfWriter();
  w.type(w.name('int'), BTF_KIND.INT, 0, 4, (1 << 24) | 32); // 1
  w.type(w.name('long unsigned int'), BTF_KIND.INT, 0, 8, 64); // 2
  w.type(0, BTF_KIND.PTR, 0, 4); // 3: struct node *
  w.type(
    w.name('node'),
    BTF_KIND.STRUCT | FLAG,
    4,
    24,
    w.name('next'),
    3,
    0,
    w.name('a'),
    1,
    (3 << 24) | 64,
    w.name('b'),
    1,
    (5 << 24) | 67,
    0,
    5,
    128,
  ); // 4
  w.type(0, BTF_KIND.UNION, 2, 8, w.name('value'), 2, 0, w.name('half'), 6, 0); // 5
  w.type(0, BTF_KIND.ARRAY, 0, 0, 1, 1, 2); // 6: int [2]
  w.type(w.name('node_t'), BTF_KIND.TYPEDEF, 0, 4); // 7
  w.type(w.name('color'), BTF_KIND.ENUM, 2, 4, w.name('RED'), 0, w.name('BLUE'), 5); // 8
  return { blob: w.build(), strings: 0 };
}

describe('Btf', () => {
  const btf = new Btf(sample().blob);
  const node = btf.find('node', 'struct') as StructType;

  test('describes members, bit fields and anonymous unions', () => {
    expect(definitionText(node)).toBe(`struct node {
    struct node *next;
    int a : 3;
    int b : 5;
    union {
        unsigned long value;
        int half[2];
    };
}`);
  });

  test('finds members by path, through anonymous unions and into arrays', () => {
    expect(node.place('b')).toMatchObject({ bitOffset: 67, bitSize: 5 });
    expect(node.place('half[1]')).toMatchObject({ offset: 20 });
    expect(node.place('missing')).toBeUndefined();
  });

  test('tells tags, typedefs and enumerations of the same search apart', () => {
    expect(btf.find('node', 'typedef')).toBeUndefined();
    expect(btf.find('node_t', 'typedef')?.kind).toBe('typedef');
    expect(btf.find('color', 'enum')).toMatchObject({
      enumerators: [
        { name: 'RED', value: 0n },
        { name: 'BLUE', value: 5n },
      ],
    });
  });

  test("continues ids and strings of its base when it is a module's", () => {
    const { blob } = sample();
    const base = new Btf(blob);
    const strings = blob.length - 24 - BTF_HEADER.parse(blob).type_len;
    const w = new BtfWriter(strings);
    w.type(w.name('extra'), BTF_KIND.STRUCT, 1, 8, w.name('n'), 4, 0);
    const module = new Btf(w.build(), base, 'module');
    expect(module.firstId).toBe(9);
    expect(definitionText(module.find('extra', 'struct')!)).toBe('struct extra {\n    struct node n;\n}');
  });

  test.each([0, 4, 20, 60])('says that %i bytes are no BTF', length => {
    expect(() => new Btf(sample().blob.subarray(0, length))).toThrow(FormatError);
  });

  test('refuses a kind that does not exist', () => {
    const w = new BtfWriter();
    w.type(0, 25, 0, 0);
    expect(() => new Btf(w.build())).toThrow('unknown BTF kind 25');
  });
});
