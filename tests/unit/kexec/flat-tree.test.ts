/** The judge is libfdt itself, through fdtput and dtc of Debian's device-tree-compiler. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  cells64,
  findNode,
  findProperty,
  parseFdt,
  strings,
  writeFdt,
  fdtNode,
  cells,
} from '../../../capture/formats/fdt.ts';
import { FlatTree } from '../../../kexec/flat-tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-fdt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BLOB = writeFdt({
  root: fdtNode(
    '',
    [
      ['#address-cells', cells(2)],
      ['compatible', strings('linux,dummy-virt')],
    ],
    [
      fdtNode('chosen', [
        ['bootargs', strings('console=ttyAMA0')],
        ['rng-seed', cells64(1, 2)],
      ]),
      fdtNode('memory@40000000', [['reg', cells64(0x4000_0000, 0x2000_0000)]]),
    ],
  ),
  reservations: [{ paddr: 0x4800_0000, size: 0x1000 }],
  bootCpu: 0,
});
const HAS_FDTPUT = spawnSync('fdtput', ['--version']).status === 0;

/** Structure and strings of a blob after fdtput, as dtc shows them. */
function withFdtput(...args: readonly string[]): Buffer {
  const file = join(folder, 'tree.dtb');
  writeFileSync(file, BLOB);
  const [option, property, ...values] = args;
  const { status, stderr } = spawnSync('fdtput', [option!, file, '/chosen', property!, ...values]);
  expect(stderr.toString()).toBe('');
  expect(status).toBe(0);
  return readFileSync(file);
}

/** The blocks that hold the tree, cut out by the header; reservations are compared apart. */
function blocks(blob: Uint8Array): Buffer {
  const word = (at: number) => Buffer.from(blob).readUInt32BE(at);
  const part = (offset: number, size: number) => Buffer.from(blob).subarray(offset, offset + size);
  return Buffer.concat([part(word(8), word(36)), part(word(12), word(32))]);
}

describe.runIf(HAS_FDTPUT)('as fdtput', () => {
  test.each<[what: string, property: string, value: string]>([
    ['replaces a string by a longer one', 'bootargs', 'console=ttyAMA0 nr_cpus=1 reset_devices'],
    ['replaces a string by a shorter one', 'bootargs', 'c=1'],
    ['puts a new property in front of its node, its name behind the others', 'stdout-path', '/pl011@9000000'],
    ['finds a new name at the end of a known one', 'seed', 'x'],
  ])('%s', (_, property, value) => {
    const tree = new FlatTree(BLOB);
    tree.setProperty('chosen', property, strings(value));
    const reference = withFdtput('-ts', property, value);
    const ours = tree.build();
    expect(blocks(ours)).toEqual(blocks(reference));
  });
});

test('a deleted property leaves its name in the strings', () => {
  const tree = new FlatTree(BLOB);
  tree.deleteProperty('chosen', 'rng-seed');
  const blob = tree.build();
  expect(findProperty(findNode(parseFdt(blob).root, '/chosen')!, 'rng-seed')).toBeUndefined();
  expect(Buffer.from(blob).includes('rng-seed')).toBe(true);
});

test('a missing node is made behind the properties of the root', () => {
  const bare = writeFdt({
    root: fdtNode('', [['model', strings('x')]], [fdtNode('cpus', [])]),
    reservations: [],
    bootCpu: 0,
  });
  const tree = new FlatTree(bare);
  tree.setProperty('chosen', 'bootargs', strings('quiet'));
  const { root } = parseFdt(tree.build());
  expect(root.children.map(({ name }) => name)).toEqual(['chosen', 'cpus']);
});

test('reservations are added at the end and removed by their exact range', () => {
  const tree = new FlatTree(BLOB);
  tree.addReservation(0x5000_0000, 0x400);
  expect(tree.deleteReservation(0x4800_0000, 0x800)).toBe(false);
  expect(tree.deleteReservation(0x4800_0000, 0x1000)).toBe(true);
  expect(parseFdt(tree.build()).reservations).toEqual([{ paddr: 0x5000_0000, size: 0x400 }]);
});
