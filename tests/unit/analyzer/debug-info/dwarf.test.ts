/** The DWARF reader on a small program (tests/fixtures/dwarf/sample.c); expected values are what gdb and readelf print of it. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

import { DebugInfo } from '../../../../analyzer/debug-info/dwarf/debug-info.ts';
import { functionsAt, parametersOf } from '../../../../analyzer/debug-info/dwarf/functions.ts';
import { buildIdPath, findDebugFile, hasDebugInfo } from '../../../../analyzer/debug-info/find-debug-file.ts';
import { definitionText, typeName } from '../../../../analyzer/types/declare.ts';
import { layoutText } from '../../../../analyzer/types/layout-text.ts';
import { sizeOf } from '../../../../analyzer/types/types.ts';
import { physicalReader } from '../../../../analyzer/memory-reader.ts';
import type { Program } from '../../../../analyzer/program.ts';
import { unwindDwarf } from '../../../../analyzer/unwind/dwarf.ts';
import { sourceFrames } from '../../../../analyzer/unwind/source-frames.ts';
import { FileSource } from '../../../../capture/formats/byte-source.ts';
import { buildIdOf, parseElf } from '../../../../capture/formats/elf.ts';
import { SparseMemory } from '../../../support/sparse-memory.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/dwarf');
const TEXT = 0x40_0000n;

function open(name: string): DebugInfo {
  const elf = parseElf(new FileSource(join(FOLDER, name)));
  // The object file's sections as if they had been loaded: section 1 is .text.
  const addresses = name.endsWith('.o') ? (section: number): bigint => (section === 1 ? TEXT : 0n) : undefined;
  return new DebugInfo(elf, 0n, () => undefined, addresses);
}

// gdb: ptype struct node
const NODE = `struct node {
    struct node *next;
    unsigned int low : 3;
    unsigned int high : 5;
    int (*visit)(const struct node *, long);
    union word word;
    struct {
        short a;
        short b;
    };
    enum colour colour;
    char name[12];
    int matrix[2][3];
    volatile long *tail[];
}`;

const LAYOUT = `/* offset      |    size */  type = struct node {
/*      0      |       8 */    struct node *next;
/*      8: 0   |       4 */    unsigned int low : 3;
/*      8: 3   |       4 */    unsigned int high : 5;
/* XXX  7-byte hole      */
/*     16      |       8 */    int (*visit)(const struct node *, long);
/*     24      |       8 */    union word {
/*                     8 */        unsigned long whole;
/*                     8 */        unsigned char bytes[8];

                                   /* total size (bytes):    8 */
                               } word;
/*     32      |       4 */    struct {
/*     32      |       2 */        short a;
/*     34      |       2 */        short b;

                                   /* total size (bytes):    4 */
                               };
/*     36      |       4 */    enum colour colour;
/*     40      |      12 */    char name[12];
/*     52      |      24 */    int matrix[2][3];
/* XXX  4-byte hole      */
/*     80      |       0 */    volatile long *tail[];

                               /* total size (bytes):   80 */
                             }
`;

describe.each(['sample-v4', 'sample-v5', 'sample-v5-zlib', 'sample-v5.o'])('%s', name => {
  const info = open(name);

  test('describes a structure as gdb prints it', () => {
    const type = info.find('node', 'struct')!;
    expect(definitionText(type)).toBe(NODE);
    expect(sizeOf(type)).toBe(80);
  });

  test('finds typedefs, enumerations and enumerators', () => {
    expect(typeName(info.find('node_t', 'typedef')!)).toBe('node_t');
    expect(definitionText(info.find('colour', 'enum')!)).toBe('enum colour {RED, GREEN = 5, BLUE}');
    expect(info.findEnumerator('BLUE')?.value).toBe(6n);
    expect(info.find('nothing', 'struct')).toBeUndefined();
  });

  test('knows the prototype of a function', () => {
    expect(typeName(info.findFunction('leaf')!)).toBe('long (long, const node_t *)');
  });
});

test('ptype/o shows offsets, sizes and holes as gdb does', () => {
  const type = open('sample-v5').find('node', 'struct')!;
  expect(type.kind === 'struct' ? layoutText(type) : '').toBe(LAYOUT);
});

// Addresses: readelf -s; types: gdb whatis.
test.each([
  ['counter', 0x40_3070n, 'int'],
  ['banner', 0x40_2000n, 'const char [7]'],
  ['first', 0x40_3020n, 'node_t'],
])('finds the variable %s by its address', (name, address, expected) => {
  expect(typeName(open('sample-v5').variable(name, address)!.type)).toBe(expected);
});

test.each(['sample-v4', 'sample-v5', 'sample-v5-zlib'])('%s: lines and functions at an address', name => {
  const info = open(name);
  // gdb: Line 26 of "sample.c" starts at address 0x401000 <leaf> and ends at 0x401005 <leaf+5>.
  expect(info.lines.find(0x40_1000n)?.line).toBe(26);
  const [outer] = functionsAt(info, 0x40_1009n);
  expect(outer?.name).toBe('leaf');
  expect(parametersOf(outer!).map(die => die.name || die.reference(0x31)?.name)).toEqual(['value', 'node']);
});

test('places the code of a relocatable file where its sections lie', () => {
  const info = open('sample-v5.o');
  expect(functionsAt(info, TEXT + 9n).map(({ name }) => name)).toEqual(['leaf']);
  // readelf: the inlined call of scaled covers the first five bytes.
  expect(functionsAt(info, TEXT + 4n).map(({ name }) => name)).toEqual(['leaf', 'scaled']);
  expect(functionsAt(info, TEXT + 0x11n).map(({ name }) => name)).toEqual(['middle']);
});

/** What the unwinder needs of a program: the fixture's debug information and a few words of stack. */
function stopped(info: DebugInfo, memory: SparseMemory): Program {
  return {
    architecture: 'x86_64',
    pacMask: 0n,
    memory: physicalReader(memory),
    debug: { at: (address: bigint) => (address >= 0x40_1000n && address < 0x40_1047n ? info : undefined) },
    symbols: { lookup: () => undefined, formatInside: () => undefined },
  } as unknown as Program;
}

test.each(['sample-v4', 'sample-v5'])('%s: follows the stack, with arguments as gdb finds them', name => {
  // gdb, stopped in leaf: #0 leaf (value=42, node=0x403020) #1 middle (depth=depth@entry=2, node=node@entry=0x403020) #2 _start ()
  const memory = new SparseMemory();
  const SP = 0xe6f0;
  memory.writeU64(SP, 0x40_101en);
  memory.writeU64(SP + 8, 0x40_1046n);
  memory.writeU64(SP + 16, 1n);
  const program = stopped(open(name), memory);
  const registers = new Map([
    ['ip', 0x40_1009n],
    ['sp', BigInt(SP)],
    ['cx', 2n],
    ['si', 0x40_3020n],
    ['di', 42n],
  ]);
  const frames = sourceFrames(program, unwindDwarf(program, registers));
  expect(frames.map(frame => [frame.name, frame.line])).toEqual([
    ['leaf', 27],
    ['middle', 31],
    ['_start', 39],
  ]);
  expect(frames[0]!.parameters.map(({ name: parameter, value }) => [parameter, value?.bits])).toEqual([
    ['value', 42n],
    ['node', 0x40_3020n],
  ]);
  expect(frames[1]!.parameters.map(({ entryValue }) => entryValue?.bits)).toEqual([2n, 0x40_3020n]);
});

describe('findDebugFile', () => {
  const folder = mkdtempSync(join(tmpdir(), 'debug-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const stripped = parseElf(new FileSource(join(FOLDER, 'sample-v5-stripped')));

  test('finds nothing where nothing is', () => {
    expect(hasDebugInfo(stripped)).toBe(false);
    expect(findDebugFile(stripped, folder)).toBeUndefined();
  });

  test('finds the file with the same build id', () => {
    const path = buildIdPath(buildIdOf(stripped)!, folder);
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(join(FOLDER, 'sample-v5'), path);
    expect(findDebugFile(stripped, folder)?.source.name).toBe(path);
  });

  test('refuses a file of another build', () => {
    copyFileSync(join(FOLDER, 'sample-v4'), buildIdPath(buildIdOf(stripped)!, folder));
    expect(findDebugFile(stripped, folder)).toBeUndefined();
  });
});
