import { spawnSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../../capture/formats/errors.ts';
import {
  cells,
  cells64,
  deleteProperty,
  EMPTY,
  type FdtNode,
  fdtNode,
  findNode,
  findProperty,
  parseFdt,
  propertyCells,
  propertyStrings,
  setProperty,
  strings,
  writeFdt,
} from '../../../../capture/formats/fdt.ts';

const TREE = fdtNode(
  '',
  [['#address-cells', cells(2)]],
  [
    fdtNode('chosen', [
      ['bootargs', strings('console=ttyAMA0')],
      ['linux,initrd-start', cells64(0x4800_0000)],
    ]),
    fdtNode('empty', [['dma-coherent', EMPTY]]),
  ],
);
const SAMPLE = { root: TREE, reservations: [{ paddr: 0x4000_0000, size: 0x1000 }], bootCpu: 0 };

function dtc(args: readonly string[], input: Uint8Array | string): { status: number | null; stdout: Buffer } {
  return spawnSync('dtc', ['-q', ...args], { input });
}
const HAS_DTC = spawnSync('dtc', ['--version']).status === 0;

const nodeName = fc.stringMatching(/^[a-z][a-z0-9,@_-]{0,20}$/);
const property = fc.record({ name: nodeName, value: fc.uint8Array({ maxLength: 33 }) });
const node = fc.letrec<{ node: FdtNode; leaf: FdtNode }>(tie => ({
  leaf: fc.record({ name: nodeName, properties: fc.array(property, { maxLength: 4 }), children: fc.constant([]) }),
  node: fc.record({
    name: nodeName,
    properties: fc.array(property, { maxLength: 4 }),
    children: fc.array(fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('node')), { maxLength: 3 }),
  }),
})).node;

describe('flattened device tree', () => {
  test('reads back any tree that it writes', () => {
    fc.assert(
      fc.property(node, root => {
        const tree = { root: { ...root, name: '' }, reservations: [], bootCpu: 1 };
        expect(parseFdt(writeFdt(tree))).toEqual(tree);
      }),
    );
  });

  test('fills up to the size asked for', () => {
    const blob = writeFdt(SAMPLE, 0x10000);
    expect(blob.length).toBe(0x10000);
    expect(parseFdt(blob)).toEqual(SAMPLE);
  });

  test('finds nodes and properties, and changes them', () => {
    const { root } = parseFdt(writeFdt(SAMPLE));
    const chosen = findNode(root, '/chosen')!;
    expect(propertyStrings(findProperty(chosen, 'bootargs')!)).toEqual(['console=ttyAMA0']);
    expect(propertyCells(findProperty(chosen, 'linux,initrd-start')!)).toEqual([0, 0x4800_0000]);
    setProperty(chosen, 'bootargs', strings('quiet'));
    setProperty(chosen, 'kaslr-seed', cells(1, 2));
    deleteProperty(chosen, 'linux,initrd-start');
    expect(chosen.properties.map(p => p.name)).toEqual(['bootargs', 'kaslr-seed']);
    expect(findNode(root, '/chosen/nothing')).toBeUndefined();
  });

  test.skipIf(!HAS_DTC)('dtc reads what we write', () => {
    const { status, stdout } = dtc(['-I', 'dtb', '-O', 'dts'], writeFdt(SAMPLE));
    expect(status).toBe(0);
    expect(stdout.toString().replaceAll(/\s+/g, ' ').trim()).toBe(
      '/dts-v1/; /memreserve/ 0x0000000040000000 0x0000000000001000; / { #address-cells = <0x02>; chosen { ' +
        'bootargs = "console=ttyAMA0"; linux,initrd-start = <0x00 0x48000000>; }; empty { dma-coherent; }; };',
    );
  });

  test.skipIf(!HAS_DTC)('we read what dtc writes', () => {
    const source = '/dts-v1/; / { model = "m"; a@1 { reg = <1 2>; }; };';
    const { root } = parseFdt(new Uint8Array(dtc(['-I', 'dts', '-O', 'dtb'], source).stdout));
    expect(root).toEqual(fdtNode('', [['model', strings('m')]], [fdtNode('a@1', [['reg', cells(1, 2)]])]));
  });

  describe('damage', () => {
    const blob = writeFdt(SAMPLE);
    const patched = (offset: number, value: number): Uint8Array => {
      const copy = blob.slice();
      copy.set(cells(value), offset);
      return copy;
    };
    const structureAt = propertyCells(blob.slice(8, 12))[0]!;

    test.each([
      { what: 'the magic', bytes: patched(0, 0x1234), message: /offset 0x0: not a device tree/ },
      { what: 'the version', bytes: patched(20, 3), message: /offset 0x14: .*version/ },
      { what: 'the size', bytes: patched(4, 0x10000), message: /offset 0x4: device tree is cut off/ },
      { what: 'the root token', bytes: patched(structureAt, 7), message: /root node is missing/ },
      { what: 'a property length', bytes: patched(structureAt + 12, 0x7fff_ffff), message: /longer than the rest/ },
      { what: 'a property name', bytes: patched(structureAt + 16, 0x7fff_ffff), message: /outside the tree/ },
      { what: 'a token', bytes: patched(structureAt + 24, 0x55), message: /unexpected token/ },
    ])('in $what is named', ({ bytes, message }) => {
      expect(() => parseFdt(bytes)).toThrow(FormatError);
      expect(() => parseFdt(bytes)).toThrow(message);
    });

    test('by cutting anywhere, or by any flipped byte, never ends in another error', () => {
      for (let length = 0; length < blob.length; length++)
        expect(() => parseFdt(blob.subarray(0, length))).toThrow(FormatError);
      fc.assert(
        fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
          const copy = blob.slice();
          copy[at]! ^= flip;
          try {
            parseFdt(copy);
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        }),
        { numRuns: 2000 },
      );
    });
  });
});
